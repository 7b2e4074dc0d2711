"""Every vector compared with every query: the oracle, and the quickest index for a small catalogue."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from index.base import Vectors
from index.inputs import checked_batch, checked_ids, checked_k, unit_rows
from index.quantized import scanner
from index.rows import Rows


class ExactIndex:
    """A `VectorIndex` that looks at every row: float32 rows, scanned by matrix products.

    Upserts and deletes cost about a microsecond an item. It is not safe to write from one thread while another reads.
    """

    def __init__(self, dim: int) -> None:
        """An empty index for vectors of length `dim`."""
        self._rows = Rows(dim)
        self._scanner = scanner(self._rows)

    @classmethod
    def restored(cls, rows: Rows) -> "ExactIndex":
        """An index over rows that were saved."""
        index = cls(rows.dim)
        index._rows = rows
        index._scanner = scanner(rows)
        return index

    @property
    def rows(self) -> Rows:
        """The rows, to look at."""
        return self._rows

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._rows.dim

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, item: object) -> bool:
        return item in self._rows

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add ids or replace their vectors: see `VectorIndex.upsert`."""
        self._scanner.written(self._rows.put(*checked_batch(ids, vectors, self.dim)))

    def delete(self, ids: Iterable[str]) -> None:
        """Remove ids; unknown ones are ignored."""
        self._scanner.followed(self._rows.remove(checked_ids(ids)))

    def search(self, queries: Vectors, k: int) -> tuple[list[list[str]], list[npt.NDArray[np.float32]]]:
        """The `min(k, len(self))` nearest ids of each query with their cosines: see `VectorIndex.search`."""
        unit = unit_rows(queries, self.dim, "queries")
        k = min(checked_k(k), len(self))
        if k == 0:
            return [[] for _ in unit], [np.empty(0, np.float32) for _ in unit]
        slots, cosines = self._scanner.scan(unit, k)
        return self._rows.ids[slots].tolist(), list(cosines)

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Stored unit vectors, float32 (len(ids), dim); a row of zeros for an id that is not live."""
        return self._rows.gather(self._rows.slots_of(ids))
