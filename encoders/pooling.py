"""From one vector per token to one unit vector per text, inside the graph."""

import numpy as np

from encoders.bridge import Bridge
from encoders.card import Pooling
from encoders.graph import Graph


def pool(graph: Graph, hidden: str, mask: str, pooling: Pooling, bridge: Bridge | None = None) -> None:
    """Add pooling and L2 normalising; the graph then has an output `embedding`.

    Args:
        graph: the graph to extend.
        hidden: float32 (batch, tokens, dim).
        mask: float32 (batch, tokens), 1 for a token and 0 for padding.
        pooling: as the card says.
        bridge: what brings two languages together.
    """
    if pooling is Pooling.MEAN:
        # A sum will do: normalising cancels the division by the number of tokens.
        summed = graph.node("MatMul", graph.node("Unsqueeze", mask, graph.ints(1)), hidden)
        pooled = graph.node("Squeeze", summed, graph.ints(1))
    else:
        pooled = graph.node("Gather", hidden, graph.constant("first", np.array(0, np.int64)), axis=1)
    if bridge is not None:
        pooled = _bridged(graph, graph.node("LpNormalization", pooled, axis=-1, p=2), mask, bridge)
    graph.node("LpNormalization", pooled, output="embedding", axis=-1, p=2)


def _bridged(graph: Graph, unit: str, mask: str, bridge: Bridge) -> str:
    """See `encoders.bridge.cross`."""
    marks = graph.node("Gather", graph.constant("bridge.marks", bridge.marks), "input_ids")
    counts = graph.node(
        "Squeeze", graph.node("MatMul", graph.node("Unsqueeze", mask, graph.ints(1)), marks), graph.ints(1)
    )
    one, zero = (
        graph.constant(f"bridge.{name}", np.array(value, np.float32)) for name, value in (("one", 1), ("zero", 0))
    )
    chinese = graph.node("Max", graph.node("Slice", counts, graph.ints(0), graph.ints(1), graph.ints(1)), zero)
    letters = graph.node("Max", graph.node("Slice", counts, graph.ints(1), graph.ints(2), graph.ints(1)), one)
    share = graph.node("Div", chinese, letters)
    return graph.node("Add", unit, graph.node("Mul", share, graph.constant("bridge.shift", bridge.shift)))
