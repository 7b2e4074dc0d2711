"""One graph and its labels, following the rows: what serves, or what is being built to serve next."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from index.base import Vectors
from index.graph import Graph, HnswParams
from index.labels import GraphLabels, Labels
from index.projection import Projection
from index.rows import Removal, Rows, Slots

_SPARE = 1.5


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

    Rows without a label are not in the graph yet. While a portion may still be on its way into the graph
    (`serving=False`), rows that change leave their tombstones to `settle`.
    """

    def __init__(self, graph: Graph, labels: Labels, projection: Projection | None, *, serving: bool) -> None:
        """A generation of parts that belong together; `serving` says that the graph knows its tombstones."""
        self.graph = graph
        self.labels = labels
        self.projection = projection
        self.serving = serving

    @classmethod
    def empty(cls, dim: int, params: HnswParams, projection: Projection | None, capacity: int = 1024) -> "Generation":
        """A generation without a row, for rows of length `dim`, with room for `capacity` of them and half more."""
        width = projection.width if projection else dim
        return cls(Graph(width, params, capacity=int(_SPARE * capacity)), Labels(), projection, serving=False)

    def portion(self, rows: Rows, limit: int | None = None) -> Portion | None:
        """Give labels to at most `limit` rows that have none; None when every row has one."""
        slots = self.labels.missing(len(rows))[:limit]
        if not len(slots):
            return None
        vectors = rows.gather(slots)
        if self.projection is not None:
            vectors = self.projection.apply(vectors)
        return Portion(self.graph, vectors, self.labels.assign(slots))

    def dropped(self, slots: Slots) -> None:
        """The rows at `slots` got other vectors."""
        self._bury(self.labels.drop(slots))

    def followed(self, removal: Removal) -> None:
        """The rows moved as `removal` says."""
        self._bury(self.labels.follow(removal))

    def settle(self) -> None:
        """No portion is on its way any more: mark what died meanwhile, and serve."""
        if not self.serving:
            self.serving = True
            self.graph.forget(self.labels.tombstones())

    def nearest(self, queries: Vectors, k: int) -> tuple[Slots, npt.NDArray[np.float32]]:
        """Slots and cosines of about the `k` nearest rows that have a label; k ≤ `labels.live`.

        With a projection the cosines are those of the projected vectors, good for choosing candidates only.

        Raises:
            ShortAnswerError: the graph could not reach k of them.
        """
        if self.projection is None:
            labels, cosines = self.graph.nearest(queries, k, self.labels.live)
        else:  # twice as many as wanted are fetched, which is breadth enough
            labels, cosines = self.graph.nearest(self.projection.apply(queries), k, self.labels.live, breadth=1.0)
        return self.labels.slots(labels), cosines

    def _bury(self, labels: GraphLabels) -> None:
        if self.serving:
            self.graph.forget(labels)
