"""From one vector per token to one unit vector per text, inside the graph."""

import numpy as np

from encoders.card import Pooling
from encoders.graph import Graph


def pool(graph: Graph, hidden: str, mask: str, pooling: Pooling) -> None:
    """Add pooling and L2 normalising; the graph then has an output `embedding`.

    Args:
        graph: the graph to extend.
        hidden: float32 (batch, tokens, dim).
        mask: float32 (batch, tokens), 1 for a token and 0 for padding.
        pooling: as the card says.
    """
    if pooling is Pooling.MEAN:
        # A sum will do: normalising cancels the division by the number of tokens.
        summed = graph.node("MatMul", graph.node("Unsqueeze", mask, graph.ints(1)), hidden)
        pooled = graph.node("Squeeze", summed, graph.ints(1))
    else:
        pooled = graph.node("Gather", hidden, graph.constant("first", np.array(0, np.int64)), axis=1)
    graph.node("LpNormalization", pooled, output="embedding", axis=-1, p=2)
