"""Rows survive the way to bytes and back, and refuse what they cannot read."""

import contextlib
import struct
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import codecs, ranking_codec, transfers
from streams.codecs import DIGEST_SIZE, Embedding
from streams.core import decay
from streams.core.cooccurrence import Delta, Neighbours
from streams.core.erasure import Erasure
from streams.core.events import Arrival, EventType, Interaction
from streams.core.items import NEVER
from streams.core.merging import Joined
from streams.core.profile import Profile, fold
from streams.core.trending import Popularity
from streams.engine import rows
from streams.errors import ContractError
from streams.ranking_codec import Learnt
from tests.property.strategies import logs

floats = st.floats(allow_nan=False)


@given(logs())
def test_profiles(log: list[Arrival]) -> None:
    profile = fold(Profile(), log)
    row = codecs.encode_profile(profile)
    assert codecs.decode_profile(row) == profile
    assert rows.source_offset(row) == profile.offset
    assert codecs.encode_profile(codecs.decode_profile(row)) == row


def test_profiles_of_before_attributes_are_read() -> None:
    row = rows.header(1, 5) + msgspec.msgpack.encode(([("milk", "view", 0.1, 7)], {}, [3]))
    assert codecs.decode_profile(row) == Profile(5, (Interaction("milk", EventType.VIEW, 0.1, 7),), {}, (3,))


@given(st.text(), st.none() | st.text())
def test_keys_of_popularity(item: str, segment: str | None) -> None:
    assert codecs.popularity_of(codecs.popularity_key(item, segment)) == (segment, item)


@given(st.binary())
def test_other_keys_are_no_keys_of_popularity(key: bytes) -> None:
    try:
        segment, item = codecs.popularity_of(key)
    except ContractError:
        return
    assert codecs.popularity_key(item, segment) == key


@given(st.builds(Erasure, st.integers(-1, 2**62), st.integers(-1, 2**62)))
def test_erasures(erasure: Erasure) -> None:
    row = codecs.encode_erasure(erasure)
    assert codecs.decode_erasure(row) == erasure
    assert rows.source_offset(row) == erasure.offset


@given(st.builds(Popularity, st.integers(-1, 2**62), floats, floats, st.integers(-1, NEVER)))
def test_popularity(popularity: Popularity) -> None:
    row = codecs.encode_popularity(popularity)
    assert codecs.decode_popularity(row) == popularity
    assert rows.source_offset(row) == popularity.offset


def test_popularity_of_version_1_has_been_there_for_ever() -> None:
    row = rows.header(1, 7) + struct.pack("<d", 0.5)
    assert codecs.decode_popularity(row) == Popularity(7, 0.5, decay.EMPTY, 0)


@given(
    st.integers(-1, 2**62),
    st.floats(allow_nan=False),
    st.dictionaries(st.integers(0, 999), st.integers(0, 2**62)),
    st.dictionaries(st.text(max_size=9), st.floats(allow_nan=False)),
)
def test_neighbours(offset: int, mass: float, applied: dict[int, int], partners: dict[str, float]) -> None:
    neighbours = Neighbours(offset, mass, applied, partners)
    row = codecs.encode_neighbours(neighbours)
    assert codecs.decode_neighbours(row) == neighbours
    assert (rows.source_offset(row), codecs.neighbours_mass(row)) == (offset, mass)


@given(
    st.integers(0, 999),
    st.lists(
        st.builds(
            Delta,
            st.integers(0, 2**62), st.integers(0, 2**50), st.text(), st.floats(allow_nan=False),
            st.tuples(st.text(), st.text()), st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
        )
    ),
)  # fmt: skip
def test_pairs(origin: int, deltas: list[Delta]) -> None:
    assert transfers.decode_pairs(transfers.encode_pairs(origin, deltas)) == (origin, deltas)


@pytest.mark.parametrize("value", [b"", b"\x63", b"\x01", b"\x01\x92\x00\xc0"])
def test_what_is_no_pairs_record_is_refused(value: bytes) -> None:
    with pytest.raises(ContractError, match="a pairs record"):
        transfers.decode_pairs(value)


@given(
    st.integers(0, 2**62),
    st.binary(min_size=DIGEST_SIZE, max_size=DIGEST_SIZE),
    st.text(min_size=1, max_size=60),
    st.lists(st.floats(-1, 1, width=16), min_size=1, max_size=400),
)
def test_embeddings(offset: int, digest: bytes, model: str, values: list[float]) -> None:
    vector = np.array(values, dtype=np.float16)
    row = codecs.encode_embedding(Embedding(offset, digest, model, vector))
    back = codecs.decode_embedding(row)
    assert (back.offset, back.digest, back.model) == (offset, digest, model)
    assert np.array_equal(back.vector, vector)


def test_no_row_is_nothing_yet() -> None:
    assert codecs.decode_profile(None) == Profile()
    assert codecs.decode_popularity(None) == Popularity()
    assert codecs.decode_neighbours(None) == Neighbours()


def test_a_row_of_another_version_is_refused() -> None:
    row = rows.header(99, 7) + b"from the future"
    for decode in (
        codecs.decode_profile, codecs.decode_popularity, codecs.decode_embedding,
        codecs.decode_neighbours, codecs.neighbours_mass,
    ):  # fmt: skip
        with pytest.raises(ContractError, match="version 99"):
            decode(row)


def test_a_cut_embedding_is_refused() -> None:
    row = codecs.encode_embedding(Embedding(1, bytes(DIGEST_SIZE), "m", np.ones(8, np.float16)))
    with pytest.raises(ContractError, match="says 8 dimensions and carries 7"):
        codecs.decode_embedding(row[:-2])


WHOLE = {
    codecs.decode_profile: codecs.encode_profile(fold(Profile(), [])),
    codecs.decode_joined: codecs.encode_joined(Joined(3, {0: 1}, {"c": 0})),
    codecs.decode_popularity: codecs.encode_popularity(Popularity(3, 0.5)),
    codecs.decode_erasure: codecs.encode_erasure(Erasure(3, 7)),
    codecs.decode_neighbours: codecs.encode_neighbours(Neighbours(3, 0.5, {0: 1}, {"milk": 0.25})),
    codecs.neighbours_mass: codecs.encode_neighbours(Neighbours(3, 0.5)),
    codecs.decode_embedding: codecs.encode_embedding(Embedding(1, bytes(16), "model", np.ones(8, np.float16))),
    ranking_codec.decode_ranker: ranking_codec.encode_ranker(Learnt()),
}


@pytest.mark.parametrize("decode", WHOLE, ids=lambda decode: decode.__name__)
@given(st.data())
def test_bytes_that_are_no_row_are_refused_as_such(decode: Callable[[bytes], object], data: st.DataObject) -> None:
    row = WHOLE[decode]
    garbled = data.draw(
        st.binary(max_size=40)
        | st.integers(0, len(row) - 1).map(lambda end: row[:end])
        | st.binary(max_size=40).map(lambda rest: row[: rows.HEADER_SIZE] + rest)
        | st.tuples(st.integers(0, len(row) - 1), st.integers(0, 255)).map(
            lambda one: row[: one[0]] + bytes([one[1]]) + row[one[0] + 1 :]
        )
    )
    with contextlib.suppress(ContractError):  # any other error is a defect
        decode(garbled)


@pytest.mark.parametrize("decode", WHOLE, ids=lambda decode: decode.__name__)
def test_half_a_header_is_no_row(decode: Callable[[bytes], object]) -> None:
    with pytest.raises(ContractError, match="row of 5 bytes is none"):
        decode(WHOLE[decode][:5])
