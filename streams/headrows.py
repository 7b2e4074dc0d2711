"""The head's rows: key `head` on each partition of the pairs, so one of a head that was taught by that partition.

    version u8 ‖ source_offset i64 little-endian ‖
    msgpack [[model, rank, dim, batches, judged, with_head, without], matrices]

The matrices are bytes: float32 little-endian in C order, one after the other: down (rank, dim), up (dim, rank),
down_squares, up_squares.
"""

from typing import NamedTuple

import msgspec
import numpy as np

from streams.core.head import Head
from streams.engine import rows
from streams.errors import ContractError

VERSION = 1
KEY = b"head"

_FLOAT = np.dtype("<f4")


class HeadRow(NamedTuple):
    """A head, the model whose vectors it was taught with, and the offset of the last record of the pairs in it."""

    offset: int
    model: str
    head: Head


class _Described(NamedTuple):
    model: str
    rank: int
    dim: int
    batches: int
    judged: int
    with_head: float
    without: float


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[_Described, bytes]).decode


def encode(row: HeadRow) -> bytes:
    """A head as a row."""
    head = row.head
    rank, dim = head.down.shape
    described = _Described(row.model, rank, dim, head.batches, head.judged, head.with_head, head.without)
    matrices = (head.down, head.up, head.down_squares, head.up_squares)
    packed = b"".join(matrix.astype(_FLOAT, copy=False).tobytes() for matrix in matrices)
    return rows.header(VERSION, row.offset) + _encode((described, packed))


def decode(value: bytes) -> HeadRow:
    """The head in a row.

    Raises:
        ContractError: another version wrote it, or it is none.
    """
    found = rows.version(value) if len(value) >= rows.HEADER_SIZE else None
    if found != VERSION:
        raise ContractError(
            f"a row of the head has version {found}, this Upwell reads {VERSION}: let it go with `upwell reset`"
        )
    try:
        described, packed = _decode(value[rows.HEADER_SIZE :])
        flat = np.frombuffer(packed, _FLOAT).astype(np.float32, copy=False)
        down, up, down_squares, up_squares = flat.reshape(4, described.rank * described.dim)
    except (msgspec.DecodeError, ValueError) as error:
        raise ContractError(f"a row of the head is none: {error}") from None
    wide, tall = (described.rank, described.dim), (described.dim, described.rank)
    head = Head(
        down.reshape(wide), up.reshape(tall), down_squares.reshape(wide), up_squares.reshape(tall), *described[3:]
    )
    return HeadRow(rows.source_offset(value), described.model, head)
