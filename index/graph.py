"""hnswlib (here and in `frame`): a graph over private labels that grows by doubling and never gives a short answer.

HNSW: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small
World graphs", 2016 (arXiv:1603.09320).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import hnswlib
import numpy as np
import numpy.typing as npt

from index.base import Vectors
from index.frame import FillVectors, Frame, node_width, put_together, taken_apart
from index.labels import GraphLabels
from index.pages import Area, filling, large_pages

BREADTH = 1.3  # candidates kept for each neighbour wanted
_RETRY_EF = 4


class ShortAnswerError(Exception):
    """The graph could not reach as many items as were asked for."""


@dataclass(frozen=True)
class HnswParams:
    """How a graph is built, searched and cleaned. The defaults are measured on sentence embeddings, k = 100.

    Attributes:
        m: links of a node on the upper layers, twice as many on the lowest.
        ef_construction: how many candidates an insertion looks at.
        ef: how many candidates a search keeps; a search for k keeps at least 1.3 k (see `Graph.nearest`).
        tombstone_share: the graph is rebuilt once it holds more than this share of the live items in tombstones;
            sooner, once searches have lost as much time to them as a rebuild takes.
        threads: threads inside one call.
        seed: of the levels; with one thread the same insertions give the same graph.
    """

    m: int = 16
    ef_construction: int = 100
    ef: int = 130
    tombstone_share: float = 1.0
    threads: int = 1
    seed: int = 100

    @property
    def proposing(self) -> "HnswParams":
        """The same for a graph of projected vectors, which only proposes: more links, found in less time.

        On sentence embeddings it is built in three quarters of the time, and finds as much.
        """
        return replace(self, m=5 * self.m // 4, ef_construction=3 * self.ef_construction // 5)


class Graph:
    """An hnswlib graph of unit vectors. Not safe to use from two threads at a time."""

    def __init__(self, dim: int, params: HnswParams, *, capacity: int = 1024) -> None:
        """An empty graph.

        Args:
            dim: length of a vector.
            params: as above.
            capacity: for how many labels memory is set aside at first.
        """
        self._params = params
        self._made: Any = hnswlib.Index(space="ip", dim=dim)
        capacity = filling(max(1, capacity), self._node)
        with large_pages(capacity * self._node) as self._areas:
            self._made.init_index(
                max_elements=capacity,
                M=params.m,
                ef_construction=params.ef_construction,
                random_seed=params.seed,
            )
        self._saved: tuple[Frame, FillVectors] | None = None

    @classmethod
    def restored(cls, dim: int, params: HnswParams, frame: Frame, fill: FillVectors) -> "Graph":
        """A graph that was taken apart by `apart`, for the same `dim` and `params`; put together when it is needed.

        `fill` must give the vectors as they were, whenever that is.
        """
        graph = cls(dim, params, capacity=1)
        graph._saved = (frame, fill)
        return graph

    def warm(self) -> None:
        """Put a restored graph together, if that was not done: a tenth of a second for 100,000 vectors.

        It holds the interpreter for most of that.
        """
        if self._saved is not None:
            capacity = filling(len(self._saved[0].labels), self._node)
            with large_pages(capacity * self._node) as self._areas:
                self._made, self._saved = put_together(self._made, *self._saved, capacity), None

    def apart(self) -> tuple[Frame, Vectors]:
        """What to restore it from, and the vectors of its nodes, float32 (n, dim).

        It holds the interpreter, and as much memory again as the graph has.
        """
        return taken_apart(self._index)

    @property
    def nbytes(self) -> int:
        """Bytes that its nodes take, once they are put together."""
        return int(self._index.index_file_size())

    @property
    def areas(self) -> Sequence[Area]:
        """Where its nodes are in memory, or were, as far as that is large."""
        return self._areas

    @property
    def _node(self) -> int:
        """Bytes that a node takes, its links on upper layers apart."""
        return node_width(self._params.m, int(self._made.dim))

    @property
    def _index(self) -> Any:
        self.warm()
        return self._made

    def add(self, vectors: Vectors, labels: GraphLabels) -> None:
        """Insert unit vectors under labels never used before."""
        if not len(labels):  # hnswlib looks at the first row before it counts them
            return
        wanted = self._index.element_count + len(labels)
        if wanted > self._index.max_elements:
            capacity = filling(max(2 * self._index.max_elements, wanted), self._node)
            with large_pages(capacity * self._node) as more:
                self._index.resize_index(capacity)
            self._areas = [*self._areas, *more]  # it may have grown where it is
        self._index.add_items(vectors, labels, num_threads=self._params.threads)

    def nearest(
        self, queries: Vectors, k: int, breadth: float = BREADTH
    ) -> tuple[GraphLabels, npt.NDArray[np.float32]]:
        """About the `k` nearest labels of each query, best first, with their cosines, (b, k) each.

        Args:
            queries: float32 (b, dim), unit length.
            k: 1 ≤ k ≤ number of labels.
            breadth: candidates kept for each of the k, if that is more than `HnswParams.ef`.

        Raises:
            ShortAnswerError: some query reached fewer than k labels, with four times the candidates too.
        """
        ef = max(self._params.ef, int(breadth * k))
        for width in (ef, _RETRY_EF * ef):
            self._index.set_ef(width)
            try:
                labels, distances = self._index.knn_query(queries, k=k, num_threads=self._params.threads)
            except RuntimeError:  # hnswlib's only word for "fewer than k"; it names no type of its own
                continue
            return labels.astype(np.int64), np.float32(1.0) - distances
        raise ShortAnswerError(f"fewer than {k} of {self._index.element_count} labels can be reached")
