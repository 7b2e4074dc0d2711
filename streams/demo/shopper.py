"""The followed shopper in the live view: their last basket, what is recommended now, how that changed, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streams.demo import changes
from streams.demo.changes import Changes
from streams.demo.following import Scene
from streams.records import CatalogueItem, RecommendedItem

_CHANNELS = {"content": ("alike", "magenta"), "popular": ("popular", "yellow"), "buy_again": ("again", "green")}
"""Label and colour of a channel."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Parts to put on the screen. None of them is higher than the `rows` it is given."""

    scene: Scene
    items: Mapping[str, CatalogueItem]

    @property
    def changes(self) -> Changes:
        """What the recommendation shown now has of the one shown before."""
        before = [item.item for item in self.scene.previous.items] if self.scene.previous else []
        return changes.between(before, [item.item for item in self.scene.moment.after.items])

    @property
    def time(self) -> str:
        """When the basket was bought."""
        return f"{datetime.fromtimestamp(self.scene.moment.basket.time / 1000, UTC):%Y-%m-%d %H:%M}"

    def summary(self) -> str:
        """The changes in numbers."""
        if self.scene.previous is None:
            return "the first recommendation"
        changed = self.changes
        return f"{changed.new} new, {changed.moved} moved, {len(changed.gone)} gone since the one before"

    def bought(self, rows: int) -> Group:
        """The basket: first what had been recommended before it, with the rank it had. At least two rows."""
        before = self.scene.moment.before
        ranks = {item.item: item.rank for item in before.items} if before else {}
        bought = [event.item for event in self.scene.moment.basket.events if event.item is not None]
        bought.sort(key=lambda item: ranks.get(item, len(ranks) + 1))
        hits = sum(item in ranks for item in bought)
        said = f", {hits} recommended before" if before else ""
        head = Text.assemble(("just bought", "bold"), (f"  {_counted(len(bought), 'item')}{said}", "dim"))
        shown = bought if len(bought) < rows else bought[: max(0, rows - 2)]
        lines = [head, *(self._bought(item, ranks.get(item)) for item in shown)]
        if len(shown) < len(bought):
            lines.append(Text(f"  and {len(bought) - len(shown)} more", style="dim"))
        return Group(*map(_cropped, lines))

    def _bought(self, item: str, rank: int | None) -> Text:
        if rank is None:
            return Text.assemble(("· ", "dim"), self._title(item), (f"  {self._price(item)}", "dim"))
        return Text.assemble(("✓ ", "bold green"), (f"no. {rank}  ", "green"), self._title(item))

    def recommended(self, rows: int, *, priced: bool) -> RenderableType:
        """The recommendation: rank, move, title, channel, reason. As many places as there is room for."""
        table = Table(box=None, expand=True, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
        table.add_column("", justify="right", width=2)
        table.add_column("", width=3, no_wrap=True)
        table.add_column(Text("recommended now", style="bold not dim"), ratio=5, no_wrap=True, overflow="ellipsis")
        if priced:
            table.add_column("", justify="right", width=6, no_wrap=True)
        table.add_column("", width=7, no_wrap=True)
        table.add_column("why", ratio=7, no_wrap=True, overflow="ellipsis")
        places = zip(self.scene.moment.after.items, self.changes.moves, strict=True)
        for item, move in list(places)[: max(0, rows - 1)]:
            table.add_row(*self._place(item, move, priced=priced))
        return table

    def _place(self, item: RecommendedItem, move: int | None, *, priced: bool) -> list[Text]:
        label, colour = _CHANNELS.get(item.channel, (item.channel, "white"))
        first = self.scene.previous is None
        return [
            Text(str(item.rank), style="dim"),
            Text() if first else _mark(move),
            Text(self._title(item.item), style="bold" if move is None and not first else ""),
            *([Text(self._price(item.item), style="dim")] if priced else []),
            Text(label, style=colour),
            Text(item.reasons[0].text if item.reasons else "", style="dim"),
        ]

    def gone(self) -> Text:
        """What is recommended no more, on one line."""
        named = ", ".join(map(self._title, self.changes.gone)) or "nothing"
        return _cropped(Text.assemble(("no more  ", "bold"), (named, "dim")))

    def gone_list(self, rows: int) -> Group:
        """What is recommended no more, one under the other."""
        gone = self.changes.gone[: max(0, rows - 1)]
        head = [Text("recommended no more", style="bold")] if gone else []
        return Group(*head, *(_cropped(Text(f"  {self._title(item)}", style="dim strike")) for item in gone))

    def _title(self, item: str) -> str:
        known = self.items.get(item)
        return known.title if known else item

    def _price(self, item: str) -> str:
        known = self.items.get(item)
        return f"${known.price:.2f}" if known and known.price is not None else ""


def _mark(move: int | None) -> Text:
    if move is None:
        return Text("new", style="bold green")
    if move > 0:
        return Text(f"▲{move}", style="cyan")
    return Text(f"▼{-move}", style="dim") if move else Text()


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' * (count != 1)}"


def _cropped(line: Text) -> Text:
    line.no_wrap, line.overflow = True, "ellipsis"
    return line
