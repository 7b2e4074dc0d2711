"""Every vector compared with every query: the oracle, and the quickest index for a small catalogue."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from index.attributes import Attributes, Filter, Values
from index.base import Vectors
from index.filtered import Allowed
from index.inputs import checked_batch, checked_ids, checked_k, unit_rows
from index.quantized import Int8Scanner
from index.rows import Rows


class ExactIndex:
    """A `VectorIndex` that looks at every row: float32 rows, scanned by matrix products.

    Upserts and deletes cost about a microsecond an item. It is not safe to write from one thread while another reads.
    """

    def __init__(self, dim: int) -> None:
        """An empty index for vectors of length `dim`."""
        self._adopt(Rows(dim), Attributes())

    @classmethod
    def restored(cls, rows: Rows, attributes: Attributes) -> "ExactIndex":
        """An index over rows, and attributes of them, that were saved."""
        index = cls.__new__(cls)
        index._adopt(rows, attributes)
        return index

    def _adopt(self, rows: Rows, attributes: Attributes) -> None:
        self._rows = rows
        self._scanner = Int8Scanner(rows)
        self._attributes = attributes

    @property
    def attributes(self) -> Attributes:
        """The attributes of the rows, to look at."""
        return self._attributes

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
        removal = self._rows.remove(checked_ids(ids))
        self._scanner.followed(removal)
        self._attributes.followed(removal)

    def describe(self, ids: Sequence[str], attributes: Sequence[Mapping[str, Values]]) -> None:
        """Replace all attributes of live ids: see `HnswIndex.describe`."""
        self._attributes.put(self._rows.slots_of(checked_ids(ids)), attributes)

    def search(
        self, queries: Vectors, k: int, where: Filter | None = None
    ) -> tuple[list[list[str]], list[npt.NDArray[np.float32]]]:
        """The nearest ids of each query that pass `where`, with their cosines: see `HnswIndex.search`."""
        unit = unit_rows(queries, self.dim, "queries")
        allowed = None
        if where is not None:
            allowed = Allowed(self._scanner, self._attributes.mask(where, len(self), self._rows.slots_of))
        k = min(checked_k(k), len(self) if allowed is None else len(allowed))
        if k == 0 or not len(unit):
            return [[] for _ in unit], [np.empty(0, np.float32) for _ in unit]
        scan = self._scanner.scan
        slots, cosines = scan(unit, k) if allowed is None else allowed.search(unit, k, scan)
        return self._rows.ids[slots].tolist(), list(cosines)

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Stored unit vectors, float32 (len(ids), dim); a row of zeros for an id that is not live."""
        return self._rows.gather(self._rows.slots_of(ids))
