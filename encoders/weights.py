"""A BERT's weights as plain arrays, whatever names its checkpoint gave them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from encoders.base import ModelError
from encoders.safetensors import read_safetensors

Array = npt.NDArray[np.float32]

_POSITION_OFFSET = {"bert": False, "roberta": True, "xlm-roberta": True}
"""Model types we know; RoBERTa's position ids start after the padding id (fairseq's custom)."""
_WORDS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class Linear:
    """x @ weight + bias. weight: (in, out), the transpose of PyTorch's; bias: (out,)."""

    weight: Array
    bias: Array


@dataclass(frozen=True, slots=True)
class Norm:
    """Layer normalisation: gain and bias, (width,)."""

    gain: Array
    bias: Array


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer layer, post-norm."""

    query: Linear
    key: Linear
    value: Linear
    out: Linear
    attention_norm: Norm
    up: Linear
    down: Linear
    output_norm: Norm


@dataclass(frozen=True, slots=True)
class Bert:
    """A BERT encoder (Devlin et al., 2019) with the exact, erf form of GELU."""

    words: Array
    """(vocabulary, width)."""
    positions: Array
    """(tokens, width), token type 0 added in."""
    norm: Norm
    layers: tuple[Layer, ...]
    heads: int
    epsilon: float

    @property
    def width(self) -> int:
        """Length of a hidden vector."""
        return int(self.words.shape[1])

    def keep(self, layers: Iterable[int]) -> "Bert":
        """The same model with only these layers, in this order.

        Raises:
            ModelError: a layer that is not there, one named twice, or none at all.
        """
        wanted = tuple(layers)
        if not wanted or len(set(wanted)) < len(wanted) or not set(wanted) <= set(range(len(self.layers))):
            raise ModelError(f"cannot keep layers {list(wanted)}: name some of 0 to {len(self.layers) - 1}, each once")
        return replace(self, layers=tuple(self.layers[i] for i in wanted))


def unsupported(directory: Path) -> str:
    """Why the model in a directory is not built here; empty where it is.

    Raises:
        ModelError: `config.json` is missing or no JSON object.
    """
    config = read_json(directory / "config.json")
    if (kind := config.get("model_type")) not in _POSITION_OFFSET:
        return f"{directory.name} has model_type {kind!r}; built here are {', '.join(_POSITION_OFFSET)}"
    for key, wanted in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if config.get(key, wanted) != wanted:
            return f"{directory.name} has {key} {config[key]!r}; only {wanted!r} is built here"
    return ""


def read_bert(directory: Path) -> Bert:
    """Read `config.json` and `model.safetensors` of a Hugging Face BERT, RoBERTa or XLM-RoBERTa.

    Raises:
        ModelError: another architecture, or weights that do not fit the configuration.
    """
    if reason := unsupported(directory):
        raise ModelError(reason)
    config = read_json(directory / "config.json")
    tensors = read_safetensors(directory / "model.safetensors")
    try:
        skip = int(config["pad_token_id"]) + 1 if _POSITION_OFFSET[config["model_type"]] else 0
        return assemble(
            tensors,
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            epsilon=float(config["layer_norm_eps"]),
            skip_positions=skip,
        )
    except (KeyError, ValueError) as error:
        raise ModelError(f"{directory.name}: weights and config.json do not fit: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ModelError: it is missing or no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing") from None
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds {type(value).__name__}, not an object")
    return value


def assemble(
    tensors: Mapping[str, npt.NDArray[Any]], *, layers: int, heads: int, epsilon: float, skip_positions: int = 0
) -> Bert:
    """Pick a BERT's tensors out of a checkpoint, by the names that Hugging Face gives them.

    Raises:
        KeyError: a tensor is missing.
        ValueError: the width cannot be split into `heads`.
    """
    prefix = next((name.removesuffix(_WORDS) for name in tensors if name.endswith(_WORDS)), "")

    def array(name: str) -> Array:
        return np.ascontiguousarray(tensors[prefix + name], np.float32)

    def linear(name: str) -> Linear:
        return Linear(np.ascontiguousarray(array(f"{name}.weight").T), array(f"{name}.bias"))

    def norm(name: str) -> Norm:
        return Norm(array(f"{name}.weight"), array(f"{name}.bias"))

    def layer(i: int) -> Layer:
        here = f"encoder.layer.{i}"
        return Layer(
            query=linear(f"{here}.attention.self.query"),
            key=linear(f"{here}.attention.self.key"),
            value=linear(f"{here}.attention.self.value"),
            out=linear(f"{here}.attention.output.dense"),
            attention_norm=norm(f"{here}.attention.output.LayerNorm"),
            up=linear(f"{here}.intermediate.dense"),
            down=linear(f"{here}.output.dense"),
            output_norm=norm(f"{here}.output.LayerNorm"),
        )

    words = array(_WORDS)
    if words.shape[1] % heads:
        raise ValueError(f"width {words.shape[1]} cannot be split into {heads} heads")
    return Bert(
        words=words,
        positions=array("embeddings.position_embeddings.weight")[skip_positions:]
        + array("embeddings.token_type_embeddings.weight")[0],
        norm=norm("embeddings.LayerNorm"),
        layers=tuple(layer(i) for i in range(layers)),
        heads=heads,
        epsilon=epsilon,
    )
