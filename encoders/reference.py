"""BERT's forward pass in plain numpy: slow, and what every built graph is held against."""

import math
from collections.abc import Sequence

import numpy as np

from encoders.base import Vectors
from encoders.card import Pooling
from encoders.weights import Array, Bert, Layer, Linear, Norm

_erf = np.vectorize(math.erf, otypes=[np.float32])


def encode(bert: Bert, ids: list[list[int]], pooling: Pooling) -> Vectors:
    """Encode token ids, one text at a time, so that there is no padding: float32 (len(ids), width), unit rows."""
    return pool([_hidden(bert, np.array(row)) for row in ids], pooling)


def pool(hidden: Sequence[Array], pooling: Pooling) -> Vectors:
    """One vector per text from one per token, (tokens, width) each: float32 (len(hidden), width), unit rows."""
    pooled = [x.mean(axis=0) if pooling is Pooling.MEAN else x[0] for x in hidden]
    return np.stack([np.asarray(x / np.linalg.norm(x), np.float32) for x in pooled])


def _hidden(bert: Bert, ids: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Array:
    x = _norm(bert.words[ids] + bert.positions[: len(ids)], bert.norm, bert.epsilon)
    for layer in bert.layers:
        x = _norm(x + _linear(_attention(x, layer, bert.heads), layer.out), layer.attention_norm, bert.epsilon)
        x = _norm(x + _linear(_gelu(_linear(x, layer.up)), layer.down), layer.output_norm, bert.epsilon)
    return x


def _attention(x: Array, layer: Layer, heads: int) -> Array:
    """softmax(QKᵀ/√d)V by head (Vaswani et al., 2017, eq. 1)."""
    tokens, width = x.shape
    query, key, value = (
        _linear(x, part).reshape(tokens, heads, width // heads).transpose(1, 0, 2)
        for part in (layer.query, layer.key, layer.value)
    )
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(width // heads, dtype=np.float32)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.asarray((weights @ value).transpose(1, 0, 2).reshape(tokens, width))


def _linear(x: Array, linear: Linear) -> Array:
    return np.asarray(x @ linear.weight + linear.bias)


def _gelu(x: Array) -> Array:
    return np.asarray(x * (1 + _erf(x / np.float32(math.sqrt(2)))) / 2, np.float32)


def _norm(x: Array, norm: Norm, epsilon: float) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon) * norm.gain + norm.bias)
