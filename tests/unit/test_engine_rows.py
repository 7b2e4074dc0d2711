"""Which of two rows is the newer."""

import struct
from collections.abc import Sequence

import pytest

from streams.engine.rows import HEADER_SIZE, TOMBSTONE_HEADER, header, newest, source_offset, tombstone_headers, version
from tests.unit.records import FakeRecord


def row(offset: int, body: bytes = b"") -> bytes:
    return header(1, offset) + body


def put(key: bytes, offset: int, body: bytes = b"") -> FakeRecord:
    return FakeRecord(key, row(offset, body))


def delete(key: bytes, offset: int | None) -> FakeRecord:
    return FakeRecord(key, None, headers=() if offset is None else tombstone_headers(offset))


def stored(**rows: bytes):  # type: ignore[no-untyped-def]
    def lookup(keys: Sequence[bytes]) -> list[bytes | None]:
        return [rows.get(key.decode()) for key in keys]

    return lookup


def test_layout() -> None:
    assert header(3, -2) == b"\x03\xfe" + b"\xff" * 7
    assert HEADER_SIZE == 9
    assert version(row(5)) == 1
    assert source_offset(row(2**40)) == 2**40
    with pytest.raises(struct.error):
        source_offset(b"\x01short")


def test_the_higher_source_offset_wins_whatever_the_order() -> None:
    rows, ignored = newest([put(b"a", 9), put(b"a", 4), put(b"b", 1), put(b"b", 2)], stored())
    assert rows == {b"a": row(9), b"b": row(2)}
    assert ignored == 1


def test_an_equal_source_offset_is_put_again() -> None:
    assert newest([put(b"a", 9, b"x"), put(b"a", 9, b"y")], stored())[0] == {b"a": row(9, b"y")}


def test_what_is_stored_counts() -> None:
    rows, ignored = newest([put(b"a", 4), put(b"b", 6)], stored(a=row(5), b=row(5)))
    assert rows == {b"b": row(6)}
    assert ignored == 1


def test_a_tombstone_deletes_what_is_not_newer() -> None:
    assert newest([delete(b"a", 5)], stored(a=row(5)))[0] == {b"a": None}
    assert newest([delete(b"a", 4)], stored(a=row(5))) == ({}, 1)


def test_a_row_older_than_a_tombstone_does_not_come_back() -> None:
    assert newest([delete(b"a", 5), put(b"a", 4)], stored()) == ({b"a": None}, 1)
    assert newest([delete(b"a", 5), put(b"a", 6)], stored())[0] == {b"a": row(6)}


@pytest.mark.parametrize("headers", [(), ((TOMBSTONE_HEADER, b"odd"),)])
def test_an_operators_tombstone_always_deletes(headers: tuple[tuple[str, bytes], ...]) -> None:
    tombstone = FakeRecord(b"a", None, headers=headers)
    assert newest([tombstone], stored(a=row(2**50)))[0] == {b"a": None}
    assert newest([tombstone, put(b"a", 0)], stored(a=row(2**50)))[0] == {b"a": row(0)}


def test_what_is_no_row_is_passed_over() -> None:
    strange = [FakeRecord(None, row(1)), FakeRecord(b"", row(1)), FakeRecord(b"a", b"tiny")]
    assert newest(strange, stored(a=row(5))) == ({}, 3)
