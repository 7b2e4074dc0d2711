"""Were the right items recommended? Hit rate at 20, beside that of the 20 most popular items.

What is counted: every basket (all lines of one household at one time) of a household that had a recommendation which
rests on strictly earlier events. Its targets are its distinct items, bought before or not, because groceries are
bought again. A target is a hit when it is among the first 20 items of the last such recommendation. The hit rate is
hits / targets over all baskets. There is no warm-up: from the household's first recommendation on everything counts.

Popularity is scored on the same targets, with the 20 items that had the largest decayed number of purchases just
before the basket. It follows the sent events without any delay, which is more than a live system can have.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from streams.core import decay
from streams.core.trending import HALF_LIFE_MS, Board

AT = 20


@dataclass(slots=True)
class HitRate:
    """Hits among targets."""

    hits: int = 0
    targets: int = 0

    def add(self, bought: Collection[str], shown: Sequence[str]) -> None:
        """Count a basket's distinct items against a ranked list, of which the first `AT` count."""
        targets = set(bought)
        self.hits += len(targets.intersection(shown[:AT]))
        self.targets += len(targets)

    @property
    def rate(self) -> float | None:
        """Hits per target; None before the first target."""
        return self.hits / self.targets if self.targets else None


class Popularity:
    """Decayed purchases over everything seen, with the half-life of the live popularity (`core.trending`)."""

    def __init__(self) -> None:
        self._board = Board(partitions=1)

    def top(self) -> list[str]:
        """The `AT` most popular items now, best first."""
        return self._board.top(AT)

    def bought(self, items: Iterable[str], time: int) -> None:
        """Add purchases of weight 1 at a time, Unix milliseconds."""
        for item in items:
            mass = decay.log_mass(1.0, time, HALF_LIFE_MS)
            self._board.update(item, 0, decay.add(self._board.total(item), mass))
