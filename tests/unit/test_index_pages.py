"""Large pages for what is large: the same bytes, in fewer entries where the kernel can."""

import mmap
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import pages
from index.pages import LEAST, area_of, collapse, filling, large_pages

SIZE = 3 * LEAST


def mapped(nbytes: int = SIZE) -> mmap.mmap:
    """Memory of which the first half is used."""
    area = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area[: nbytes // 2] = b"upwell" * (nbytes // 12)
    return area


@pytest.fixture
def advised(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """What the kernel is told: first address, the one behind the last, advice."""
    told: list[tuple[int, int, int]] = []
    advise = pages._advise

    def telling(areas: Any, advice: int) -> None:
        areas = list(areas)
        told.extend((*area, advice) for area in areas)
        advise(areas, advice)

    monkeypatch.setattr(pages, "_advise", telling)
    return told


def test_what_is_taken_within_is_asked_for_in_large_pages(advised: list[tuple[int, int, int]]) -> None:
    before = mapped()
    with large_pages(SIZE) as areas:
        taken = mapped()
    start, end = area_of(np.frombuffer(taken, np.uint8))
    assert any(first <= start and end <= last for first, last in areas)
    assert advised == [(*area, advice) for advice in (pages._WILL_BE, pages._ARE_TO_BE) for area in areas]
    own = area_of(np.frombuffer(before, np.uint8))
    assert not any(first < own[1] and own[0] < last for first, last in areas)
    assert taken[:] == before[:]


def test_little_memory_is_left_alone(advised: list[tuple[int, int, int]]) -> None:
    with large_pages(LEAST - 1) as areas:
        mapped()
    assert not areas
    assert not advised


def test_without_a_list_of_mappings_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    area = mapped()
    monkeypatch.setattr(pages, "_MAPS", tmp_path / "nothing")
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("the kernel is told"))
    with large_pages(SIZE) as areas:
        collapse([area_of(np.frombuffer(area, np.uint8))])
    assert areas == []


def test_a_mapped_file_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 \x1c\r")
    path.write_bytes(b"upwell")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), large_pages(SIZE) as areas:
        taken = mapped()
    start, _ = area_of(np.frombuffer(taken, np.uint8))
    assert any(first <= start < last for first, last in areas)


def test_memory_keeps_what_is_in_it_and_may_be_gone() -> None:
    area = mapped()
    place = area_of(np.frombuffer(area, np.uint8))
    collapse([place])
    assert area[:] == mapped()[:]
    del area
    collapse([place])


GRAPHS = """
import numpy as np
from index.graph import Graph, HnswParams
from index.pages import collapse

vectors = np.random.default_rng(0).standard_normal((200, 384)).astype(np.float32)
graph = Graph(384, HnswParams(), capacity=100)
assert not graph.areas
graph.add(vectors[:100], np.arange(100, dtype=np.int64))
big = Graph(384, HnswParams(), capacity=40_000)
assert sum(end - start for start, end in big.areas) >= 40_000 * 4 * 384
big.add(vectors, np.arange(200, dtype=np.int64))
collapse(big.areas)
labels, _ = big.nearest(vectors, 1)
assert labels[:, 0].tolist() == list(range(200))
"""
"""For a process of its own: one that has let much memory go may have room for a graph in what it kept."""


def test_a_graph_knows_where_its_nodes_are() -> None:
    subprocess.run([sys.executable, "-c", GRAPHS], check=True, timeout=60)


@given(st.integers(1, 10**7), st.integers(1, 4000))
def test_items_fill_large_pages(items: int, nbytes: int) -> None:
    room = filling(items, nbytes)
    assert room >= items
    if items * nbytes < LEAST:
        assert room == items
    else:
        assert room * nbytes < items * nbytes + pages._PAGE + pages._OVERHEAD
        small = mmap.PAGESIZE
        assert -(-(room * nbytes + 16) // small) * small % pages._PAGE == 0  # as glibc maps it


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=6),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=6),
)
def test_what_is_new_is_what_was_not_there(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    def apart(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for start, length in sorted(pairs):
            if not found or start >= found[-1][1]:
                found.append((start, start + length))
        return found

    areas, taken = apart(some), apart(others)
    new = list(pages._without(areas, taken))
    places = [place for start, end in new for place in range(start, end)]
    expected = {p for start, end in areas for p in range(start, end)} - {p for a, b in taken for p in range(a, b)}
    assert sorted(places) == sorted(expected)
    assert all(start < end for start, end in new)
