"""One graph and its labels, following the rows: what serves, or what is being built to serve next."""

from typing import NamedTuple

import numpy as np

from index.base import Vectors
from index.graph import BREADTH, Graph, HnswParams
from index.labels import GraphLabels, Labels
from index.order import PIVOTS, Order
from index.projection import Projection
from index.rows import Rows, Slots
from index.scan import Cosines, first_passing

_SPARE = 1.5
_DEVIATIONS = 6.0  # of the number of tombstones among the neighbours, were they spread by chance; they are less even
_MORE = 3
_FEW = 32  # rows or queries, below which an order does not pay
_RUN = 1024  # rows that are put in order together, …
_RUN_SHARE = 8  # … at most one for so many nodes: a graph that grows cluster by cluster finds less


class Portion(NamedTuple):
    """Vectors on their way into a graph, under labels already given out for them."""

    graph: Graph
    vectors: Vectors
    labels: GraphLabels

    def insert(self) -> None:
        """Put them into the graph: the slow part, and the only one that may run in another thread."""
        self.graph.add(self.vectors, self.labels)


class Generation:
    """A graph with the labels that tie it to the rows.

    Rows without a label are not in the graph yet. Labels without a row are tombstones: the graph is not told, so that
    new nodes are linked at full speed (where hnswlib knows of deleted nodes, insertions among them cost twice as
    much), but searches fetch so many more, and what died is dropped here.
    """

    def __init__(self, graph: Graph, labels: Labels, projection: Projection | None) -> None:
        """A generation of parts that belong together."""
        self.graph = graph
        self.labels = labels
        self.projection = projection
        self._order: Order | None = None
        self._ordered = 0

    @classmethod
    def empty(cls, dim: int, params: HnswParams, projection: Projection | None, capacity: int = 1024) -> "Generation":
        """A generation without a row, for rows of length `dim`, with room for `capacity` of them and half more."""
        width, params = (projection.width, params.proposing) if projection else (dim, params)
        return cls(Graph(width, params, capacity=int(_SPARE * capacity)), Labels(), projection)

    @property
    def burden(self) -> float:
        """How many nodes there are for each live one, at least 1: by as much do searches take longer."""
        return self.labels.given / max(1, self.labels.live)

    def portion(self, rows: Rows, limit: int | None = None) -> Portion | None:
        """Give labels to at most `limit` rows that have none; None when every row has one."""
        slots = self.labels.missing(len(rows))[:limit]
        if not len(slots):
            return None
        vectors = rows.gather(slots)
        if len(slots) >= _FEW:
            turns = self._turns(self.order(rows), vectors)
            slots, vectors = slots[turns], vectors[turns]
        if self.projection is not None:
            vectors = self.projection.apply(vectors)
        return Portion(self.graph, vectors, self.labels.assign(slots))

    def order(self, rows: Rows) -> Order:
        """In which order to search for queries, or for the places of new vectors: see `index.order`.

        `rows`: those of the index, not empty.
        """
        if self._order is None or len(rows) >= 2 * self._ordered:
            self._ordered = len(rows)
            self._order = Order(rows.gather(np.linspace(0, len(rows) - 1, PIVOTS, dtype=np.int64)))
        return self._order

    def _turns(self, order: Order, vectors: Vectors) -> Slots:
        """The places of vectors in the order in which they are to be inserted: in order, run by run."""
        turns, start = [], 0
        while start < len(vectors):
            run = min(_RUN, max(1, (self.labels.given + start) // _RUN_SHARE))
            turns.append(start + order.of(vectors[start : start + run]))
            start += run
        return np.concatenate(turns)

    def nearest(self, queries: Vectors, k: int, breadth: float = BREADTH) -> tuple[Slots, Cosines]:
        """Slots and cosines of about the nearest rows that have a label: (b, k) each, k ≤ `labels.live`.

        What a query lacks of the k is slot −1, at the end of its row. With a projection the cosines are those of the
        projected vectors, good for choosing candidates only.

        Args:
            queries: float32 (b, dim), unit length.
            k: 1 ≤ k ≤ `labels.live`.
            breadth: see `Graph.nearest`; 1.0 is enough for whoever wants less than k of them.

        Raises:
            ShortAnswerError: the graph could not reach as many nodes as it was asked for.
        """
        if self.projection is not None:
            queries = self.projection.apply(queries)
        if not self.labels.dead:
            labels, cosines = self.graph.nearest(queries, k, breadth)
            return self.labels.slots(labels), cosines
        expected = k * self.labels.dead / self.labels.live
        fetched = k + int(expected + _DEVIATIONS * expected**0.5) + 1
        slots, cosines = self._living(queries, k, fetched, breadth)
        short = np.flatnonzero(slots[:, -1] < 0)
        if len(short):  # tombstones lie thick there
            slots[short], cosines[short] = self._living(queries[short], k, _MORE * fetched, breadth=1.0)
        return slots, cosines

    def _living(self, queries: Vectors, k: int, fetched: int, breadth: float) -> tuple[Slots, Cosines]:
        labels, cosines = self.graph.nearest(queries, min(fetched, self.labels.given), breadth)
        slots = self.labels.slots(labels)
        return first_passing(slots, cosines, slots >= 0, k)
