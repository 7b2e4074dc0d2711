"""State rows to bytes and back. Every row starts with the header of `streams.engine.rows`.

    version u8 ‖ source_offset i64 little-endian ‖ body

    profiles    body = msgpack [recent, habits, seen, attributes, past, against, shown, alias, habits_ms]  (arrays;
                recent = [[item, type, weight, time], …], habits = {item: [purchases, first, last, log_mass]},
                seen = [u64, …], attributes = {name: [time, value]}, past = {item: [last, log_mass]},
                against = {item: [returns, last]}, shown = [[item, time], …], alias = [user, partition] or nil,
                habits_ms = half-life f64); version 2 ends with attributes, version 1 before them
                Key 0xff ‖ user: what has moved to a user from their anonymous ids,
                body = msgpack [applied, ids, profile]  (applied = {origin: offset, …}, ids = {shopper: origin, …},
                profile = as above)
    trending    body = log_mass f64 ‖ log_found f64 ‖ first i64, little-endian; version 1 ends with log_mass
                key = item, or 0xff ‖ segment ‖ 0xff ‖ item (0xff is in no UTF-8)
    erasures    body = time i64 little-endian
    neighbours  body = log_mass f64 little-endian ‖ msgpack [applied, partners]  (maps: applied = {origin: offset, …},
                partners = {item: log weight, …})
    embeddings  body = text digest (16 bytes) ‖ model id length u8 ‖ model id ‖ dim u16 little-endian ‖ dim x float16

The vectors of `embeddings` are stored as float16: a unit vector keeps its cosines to about 1e-4.
"""

import functools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from streams.core.cooccurrence import Neighbours
from streams.core.erasure import Erasure
from streams.core.events import NOTHING, Alias, Attributes, Interaction
from streams.core.halflives import HABIT_HALF_LIFE_MS
from streams.core.memory import Against, Habit, Past
from streams.core.merging import Joined, whole
from streams.core.profile import Impression, Profile
from streams.core.trending import Popularity
from streams.engine import rows
from streams.errors import ContractError
from streams.records import ModelPlan

PROFILE_VERSION = 3
JOINED_VERSION = 1
TRENDING_VERSION = 2
ERASURE_VERSION = 1
NEIGHBOURS_VERSION = 3
EMBEDDING_VERSION = 1


class ProfileBody(NamedTuple):
    """A profile but for its offset, in the order in which msgpack has it."""

    recent: tuple[Interaction, ...]
    habits: dict[str, Habit]
    seen: tuple[int, ...]
    attributes: Attributes = NOTHING
    past: dict[str, Past] = {}  # noqa: RUF012 - never changed
    against: dict[str, Against] = {}  # noqa: RUF012
    shown: tuple[Impression, ...] = ()
    alias: Alias | None = None
    habits_ms: float = HABIT_HALF_LIFE_MS


class _JoinedBody(NamedTuple):
    applied: dict[int, int]
    ids: dict[str, int]
    profile: ProfileBody


class _NeighboursBody(NamedTuple):
    applied: dict[int, int]
    partners: dict[str, float]


_encode = msgspec.msgpack.Encoder().encode
_decode_profile = msgspec.msgpack.Decoder(ProfileBody).decode
_decode_joined = msgspec.msgpack.Decoder(_JoinedBody).decode
_decode_neighbours = msgspec.msgpack.Decoder(_NeighboursBody).decode
_decode_plan = msgspec.json.Decoder(ModelPlan).decode
_LOG_MASS = struct.Struct("<d")
_TIME = struct.Struct("<q")
_POPULARITY = struct.Struct("<ddq")
_APART = b"\xff"
DIGEST_SIZE = 16


@dataclass(frozen=True, slots=True)
class Embedding:
    """An item's vector: float16 (dim,), unit length; `digest` is of the text it was made from."""

    offset: int
    digest: bytes
    model: str
    vector: npt.NDArray[np.float16]


Value = TypeVar("Value", bytes, bytes | None)
Read = TypeVar("Read")

_DAMAGED = (struct.error, msgspec.DecodeError, ValueError, IndexError)
"""What reading a row raises that is cut or overwritten, wherever in it that is."""


def of_row(name: str) -> Callable[[Callable[[Value], Read]], Callable[[Value], Read]]:
    """For what reads a row: a ContractError for any bytes that are none."""

    def checking(read: Callable[[Value], Read]) -> Callable[[Value], Read]:
        @functools.wraps(read)
        def checked(value: Value) -> Read:
            try:
                return read(value)
            except _DAMAGED as error:
                raise ContractError(
                    f"a {name} row of {len(value or b'')} bytes is none ({type(error).__name__}): "
                    "rebuild the state by replaying the topics"
                ) from None

        return checked

    return checking


def _body(value: bytes, version: int, name: str, *, oldest: int | None = None) -> bytes:
    found = rows.version(value)
    if not (oldest or version) <= found <= version:
        raise ContractError(
            f"a {name} row has version {found}, this Upwell reads {version}: "
            "run the version that wrote it, or rebuild the state by replaying the topics"
        )
    return value[rows.HEADER_SIZE :]


def encode_profile(profile: Profile) -> bytes:
    """A profile as a row of the `profiles` table."""
    return rows.header(PROFILE_VERSION, profile.offset) + _encode(body_of(profile))


@of_row("profile")
def decode_profile(value: bytes | None) -> Profile:
    """The profile in a row; a new profile for None.

    Raises:
        ContractError: when a newer version wrote the row, or it is none.
    """
    if value is None:
        return Profile()
    body = _decode_profile(_body(value, PROFILE_VERSION, "profile", oldest=1))
    return Profile(rows.source_offset(value), *body)


def profile_keys(user: str) -> tuple[bytes, bytes]:
    """The keys of a user in the `profiles` table: of their own events, and of what has moved to them."""
    own = user.encode()
    return own, _APART + own


def is_joined(key: bytes) -> bool:
    """Whether a key of the `profiles` table is of what has moved to a user."""
    return key.startswith(_APART)


def decode_whole(own: bytes | None, joined: bytes | None) -> Profile:
    """A user's profile, of the rows under `profile_keys`.

    Raises:
        ContractError: when a newer version wrote a row.
    """
    return decode_profile(own) if joined is None else whole(decode_profile(own), decode_joined(joined))


def wholes(rows: Mapping[tuple[int, bytes], bytes], user: str) -> dict[int, Profile]:
    """A user's profile by partition (there should be one), of rows by partition and key.

    Raises:
        ContractError: when a newer version wrote a row.
    """
    own, joined = profile_keys(user)
    partitions = sorted({partition for partition, key in rows if key in (own, joined)})
    return {at: decode_whole(rows.get((at, own)), rows.get((at, joined))) for at in partitions}


def encode_joined(joined: Joined) -> bytes:
    """What has moved to a user as a row of the `profiles` table."""
    body = _JoinedBody(joined.applied, joined.ids, body_of(joined.profile))
    return rows.header(JOINED_VERSION, joined.offset) + _encode(body)


@of_row("profile of anonymous ids")
def decode_joined(value: bytes | None) -> Joined:
    """What has moved to a user; nothing for None.

    Raises:
        ContractError: when another version wrote the row, or it is none.
    """
    if value is None:
        return Joined()
    applied, ids, profile = _decode_joined(_body(value, JOINED_VERSION, "profile of anonymous ids"))
    return Joined(rows.source_offset(value), applied, ids, Profile(-1, *profile))


def body_of(profile: Profile) -> ProfileBody:
    """What is written of a profile."""
    return ProfileBody(
        profile.recent, profile.habits, profile.seen, profile.attributes,
        profile.past, profile.against, profile.shown, profile.alias, profile.habits_ms,
    )  # fmt: skip


def popularity_key(item: str, segment: str | None = None) -> bytes:
    """The key of an item's sum in the `trending` table: over everybody, or within a segment."""
    return item.encode() if segment is None else b"".join((_APART, segment.encode(), _APART, item.encode()))


def popularity_of(key: bytes) -> tuple[str | None, str]:
    """Segment and item of a key of the `trending` table.

    Raises:
        ContractError: it is no such key.
    """
    try:
        if not key.startswith(_APART):
            return None, key.decode()
        segment, item = key[1:].split(_APART)
        return segment.decode(), item.decode()
    except ValueError:
        raise ContractError(f"a key of {len(key)} bytes is none of the trending table") from None


def encode_popularity(popularity: Popularity) -> bytes:
    """An item's sums as a row of the `trending` table."""
    return rows.header(TRENDING_VERSION, popularity.offset) + _POPULARITY.pack(*popularity[1:])


@of_row("trending")
def decode_popularity(value: bytes | None) -> Popularity:
    """The sums in a row; nothing for None. What version 1 wrote has been there for ever: it does not say since when.

    Raises:
        ContractError: when a newer version wrote the row, or it is none.
    """
    if value is None:
        return Popularity()
    body = _body(value, TRENDING_VERSION, "trending", oldest=1)
    if rows.version(value) == 1:
        return Popularity(rows.source_offset(value), _LOG_MASS.unpack(body)[0], first=0)
    return Popularity(rows.source_offset(value), *_POPULARITY.unpack(body))


def encode_erasure(erasure: Erasure) -> bytes:
    """An erasure as a row of the `erasures` table."""
    return rows.header(ERASURE_VERSION, erasure.offset) + _TIME.pack(erasure.time)


@of_row("erasure")
def decode_erasure(value: bytes | None) -> Erasure:
    """The erasure in a row; one of nothing for None.

    Raises:
        ContractError: when another version wrote the row, or it is none.
    """
    if value is None:
        return Erasure()
    (time,) = _TIME.unpack(_body(value, ERASURE_VERSION, "erasure"))
    return Erasure(rows.source_offset(value), time)


def encode_neighbours(neighbours: Neighbours) -> bytes:
    """An item's neighbours as a row of the `neighbours` table."""
    return b"".join((
        rows.header(NEIGHBOURS_VERSION, neighbours.offset),
        _LOG_MASS.pack(neighbours.log_mass),
        _encode(_NeighboursBody(neighbours.applied, neighbours.partners)),
    ))  # fmt: skip


@of_row("neighbours")
def decode_neighbours(value: bytes | None) -> Neighbours:
    """The neighbours in a row; none for None.

    Raises:
        ContractError: when another version wrote the row, or it is none.
    """
    if value is None:
        return Neighbours()
    body = _body(value, NEIGHBOURS_VERSION, "neighbours")
    (mass,) = _LOG_MASS.unpack_from(body)
    applied, partners = _decode_neighbours(body[_LOG_MASS.size :])
    return Neighbours(rows.source_offset(value), mass, applied, partners)


@of_row("neighbours")
def neighbours_mass(value: bytes) -> float:
    """The item's own log mass in a row of the `neighbours` table; the rest of it is not read.

    Raises:
        ContractError: when another version wrote the row, or it is none.
    """
    mass: float = _LOG_MASS.unpack_from(_body(value, NEIGHBOURS_VERSION, "neighbours"))[0]
    return mass


def decode_plan(value: bytes | None) -> ModelPlan | None:
    """The plan of the models in a record; None for none.

    Raises:
        ContractError: it is no plan that we know.
    """
    try:
        return _decode_plan(value) if value else None
    except (ValueError, RecursionError) as error:
        raise ContractError(
            f"a plan of the models that this version of Upwell cannot read ({error}): run the version that wrote it"
        ) from None


def encode_embedding(embedding: Embedding) -> bytes:
    """A vector as a row of the `embeddings` table."""
    model = embedding.model.encode()
    return b"".join((
        rows.header(EMBEDDING_VERSION, embedding.offset),
        embedding.digest,
        bytes([len(model)]),
        model,
        len(embedding.vector).to_bytes(2, "little"),
        embedding.vector.astype("<f2").tobytes(),
    ))  # fmt: skip


@of_row("embedding")
def decode_embedding(value: bytes) -> Embedding:
    """The vector in a row.

    Raises:
        ContractError: when another version wrote the row, or its length is not what it says.
    """
    body = _body(value, EMBEDDING_VERSION, "embedding")
    digest, rest = body[:DIGEST_SIZE], body[DIGEST_SIZE:]
    model_end = 1 + rest[0] if rest else 0
    dim = int.from_bytes(rest[model_end : model_end + 2], "little")
    vector = np.frombuffer(rest[model_end + 2 :], dtype="<f2")
    if len(vector) != dim:
        raise ContractError(f"an embedding row says {dim} dimensions and carries {len(vector)}")
    return Embedding(rows.source_offset(value), digest, rest[1:model_end].decode(), vector)
