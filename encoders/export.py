"""A BERT as an ONNX graph, built with numpy and `onnx.helper` alone: no PyTorch.

Only operators of the ONNX standard (opset 17), one apart, so that every execution provider takes the graph; ONNX
Runtime fuses what it can when it loads. Between embedding and pooling the tokens of all texts lie in one matrix
(tokens · batch, width), so that a linear layer is one `Gemm`, bias included. The first tokens of all texts come first,
then the second ones: so ONNX Runtime's `FusedMatMul` finds each head of each text where it lies, and nothing is copied
to get at it. Positions are cut with `Slice`: `Gather(Range())` crashes a fusion in ONNX Runtime 1.32. Its
`SkipLayerNormalization` is not used: on a CPU it takes eight times as long as `Add` and `LayerNormalization`.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from onnx import TensorProto

from encoders.bridge import Bridge
from encoders.card import Pooling, Precision
from encoders.graph import MICROSOFT, Graph
from encoders.pooling import pool
from encoders.weights import Bert, Layer, Linear, Norm

_MASKED = -1e4
"""Added to the score of a padded position: exp() of it is exactly 0, and float16 can hold it."""


class Dense(Protocol):
    """How the linear layers are computed: in floats, or quantised."""

    def __call__(self, graph: Graph, x: str, layers: Sequence[Linear], site: str) -> list[str]:
        """Add x @ weight + bias for each of `layers`, which share their input x (rows, in); `site` names them."""
        ...


def build(bert: Bert, pooling: Pooling, precision: Precision = Precision.FP32, bridge: Bridge | None = None) -> bytes:
    """The ONNX file of a BERT sentence encoder, in float32 or float16."""
    dtype = np.float16 if precision is Precision.FP16 else np.float32
    graph = Graph()
    table = graph.constant("words", bert.words.astype(dtype))
    words = graph.node("Gather", table, token_ids(graph))
    assemble(graph, bert, words, Floats(dtype), dtype, pooling, bridge)
    return graph.finish(bert.width)


def token_ids(graph: Graph) -> str:
    """The ids in the order of the matrix: (tokens, batch)."""
    return graph.node("Transpose", "input_ids", perm=[1, 0])


class Floats:
    """Linear layers in floating point."""

    def __init__(self, dtype: type[np.floating]) -> None:
        """Weights are stored as `dtype`."""
        self._dtype = dtype

    def __call__(self, graph: Graph, x: str, layers: Sequence[Linear], site: str) -> list[str]:
        """See `Dense`."""
        outputs = []
        for i, layer in enumerate(layers):
            weight = graph.constant(f"{site}.{i}.weight", layer.weight.astype(self._dtype))
            bias = graph.constant(f"{site}.{i}.bias", layer.bias.astype(self._dtype))
            outputs.append(graph.node("Gemm", x, weight, bias))
        return outputs


def assemble(
    graph: Graph,
    bert: Bert,
    words: str,
    dense: Dense,
    dtype: type[np.floating],
    pooling: Pooling,
    bridge: Bridge | None = None,
) -> None:
    """Add everything that follows the word vectors `words` (tokens, batch, width)."""
    onnx_type = TensorProto.FLOAT16 if dtype is np.float16 else TensorProto.FLOAT
    body = _Body(graph, bert, dense, dtype)
    shape = graph.node("Shape", words)
    tokens = graph.node("Slice", shape, graph.ints(0), graph.ints(1))
    table = graph.constant("positions", bert.positions[:, None, :].astype(dtype))
    positions = graph.node("Slice", table, graph.ints(0), tokens, graph.ints(0))
    x = body.norm(graph.node("Add", words, positions), bert.norm, "embedding_norm")

    mask = graph.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    there = graph.node("Unsqueeze", graph.node("Cast", "attention_mask", to=onnx_type), graph.ints(1, 2))
    bias = graph.node("Mul", graph.node("Sub", body.scalar("one", 1.0), there), body.scalar("masked", _MASKED))
    rows = graph.node("Slice", shape, graph.ints(0), graph.ints(2))
    by_head = graph.node("Concat", rows, graph.ints(bert.heads, bert.width // bert.heads), axis=0)
    x = graph.node("Reshape", x, graph.ints(-1, bert.width))
    for i, layer in enumerate(bert.layers):
        x = body.layer(x, layer, bias, by_head, f"layer{i}")
    x = graph.node("Transpose", graph.node("Reshape", x, shape), perm=[1, 0, 2])
    pool(graph, graph.node("Cast", x, to=TensorProto.FLOAT), mask, pooling, bridge)


class _Body:
    """The transformer layers."""

    def __init__(self, graph: Graph, bert: Bert, dense: Dense, dtype: type[np.floating]) -> None:
        self._graph, self._bert, self._dense, self._dtype = graph, bert, dense, dtype
        self._in_place = dtype is np.float32
        """`FusedMatMul` takes nothing else on a CPU, and there every artifact is tried."""

    def layer(self, x: str, layer: Layer, bias: str, by_head: str, name: str) -> str:
        node = self._graph.node
        attended = self._attention(x, layer, bias, by_head, name)
        (out,) = self._dense(self._graph, attended, [layer.out], f"{name}.out")
        x = self.norm(node("Add", out, x), layer.attention_norm, f"{name}.attention_norm")
        (up,) = self._dense(self._graph, x, [layer.up], f"{name}.up")
        (down,) = self._dense(self._graph, self._gelu(up), [layer.down], f"{name}.down")
        return self.norm(node("Add", down, x), layer.output_norm, f"{name}.output_norm")

    def _attention(self, x: str, layer: Layer, bias: str, by_head: str, name: str) -> str:
        """Scaled dot-product attention, the scale folded into the query's weights.

        `by_head` holds the shape (tokens, batch, heads, size), `bias` what is added to the scores.
        """
        graph, node = self._graph, self._graph.node
        size = self._bert.width // self._bert.heads
        scale = np.float32(1 / np.sqrt(size))
        scaled = Linear(layer.query.weight * scale, layer.query.bias * scale)
        query, key, value = (
            node("Reshape", y, by_head) for y in self._dense(graph, x, [scaled, layer.key, layer.value], f"{name}.qkv")
        )
        attention = node("Softmax", node("Add", self._scores(query, key), bias), axis=-1)
        if self._in_place:
            mixed = node("FusedMatMul", attention, value, domain=MICROSOFT, transBatchB=1)
        else:
            mixed = node("MatMul", attention, node("Transpose", value, perm=[1, 2, 0, 3]))
        return node("Reshape", node("Transpose", mixed, perm=[2, 0, 1, 3]), graph.ints(-1, self._bert.width))

    def _scores(self, query: str, key: str) -> str:
        """(batch, heads, tokens, tokens)."""
        node = self._graph.node
        if self._in_place:
            return node("FusedMatMul", query, key, domain=MICROSOFT, transB=1, transBatchA=1, transBatchB=1)
        return node("MatMul", node("Transpose", query, perm=[1, 2, 0, 3]), node("Transpose", key, perm=[1, 2, 3, 0]))

    def _gelu(self, x: str) -> str:
        """GELU (Hendrycks & Gimpel, 2016), exact: x (1 + erf(x / √2)) / 2."""
        node = self._graph.node
        erf = node("Erf", node("Div", x, self.scalar("sqrt2", np.sqrt(2))))
        return node("Mul", node("Mul", x, node("Add", erf, self.scalar("one", 1.0))), self.scalar("half", 0.5))

    def norm(self, x: str, norm: Norm, name: str) -> str:
        gain, bias = (
            self._graph.constant(f"{name}.{part}", array.astype(self._dtype))
            for part, array in (("gain", norm.gain), ("bias", norm.bias))
        )
        return self._graph.node("LayerNormalization", x, gain, bias, axis=-1, epsilon=self._bert.epsilon)

    def scalar(self, name: str, value: float) -> str:
        return self._graph.constant(name, np.array(value, self._dtype))
