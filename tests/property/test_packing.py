"""However a packed body is cut into chunks it is what was packed, and no part of one passes for the whole."""

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.web.packing import PackingError, Unpacker

BODIES = st.one_of(st.binary(max_size=400), st.text("ab", max_size=4_000).map(str.encode))
MOST = 1 << 20


def unpacked(coding: str, packed: bytes, size: int, most: int = MOST) -> bytes:
    """The whole of a body that comes in chunks of `size` bytes."""
    unpacker = Unpacker(coding)
    found = b""
    for start in range(0, len(packed), size):
        found += unpacker.feed(packed[start : start + size], most - len(found))
    unpacker.end()
    return found


def bare(body: bytes) -> bytes:
    """Deflated without the wrapper that the RFC asks for, as some clients send it."""
    return zlib.compress(body, wbits=-zlib.MAX_WBITS)


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "bare deflate": bare
}  # fmt: skip


@given(st.sampled_from(sorted(PACK)), BODIES, st.integers(1, 50))
def test_a_whole_body_is_what_was_packed(how: str, body: bytes, size: int) -> None:
    assert unpacked(how.removeprefix("bare "), PACK[how](body), size) == body


@given(st.lists(BODIES, min_size=2, max_size=4), st.integers(1, 50))
def test_gzip_may_have_several_members(bodies: list[bytes], size: int) -> None:
    assert unpacked("gzip", b"".join(map(gzip.compress, bodies)), size) == b"".join(bodies)


@given(st.sampled_from(sorted(PACK)), BODIES, st.integers(0, 10_000), st.integers(1, 50))
def test_a_part_is_refused(how: str, body: bytes, cut: int, size: int) -> None:
    packed = PACK[how](body)
    with pytest.raises(PackingError):
        unpacked(how.removeprefix("bare "), packed[: cut % len(packed)], size)


@given(st.integers(0, 3_000), st.integers(0, 3_000))
def test_never_more_than_a_byte_beyond_what_may_be(length: int, most: int) -> None:
    found = Unpacker("gzip").feed(gzip.compress(bytes(length)), most)
    assert len(found) == min(length, most + 1)


@pytest.mark.parametrize(
    ("coding", "packed"), [("gzip", b"hello"), ("deflate", b"hello"), ("deflate", zlib.compress(b"a") + b"b")]
)
def test_what_is_no_such_coding_is_refused(coding: str, packed: bytes) -> None:
    with pytest.raises(PackingError):
        unpacked(coding, packed, 3)
