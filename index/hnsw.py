"""Search in a graph that takes upserts and deletes all day, and in the rows themselves where that is quicker."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from index.attributes import Attributes, Filter, Values
from index.base import Vectors
from index.crossover import FLOAT32, INT8, Crossover
from index.filtered import Allowed
from index.generation import Generation, Portion
from index.graph import BREADTH, HnswParams, ShortAnswerError
from index.inputs import checked_batch, checked_ids, checked_k, unit_rows
from index.pages import area_of, collapse
from index.products import products
from index.projection import Projection
from index.quantized import Int8Scanner
from index.rows import Removal, Rows, Slots
from index.scan import Cosines, in_rows, rescore, scan

_MIN_TOMBSTONES = 64
_CROWDED = 4  # a scan answers too when k, or what the graph lacks, is more than 1/4 of the rows
_OVERFETCH, _EXTRA = 1.2, 10  # with a projection; at 5/12 of the dimensions recall is then that of the whole graph
_IN_ORDER = 16  # queries, from which on it pays to put them into an order
_ROWS_A_SEARCH = 2000  # that are looked at in the time that a graph takes for a query, or to take in a row
_FITTED = 20_000
_TOGETHER, _TOGETHER_SHARE, _A_FEW = 512, 64, 16  # rows that are taken into the graph at a time; by a search
_FILTERS_KEPT = 8  # between two writes


class HnswIndex:
    """A `VectorIndex` on hnswlib.

    The index keeps the vectors itself, in rows; the graph holds a copy. An upsert changes the row, leaves a tombstone
    in the graph and puts the new vector in under a new label. The graph is rebuilt from the rows when its tombstones
    have cost searches as much as a rebuild does, or are too many (`HnswParams.tombstone_share`). Rows that are not in
    the graph yet are found by looking at them, so a write is seen at once.

    `upsert`, `delete` and `search` are all that notebooks and replays need. Whoever must not wait for the graph takes
    the steps one by one (`write`, `absorb`, `start_rebuild`, …), as `LiveIndex` does. Not safe to use from two threads
    at a time.
    """

    def __init__(
        self,
        dim: int,
        params: HnswParams | None = None,
        *,
        crossover: Crossover | None = None,
        projection: Projection | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        """An empty index for vectors of length `dim`.

        Args:
            dim: length of a vector.
            params: of the graph.
            crossover: up to how many rows a scan answers; by default what was measured for this machine's scanner.
                A catalogue below its first step has no graph at all.
            projection: puts the graph into fewer dimensions; cosines still come from the full rows.
            dtype: of the rows, float32 or float16.
        """
        self._params = params or HnswParams()
        self._adopt(Rows(dim, dtype=dtype), Generation.empty(dim, self._params, projection), crossover)

    @classmethod
    def restored(
        cls,
        rows: Rows,
        generation: Generation,
        params: HnswParams,
        crossover: Crossover | None = None,
        attributes: Attributes | None = None,
    ) -> "HnswIndex":
        """An index over parts that were saved together."""
        index = cls.__new__(cls)
        index._params = params
        index._adopt(rows, generation, crossover, attributes)
        return index

    def _adopt(
        self, rows: Rows, generation: Generation, crossover: Crossover | None, attributes: Attributes | None = None
    ) -> None:
        self._rows = rows
        self._scanner = Int8Scanner(rows)
        if crossover is None:
            crossover = FLOAT32 if products(rows.dim) is None else INT8
        self._crossover = crossover
        self._serving = generation
        self._next: Generation | None = None
        self._overlay: tuple[Slots, Vectors] | None = None
        self._waiting = False  # rows for others to be taken into the graph with
        self._lost = 0.0  # to tombstones, in searches' worth of time; a rebuild takes about one a row
        self._attributes = attributes or Attributes()
        self._allowed: dict[Filter, Allowed] = {}

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._rows.dim

    @property
    def params(self) -> HnswParams:
        """How the graph is built and searched."""
        return self._params

    @property
    def rows(self) -> Rows:
        """The rows, to look at."""
        return self._rows

    @property
    def generation(self) -> Generation:
        """The graph that serves and its labels, to look at."""
        return self._serving

    @property
    def attributes(self) -> Attributes:
        """The attributes of the rows, to look at."""
        return self._attributes

    @property
    def tombstones(self) -> int:
        """Dead nodes in the graph."""
        return self._serving.labels.dead

    @property
    def nbytes(self) -> int:
        """Bytes of rows, codes and graph; rows that are a file's (`Rows.mapped`) count too."""
        return self._rows.nbytes + self._scanner.nbytes + self._serving.graph.nbytes

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, item: object) -> bool:
        return item in self._rows

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add ids or replace their vectors: see `VectorIndex.upsert`.

        Some hundred rows get into the graph in less time together than one by one, so they may wait for one another,
        or for the next searches; those find them all the same.
        """
        self.write(ids, vectors)
        self._catch_up()

    def delete(self, ids: Iterable[str]) -> None:
        """Remove ids; unknown ones are ignored."""
        self.remove(ids)
        if self.rebuild_due:
            self._catch_up()

    def describe(self, ids: Sequence[str], attributes: Sequence[Mapping[str, Values]]) -> None:
        """Replace all attributes of live ids; others are ignored. An upsert of an id keeps them, a delete forgets them.

        Raises:
            IndexInputError: as many attribute records as there are not ids, or a value of another type.
        """
        self._attributes.put(self._rows.slots_of(checked_ids(ids)), attributes)
        self._allowed.clear()

    def search(
        self, queries: Vectors, k: int, where: Filter | None = None
    ) -> tuple[list[list[str]], list[npt.NDArray[np.float32]]]:
        """About the nearest ids of each query with their cosines: see `VectorIndex.search`.

        Args:
            queries: float32 (n, dim), finite and not zero.
            k: how many, at least 1; all of them when there are fewer.
            where: which items count.
        """
        unit = unit_rows(queries, self.dim, "queries")
        if self._waiting:
            self.absorb(_A_FEW)
            self._waiting = self.pending > 0
        allowed = None if where is None else self._allow(where)
        k = min(checked_k(k), len(self) if allowed is None else len(allowed))
        if k == 0 or not len(unit):
            return [[] for _ in unit], [np.empty(0, np.float32) for _ in unit]
        slots, cosines = self._nearest(unit, k) if allowed is None else allowed.search(unit, k, self._more)
        return self._rows.ids[slots].tolist(), list(cosines)

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Stored unit vectors, float32 (len(ids), dim); a row of zeros for an id that is not live."""
        return self._rows.gather(self._rows.slots_of(ids))

    def fitted_projection(self, width: int) -> Projection:
        """The projection to `width` dimensions that suits the rows there are: see `Projection.fit`.

        It is fitted to 20,000 of them at most, evenly spaced.
        """
        step = max(1, len(self._rows) // _FITTED)
        return Projection.fit(self._rows.vectors[::step].astype(np.float32, copy=False), width)

    def compact(self, projection: Projection | None = None) -> None:
        """Rebuild the graph without its tombstones, in the dimensions of `projection` if that is given."""
        self.start_rebuild(projection)
        while (portion := self.rebuild_portion()) is not None:
            portion.insert()
        self.finish_rebuild()

    def warm(self) -> None:
        """Get ready for the first search or write after `index.snapshot.load`, which would do it: see `Graph.warm`."""
        if self._wants_graph:
            self._serving.graph.warm()

    def shorten_forks(self) -> None:
        """Put rows and graph into large pages: see `index.pages`. Any thread may call it at any time."""
        collapse([area_of(self._rows.vectors), *self._serving.graph.areas])

    # Step by step: what the methods above are made of.

    def write(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Upsert into the rows only: searches see it at once, `absorb` brings it into the graph."""
        slots = self._rows.put(*checked_batch(ids, vectors, self.dim))
        self._scanner.written(slots)
        for generation in self._generations():
            generation.labels.drop(slots)
        self._overlay = None
        self._allowed.clear()

    def remove(self, ids: Iterable[str]) -> None:
        """Delete from the rows and hide from the graph; no rebuild."""
        removal: Removal = self._rows.remove(checked_ids(ids))
        self._scanner.followed(removal)
        for generation in self._generations():
            generation.labels.follow(removal)
        self._attributes.followed(removal)
        self._overlay = None
        self._allowed.clear()

    @property
    def pending(self) -> int:
        """How many rows the graph should have and has not."""
        return len(self._rows) - self._serving.labels.live if self._wants_graph else 0

    def absorb(self, limit: int | None = None) -> None:
        """Bring at most `limit` pending rows into the graph."""
        if not self._wants_graph:
            return
        slots, vectors = self._pending_rows()
        portion = self._serving.portion(self._rows, limit)
        if portion is not None:
            portion.insert()
            taken = len(portion.labels)
            self._overlay = (slots[taken:], vectors[taken:])

    @property
    def rebuild_due(self) -> bool:
        """Whether the graph's tombstones are too many or have cost too much, and no rebuild has started."""
        dead, n = self._serving.labels.dead, len(self._rows)
        allowed = max(_MIN_TOMBSTONES, self._params.tombstone_share * n)
        return self._next is None and dead > 0 and (dead > allowed or self._lost > max(_MIN_TOMBSTONES, n))

    def start_rebuild(self, projection: Projection | None = None) -> None:
        """Begin a new graph beside the one that serves."""
        kept = projection or self._serving.projection
        self._next = Generation.empty(self.dim, self._params, kept, len(self._rows))

    def rebuild_portion(self, limit: int | None = None) -> Portion | None:
        """The next rows for the new graph; whoever gets them inserts them, in any one thread. None at the end."""
        if self._next is None or not self._wants_graph:
            return None
        return self._next.portion(self._rows, limit)

    def finish_rebuild(self) -> None:
        """Serve from the new graph; every portion was inserted. Later writes are pending."""
        if self._next is not None:
            self._serving, self._next, self._overlay = self._next, None, None
            self._lost = 0.0

    def abandon_rebuild(self) -> None:
        """Forget the new graph."""
        self._next = None

    @property
    def _wants_graph(self) -> bool:
        return len(self._rows) > self._crossover.rows(1)

    def _generations(self) -> list[Generation]:
        return [self._serving] if self._next is None else [self._serving, self._next]

    def _catch_up(self) -> None:
        if self.rebuild_due:
            self.compact()
        elif self.pending >= min(_TOGETHER, len(self) // _TOGETHER_SHARE):
            self.absorb()
        self._waiting = self.pending > 0

    def _allow(self, where: Filter) -> Allowed:
        allowed = self._allowed.get(where)
        if allowed is None:
            if len(self._allowed) == _FILTERS_KEPT:
                self._allowed.clear()
            allowed = Allowed(self._scanner, self._attributes.mask(where, len(self._rows), self._rows.slots_of))
            self._allowed[where] = allowed
        return allowed

    def _pending_rows(self) -> tuple[Slots, Vectors]:
        if self._overlay is None:
            slots = self._serving.labels.missing(len(self._rows))
            self._overlay = (slots, self._rows.gather(slots))
        return self._overlay

    def _more(self, unit: Vectors, k: int) -> tuple[Slots, Cosines]:
        """The `k` nearest, for whoever will pass over some of them."""
        return self._nearest(unit, k, breadth=1.0)

    def _nearest(self, unit: Vectors, k: int, breadth: float = BREADTH) -> tuple[Slots, Cosines]:
        n, live, burden = len(self._rows), self._serving.labels.live, self._serving.burden
        crowded = _CROWDED * max(k * burden, n - live) > n
        if crowded or n <= self._crossover.rows(len(unit)):
            return self._scanner.scan(unit, k)
        try:
            slots, cosines = self._from_graph(unit, min(k, live), breadth)
        except ShortAnswerError:
            return self._scanner.scan(unit, k)  # a graph of few links can fall apart
        short = np.flatnonzero(slots[:, -1] < 0)
        if live < n:
            pending, vectors = self._pending_rows()
            found, closeness = scan(vectors, unit, min(k, len(pending)))
            slots, cosines = _merged(np.hstack([slots, pending[found]]), np.hstack([cosines, closeness]), k)
        if len(short):  # nearly all that was near them has died
            slots[short], cosines[short] = self._scanner.scan(unit[short], k)
        self._lost += len(unit) * (burden - 1.0) + len(short) * n / _ROWS_A_SEARCH
        return slots, cosines

    def _from_graph(self, unit: Vectors, k: int, breadth: float) -> tuple[Slots, Cosines]:
        if len(unit) < _IN_ORDER:
            return self._walked(unit, k, breadth)
        order = self._serving.order(self._rows).of(unit)
        slots, cosines = self._walked(unit[order], k, breadth)
        back = np.argsort(order)
        return slots[back], cosines[back]

    def _walked(self, unit: Vectors, k: int, breadth: float) -> tuple[Slots, Cosines]:
        if self._serving.projection is None:
            return self._serving.nearest(unit, k, breadth)
        fetched = min(int(_OVERFETCH * k) + _EXTRA, self._serving.labels.live)
        candidates, _ = self._serving.nearest(unit, fetched, breadth=1.0)
        return rescore(self._rows.vectors, unit, candidates, k)


def _merged(slots: Slots, cosines: Cosines, k: int) -> tuple[Slots, Cosines]:
    order = in_rows(np.argsort(-cosines, axis=1)[:, :k], cosines.shape[1])
    return np.take(slots, order), np.take(cosines, order)
