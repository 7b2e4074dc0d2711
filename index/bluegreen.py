"""Two models side by side: the new one's index fills while the old one serves, and takes over if it is as good."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.base import IndexInputError, Vectors
from index.live import LiveIndex

_SEED = 0


@dataclass(frozen=True)
class Side:
    """A model and the index of its vectors.

    Whoever answers a request takes `BlueGreen.serving` once and stays with it, for the vectors of a profile and for
    the search: then no answer mixes two models, whenever the switch happens.
    """

    model: str
    index: LiveIndex


@dataclass(frozen=True)
class Gates:
    """What a new index must reach before it serves.

    Attributes:
        coverage: share of the serving index's probed ids that it holds.
        recall: of its graph, against looking at all rows.
        overlap: share of the neighbours of probed items that both models agree on. Two good models differ widely;
            this catches vectors that belong to other items or to none.
        probes: how many items are probed.
        k: how many neighbours of each.
    """

    coverage: float = 0.99
    recall: float = 0.95
    overlap: float = 0.2
    probes: int = 200
    k: int = 20


@dataclass(frozen=True)
class Verdict:
    """What was measured, and whether it passes the gates."""

    model: str
    coverage: float
    recall: float
    overlap: float
    passed: bool


class BlueGreen:
    """The index that serves, and perhaps one that is to follow it, or the one that it followed."""

    def __init__(self, serving: Side, gates: Gates | None = None) -> None:
        """A pair with one side only; the sides are opened and closed by the caller."""
        self._serving = serving
        self._gates = gates or Gates()
        self._next: Side | None = None
        self._previous: Side | None = None

    @property
    def serving(self) -> Side:
        """The side that answers now."""
        return self._serving

    def begin(self, side: Side) -> None:
        """Let a new model's index fill beside the one that serves.

        Raises:
            IndexInputError: it is the model that serves already.
        """
        if side.model == self._serving.model:
            raise IndexInputError(f"model {side.model} serves already")
        self._next = side

    async def upsert(self, model: str, ids: Sequence[str], vectors: Vectors) -> bool:
        """Write vectors to the side of their model; False, and nothing done, when no side has it."""
        for side in self._sides():
            if side.model == model:
                await side.index.upsert(ids, vectors)
                return True
        return False

    async def delete(self, ids: Sequence[str]) -> None:
        """Remove ids from every side."""
        for side in self._sides():
            await side.index.delete(ids)

    async def switch(self) -> Verdict:
        """Serve from the new side if it passes the gates; the old one stays for `check`.

        Raises:
            IndexInputError: there is no new side.
        """
        if (side := self._next) is None:
            raise IndexInputError("there is no model to switch to: call begin first")
        verdict = await self._judged(side, self._serving)
        if verdict.passed and self._next is side:
            self._previous, self._serving, self._next = self._serving, side, None
        return verdict

    async def check(self) -> Verdict | None:
        """Measure again after a switch, and go back to the side before it if the gates fail now; None without one."""
        if (before := self._previous) is None:
            return None
        verdict = await self._judged(self._serving, before)
        if not verdict.passed and self._previous is before:
            self._serving, self._previous = before, None
        return verdict

    def retire(self) -> Side | None:
        """Forget the side before the switch, for the caller to close."""
        retired, self._previous = self._previous, None
        return retired

    def _sides(self) -> list[Side]:
        return [side for side in (self._serving, self._next, self._previous) if side is not None]

    async def _judged(self, side: Side, reference: Side) -> Verdict:
        gates = self._gates
        ids = await reference.index.sample(gates.probes, _SEED)
        old, new = await reference.index.vectors(ids), await side.index.vectors(ids)
        both = old.any(axis=1) & new.any(axis=1)
        coverage = float(both.mean()) if ids else 1.0
        overlap = 0.0
        if both.any():
            k = gates.k + 1  # an item is its own nearest neighbour in both
            expected, _ = await reference.index.search(old[both], k)
            found, _ = await side.index.search(new[both], k)
            overlap = float(np.mean([_shared(*pair) for pair in zip(expected, found, strict=True)]))
        recall = await side.index.recall(gates.probes, gates.k, _SEED)
        passed = coverage >= gates.coverage and recall >= gates.recall and overlap >= gates.overlap
        return Verdict(side.model, coverage, recall, overlap, passed)


def _shared(these: list[str], those: list[str]) -> float:
    """The share of neighbours in both lists; each also holds the item that they are neighbours of."""
    return (len(set(these) & set(those)) - 1) / max(1, min(len(these), len(those)) - 1)
