"""Head agent: what shoppers did next in, a head that knows where they go out.

profiles ──► shop.pairs.v1 ──► HeadHandler ──► table `head` = shop.head.v1 ──► every replica's queries
                                   ▲ vectors, popularity
                                replica

Each partition of the pairs teaches a head of its own, with the items that are at home there; `core.head.steered` takes
the mean of what they say. A head is written when it has seen `WRITTEN` more batches, or began or ceased to help: so a
crash loses what was learnt since, which is little, and nothing is ever learnt twice: what it has seen is in its row's
offset. Replays do not learn again: they use the weights on the topic, as they use the vectors there.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from streams import headrows, transfers
from streams.core import head as heads
from streams.core.cooccurrence import Delta
from streams.core.head import BATCH, Head, Matrix, Pairs
from streams.engine.effects import Batch, Effects, Reader, Row
from streams.errors import ContractError
from streams.headrows import HeadRow
from streams.replicas import Replica
from streams.topics import Topic, item_partition

WRITTEN = 8
"""After so many batches of pairs a head is written."""

MIN_NORM = 1e-6
"""A context shorter than this has no direction."""


@dataclass(slots=True)
class _Learning:
    """A partition's head, and what it was not taught with yet."""

    model: str
    head: Head
    offset: int
    written: Head
    contexts: list[Matrix] = field(default_factory=list)
    targets: list[Matrix] = field(default_factory=list)
    items: list[str] = field(default_factory=list)


class HeadHandler:
    """Teaches the heads of the partitions it is given.

    Args:
        pairs: the topic that it reads.
        replica: has the items' vectors, and tells how often they are dealt with.
        written: after so many batches of pairs a head is written.
    """

    def __init__(self, pairs: Topic, replica: Replica, written: int = WRITTEN) -> None:
        self._partitions = pairs.partitions
        self._replica = replica
        self._written = written
        self._learning: dict[int, _Learning] = {}

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """Learn from a batch of the pairs. What is no record of pairs is refused by the role `neighbours`."""
        replica = self._replica.pinned()
        (stored,) = read("head", [headrows.KEY])
        dim = (await replica.vectors([])).shape[1]
        learning = self._current(batch.partition, stored, replica.model, dim)
        if learning is None:
            return Effects()
        # Whoever is interrupted while learning goes on from the row.
        self._learning.pop(batch.partition, None)
        new = [record for record in batch.records if record.offset > learning.offset]
        deltas = [delta for record in new for delta in self._at_home(record.value or b"", batch.partition)]
        for start in range(0, len(deltas), BATCH):
            await self._gather(learning, deltas[start : start + BATCH], replica)
            while len(learning.items) >= BATCH:
                learning.head = heads.seen(learning.head, self._taken(learning, replica))
            await asyncio.sleep(0)  # some milliseconds: others want the event loop, too
        learning.offset = max(learning.offset, batch.records[-1].offset)
        self._learning[batch.partition] = learning
        return Effects(rows={"head": self._rows(learning)})

    def _current(self, partition: int, stored: bytes | None, model: str, dim: int) -> _Learning | None:
        """The head of a partition, for the model that serves; None before there is a model."""
        if not model:
            return None
        row = None if stored is None else headrows.decode(stored)
        mine = self._learning.get(partition)
        if mine is not None and mine.model == model and (row is None or row.offset <= mine.offset):
            return mine
        if row is None or row.model != model:  # another model's directions mean nothing to this one
            offset = -1 if row is None else row.offset
            offset = offset if mine is None else max(offset, mine.offset)
            row = HeadRow(offset, model, heads.untaught(dim))
        return _Learning(row.model, row.head, row.offset, row.head)

    def _at_home(self, value: bytes, partition: int) -> Iterable[Delta]:
        """The deltas of a record that are whole here: those of items whose partition this is."""
        try:
            _, deltas = transfers.decode_pairs(value)
        except ContractError:
            return []
        return [delta for delta in deltas if item_partition(delta.item, self._partitions) == partition]

    async def _gather(self, learning: _Learning, deltas: list[Delta], replica: Replica) -> None:
        """Turn deltas into contexts and targets, where there are vectors for them."""
        wanted = dict.fromkeys(item for delta in deltas for item in (delta.item, *delta.partners))
        places = {item: place for place, item in enumerate(wanted)}
        vectors = await replica.vectors(list(places))
        for delta in deltas:
            target = vectors[places[delta.item]]
            weights = np.asarray(delta.weights, np.float32)
            context = weights @ vectors[[places[partner] for partner in delta.partners]] if len(weights) else target * 0
            length = float(np.linalg.norm(context))
            if length > MIN_NORM and target.any():
                learning.contexts.append((context / np.float32(length)).astype(np.float32))
                learning.targets.append(target)
                learning.items.append(delta.item)

    def _taken(self, learning: _Learning, replica: Replica) -> Pairs:
        """The oldest `BATCH` pairs, which are not waiting any more."""
        items = learning.items[:BATCH]
        masses = np.array([replica.board.total(item) for item in items])
        pairs = Pairs(
            np.stack(learning.contexts[:BATCH]),
            np.stack(learning.targets[:BATCH]),
            np.unique(items, return_inverse=True)[1],
            heads.log_chances(masses, replica.searchable // self._partitions),
        )
        del learning.items[:BATCH], learning.contexts[:BATCH], learning.targets[:BATCH]
        return pairs

    def _rows(self, learning: _Learning) -> list[Row]:
        """The row of a head, if it is due."""
        head, written = learning.head, learning.written
        if head.helps == written.helps and head.batches - written.batches < self._written:
            return []
        learning.written = head
        return [(headrows.KEY, headrows.encode(HeadRow(learning.offset, learning.model, head)))]
