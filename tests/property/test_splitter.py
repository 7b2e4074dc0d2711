"""However a file is cut into chunks, its lines are the same, and long ones are never kept."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.jsonl import Line, Splitter

LIMIT = 8

bodies = st.lists(st.text("ab ", max_size=12).map(str.encode), max_size=8).map(b"\n".join)


@given(bodies, st.lists(st.integers(0, 100)))
def test_lines_do_not_depend_on_the_chunks(body: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    chunks = [body[start:end] for start, end in pairwise(places)]
    splitter = Splitter("f", LIMIT)
    got = [line for chunk in [*chunks, b""] for line in splitter.feed(chunk)]
    wanted = []
    for number, text in enumerate(body.split(b"\n"), start=1):
        if len(text) > LIMIT:
            wanted.append(Line("f", number, None))
        elif text.strip():
            wanted.append(Line("f", number, text.strip()))
    assert got == wanted


def test_byte_order_mark_and_windows_line_ends() -> None:
    splitter = Splitter("f", LIMIT)
    assert list(splitter.feed(b"\xef\xbb\xbf{}\r\n\r\n[]")) == [Line("f", 1, b"{}")]
    assert list(splitter.feed(b"")) == [Line("f", 3, b"[]")]


def test_an_endless_line_is_not_kept_and_the_next_one_is_read() -> None:
    splitter = Splitter("f", LIMIT)
    for _ in range(100):
        assert not list(splitter.feed(b"x" * LIMIT))
        assert len(splitter._rest) <= LIMIT
    assert list(splitter.feed(b"\nok")) == [Line("f", 1, None)]
    assert list(splitter.feed(b"")) == [Line("f", 2, b"ok")]
