"""What the engine is given to do. All follow the rule of handlers: what a row holds already changes nothing."""

import asyncio
import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import hnswlib
import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.engine_load.load import DIM, NEIGHBOURS, item_name
from streams.core.events import WEIGHTS
from streams.engine.effects import Batch, Effects, Output, Reader
from streams.engine.rows import HEADER_SIZE, header, source_offset
from streams.records import Event

DECAY = 0.98
"""What is left of a profile after one more event."""

_decode = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode
_COUNT = struct.Struct("<Q")
_ROW = np.dtype([("version", "u1"), ("offset", "<i8"), ("vector", "<f2", DIM)])
"""A row of `ProfileHandler`: the header of `streams.engine.rows`, then the vector."""
_NEW = header(1, -1) + bytes(2 * DIM)


def count_in(row: bytes) -> int:
    """The count in a row of `CountHandler`."""
    found: int = _COUNT.unpack_from(row, HEADER_SIZE)[0]
    return found


class DecodeHandler:
    """Decodes every event and keeps nothing."""

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """See `Handler`."""
        for record in batch.records:
            _decode(record.value)
        return Effects()


class CountHandler:
    """Counts the events of each shopper. Row: header ‖ count u64."""

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """See `Handler`."""
        offsets: dict[str, list[int]] = {}
        for record in batch.records:
            offsets.setdefault(_decode(record.value).user, []).append(record.offset)
        keys = [shopper.encode() for shopper in offsets]
        rows = []
        for key, row, mine in zip(keys, read("counts", keys), offsets.values(), strict=True):
            count, reached = (0, -1) if row is None else (count_in(row), source_offset(row))
            count += len(mine) - bisect_right(mine, reached)
            rows.append((key, header(1, max(reached, mine[-1])) + _COUNT.pack(count)))
        return Effects(rows={"counts": rows})


@dataclass(frozen=True)
class Profiles:
    """Shoppers' keys, int64 (n,) offsets that their rows reach, float32 (n, DIM) vectors."""

    keys: list[bytes]
    reached: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]


class _Columns(NamedTuple):
    """The events of a batch by column: place of the shopper, place of the item, weight, offset."""

    owner: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]
    offset: npt.NDArray[np.int64]


class ProfileHandler:
    """Keeps a decayed sum of item vectors for each shopper. Row: header ‖ DIM x float16."""

    def __init__(self, items: npt.NDArray[np.float32]) -> None:
        self._items = items
        self._places = {item_name(number): number for number in range(len(items))}

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """See `Handler`."""
        return Effects(rows={"profiles": self.rows(self.fold(batch, read))})

    def fold(self, batch: Batch, read: Reader) -> Profiles:
        """The profiles after a batch, as they would be after its events one by one."""
        shoppers, events = self._columns(batch)
        keys = [shopper.encode() for shopper in shoppers]
        profiles = self._unpacked(keys, read("profiles", keys))
        self._apply(profiles, events)
        return profiles

    def _columns(self, batch: Batch) -> tuple[list[str], _Columns]:
        owners: dict[str, int] = {}
        rows = []
        for record in batch.records:
            event = _decode(record.value)
            owner = owners.setdefault(event.user, len(owners))
            rows.append((owner, self._places[event.item], WEIGHTS[event.type], record.offset))
        return list(owners), _Columns(*map(np.array, zip(*rows, strict=True)))

    @staticmethod
    def _unpacked(keys: list[bytes], rows: Sequence[bytes | None]) -> Profiles:
        held = np.frombuffer(b"".join([row or _NEW for row in rows]), _ROW)
        return Profiles(keys, held["offset"].astype(np.int64), held["vector"].astype(np.float32))

    def _apply(self, profiles: Profiles, events: _Columns) -> None:
        fresh = np.flatnonzero(events.offset > profiles.reached[events.owner])
        if not len(fresh):
            return
        order = fresh[np.argsort(events.owner[fresh], kind="stable")]
        owner, item, weight, offset = (column[order] for column in events)
        owners, starts, count = np.unique(owner, return_index=True, return_counts=True)
        ends = starts + count
        # An event is worth less by DECAY for each later one of its shopper in this batch.
        later = np.repeat(ends, count) - 1 - np.arange(len(order))
        worth = (weight * DECAY**later).astype(np.float32)
        sums = np.add.reduceat(self._items[item] * worth[:, None], starts)
        left = (DECAY**count).astype(np.float32)
        profiles.vectors[owners] = profiles.vectors[owners] * left[:, None] + sums
        profiles.reached[owners] = offset[ends - 1]

    @staticmethod
    def rows(profiles: Profiles) -> list[tuple[bytes, bytes | None]]:
        """Profiles as rows of the table."""
        packed = np.empty(len(profiles.keys), _ROW)
        packed["version"], packed["offset"], packed["vector"] = 1, profiles.reached, profiles.vectors
        body = packed.tobytes()
        starts = range(0, len(body), _ROW.itemsize)
        return [(key, body[at : at + _ROW.itemsize]) for key, at in zip(profiles.keys, starts, strict=True)]


class RetrievalHandler(ProfileHandler):
    """Profiles, and for each that changed the nearest items from an HNSW graph, as JSON."""

    def __init__(self, items: npt.NDArray[np.float32], graph: hnswlib.Index, out: str) -> None:
        super().__init__(items)
        self._graph = graph
        self._out = out

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """See `Handler`."""
        profiles = self.fold(batch, read)
        labels, distances = await asyncio.to_thread(self._graph.knn_query, profiles.vectors, NEIGHBOURS)
        outputs = []
        for key, offset, items, scores in zip(
            profiles.keys, profiles.reached.tolist(), labels.tolist(), np.round(1 - distances, 4).tolist(), strict=True
        ):
            body = {"user": key.decode(), "as_of": offset, "items": list(map(item_name, items)), "scores": scores}
            outputs.append(Output(self._out, key, _encode(body), batch.partition))
        return Effects(rows={"profiles": self.rows(profiles)}, outputs=outputs)
