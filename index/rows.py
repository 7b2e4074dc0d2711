"""The live rows of an index: ids and unit vectors in one dense array, holes filled from the end."""

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from index.base import Vectors

Slots = npt.NDArray[np.int64]
"""int64 (n,): positions in the dense array."""


class Removal(NamedTuple):
    """What `Rows.remove` did; whatever is kept beside the rows follows it: drop `gone`, then copy `source` to `hole`.

    Attributes:
        gone: slots of the removed ids, as they were before.
        source: slots above the new end whose rows moved …
        hole: … to these slots, one each.
    """

    gone: Slots
    source: Slots
    hole: Slots


class Rows:
    """Ids and their vectors, row `slot` of a dense (n, dim) array.

    Every slot below `len(rows)` is live, so that a scan needs no mask. Removing rows moves rows from the end into the
    holes.
    """

    def __init__(self, dim: int, *, dtype: npt.DTypeLike = np.float32) -> None:
        """An empty set of rows.

        Args:
            dim: length of a row.
            dtype: float32, or float16 for half the memory (cosines then err by up to 5e-4).
        """
        self._slots: dict[str, int] = {}
        self._ids = np.empty(0, dtype=object)
        # One row more than there are slots: row −1 stays zero and answers for unknown ids.
        self._vectors: npt.NDArray[np.floating] = np.zeros((1, dim), dtype=dtype)
        self._mapped = False

    @classmethod
    def restored(cls, ids: Sequence[str], vectors: npt.NDArray[np.floating]) -> "Rows":
        """Rows as they were saved.

        Args:
            ids: of all rows, in order.
            vectors: float32 or float16 (more than len(ids), dim), writable: the rows, then spare ones. It is used, not
                copied, until there are more rows than it holds.
        """
        rows = cls(vectors.shape[1], dtype=vectors.dtype)
        rows._slots = dict(zip(ids, range(len(ids)), strict=True))
        rows._ids = np.empty(len(vectors) - 1, dtype=object)
        rows._ids[: len(ids)] = ids
        rows._vectors = np.asarray(vectors)
        rows._vectors[-1] = 0
        rows._mapped = isinstance(vectors, np.memmap)
        return rows

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, item: object) -> bool:
        return item in self._slots

    @property
    def dim(self) -> int:
        """Length of a row."""
        return int(self._vectors.shape[1])

    @property
    def vectors(self) -> npt.NDArray[np.floating]:
        """The rows themselves, (n, dim), a view: valid until the next write."""
        return self._vectors[: len(self._slots)]

    @property
    def ids(self) -> npt.NDArray[np.object_]:
        """The id of every slot, a view: valid until the next write."""
        return self._ids[: len(self._slots)]

    @property
    def nbytes(self) -> int:
        """Bytes the vectors take, spare capacity included."""
        return self._vectors.nbytes

    @property
    def mapped(self) -> bool:
        """Whether the vectors are a file's, in the page cache, apart from the pages that were written to."""
        return self._mapped

    def own(self) -> None:
        """Copy mapped vectors into memory of this process, which a fork shares in large pages: see `index.pages`."""
        if self._mapped:
            self._vectors, self._mapped = self._vectors.copy(), False

    def slots_of(self, ids: Iterable[str]) -> Slots:
        """The slot of each id, −1 for one that is not live."""
        return np.fromiter(map(self._slots.get, ids, repeat(-1)), np.int64)

    def gather(self, slots: Slots) -> Vectors:
        """Copies of the rows at `slots`, float32 (len(slots), dim); slot −1 gives zeros."""
        return np.take(self._vectors, slots, axis=0).astype(np.float32, copy=False)

    def put(self, ids: Sequence[str], vectors: Vectors) -> Slots:
        """Add or overwrite rows; no id twice. Returns their slots."""
        first_new = len(self._slots)
        slots = np.array([self._slots.setdefault(one, len(self._slots)) for one in ids], dtype=np.int64)
        fresh = slots >= first_new
        self._reserve(len(self._slots))
        if fresh.any():
            self._ids[slots[fresh]] = np.array(ids, dtype=object)[fresh]
        self._vectors[slots] = vectors
        return slots

    def remove(self, ids: Iterable[str]) -> Removal:
        """Remove ids (unknown ones are ignored) and close the holes."""
        before = len(self._slots)
        popped = [self._slots.pop(one, -1) for one in ids]
        gone = np.array([slot for slot in popped if slot >= 0], dtype=np.int64)
        after = len(self._slots)
        hole = gone[gone < after]
        source = np.setdiff1d(np.arange(after, before, dtype=np.int64), gone, assume_unique=True)
        self._vectors[hole] = self._vectors[source]
        moved = self._ids[source]
        self._ids[hole] = moved
        self._ids[after:before] = None
        self._slots.update(zip(moved.tolist(), hole.tolist(), strict=True))
        return Removal(gone, source, hole)

    def _reserve(self, wanted: int) -> None:
        if wanted <= len(self._ids):
            return
        capacity = max(256, 2 * len(self._ids), wanted)
        held = len(self._ids)
        vectors = np.zeros((capacity + 1, self.dim), dtype=self._vectors.dtype)
        vectors[:held] = self._vectors[:held]
        ids = np.empty(capacity, dtype=object)
        ids[:held] = self._ids
        self._vectors, self._ids, self._mapped = vectors, ids, False
