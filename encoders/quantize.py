"""Static int8 for CPUs: 8-bit weights and 8-bit activations whose ranges were calibrated beforehand.

Ranges are constants of the graph, never taken from a batch, so a vector does not depend on its batch mates (with
dynamic quantisation it would). What keeps the vectors close to float32's:

- uneven channels of the activations are smoothed into the weights: Xiao et al., "SmoothQuant" (ICML 2023), eq. 4,
  the migration strength α searched per site by the error of the site's output;
- behind GELU, where a few channels carry massive activations, these stay in float32 instead: Dettmers et al.,
  "LLM.int8()" (NeurIPS 2022), §3.2, with the channels fixed beforehand. Smoothing there fits the calibration texts so
  closely that odd ones are clipped;
- the mean error that is left goes into the bias: Nagel et al., "Data-Free Quantization" (ICCV 2019), §3.2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from encoders.bridge import Bridge
from encoders.calibrate import Observed, observe
from encoders.card import Pooling
from encoders.export import assemble, token_ids
from encoders.graph import MICROSOFT, Graph
from encoders.weights import Array, Bert, Linear

_ALPHAS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_OUTLIERS = 4
"""Channels of a site behind GELU that stay in float32."""
_BEHIND_GELU = ".down"
_TINY = np.float32(1e-6)


@dataclass(frozen=True, slots=True)
class Site:
    """How the linear layers that share an input are quantised: level = round(x / smooth / step) + zero."""

    smooth: Array
    """(in,): what a channel is divided by; the weights' rows are multiplied with it."""
    step: np.float32
    zero: np.uint8
    shift: Array
    """(out,): mean error of the output, added to the bias."""
    error: float
    """Mean squared error of the output."""


def quantize(bert: Bert, pooling: Pooling, ids: Sequence[Sequence[int]], bridge: Bridge | None = None) -> bytes:
    """The int8 ONNX file of a BERT sentence encoder.

    Args:
        bert: the model.
        pooling: as its card says.
        ids: token ids of the calibration texts; 100 of the kind that will be encoded are enough.
        bridge: what brings two languages together; made with float32.
    """
    graph = Graph()
    dense = _Int8(observe(bert, pooling, ids))
    assemble(graph, bert, _words(graph, bert.words), dense, np.float32, pooling, bridge)
    return graph.finish(bert.width)


def choose(observed: Observed, weight: Array, alphas: Sequence[float] = _ALPHAS) -> Site:
    """The quantisation whose output is nearest to the exact one.

    Args:
        observed: the inputs.
        weight: (in, out), of all layers that share the input, side by side.
        alphas: migration strengths to try; none for no smoothing.
    """
    reach = np.maximum(observed.reach, _TINY)
    size = np.maximum(np.abs(weight).max(axis=1), _TINY)
    smoothings = [reach**alpha / size ** (1 - alpha) for alpha in alphas] or [np.ones_like(reach)]
    exact = observed.rows @ weight
    return min((_attempt(observed, weight, exact, smooth) for smooth in smoothings), key=lambda site: site.error)


def _attempt(observed: Observed, weight: Array, exact: Array, smoothing: Array) -> Site:
    """Quantise with a smoothing, and see what it does to the output."""
    smooth = (smoothing / np.exp(np.log(smoothing).mean())).astype(np.float32)
    low, high = min(float((observed.low / smooth).min()), 0.0), max(float((observed.high / smooth).max()), 0.0)
    step = np.float32(max(high - low, float(_TINY)) / 255)
    zero = np.uint8(np.clip(round(-low / float(step)), 0, 255))
    levels = np.clip(np.rint(observed.rows / smooth / step) + zero, 0, 255) - np.float32(zero)
    rounded, scale = round_weight(weight * smooth[:, None])
    shift = (exact - levels * step @ (rounded * scale)).astype(np.float32)
    return Site(smooth, step, zero, shift.mean(axis=0), float(np.square(shift).mean()))


def round_weight(weight: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Symmetric int8 by output channel: int8 (in, out) and the scale of each column, float32 (out,)."""
    scale = np.maximum(np.abs(weight).max(axis=0), _TINY) / np.float32(127)
    return np.clip(np.rint(weight / scale), -127, 127).astype(np.int8), scale.astype(np.float32)


def _words(graph: Graph, table: Array) -> str:
    """The embedding table in int8, a scale per word."""
    rounded, scale = round_weight(np.ascontiguousarray(table.T))
    ids = token_ids(graph)
    words = graph.node("Gather", graph.constant("words", rounded.T), ids)
    scales = graph.node("Gather", graph.constant("word_scales", scale), ids)
    floats = graph.node("Cast", words, to=TensorProto.FLOAT)
    return graph.node("Mul", floats, graph.node("Unsqueeze", scales, graph.ints(2)))


class _Int8:
    """Linear layers in int8: one `QuantizeLinear` per site, one integer product per layer."""

    def __init__(self, observed: Mapping[str, Observed]) -> None:
        self._observed = observed

    def __call__(self, graph: Graph, x: str, layers: Sequence[Linear], site: str) -> list[str]:
        """See `encoders.export.Dense`."""
        observed = self._observed[site]
        weight = np.concatenate([layer.weight for layer in layers], axis=1)
        behind_gelu = site.endswith(_BEHIND_GELU)
        outliers = np.sort(np.argsort(observed.reach)[-_OUTLIERS:]) if behind_gelu else np.arange(0)
        kept = weight[outliers]
        weight[outliers] = 0
        chosen = choose(observed.without(outliers), weight, () if behind_gelu else _ALPHAS)
        rounded, scale = round_weight(weight * chosen.smooth[:, None])
        bias = np.concatenate([layer.bias for layer in layers]) + chosen.shift

        def constant(name: str, value: npt.NDArray[Any]) -> str:
            return graph.constant(f"{site}.{name}", value)

        step, zero = constant("step", np.array(chosen.step)), constant("zero", np.array(chosen.zero))
        smoothed = x if behind_gelu else graph.node("Mul", x, constant("smooth", 1 / chosen.smooth))
        levels = graph.node("QuantizeLinear", smoothed, step, zero)
        aside = graph.node("Gather", x, constant("outliers", outliers), axis=1) if behind_gelu else ""
        outputs = []
        for i, columns in enumerate(_columns(layers)):
            out = graph.node(
                "MatMulIntegerToFloat",
                levels,
                constant(f"{i}.weight", rounded[:, columns]),
                step,
                constant(f"{i}.scale", scale[columns]),
                zero,
                constant(f"{i}.zero", np.zeros(len(scale[columns]), np.int8)),
                constant(f"{i}.bias", bias[columns]),
                domain=MICROSOFT,
            )
            if aside:
                exact = graph.node("MatMul", aside, constant(f"{i}.kept", kept[:, columns]))
                out = graph.node("Add", out, exact)
            outputs.append(out)
        return outputs


def _columns(layers: Sequence[Linear]) -> list[slice]:
    """Where each layer's outputs are when all are side by side."""
    ends = np.cumsum([len(layer.bias) for layer in layers])
    return [slice(int(end) - len(layer.bias), int(end)) for layer, end in zip(layers, ends, strict=True)]
