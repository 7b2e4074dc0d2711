"""Exact top-k by brute force: blocks of scores, then a threshold that leaves little to sort."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from index.base import Vectors
from index.rows import Removal, Rows, Slots

Positions = npt.NDArray[np.int64]
"""int64 (b, k): rows of the scanned matrix, best first."""

Cosines = npt.NDArray[np.float32]
"""float32 (b, k): beside `Positions`, descending."""

Scores = npt.NDArray[Any]
"""float32 or int32 (n, b): one column a query."""

_BLOCK = 2048  # rows a product at a time: a block of scores stays in the second-level cache
_GROUP, _SMALL_GROUP = 8, 4  # rows whose largest score stands for all of them; the small ones where rows are few
_MANY = 4  # groups for each of the k, or there is nothing to gain
_MOST_KEPT = 32 << 20  # bytes of scores: 100,000 rows and 64 queries, with some to spare
_QUERIES_AT_ONCE = 64  # of 384 dimensions: their codes stay in the first-level cache


class Score(Protocol):
    """Writes the scores of rows `start` to `stop` against every query into `out`, (stop − start, b)."""

    def __call__(self, start: int, stop: int, out: Scores) -> None: ...


class Scratch:
    """Memory for scores, kept from one scan to the next: new memory takes as long as choosing among the scores."""

    def __init__(self) -> None:
        self._kept = np.empty(0, dtype=np.uint8)

    @property
    def nbytes(self) -> int:
        """Bytes that it keeps."""
        return self._kept.nbytes

    def holds(self, n: int, b: int) -> bool:
        """Whether scores (n, b) are few enough to be kept."""
        return 4 * n * b <= _MOST_KEPT

    def scores(self, n: int, b: int, dtype: npt.DTypeLike) -> Scores:
        """An array (n, b) of float32 or int32 with anything in it; it is given out again at the next call."""
        if not self.holds(n, b):
            return np.empty((n, b), dtype=dtype)
        wanted = 4 * n * b
        if wanted > len(self._kept):
            self._kept = np.empty(wanted, dtype=np.uint8)
        return self._kept[:wanted].view(dtype).reshape(n, b)


def scan(
    rows: npt.NDArray[np.floating], queries: Vectors, k: int, scratch: Scratch | None = None
) -> tuple[Positions, Cosines]:
    """The `k` best rows of each query by inner product.

    Args:
        rows: float32 or float16 (n, dim).
        queries: float32 (b, dim).
        k: 1 ≤ k ≤ n.
        scratch: whoever scans again and again keeps one.

    Returns:
        Positions (b, k) and their inner products (b, k), best first.
    """
    positions = np.empty((len(queries), k), dtype=np.int64)
    cosines = np.empty((len(queries), k), dtype=np.float32)
    scratch = scratch or Scratch()
    for part in query_parts(len(queries)):
        columns = np.ascontiguousarray(queries[part].T)

        def score(start: int, stop: int, out: Scores, columns: Vectors = columns) -> None:
            np.matmul(rows[start:stop].astype(np.float32, copy=False), columns, out=out)

        positions[part], cosines[part] = select(score, scratch.scores(len(rows), columns.shape[1], np.float32), k)
    return positions, cosines


Scan = Callable[[Vectors, int], tuple[Slots, Cosines]]
"""Slots and cosines of the k best rows of each query, best first."""


class Scanner(Protocol):
    """Finds the best of some rows by looking at all of them; is told whenever they change."""

    @property
    def nbytes(self) -> int:
        """Bytes it keeps beside the rows."""
        ...

    def written(self, slots: Slots) -> None:
        """The rows at `slots` have new vectors."""
        ...

    def followed(self, removal: Removal) -> None:
        """The rows moved as `removal` says."""
        ...

    def scan(self, queries: Vectors, k: int) -> tuple[Positions, Cosines]:
        """The `k` best rows of each query, best first, with their cosines; 1 ≤ k ≤ number of rows."""
        ...

    def among(self, slots: Slots) -> Scan:
        """A scan of the rows at `slots` alone, none twice; valid until the next write."""
        ...


class FloatScanner:
    """A `Scanner` that reads the rows themselves."""

    def __init__(self, rows: Rows, scratch: Scratch | None = None) -> None:
        """A scanner of `rows`.

        Args:
            rows: to be scanned.
            scratch: for their scores, to be shared with who scans in turn with this one.
        """
        self._rows = rows
        self._scratch = scratch or Scratch()

    @property
    def nbytes(self) -> int:
        """Bytes that scans keep for the next one."""
        return self._scratch.nbytes

    def written(self, slots: Slots) -> None:
        """Nothing to do: there is no copy of the rows."""

    def followed(self, removal: Removal) -> None:
        """Nothing to do: there is no copy of the rows."""

    def scan(self, queries: Vectors, k: int) -> tuple[Positions, Cosines]:
        """See `Scanner.scan`."""
        return scan(self._rows.vectors, queries, k, self._scratch)

    def among(self, slots: Slots) -> Scan:
        """See `Scanner.among`."""
        vectors = self._rows.gather(slots)

        def scan_them(queries: Vectors, k: int) -> tuple[Slots, Cosines]:
            positions, cosines = scan(vectors, queries, k, self._scratch)
            return slots[positions], cosines

        return scan_them


def query_parts(queries: int, at_once: int = _QUERIES_AT_ONCE) -> list[slice]:
    """Slices of the queries, for products that are quick."""
    return [slice(start, min(start + at_once, queries)) for start in range(0, queries, at_once)]


def select(score: Score, scores: Scores, k: int) -> tuple[Positions, Scores]:
    """The `k` largest of `n` scores for each of `b` queries, largest first: (b, k) each.

    Rows are dealt into groups of eight. At least k scores reach the k-th largest of the groups' maxima, so that maximum
    is a threshold below which nothing can be wanted, and few scores above it are left to sort. It is exact, and on
    100,000 rows several times quicker than a partition of all scores.

    Args:
        score: gives the scores.
        scores: (n, b), where they are written.
        k: 1 ≤ k ≤ n.
    """
    n, b = scores.shape
    size = _GROUP if n >= _MANY * k * _GROUP else _SMALL_GROUP
    maxima: Scores = np.empty((n // size, b), dtype=scores.dtype)
    groups = 0
    for start in range(0, n, _BLOCK):
        block = scores[start : start + _BLOCK]
        score(start, start + len(block), block)
        width = len(block) // size
        grouped = block[: width * size].reshape(size, width, b)
        grouped.max(axis=0, out=maxima[groups : groups + width])
        groups += width
    if groups < _MANY * k:
        return _partitioned(scores, k)
    by_query = np.ascontiguousarray(maxima[:groups].T)
    threshold = np.partition(by_query, groups - k, axis=1)[:, groups - k]
    row, query, value = _reaching(scores, by_query, threshold, size)
    order = np.argsort((query << 32) - _as_integers(value))  # by query, then largest first, in one quick sort
    first = np.searchsorted(query[order], np.arange(b))
    chosen = order[first[:, None] + np.arange(k)]
    return row[chosen], value[chosen]


def _reaching(scores: Scores, maxima: Scores, threshold: Scores, size: int) -> tuple[Positions, Positions, Scores]:
    """Row, query (int64) and value, (m,) each, of every score that reaches its query's threshold.

    Only the members of groups of `size` whose maximum reaches it are looked at, and the few rows that are in no group.
    """
    n, b = scores.shape
    hot_query, hot_group = np.divmod(np.flatnonzero(maxima >= threshold[:, None]), maxima.shape[1])
    block, place = np.divmod(hot_group, _BLOCK // size)  # only the last block may be shorter
    first = place + block * _BLOCK
    width = np.minimum(n - block * _BLOCK, _BLOCK) // size
    members = (first * b + hot_query)[:, None] + (width * b)[:, None] * np.arange(size)
    values = np.take(scores, members, mode="clip")
    reaching = np.flatnonzero(values >= threshold[hot_query, None])
    group, member = np.divmod(reaching, size)
    row, query, value = first[group] + width[group] * member, hot_query[group], values.reshape(-1)[reaching]
    loose = n - n % _BLOCK % size
    loose_row, loose_query = np.nonzero(scores[loose:] >= threshold)
    if not len(loose_row):
        return row, query, value
    return (
        np.concatenate([row, loose + loose_row]),
        np.concatenate([query, loose_query]),
        np.concatenate([value, scores[loose + loose_row, loose_query]]),
    )


def rescore(
    rows: npt.NDArray[np.floating], queries: Vectors, candidates: Positions, k: int
) -> tuple[Positions, Cosines]:
    """The `k` best of each query's candidates by the exact inner product.

    Args:
        rows: float32 or float16 (n, dim).
        queries: float32 (b, dim).
        candidates: int64 (b, m), m ≥ k, none twice in a row; −1 at the end of a row that has fewer.
        k: at least 1.
    """
    exact = np.full(candidates.shape, -2.0, dtype=np.float32)
    gathered = np.empty((candidates.shape[1], rows.shape[1]), dtype=rows.dtype)
    counts = (candidates >= 0).sum(axis=1).tolist()
    for query, chosen, count, out in zip(queries, candidates, counts, exact, strict=True):
        # One query at a time through one buffer: it stays in the cache, which is four times as fast as all at once.
        part = gathered[:count]
        rows.take(chosen[:count], 0, part, "clip")
        np.dot(part.astype(np.float32, copy=False), query, out[:count])
    order = in_rows(np.argsort(-exact, axis=1)[:, :k], candidates.shape[1])
    return np.take(candidates, order), np.take(exact, order)


def in_rows(places: Positions, width: int) -> Positions:
    """Places in the rows of a table of `width` columns as `np.take` wants them: a third of `take_along_axis`'s time."""
    return places + np.arange(0, width * len(places), width)[:, None]


def first_passing(
    positions: Positions, cosines: Cosines, passing: npt.NDArray[np.bool_], k: int
) -> tuple[Positions, Cosines]:
    """The first `k` of each row that pass, in their order; −1 and −2.0 fill up a row that has fewer.

    Args:
        positions: int64 (b, m), best first.
        cosines: float32 (b, m), beside them.
        passing: bool (b, m).
        k: 1 ≤ k ≤ m.
    """
    order = in_rows(np.argsort(~passing, axis=1, kind="stable")[:, :k], positions.shape[1])
    passed = np.take(passing, order)
    return (
        np.where(passed, np.take(positions, order), -1),
        np.where(passed, np.take(cosines, order), np.float32(-2.0)),
    )


def _as_integers(values: Scores) -> npt.NDArray[np.int64]:
    """Integers of 32 bits in the order of the values, float32 or int32."""
    bits = values.view(np.int32)
    if values.dtype == np.float32:  # the bits of a negative float count the other way
        bits = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    return bits.astype(np.int64)


def _partitioned(scores: Scores, k: int) -> tuple[Positions, Scores]:
    n = len(scores)
    by_query = np.ascontiguousarray(scores.T)
    rows = np.argpartition(by_query, n - k, axis=1)[:, n - k :]
    values = np.take(by_query, in_rows(rows, n))
    order = in_rows(np.argsort(-values, axis=1), k)
    return np.take(rows, order), np.take(values, order)
