"""A role whose state can be checked to the byte: how many records a key had, and in which order they came.

Row: header ‖ count u64 ‖ chain u32, where chain is the CRC of the chain before and the record's offset. A record that
is lost, applied twice or applied out of order changes it.
"""

import asyncio
import struct
import zlib
from collections.abc import Iterable

from streams.engine.app import Role
from streams.engine.effects import Batch, Effects, Output, Reader, Record
from streams.engine.rows import HEADER_SIZE, header, source_offset
from streams.topics import Topic

POISON = b"poison"
"""The value of a record that the handler raises on."""

SLOW = b"slow"
"""The value of a record that the handler takes its time for: time enough to lose the partition meanwhile."""

_SLOW_S = 0.5
_BODY = struct.Struct("<QI")


def topic(name: str, partitions: int, *, table: str | None = None) -> Topic:
    """A topic of this role."""
    return Topic(name, "key", "bytes", "for a test", partitions, compacted=table is not None, table=table)


def role(shop: str, partitions: int) -> Role:
    """Counts the records of `<shop>.in` in table `counts`, publishes to `<shop>.out`."""
    return Role(
        name="counting",
        source=topic(f"{shop}.in", partitions),
        tables=(topic(f"{shop}.counts", partitions, table="counts"),),
        dlq=topic(f"{shop}.dlq", 1),
        handler=CountingHandler(f"{shop}.out"),
    )


def after(row: bytes | None, offset: int) -> bytes:
    """The row after one more record; the same row if it holds the record already."""
    count, chain = _BODY.unpack_from(row, HEADER_SIZE) if row is not None else (0, 0)
    if row is not None and offset <= source_offset(row):
        return row
    return header(1, offset) + _BODY.pack(count + 1, zlib.crc32(offset.to_bytes(8, "little"), chain))


def count(row: bytes) -> int:
    """How many records a row holds."""
    found: int = _BODY.unpack_from(row, HEADER_SIZE)[0]
    return found


def oracle(records: Iterable[Record]) -> dict[bytes, bytes]:
    """The rows that a log leads to, one record at a time."""
    rows: dict[bytes, bytes] = {}
    for record in records:
        if record.value != POISON and record.key is not None:
            rows[record.key] = after(rows.get(record.key), record.offset)
    return rows


class CountingHandler:
    """Folds a batch into rows."""

    def __init__(self, out: str) -> None:
        self._out = out

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """See `Handler`."""
        offsets: dict[bytes, list[int]] = {}
        for record in batch.records:
            if record.value == POISON:
                raise ValueError("this record cannot be counted")
            if record.key is not None:
                offsets.setdefault(record.key, []).append(record.offset)
        rows = dict(zip(offsets, read("counts", list(offsets)), strict=True))
        if any(record.value == SLOW for record in batch.records):
            await asyncio.sleep(_SLOW_S)
        outputs = []
        for key, mine in offsets.items():
            row = rows[key]
            for offset in mine:
                row = after(row, offset)
            rows[key] = row
            assert row is not None
            outputs.append(Output(self._out, key, f"{batch.partition}/{source_offset(row)}".encode(), batch.partition))
        return Effects(rows={"counts": list(rows.items())}, outputs=outputs)
