"""What goes into a BERT's linear layers when it reads a shop's texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from encoders.batching import pad, plan
from encoders.card import Pooling
from encoders.export import Floats, assemble, token_ids
from encoders.graph import Graph
from encoders.runtime import open_session
from encoders.weights import Array, Bert, Linear

_SAMPLE = 2048
"""Rows that are kept of a site, about."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The inputs of one site: the linear layers that share an input."""

    low: Array
    """Least value of each channel, (in,)."""
    high: Array
    """Greatest value of each channel, (in,)."""
    rows: Array
    """A sample of inputs, (n, in)."""

    @property
    def reach(self) -> Array:
        """Greatest magnitude of each channel, (in,)."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def without(self, channels: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> "Observed":
        """The same with some channels always zero."""
        keep = np.ones(len(self.low), np.float32)
        keep[channels] = 0
        return Observed(self.low * keep, self.high * keep, self.rows * keep)


def observe(bert: Bert, pooling: Pooling, ids: Sequence[Sequence[int]]) -> dict[str, Observed]:
    """Run the float32 graph over token ids and watch every site, padding left out."""
    graph, taps = Graph(), _Taps()
    words = graph.node("Gather", graph.constant("words", bert.words), token_ids(graph))
    assemble(graph, bert, words, taps, np.float32, pooling)
    names = list(taps.inputs.values())
    session = open_session(graph.finish(bert.width, outputs=("embedding", *names)))
    seen: dict[str, list[Observed]] = {site: [] for site in taps.inputs}
    every = max(1, sum(map(len, ids)) // _SAMPLE)
    for batch in plan([len(row) for row in ids], limit=len(bert.positions)):
        padded, mask = pad([ids[row] for row in batch.rows], batch.tokens)
        values = session.run(names, {"input_ids": padded, "attention_mask": mask})
        for site, value in zip(taps.inputs, values, strict=True):
            rows = value[mask.T.ravel().astype(bool)]
            seen[site].append(Observed(rows.min(axis=0), rows.max(axis=0), rows[::every]))
    return {site: _merge(parts) for site, parts in seen.items()}


def _merge(parts: Sequence[Observed]) -> Observed:
    return Observed(
        low=np.min([part.low for part in parts], axis=0),
        high=np.max([part.high for part in parts], axis=0),
        rows=np.concatenate([part.rows for part in parts]),
    )


class _Taps(Floats):
    """Linear layers in float32 that note the name of every input."""

    def __init__(self) -> None:
        super().__init__(np.float32)
        self.inputs: dict[str, str] = {}

    def __call__(self, graph: Graph, x: str, layers: Sequence[Linear], site: str) -> list[str]:
        self.inputs[site] = x
        return super().__call__(graph, x, layers, site)
