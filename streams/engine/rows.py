"""The header that every table row starts with, so that the engine can order rows without knowing what is in them.

    version u8 ‖ source_offset i64 little-endian ‖ body

`source_offset` is the offset of the last record of the source partition that the row holds. Of two rows of one key
the one with the higher source offset is the newer, whoever wrote it last.

A tombstone (null value) has no room for a header. The engine sends it with the Kafka header `upwell.source-offset`
(i64 little-endian: the last record of the batch that deleted the row), and it deletes only a row that is not newer.
A tombstone without that header, from an operator's tool, always deletes. After a tombstone there is nothing left to
compare with, so a row that a zombie wrote behind it lives until the key is written or deleted again.
"""

import struct
from collections.abc import Callable, Mapping, Sequence

from streams.engine.effects import Record

_HEADER = struct.Struct("<Bq")
HEADER_SIZE = _HEADER.size

TOMBSTONE_HEADER = "upwell.source-offset"
_TOMBSTONE = struct.Struct("<q")
_NOTHING = -1
_ALWAYS = 2**63 - 1


def header(version: int, source_offset: int) -> bytes:
    """The first `HEADER_SIZE` bytes of a row."""
    return _HEADER.pack(version, source_offset)


def version(row: bytes) -> int:
    """The layout version of a row. Raises struct.error for fewer bytes than a header."""
    found: int = _HEADER.unpack_from(row)[0]
    return found


def source_offset(row: bytes) -> int:
    """The source offset of a row. Raises struct.error for fewer bytes than a header."""
    offset: int = _HEADER.unpack_from(row)[1]
    return offset


def tombstone_headers(source_offset: int) -> tuple[tuple[str, bytes], ...]:
    """The Kafka headers of a tombstone."""
    return ((TOMBSTONE_HEADER, _TOMBSTONE.pack(source_offset)),)


def newest(
    records: Sequence[Record], stored: Callable[[Sequence[bytes]], Sequence[bytes | None]]
) -> tuple[dict[bytes, bytes | None], int]:
    """What changelog records leave behind: the rows to write, and how many records were passed over.

    Passed over are rows and tombstones older than what is there, and records that are no rows at all (no key, or a
    value shorter than a header).

    Args:
        records: in changelog order.
        stored: the rows that are there now, in the order of the keys; None where there is none.
    """
    changes = [
        (record.key, record.value, order) for record in records if record.key and (order := _order(record)) is not None
    ]
    keys = list({key for key, _, _ in changes})
    there = {key: _NOTHING if row is None else source_offset(row) for key, row in zip(keys, stored(keys), strict=True)}
    rows: dict[bytes, bytes | None] = {}
    passed_over = len(records) - len(changes)
    for key, value, order in changes:
        if order < there[key]:
            passed_over += 1
        else:
            rows[key] = value
            there[key] = _NOTHING if order == _ALWAYS else order
    return rows, passed_over


def outdated(records: Sequence[Record], rows: Mapping[bytes, bytes | None]) -> dict[bytes, int]:
    """The keys whose last record is not what `newest` made of them: log compaction would keep that record alone.

    Args:
        records: in changelog order.
        rows: what `newest` made of them.

    Returns:
        Key → the source offset of that last record, lower than that of the row that is right; -1 if it is no row.
    """
    last = {record.key: record for record in records if record.key}
    wrong = {key: record for key, record in last.items() if key not in rows or rows[key] != record.value}
    return {key: _NOTHING if (order := _order(record)) is None else order for key, record in wrong.items()}


def _order(record: Record) -> int | None:
    """The source offset of a changelog record; None if its value is no row."""
    if record.value is None:
        given = dict(record.headers).get(TOMBSTONE_HEADER, b"")
        return int(_TOMBSTONE.unpack(given)[0]) if len(given) == _TOMBSTONE.size else _ALWAYS
    return source_offset(record.value) if len(record.value) >= HEADER_SIZE else None
