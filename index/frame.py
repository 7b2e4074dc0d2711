"""A graph on disk: its links and labels, without the vectors, which the rows beside it have already.

Half the bytes of hnswlib's own file, and so half the time that their digests take; hnswlib also takes the state of a
graph from arrays (what it is pickled by) in half the time that it takes to read its file.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import hnswlib
import numpy as np
import numpy.typing as npt

from index.base import Vectors

Bytes = npt.NDArray[np.uint8]

FillVectors = Callable[[Vectors, int], None]
"""Writes vectors into an array, float32 (n, dim): those of n nodes from the one of that number on."""

_NODES_AT_ONCE = 4096
_LABEL = 8  # bytes
_COUNT = 4  # bytes that tell how many links follow; a link takes as many


class Frame(NamedTuple):
    """A graph over n nodes, without their vectors.

    Attributes:
        links: uint8 (n, 4 + 8 m), how many links a node has on the lowest layer, then the links.
        labels: uint64 (n,), of the nodes.
        levels: int32 (n,), on how many layers above the lowest a node is.
        upper: uint8 (bytes,), the links on those layers, node after node.
        top: the highest layer, −1 without a node.
        entry: the node at which every search begins.
    """

    links: Bytes
    labels: npt.NDArray[np.uint64]
    levels: npt.NDArray[np.int32]
    upper: Bytes
    top: int
    entry: int


def links_width(m: int) -> int:
    """Bytes of a node's links on the lowest layer, where it has twice as many as on the others."""
    return _COUNT + 2 * m * _COUNT


def node_width(m: int, dim: int) -> int:
    """Bytes of a node on the lowest layer: its links, its vector and its label."""
    return links_width(m) + 4 * dim + _LABEL


def taken_apart(graph: Any) -> tuple[Frame, Vectors]:
    """The frame of an `hnswlib.Index`, and the vectors of its nodes, float32 (n, dim).

    It takes as much memory again as the graph, and holds the interpreter while it is copied.
    """
    (state,) = graph.__getstate__()
    n, at, end = state["cur_element_count"], state["offset_data"], state["label_offset"]
    nodes = state["data_level0"].view(np.uint8).reshape(n, state["size_data_per_element"])
    frame = Frame(
        np.ascontiguousarray(nodes[:, :at]),
        nodes[:, end:].copy().view(np.uint64).reshape(n),
        state["element_levels"][:n],
        state["link_lists"].view(np.uint8),
        int(np.int32(state["max_level"])),
        int(np.uint32(state["enterpoint_node"])),
    )
    return frame, nodes[:, at:end].view(np.float32)


def put_together(empty: Any, frame: Frame, fill: FillVectors, capacity: int) -> Any:
    """The `hnswlib.Index` that was taken apart.

    Args:
        empty: an index without a node, with the parameters of the graph; it is left as it is.
        frame: what was taken apart.
        fill: gives the vectors.
        capacity: for how many nodes it is to have room, at least as many as there are.
    """
    (state,) = empty.__getstate__()
    n, at, end = len(frame.labels), state["offset_data"], state["label_offset"]
    if not n:
        return empty
    nodes = np.empty((n, state["size_data_per_element"]), dtype=np.uint8)
    nodes[:, :at] = frame.links
    nodes[:, end:] = frame.labels[:, None].view(np.uint8)
    for start in range(0, n, _NODES_AT_ONCE):
        fill(nodes[start : start + _NODES_AT_ONCE, at:end].view(np.float32), start)
    state |= {
        "ep_added": True,  # it has an entry point
        "max_elements": capacity,
        "cur_element_count": n,
        "max_level": frame.top,
        "enterpoint_node": frame.entry,
        "label_lookup_external": frame.labels,
        "label_lookup_internal": np.arange(n, dtype=np.uint32),
        "element_levels": frame.levels,
        "data_level0": nodes.view(np.int8).reshape(-1),
        "link_lists": frame.upper.view(np.int8),
    }
    graph = hnswlib.Index.__new__(hnswlib.Index)
    graph.__setstate__((state,))
    return graph
