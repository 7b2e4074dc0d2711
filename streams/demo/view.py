"""The live view. Rendering only; what is shown comes in as data.

headline    where this is, and which day it is in the shop
figures     events/s, recommendations/s, latency, searchable, hit rate
shopper     one household: what it bought, what is recommended now, how that changed, and why
footer      the changes in numbers; how to look from elsewhere; how to end
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from streams.demo.shopper import Panel
from streams.demo.tracker import Figures
from streams.records import CatalogueItem

WIDE = 120
"""From so many columns on, the basket stands beside the recommendation."""

_ABOVE = 6
"""Rows of headline, figures and the shopper's rule."""

_ROOMY = 22
"""Where a whole recommendation leaves rows over, there is a tip."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What stays the same during a run. `events`: how many there are; `follow`: the shopper shown."""

    broker: str
    bootstrap: str
    shop: str
    model: str
    items: Mapping[str, CatalogueItem]
    events: int
    follow: str | None


@dataclass(frozen=True, slots=True)
class View:
    """One frame. Fits itself to the size of the terminal, from 60x12 on."""

    stage: Stage
    figures: Figures
    searchable: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Top to bottom, the footer on the last row."""
        wide = options.max_width >= WIDE
        panel = Panel(self.figures.scene, self.stage.items) if self.figures.scene else None
        rows = (options.height or console.size.height) - _ABOVE - 1
        tip = wide and rows > _ROOMY
        rows -= tip
        yield self._headline()
        yield self._figures(narrow=not wide)
        yield self._rule(panel)
        body = self._waiting() if panel is None else self._wide(panel, rows) if wide else self._narrow(panel, rows)
        lines = console.render_lines(body, options.update(height=None), pad=False)[:rows]
        for line in [*lines, *([[]] * (rows - len(lines)))]:
            yield from line
            yield Text()
        if tip:
            there = f"KAFKA_BOOTSTRAP_SERVERS={self.stage.bootstrap} UPWELL_SHOP={self.stage.shop}"
            yield Text(f"in another terminal: {there} upwell tail recommendations", style="dim", no_wrap=True)
        yield _ends(Text(panel.summary() if panel else "", style="dim"), Text("Ctrl-C ends ", style="dim"))

    def _headline(self) -> RenderableType:
        day = self.figures.shop_time
        told = f"{datetime.fromtimestamp(day / 1000, UTC):%Y-%m-%d} in the shop " if day is not None else ""
        where = Text.assemble((" upwell ", "bold reverse"), (f"  {self.stage.broker}, {self.stage.model}", "dim"))
        return _ends(where, Text(told, style="bold"))

    def _figures(self, *, narrow: bool) -> RenderableType:
        f = self.figures
        popular = "" if f.popularity_hit_rate is None else f"popularity {f.popularity_hit_rate:.1%}"
        speed, latency = ("answers/s", "latency") if narrow else ("recommendations/s", "event → recommendation")
        cells = [
            ("events/s", f"{f.events_rate:,.0f}", f"{f.events:,} of {self.stage.events:,}"),
            (speed, f"{f.recommendations_rate:,.0f}", f"{f.recommendations:,}"),
            (latency, _millis(f.p50_ms), f"p99 {_millis(f.p99_ms)}"),
            ("searchable", f"{self.searchable:,}", f"of {len(self.stage.items):,} items"),
            ("hits at 20", "–" if f.hit_rate is None else f"{f.hit_rate:.1%}", popular),
        ]
        grid = Table.grid(expand=True, padding=(0, 1))
        for _ in cells:
            grid.add_column(justify="center", no_wrap=True, ratio=1)
        grid.add_row(*(Text(label, style="dim") for label, _, _ in cells))
        grid.add_row(*(Text(value, style="bold cyan") for _, value, _ in cells))
        grid.add_row(*(Text(note, style="dim") for _, _, note in cells))
        return Padding(grid, (1, 0, 0, 0))

    def _rule(self, panel: Panel | None) -> RenderableType:
        at = f" at {panel.time}" if panel else ""
        return Rule(Text.assemble((self.stage.follow or "nobody", "bold"), at), style="dim", align="left")

    def _waiting(self) -> RenderableType:
        return Padding(Text(f"waiting until {self.stage.follow or 'somebody'} buys something …", style="dim"), (1, 2))

    @staticmethod
    def _narrow(panel: Panel, rows: int) -> RenderableType:
        bought = panel.bought(max(3, rows // 4))
        taken = len(bought.renderables)
        return Group(bought, panel.recommended(rows - taken - 1, priced=False), panel.gone())

    @staticmethod
    def _wide(panel: Panel, rows: int) -> RenderableType:
        bought = panel.bought(max(3, rows - 1 - min(len(panel.changes.gone) + 1, rows // 2)))
        left = Group(bought, Text(), panel.gone_list(rows - len(bought.renderables) - 1))
        columns = Table.grid(expand=True, padding=(0, 2, 0, 0))
        columns.add_column(ratio=4)
        columns.add_column(ratio=8)
        columns.add_row(left, panel.recommended(rows, priced=True))
        return columns


def _ends(left: Text, right: Text) -> Table:
    """Two texts at the ends of one line; the left one is cut where there is no room."""
    line = Table.grid(expand=True)
    line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    line.add_column(justify="right", no_wrap=True)
    line.add_row(left, right)
    return line


def _millis(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.0f} s"
