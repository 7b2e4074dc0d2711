"""Rows of several shoppers one after another, each with as many as there are: what is asked of all in one go.

Rows `bounds[n]` to `bounds[n + 1]` are the n-th one's. Where shoppers are gone through one by one it is for a scratch
that all of them share: what a question costs then does not grow with the shop.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from streams.core.items import Places

Floats = npt.NDArray[np.float64]
T = TypeVar("T", bound=np.generic)

NOWHERE = -1
"""Where something is that is not there."""


def bounds_of(sizes: Sequence[int] | npt.NDArray[Any]) -> Places:
    """int64 (n + 1,), where the rows of each begin, and the end."""
    bounds = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=bounds[1:])
    return bounds


def sizes_of(bounds: Places) -> Places:
    """How many rows each has: int64 (n,)."""
    return bounds[1:] - bounds[:-1]


def owners(bounds: Places) -> Places:
    """Whose each row is: int64 (rows,)."""
    return np.arange(len(bounds) - 1).repeat(sizes_of(bounds))


def turns(bounds: Places) -> Places:
    """Which of its owner's rows each one is, from 0: int64 (rows,)."""
    return np.arange(bounds[-1]) - bounds[:-1].repeat(sizes_of(bounds))


def spans(begins: Places, sizes: Places) -> Places:
    """The rows of several spans, one span after another: int64 (rows,). Both int64 (n,)."""
    bounds = bounds_of(sizes)
    rows: Places = np.arange(bounds[-1]) + (begins - bounds[:-1]).repeat(sizes)
    return rows


def joined(arrays: Sequence[npt.NDArray[T]], dtype: type[T]) -> npt.NDArray[T]:
    """Arrays one after another; none of them is no obstacle."""
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype)


def parted(values: npt.NDArray[T], bounds: Places) -> list[npt.NDArray[T]]:
    """Views of what is each one's."""
    edges = bounds.tolist()
    return [values[begin:end] for begin, end in pairwise(edges)]


def distinct(
    numbers: Places, bounds: Places, scratch: Places, *, ascending: bool = False
) -> tuple[Places, Places, Places]:
    """Numbers of each, every one once.

    Args:
        numbers: int64 (n,).
        bounds: of the numbers.
        scratch: int64, one for every number there could be; written over.
        ascending: in their order; else in that of their last places among the given ones.

    Returns:
        int64 (m,) numbers, their bounds, and int64 (n,), where each of the given ones is among them.
    """
    edges = bounds.tolist()
    every, inverse = np.arange(len(numbers)), np.empty(len(numbers), np.int64)
    found, ends, total = [], [0], 0
    for begin, end in pairwise(edges):
        some, own = numbers[begin:end], every[begin:end]
        scratch[some] = own
        once = some[scratch.take(some) == own]
        if ascending:
            once.sort()
        scratch[once] = every[total : total + len(once)]
        inverse[begin:end] = scratch.take(some)
        total += len(once)
        found.append(once)
        ends.append(total)
    return joined(found, np.int64), np.array(ends), inverse


def located(wanted: Places, bounds: Places, among: Places, edges: Places, scratch: Places) -> Places:
    """Where the numbers of each are among others of theirs, each of those once: int64 (n,), `NOWHERE` for nowhere.

    Args:
        wanted: int64 (n,).
        bounds: of what is wanted.
        among: int64 (m,).
        edges: bounds of what it is looked for in.
        scratch: int64, one for every number there could be; written over.
    """
    at, every = np.empty(len(wanted), np.int64), np.arange(len(among))
    starts, ends = bounds.tolist(), edges.tolist()
    for (begin, end), (first, last) in zip(pairwise(starts), pairwise(ends), strict=False):
        scratch[wanted[begin:end]] = NOWHERE
        scratch[among[first:last]] = every[first:last]
        at[begin:end] = scratch.take(wanted[begin:end])
    return at


def maxima(values: npt.NDArray[np.number], bounds: Places) -> Floats:
    """The largest value of each, along the last axis: float64 (..., owners); 0 for one who has none."""
    some = sizes_of(bounds).nonzero()[0]
    most = np.zeros((*values.shape[:-1], len(bounds) - 1))
    if len(some):
        most[..., some] = np.maximum.reduceat(values, bounds[some], axis=-1)
    return most


def leasts(values: Floats, bounds: Places, count: int) -> Floats:
    """The least of the `count` largest values of each: float64 (owners,); -inf for one who has no more than those."""
    edges, least = bounds.tolist(), np.full(len(bounds) - 1, -np.inf)
    for number, (begin, end) in enumerate(pairwise(edges)):
        if end - begin > count:
            least[number] = np.partition(values[begin:end], end - begin - count)[end - begin - count]
    return least


def ranked(scores: Floats, ties: npt.NDArray[np.uint64], bounds: Places) -> Places:
    """The rows of each, the largest score first, equal ones by `ties`: int64 (rows,).

    As `np.lexsort((ties, -scores, owners))`, for a tenth of its time where few are equal.
    """
    owner = owners(bounds).astype(np.min_scalar_type(len(bounds)))  # small numbers are sorted without comparing
    order = np.argsort(-scores)
    order = order[np.argsort(owner[order], kind="stable")]
    sorted_scores, sorted_owner = scores[order], owner[order]
    same = (sorted_scores[1:] == sorted_scores[:-1]) & (sorted_owner[1:] == sorted_owner[:-1])
    if same.any():
        ends = np.zeros((2, len(order)), np.bool_)
        ends[0, 1:] = ends[1, :-1] = same
        equal = np.flatnonzero(ends.any(axis=0))
        run = np.cumsum(~ends[0])[equal]
        order[equal] = order[equal][np.lexsort((ties[order[equal]], run))]
    return order
