"""Records that carry what events of one partition bring to another, to bytes and back. They are no rows.

    pairs    version u8 ‖ msgpack [origin, [[offset, time, item, weight, [partner, …], [weight, …]], …]]
             to the items of one partition
    merges   version u8 ‖ msgpack [origin, [[offset, shopper, event, type, time, timestamp, item, profile], …]]
             to a user, the key; profile as in `streams.codecs`

`origin` is the partition of the events.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from streams.codecs import ProfileBody, body_of
from streams.core.cooccurrence import Delta
from streams.core.events import EventType
from streams.core.merging import Move
from streams.core.profile import Profile
from streams.errors import ContractError

PAIRS_VERSION = 1
MERGES_VERSION = 1


class _MoveBody(NamedTuple):
    offset: int
    shopper: str
    event: str
    type: EventType
    time: int
    timestamp: int
    item: str | None
    profile: ProfileBody


_encode = msgspec.msgpack.Encoder().encode
_decode_pairs = msgspec.msgpack.Decoder(tuple[int, list[Delta]]).decode
_decode_merges = msgspec.msgpack.Decoder(tuple[int, list[_MoveBody]]).decode


def body_of_record(value: bytes, version: int, name: str) -> bytes:
    """What stands behind the version byte of a record that is no row.

    Raises:
        ContractError: when another version wrote it, or something else.
    """
    if value[:1] != bytes([version]):
        raise ContractError(
            f"{name} has version {value[:1].hex() or 'none'}, this Upwell reads {version:02x}: "
            "run the version that wrote it until it has read them all"
        )
    return value[1:]


def encode_pairs(origin: int, deltas: Sequence[Delta]) -> bytes:
    """What events of the partition `origin` add, as a record of the pairs topic."""
    return bytes([PAIRS_VERSION]) + _encode((origin, deltas))


def decode_pairs(value: bytes) -> tuple[int, list[Delta]]:
    """Origin and deltas of a record of the pairs topic.

    Raises:
        ContractError: when another version wrote it, or something else.
    """
    body = body_of_record(value, PAIRS_VERSION, "a pairs record")
    try:
        return _decode_pairs(body)
    except msgspec.DecodeError as error:
        raise ContractError(f"a pairs record is none: {error}") from None


def encode_merges(origin: int, moves: Sequence[Move]) -> bytes:
    """What events of the partition `origin` bring to a user, as a record of the merges topic."""
    bodies = [_MoveBody(*move[:-1], body_of(move.profile)) for move in moves]
    return bytes([MERGES_VERSION]) + _encode((origin, bodies))


def decode_merges(value: bytes) -> tuple[int, list[Move]]:
    """Origin and moves of a record of the merges topic.

    Raises:
        ContractError: when another version wrote it, or something else.
    """
    body = body_of_record(value, MERGES_VERSION, "a merges record")
    try:
        origin, bodies = _decode_merges(body)
    except msgspec.DecodeError as error:
        raise ContractError(f"a merges record is none: {error}") from None
    return origin, [Move(*move[:-1], Profile(-1, *move.profile)) for move in bodies]
