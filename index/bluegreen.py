"""Two models side by side: the new one's index fills while the old one serves, and takes over if it is as good.

    async with BlueGreen("minilm", HnswIndex(384)) as indexes:
        await indexes.upsert("minilm", ids, vectors)     # as the topic's records come: each goes to its model's side
        side = indexes.serving                           # once a request: its vectors and its search from one model
        found, cosines = await side.index.search(await side.index.vectors(seen), 100)

        await indexes.begin("e5", HnswIndex(768))        # another model's vectors are on their way
        await indexes.upsert("e5", ids, other_vectors)
        verdict = await indexes.complete()               # in a task: it switches once it can, watches, goes back if not

`complete` is made of `switch`, `check` and `retire`, for whoever wants to decide when. Both sides take writes and
deletes from `begin` until `retire`, so that going back loses nothing. Snapshots belong to a side: keep each model's in
a directory of its own.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from index.base import IndexInputError, Vectors
from index.hnsw import HnswIndex
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
class Trial:
    """How `BlueGreen.complete` goes about it.

    Attributes:
        pause: seconds between two measurements; also how long a request may hold on to a side that was left.
        checks: how often the new side must pass again, after the switch, before the old one goes.
    """

    pause: float = 5.0
    checks: int = 60


@dataclass(frozen=True)
class Verdict:
    """What was measured, and whether it passes the gates."""

    model: str
    coverage: float
    recall: float
    overlap: float
    passed: bool


class BlueGreen:
    """The index that serves, and perhaps one that is to follow it, or the one that it followed.

    It opens and closes the `LiveIndex` of each side, and belongs to one event loop.
    """

    def __init__(self, model: str, index: HnswIndex | LiveIndex, gates: Gates | None = None) -> None:
        """A pair with one side only.

        Args:
            model: id of the encoder whose vectors are in `index`.
            index: what serves first; a `LiveIndex` must be open, and stays open when this is closed.
            gates: what its successors must reach.
        """
        self._serving = Side(model, index if isinstance(index, LiveIndex) else LiveIndex(index))
        self._borrowed = self._serving.index if isinstance(index, LiveIndex) else None
        self._gates = gates or Gates()
        self._next: Side | None = None
        self._previous: Side | None = None
        self._left: list[Side] = []

    async def __aenter__(self) -> Self:
        if self._serving.index is not self._borrowed:
            await self._serving.index.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._left += self._sides()
        self._next = self._previous = None
        await self._close_left()

    @property
    def serving(self) -> Side:
        """The side that answers now."""
        return self._serving

    @property
    def filling(self) -> Side | None:
        """The side of a new model that does not serve yet."""
        return self._next

    @property
    def proving(self) -> bool:
        """Whether the serving side took over and may still be taken back."""
        return self._previous is not None

    async def begin(self, model: str, index: HnswIndex) -> Side:
        """Let a new model's index fill beside the one that serves; one that was filling is given up.

        Args:
            model: id of the new encoder.
            index: empty, or as a snapshot of that model had it.

        Raises:
            IndexInputError: the model serves already, or served just before and may still be gone back to.
        """
        if model in {side.model for side in (self._serving, self._previous) if side is not None}:
            raise IndexInputError(f"model {model} serves already, or did before the last switch: call retire first")
        side = Side(model, await LiveIndex(index).__aenter__())
        if self._next is not None:
            self._left.append(self._next)
        self._next = side
        return side

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
            if side in self._sides():  # not retired while another was written to
                await side.index.delete(ids)

    async def complete(self, trial: Trial | None = None) -> Verdict:
        """Switch as soon as the gates are passed, watch the new side for a while, and go back by itself if it fails.

        Returns once one side is left: with a verdict that passed, it is the new one. Cancelling leaves things as they
        are; called again it goes on from there.

        Raises:
            IndexInputError: there is neither a new side nor one that is being proved.
        """
        trial = trial or Trial()
        verdict = await self.check()
        while verdict is None:
            judged = await self.switch()
            if judged.passed:
                verdict = judged
            else:
                await asyncio.sleep(trial.pause)
        for _ in range(trial.checks):
            if not verdict.passed:
                break
            await asyncio.sleep(trial.pause)
            verdict = await self.check() or verdict
        await asyncio.sleep(trial.pause)
        await self.retire()
        return verdict

    async def switch(self) -> Verdict:
        """Serve from the new side if it passes the gates; the old one stays for `check`.

        Raises:
            IndexInputError: there is no new side.
        """
        if (side := self._next) is None:
            raise IndexInputError("there is no model to switch to: call begin first")
        verdict = await judge(side, self._serving, self._gates)
        if verdict.passed and self._next is side:
            if self._previous is not None:
                self._left.append(self._previous)
            self._previous, self._serving, self._next = self._serving, side, None
        return verdict

    async def check(self) -> Verdict | None:
        """Measure again after a switch, and go back to the side before it if the gates fail now; None without one."""
        if (before := self._previous) is None:
            return None
        verdict = await judge(self._serving, before, self._gates)
        if not verdict.passed and self._previous is before:
            self._left.append(self._serving)
            self._serving, self._previous = before, None
        return verdict

    async def retire(self) -> None:
        """Close every side that neither serves nor fills; requests must have let go of them."""
        if self._previous is not None:
            self._left.append(self._previous)
            self._previous = None
        await self._close_left()

    async def _close_left(self) -> None:
        async with contextlib.AsyncExitStack() as closing:
            while self._left:
                side = self._left.pop()
                if side.index is not self._borrowed:
                    closing.push_async_callback(side.index.close)

    def _sides(self) -> list[Side]:
        return [side for side in (self._serving, self._next, self._previous) if side is not None]


async def judge(side: Side, reference: Side, gates: Gates) -> Verdict:
    """What the gates say of a side beside one that is known to be good."""
    ids = await reference.index.sample(gates.probes, _SEED)
    old, new = await reference.index.vectors(ids), await side.index.vectors(ids)
    both = old.any(axis=1) & new.any(axis=1)
    coverage = float(both.mean()) if ids else 1.0
    overlap = 0.0 if ids else 1.0
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
