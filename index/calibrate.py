"""Measure on this machine up to how many rows a scan beats the graph."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from index.base import Vectors
from index.crossover import Crossover
from index.graph import Graph, HnswParams
from index.inputs import unit_rows
from index.quantized import Int8Scanner
from index.rows import Rows
from index.scan import Scanner

_BATCHES = (1, 8, 32, 128)
_DRAWN = 2048
_SCANNED = (2 * _DRAWN, 8 * _DRAWN)
_IN_GRAPH = 1000
_TIMES = 5
_GROWTH = 0.25  # a graph's query takes about 1.8 times as long when it has ten times the rows, caches included
_FEWEST, _MOST = 2_000, 500_000  # below, a graph is not worth its upkeep; above, nobody would wait for a scan


def calibrated(dim: int, params: HnswParams | None = None, k: int = 100) -> Crossover:
    """A crossover for this machine, in about a third of a second.

    A scan's time is a straight line in its rows, drawn through two measurements; a graph's is measured small and
    extrapolated. Times are this thread's own, which is right on a busy machine, unless the graph uses several. The
    vectors are a seeded mixture of clusters, turned for the scans until there are enough of them.

    Args:
        dim: length of a vector.
        params: of the graph.
        k: how many neighbours will be asked for.
    """
    vectors = _mixture(_DRAWN, dim)
    params = params or HnswParams()
    clock = time.thread_time if params.threads == 1 else time.perf_counter
    graph = Graph(dim, params, capacity=_IN_GRAPH)
    graph.add(vectors[:_IN_GRAPH], np.arange(_IN_GRAPH, dtype=np.int64))
    queries = vectors[-max(_BATCHES) :]
    walk = _quickest(lambda: graph.nearest(queries, min(k, _IN_GRAPH)), clock) / len(queries)
    many = np.concatenate([np.roll(vectors, turn, axis=1) for turn in range(_SCANNED[-1] // _DRAWN)])
    scanners = [_scanner(many[:size]) for size in _SCANNED]
    candidates = np.geomspace(_FEWEST, _MOST, 200)
    steps = []
    for batch in _BATCHES:
        part = queries[:batch]
        less, more = (_quickest(partial(exact.scan, part, k), clock) / batch for exact in scanners)
        a_row = max(0.0, more - less) / (_SCANNED[1] - _SCANNED[0])
        scan_times = less + a_row * (candidates - _SCANNED[0])
        graph_times = walk * (candidates / _IN_GRAPH) ** _GROWTH
        ahead = candidates[scan_times < graph_times]
        steps.append((batch, int(ahead.max(initial=_FEWEST))))
    return Crossover(tuple(steps))


def _scanner(vectors: Vectors) -> Scanner:
    rows = Rows(vectors.shape[1])
    rows.put([str(number) for number in range(len(vectors))], vectors)
    return Int8Scanner(rows)


def _quickest(call: Callable[[], object], clock: Callable[[], float]) -> float:
    best = float("inf")
    for _ in range(_TIMES):
        start = clock()
        call()
        best = min(best, clock() - start)
    return best


def _mixture(n: int, dim: int) -> Vectors:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((64, dim), dtype=np.float32)
    return unit_rows(centres[rng.integers(0, len(centres), n)] + rng.standard_normal((n, dim), dtype=np.float32), dim)
