"""Approximate search in a graph that takes upserts and deletes all day."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from index.base import Vectors
from index.graph import Graph, HnswParams, ShortAnswerError
from index.inputs import checked_batch, checked_ids, checked_k, unit_rows
from index.labels import Labels
from index.rows import Rows, Slots
from index.scan import Cosines, scan

_MIN_TOMBSTONES = 64
_SPARE = 1.5


class HnswIndex:
    """A `VectorIndex` on hnswlib.

    The index keeps the vectors itself (the graph holds a copy); an upsert leaves a tombstone and a new label in the
    graph, and past `HnswParams.tombstone_share` the graph is rebuilt from the rows. It is not safe to use from two
    threads at a time.
    """

    def __init__(self, dim: int, params: HnswParams | None = None) -> None:
        """An empty index for vectors of length `dim`."""
        self._params = params or HnswParams()
        self._rows = Rows(dim)
        self._labels = Labels()
        self._graph = Graph(dim, self._params)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._rows.dim

    @property
    def params(self) -> HnswParams:
        """How the graph is built and searched."""
        return self._params

    @property
    def tombstones(self) -> int:
        """Dead nodes in the graph."""
        return self._labels.dead

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, item: object) -> bool:
        return item in self._rows

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add ids or replace their vectors: see `VectorIndex.upsert`."""
        slots = self._rows.put(*checked_batch(ids, vectors, self.dim))
        self._graph.forget(self._labels.drop(slots))
        self._compact_if_due()
        missing = self._labels.missing(len(self._rows))
        self._graph.add(self._rows.gather(missing), self._labels.assign(missing))

    def delete(self, ids: Iterable[str]) -> None:
        """Remove ids; unknown ones are ignored."""
        removal = self._rows.remove(checked_ids(ids))
        self._graph.forget(self._labels.follow(removal))
        self._compact_if_due()

    def search(self, queries: Vectors, k: int) -> tuple[list[list[str]], list[npt.NDArray[np.float32]]]:
        """About the `min(k, len(self))` nearest ids of each query with their cosines: see `VectorIndex.search`."""
        unit = unit_rows(queries, self.dim, "queries")
        k = min(checked_k(k), len(self))
        if k == 0 or not len(unit):
            return [[] for _ in unit], [np.empty(0, np.float32) for _ in unit]
        slots, cosines = self._nearest(unit, k)
        return self._rows.ids[slots].tolist(), list(cosines)

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Stored unit vectors, float32 (len(ids), dim); a row of zeros for an id that is not live."""
        return self._rows.gather(self._rows.slots_of(ids))

    def compact(self) -> None:
        """Rebuild the graph without its tombstones."""
        self._graph = Graph(self.dim, self._params, int(_SPARE * len(self._rows)))
        self._labels = Labels()
        everything = np.arange(len(self._rows), dtype=np.int64)
        self._graph.add(self._rows.gather(everything), self._labels.assign(everything))

    def _nearest(self, unit: Vectors, k: int) -> tuple[Slots, Cosines]:
        try:
            labels, cosines = self._graph.nearest(unit, k, self._labels.live)
        except ShortAnswerError:
            return scan(self._rows.vectors, unit, k)  # a graph cut in two by deletions: rare, and compaction ends it
        return self._labels.slots(labels), cosines

    def _compact_if_due(self) -> None:
        if self._labels.dead > max(_MIN_TOMBSTONES, self._params.tombstone_share * len(self._rows)):
            self.compact()
