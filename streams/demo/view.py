"""The live view: figures on top, one shopper below. Rendering only; what is shown comes in as data.

┌ figures ─ events/s, recommendations/s, latency, searchable, hit rate
├ bought ── the followed shopper's last basket, and at which rank each item had been recommended before it
├ now ───── what is recommended to them now, how each item moved, and why
└ gone ──── what is recommended no more
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from streams.demo import changes
from streams.demo.changes import Changes
from streams.demo.following import Scene
from streams.demo.tracker import Figures
from streams.records import CatalogueItem, RecommendedItem

WIDE = 120
"""From so many columns on, the basket stands beside the recommendation."""

_CHANNELS = {"content": ("alike", "magenta"), "popular": ("popular", "yellow"), "buy_again": ("again", "green")}
_MARGIN = (0, 1)


@dataclass(frozen=True, slots=True)
class Stage:
    """What stays the same during a run."""

    broker: str
    bootstrap: str
    shop: str
    model: str
    items: Mapping[str, CatalogueItem]
    events: int
    follow: str | None


@dataclass(frozen=True, slots=True)
class View:
    """One frame. Fits itself to the size of the terminal."""

    stage: Stage
    figures: Figures
    searchable: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Top to bottom; the list of recommendations takes what height is left."""
        height = options.height or console.size.height
        wide = options.max_width >= WIDE
        scene = self.figures.scene
        yield from (self._headline(), self._figures(), self._shopper_rule())
        left = height - 6 - 1
        if scene is None:
            yield Padding(
                Text(f"waiting until {self.stage.follow or 'somebody'} buys something …", style="dim"), (1, 2)
            )
            blank = left - 3
        elif wide:
            yield self._beside(scene, left)
            blank = 0
        else:
            rows = min(4, max(2, left // 5))
            lines = self._bought(scene, rows)
            yield lines
            yield self._slate(scene, left - len(lines.renderables) - 2)
            yield self._gone(scene)
            blank = 0
        for _ in range(blank):
            yield Text()
        yield self._footer()

    def _headline(self) -> RenderableType:
        day = self.figures.shop_time
        line = Table.grid(expand=True)
        line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        line.add_column(justify="right", no_wrap=True)
        line.add_row(
            Text.assemble((" upwell ", "bold reverse"), "  ", (f"{self.stage.broker}, {self.stage.model}", "dim")),
            Text(f"{_date(day)} in the shop " if day is not None else "", style="bold"),
        )
        return line

    def _figures(self) -> RenderableType:
        f = self.figures
        hits = "–" if f.hit_rate is None else f"{f.hit_rate:.1%}"
        popular = "" if f.popularity_hit_rate is None else f"popularity {f.popularity_hit_rate:.1%}"
        cells = [
            ("events/s", f"{f.events_rate:,.0f}", f"{f.events:,} of {self.stage.events:,}"),
            ("recommendations/s", f"{f.recommendations_rate:,.0f}", f"{f.recommendations:,}"),
            ("event → recommendation", _millis(f.p50_ms), f"p99 {_millis(f.p99_ms)}"),
            ("searchable", f"{self.searchable:,}", f"of {len(self.stage.items):,} items"),
            ("hits at 20", hits, popular),
        ]
        grid = Table.grid(expand=True, padding=(0, 1))
        for _ in cells:
            grid.add_column(justify="center", no_wrap=True, ratio=1)
        grid.add_row(*(Text(label, style="dim") for label, _, _ in cells))
        grid.add_row(*(Text(value, style="bold cyan") for _, value, _ in cells))
        grid.add_row(*(Text(note, style="dim") for _, _, note in cells))
        return Padding(grid, (1, 0, 0, 0))

    def _shopper_rule(self) -> RenderableType:
        scene = self.figures.scene
        at = f" at {_minute(scene.moment.basket.time)}" if scene else ""
        return Rule(Text.assemble((self.stage.follow or "nobody", "bold"), at), style="dim", align="left")

    def _beside(self, scene: Scene, height: int) -> RenderableType:
        changed = _changes(scene)
        columns = Table.grid(expand=True, padding=(0, 2))
        columns.add_column(ratio=3)
        columns.add_column(ratio=8)
        basket = max(3, height - len(changed.gone) - 4)
        bought = self._bought(scene, min(basket, height - 3))
        room = height - len(bought.renderables) - 2
        gone = [Text(self._title(item), style="dim strike", no_wrap=True, overflow="ellipsis") for item in changed.gone]
        heading = [Text(), Text("recommended no more", style="bold")] if gone else []
        columns.add_row(Group(bought, *heading, *gone[: max(0, room)]), self._slate(scene, height - 1))
        return Padding(columns, _MARGIN)

    def _bought(self, scene: Scene, rows: int) -> Group:
        """A heading and at most `rows` lines."""
        before = {item.item: item.rank for item in scene.moment.before.items} if scene.moment.before else {}
        bought = [event.item for event in scene.moment.basket.events if event.item is not None]
        bought.sort(key=lambda item: before.get(item, len(before) + 1))
        hits = sum(item in before for item in bought)
        said = f", {hits} of them recommended before" if before else ""
        lines = [Text.assemble(("just bought", "bold"), (f" {len(bought)} items{said}", "dim"))]
        shown = bought if len(bought) <= rows else bought[: rows - 1]
        for item in shown:
            rank = before.get(item)
            mark = Text.assemble(("✓ ", "bold green")) if rank else Text("· ", style="dim")
            note = Text(f"  was no. {rank}", style="green") if rank else Text()
            lines.append(Text.assemble(mark, self._title(item), (f"  {self._price(item)}", "dim"), note))
        if len(shown) < len(bought):
            lines.append(Text(f"  and {len(bought) - len(shown)} more", style="dim"))
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)

    def _slate(self, scene: Scene, rows: int) -> RenderableType:
        """The recommendation, at most `rows` lines and a heading."""
        changed = _changes(scene)
        table = Table(box=None, expand=True, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
        table.add_column("", justify="right", width=2)
        table.add_column("", width=3, no_wrap=True)
        table.add_column(Text.assemble(("recommended now", "bold not dim")), ratio=5, no_wrap=True, overflow="ellipsis")
        table.add_column("", justify="right", width=6, no_wrap=True)
        table.add_column("", width=7, no_wrap=True)
        table.add_column("why", ratio=4, no_wrap=True, overflow="ellipsis")
        for item, move in list(zip(scene.moment.after.items, changed.moves, strict=True))[:rows]:
            table.add_row(*self._row(item, move, first=scene.previous is None))
        return table

    def _row(self, item: RecommendedItem, move: int | None, *, first: bool) -> list[RenderableType]:
        label, colour = _CHANNELS.get(item.channel, (item.channel, "white"))
        fresh = move is None and not first
        return [
            Text(str(item.rank), style="dim"),
            Text() if first else _mark(move),
            Text(self._title(item.item), style="bold" if fresh else ""),
            Text(self._price(item.item), style="dim"),
            Text(label, style=colour),
            Text(item.reasons[0].text if item.reasons else "", style="dim"),
        ]

    def _gone(self, scene: Scene) -> RenderableType:
        gone = _changes(scene).gone
        named = ", ".join(map(self._title, gone)) if gone else "nothing"
        return Text.assemble(("no more ", "bold"), (named, "dim"), no_wrap=True, overflow="ellipsis")

    def _footer(self) -> RenderableType:
        scene = self.figures.scene
        if scene is None or scene.previous is None:
            said = "the first recommendation" if scene else ""
        else:
            changed = _changes(scene)
            said = f"{changed.new} new, {changed.moved} moved, {len(changed.gone)} gone since the one before"
        line = Table.grid(expand=True)
        line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        line.add_column(justify="right", no_wrap=True)
        line.add_row(Text(said, style="dim"), Text("Ctrl-C ends ", style="dim"))
        return line

    def _title(self, item: str) -> str:
        known = self.stage.items.get(item)
        return known.title if known else item

    def _price(self, item: str) -> str:
        known = self.stage.items.get(item)
        return f"${known.price:.2f}" if known and known.price is not None else ""


def _changes(scene: Scene) -> Changes:
    before = [item.item for item in scene.previous.items] if scene.previous else []
    return changes.between(before, [item.item for item in scene.moment.after.items])


def _mark(move: int | None) -> Text:
    if move is None:
        return Text("new", style="bold green")
    if move > 0:
        return Text(f"▲{move}", style="cyan")
    return Text(f"▼{-move}", style="dim") if move else Text()


def _millis(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.0f} s"


def _date(millis: int) -> str:
    return f"{datetime.fromtimestamp(millis / 1000, UTC):%Y-%m-%d}"


def _minute(millis: int) -> str:
    return f"{datetime.fromtimestamp(millis / 1000, UTC):%Y-%m-%d %H:%M}"
