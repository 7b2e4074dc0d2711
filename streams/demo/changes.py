"""What changed from one recommendation to the next."""

from collections.abc import Sequence
from typing import NamedTuple


class Changes(NamedTuple):
    """The difference of two ranked lists.

    `moves` has one entry per place of the newer list: how many places its item went up (negative: down), or None
    where the item is new. `gone` has the items that the older list alone holds, best first.
    """

    moves: list[int | None]
    gone: list[str]

    @property
    def new(self) -> int:
        """How many items are new."""
        return self.moves.count(None)

    @property
    def moved(self) -> int:
        """How many items have another rank than before."""
        return sum(1 for move in self.moves if move)


def between(before: Sequence[str], after: Sequence[str]) -> Changes:
    """Compare two ranked lists of items, each without repeats."""
    old = {item: place for place, item in enumerate(before)}
    moves = [old[item] - place if item in old else None for place, item in enumerate(after)]
    return Changes(moves, [item for item in before if item not in set(after)])
