"""State rows to bytes and back. Every row starts with the header of `streams.engine.rows`.

    version u8 ‖ source_offset i64 little-endian ‖ body

    profiles    body = msgpack [recent, habits, seen]  (arrays; recent = [[item, type, weight, time], …],
                habits = {item: [purchases, first, last, log_mass]}, seen = [u64, …])
    trending    body = log_mass f64 little-endian
    embeddings  body = text digest (16 bytes) ‖ model id length u8 ‖ model id ‖ dim u16 little-endian ‖ dim x float16

The vectors of `embeddings` are stored as float16: a unit vector keeps its cosines to about 1e-4.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from streams.core.events import Interaction
from streams.core.profile import Habit, Profile
from streams.core.trending import Popularity
from streams.engine import rows
from streams.errors import ContractError

PROFILE_VERSION = 1
TRENDING_VERSION = 1
EMBEDDING_VERSION = 1


class _ProfileBody(NamedTuple):
    recent: tuple[Interaction, ...]
    habits: dict[str, Habit]
    seen: tuple[int, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode_profile = msgspec.msgpack.Decoder(_ProfileBody).decode
_LOG_MASS = struct.Struct("<d")
DIGEST_SIZE = 16


@dataclass(frozen=True, slots=True)
class Embedding:
    """An item's vector: float16 (dim,), unit length; `digest` is of the text it was made from."""

    offset: int
    digest: bytes
    model: str
    vector: npt.NDArray[np.float16]


def _body(value: bytes, version: int, name: str) -> bytes:
    found = rows.version(value)
    if found != version:
        raise ContractError(
            f"a {name} row has version {found}, this Upwell reads {version}: "
            "run the version that wrote it, or rebuild the state by replaying the topics"
        )
    return value[rows.HEADER_SIZE :]


def encode_profile(profile: Profile) -> bytes:
    """A profile as a row of the `profiles` table."""
    body = _encode(_ProfileBody(profile.recent, profile.habits, profile.seen))
    return rows.header(PROFILE_VERSION, profile.offset) + body


def decode_profile(value: bytes | None) -> Profile:
    """The profile in a row; a new profile for None.

    Raises:
        ContractError: when another version wrote the row.
    """
    if value is None:
        return Profile()
    body = _decode_profile(_body(value, PROFILE_VERSION, "profile"))
    return Profile(rows.source_offset(value), body.recent, body.habits, body.seen)


def encode_popularity(popularity: Popularity) -> bytes:
    """A sum as a row of the `trending` table."""
    return rows.header(TRENDING_VERSION, popularity.offset) + _LOG_MASS.pack(popularity.log_mass)


def decode_popularity(value: bytes | None) -> Popularity:
    """The sum in a row; nothing for None.

    Raises:
        ContractError: when another version wrote the row.
    """
    if value is None:
        return Popularity()
    (mass,) = _LOG_MASS.unpack(_body(value, TRENDING_VERSION, "trending"))
    return Popularity(rows.source_offset(value), mass)


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
