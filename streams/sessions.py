"""The sessions topic: what every shopper was for lately, from their profiles to all workers.

    profiles ──► record_of ──► shop.sessions.v1 (newest of each key, for a while) ──► replica: `streams.core.sessions`

    record   version u8 ‖ source_offset i64 little-endian ‖ msgpack [items, time]     items newest first, Unix ms

A record is a function of the profile, and comes anew with every event of the shopper. It has no value once the shopper
is erased, or has logged in: then all they did is the user's.
"""

import msgspec

from streams.core.profile import Profile
from streams.core.sessions import Session, session_of
from streams.engine import rows
from streams.engine.effects import Output
from streams.errors import ContractError
from streams.topics import Topic

VERSION = 1

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Session).decode


def record_of(topic: Topic, shopper: str, profile: Profile, partition: int) -> Output:
    """The record of a shopper whose profile is `profile`; without value if there is nothing of them to tell."""
    session = None if profile.alias else session_of(profile.recent)
    value = None if session is None else encode(session, profile.offset)
    return Output(topic.name, shopper.encode(), value, partition)


def encode(session: Session, offset: int) -> bytes:
    """A session as of the offset of the shopper's last event, as the value of a record."""
    return rows.header(VERSION, offset) + _encode(session)


def decode(value: bytes) -> Session:
    """The session in a record.

    Raises:
        ContractError: when another version wrote it, or something else.
    """
    if len(value) < rows.HEADER_SIZE or rows.version(value) != VERSION:
        raise ContractError(f"a session's record of {len(value)} bytes is not of version {VERSION}")
    try:
        return _decode(value[rows.HEADER_SIZE :])
    except msgspec.DecodeError as error:
        raise ContractError(f"a session's record is none: {error}") from None
