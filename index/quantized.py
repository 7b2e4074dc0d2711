"""An 8-bit shadow of the rows: a quarter of the bytes to read, and whole numbers that processors multiply fast.

The shadow only proposes candidates; their cosines come from the rows themselves. Where there are no such products
(`index.products`), or few rows, the float32 scan is the best one.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from index.base import Vectors
from index.products import ZERO, Codes, Dots, Products, products
from index.rows import Removal, Rows, Slots
from index.scan import Cosines, FloatScanner, Positions, Scan, Scores, Scratch, query_parts, rescore, select

_HEADROOM = 1.25
_OVERFETCH, _EXTRA, _RETRY = 1.25, 32, 4
_SIGMAS = 6.0
_QUANTIZE_AT_ONCE = 4096
_MANY_AT_ONCE, _AT_ONCE = 128, 64  # queries; the many where their scores can be kept
_FEW = 2000  # rows, below which a float32 scan takes no longer, …
_ALONE = 4  # … and so many times as many for one query, for which products take as long as for sixteen


class Int8Scanner:
    """8-bit copies of the rows, made when a scan first wants them and kept in step from then on.

    All rows share one scale, so that whole numbers compare as cosines do; a query has its own, since a factor does not
    change its order. A row with a larger entry than any before has all rows quantized anew, with headroom.
    """

    def __init__(self, rows: Rows, find: Callable[[int], Products | None] = products, *, few: int = _FEW) -> None:
        """A shadow of `rows` as they are.

        Args:
            rows: what to shadow.
            find: gives the products for a dimension, if there are any; it is asked when a scan first wants them.
            few: so many rows, or fewer, are scanned as they are; four times as many for one query.
        """
        self._rows = rows
        self._find = find
        self._few = few
        self._scratch = Scratch()
        self._plain = FloatScanner(rows, self._scratch)
        self._codes: Codes | None = None
        self._limit = 0.0

    @property
    def nbytes(self) -> int:
        """Bytes the codes take, spare capacity included, and what scans keep for the next one."""
        return self._scratch.nbytes + (0 if self._codes is None else self._codes.nbytes)

    def written(self, slots: Slots) -> None:
        """The rows at `slots` have new vectors."""
        if self._codes is not None:
            self._codes = self._quantized(self._codes, slots)

    def followed(self, removal: Removal) -> None:
        """The rows moved as `removal` says."""
        if self._codes is not None:
            self._codes[removal.hole] = self._codes[removal.source]

    def scan(self, queries: Vectors, k: int) -> tuple[Positions, Cosines]:
        """See `Scanner.scan`: some more are proposed by their codes, k of them chosen by their vectors."""
        multiply = self._products(len(self._rows) // (_ALONE if len(queries) == 1 else 1))
        if multiply is None:
            return self._plain.scan(queries, k)
        return self._best(multiply, self._ready()[: len(self._rows)], None, queries, k)

    def among(self, slots: Slots) -> Scan:
        """See `Scanner.among`."""
        multiply = self._products(len(slots))
        if multiply is None:
            return self._plain.among(slots)
        codes = self._ready().take(slots, 0)  # indexing takes half as long again
        return partial(self._best, multiply, codes, slots)

    def _products(self, rows: int) -> Products | None:
        return None if rows <= self._few else self._find(self._rows.dim)

    def _ready(self) -> Codes:
        if self._codes is None:
            nothing = np.empty((0, self._rows.dim), dtype=np.uint8)
            self._codes = self._quantized(nothing, np.arange(len(self._rows), dtype=np.int64))
        return self._codes

    def _quantized(self, codes: Codes, slots: Slots) -> Codes:
        """The codes, or a longer copy of them, with those of `slots` made anew."""
        if len(codes) < len(self._rows):
            longer = np.zeros((max(256, 2 * len(codes), len(self._rows)), self._rows.dim), dtype=np.uint8)
            longer[: len(codes)] = codes
            codes = longer
        largest = max((float(np.abs(vectors).max()) for _, vectors in self._parts(slots)), default=0.0)
        if largest > self._limit:
            self._limit = _HEADROOM * largest
            slots = np.arange(len(self._rows), dtype=np.int64)
        for part, vectors in self._parts(slots):
            codes[part] = np.rint(vectors * np.float32(127.0 / self._limit)) + np.float32(ZERO)
        return codes

    def _best(
        self, multiply: Products, codes: Codes, slots: Slots | None, queries: Vectors, k: int, more: int = 1
    ) -> tuple[Slots, Cosines]:
        """The `k` best of the rows that have these codes: all of them, in order, or those at `slots`.

        Queries for which rounding can hide more rows than are proposed are asked once more, for `more` times as many.
        """
        n = len(codes)
        wanted = min(n, more * (int(_OVERFETCH * k) + _EXTRA))
        found = np.empty((len(queries), k), dtype=np.int64)
        cosines = np.empty((len(queries), k), dtype=np.float32)
        crowded = np.zeros(len(queries), dtype=bool)
        at_once = _MANY_AT_ONCE if self._scratch.holds(n, _MANY_AT_ONCE) else _AT_ONCE
        for part in query_parts(len(queries), at_once):
            largest = np.abs(queries[part]).max(axis=1, keepdims=True)
            dots = multiply(np.rint(queries[part] * (127.0 / largest)).astype(np.int8))

            def score(start: int, stop: int, out: Scores, dots: Dots = dots) -> None:
                dots(codes[start:stop], out)

            candidates, scores = select(score, self._scratch.scores(n, len(largest), np.int32), wanted)
            if slots is not None:
                candidates = slots[candidates]
            # Rounding errs by a 12th of a squared step in each square; a row this far below the k-th is not among k.
            steps = np.hypot(self._limit, largest) / 127.0
            margin = _SIGMAS * steps / np.sqrt(12.0) / (self._limit * largest / 127.0**2)
            far = scores < scores[:, k - 1, None] - margin
            candidates[far] = -1
            crowded[part] = ~far[:, -1] & (wanted < n)
            found[part], cosines[part] = rescore(self._rows.vectors, queries[part], candidates, k)
        if more == 1 and crowded.any():
            found[crowded], cosines[crowded] = self._best(multiply, codes, slots, queries[crowded], k, _RETRY)
        return found, cosines

    def _parts(self, slots: Slots) -> Iterator[tuple[Slots, Vectors]]:
        for start in range(0, len(slots), _QUANTIZE_AT_ONCE):
            part = slots[start : start + _QUANTIZE_AT_ONCE]
            yield part, self._rows.gather(part)
