"""Large pages for what is large: a fork copies the table of a process's pages, with the interpreter held.

A page is 4 KiB, so the table of a gigabyte has 262,144 entries, some tens of milliseconds of copying; in pages of 2 MiB
it has 512. numpy asks for large pages for its arrays, hnswlib does not. What is written while a snapshot's child lives
falls back to small pages, so they are put together again before the next fork. Memory of a whole number of large pages
begins at one, and so is moved in no time when it has to grow: its table is moved, not its entries.

Linux gives large pages to whoever asks, unless it is told not to (/sys/kernel/mm/transparent_hugepage). Where there are
none, nothing changes but the time that a fork takes.
"""

import ctypes
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt

Area = tuple[int, int]
"""The first address, and the one behind the last."""

LEAST = 8 << 20
"""Bytes, below which a table has few entries anyway."""

_MAPS = Path("/proc/self/maps")
_PAGE = 2 << 20
_OVERHEAD = 32  # bytes of glibc's in front of what is asked for, and rounding, at most
# Advice of madvise(2): pages that will be used are to be large ones; those that are in use are to become so now.
_WILL_BE, _ARE_TO_BE = 14, 25


@contextmanager
def large_pages(nbytes: int) -> Iterator[list[Area]]:
    """Memory that is taken within the block is asked to be in large pages, if it is about so many bytes or more.

    What another thread takes meanwhile may be among it; it works as before. What the allocator had
    kept for later is not.

    Yields:
        A list that holds, after the block, where that memory is.
    """
    taken: list[Area] = []
    if nbytes < LEAST or not _MAPS.exists():
        yield taken
        return
    before = _anonymous()
    yield taken
    taken += [(start, end) for start, end in _without(_anonymous(), before) if end - start >= LEAST]
    _advise(taken, _WILL_BE)
    collapse(taken)


def filling(items: int, nbytes: int) -> int:
    """So many items of `nbytes` bytes, or a few more, that they fill large pages; just `items` if they are few.

    Exact for items below 4,000 bytes: glibc rounds memory up to small pages.
    """
    if items * nbytes < LEAST:
        return items
    whole = -(-(items * nbytes + _OVERHEAD) // _PAGE) * _PAGE
    return (whole - _OVERHEAD) // nbytes


def collapse(areas: Iterable[Area]) -> None:
    """Put memory that is in use into large pages; what there is no more is passed over.

    Any thread may do it, while others use that memory. It takes some tenths of a millisecond for each large page that
    has fallen apart; the interpreter is let go meanwhile.
    """
    _advise(areas, _ARE_TO_BE)


def area_of(array: npt.NDArray[Any]) -> Area:
    """Where a contiguous array is."""
    start = int(array.__array_interface__["data"][0])
    return start, start + array.nbytes


def _advise(areas: Iterable[Area], advice: int) -> None:
    """Tell the kernel, which need not follow; its answer changes nothing."""
    if not _MAPS.exists():
        return
    advise = ctypes.CDLL(None).madvise
    for start, end in areas:
        first, last = -(-start // _PAGE) * _PAGE, end // _PAGE * _PAGE
        if first < last:
            advise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), ctypes.c_int(advice))


def _anonymous() -> list[Area]:
    """Where there is writable memory of this process that is no file's, ascending."""
    areas = []
    for line in _MAPS.read_bytes().rstrip(b"\n").split(b"\n"):  # the names of files may be no text
        addresses, access, _, _, inode, *_ = line.split(maxsplit=5)
        if access == b"rw-p" and inode == b"0":
            start, _, end = addresses.partition(b"-")
            areas.append((int(start, 16), int(end, 16)))
    return areas


def _without(areas: Iterable[Area], taken: Iterable[Area]) -> Iterator[Area]:
    """What of `areas` is not in `taken`; both ascending, and neither overlaps itself."""
    for start, end in areas:
        rest = start
        for first, last in taken:
            if first < end and rest < last:
                if rest < first:
                    yield rest, first
                rest = max(rest, last)
        if rest < end:
            yield rest, end
