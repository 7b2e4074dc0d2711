"""A BERT's weights as plain arrays, whatever names its checkpoint gave them."""

import json
import math
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
    if (kind := config.get("model_type")) not in tuple(_POSITION_OFFSET):
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
        skip = whole(config, "pad_token_id", 0) + 1 if _POSITION_OFFSET[config["model_type"]] else 0
        return assemble(
            tensors,
            layers=whole(config, "num_hidden_layers", 1),
            heads=whole(config, "num_attention_heads", 1),
            epsilon=_epsilon(config),
            skip_positions=skip,
        )
    except KeyError as error:
        raise ModelError(f"{directory.name}: weights and config.json do not fit: {error} is missing") from error
    except ValueError as error:
        raise ModelError(f"{directory.name}: weights and config.json do not fit: {error}") from error


def whole(config: Mapping[str, Any], key: str, least: int) -> int:
    """A whole number of a configuration.

    Raises:
        KeyError: it is not there.
        ValueError: it is another kind of value, or less than `least`.
    """
    value = config[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{key} is {value!r}, wanted a whole number of {least} or more")
    return value


def _epsilon(config: Mapping[str, Any]) -> float:
    value = config["layer_norm_eps"]
    if not isinstance(value, float | int) or isinstance(value, bool) or not 0 <= value < 1:
        raise ValueError(f"layer_norm_eps is {value!r}, wanted a small number")
    return float(value)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ModelError: it is missing or no JSON object.
    """
    value = parse_json(path)
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds {type(value).__name__}, not an object")
    return value


def parse_json(path: Path) -> Any:
    """Whatever JSON a file holds.

    Raises:
        ModelError: it is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON: {error}") from None


def assemble(
    tensors: Mapping[str, npt.NDArray[Any]], *, layers: int, heads: int, epsilon: float, skip_positions: int = 0
) -> Bert:
    """Pick a BERT's tensors out of a checkpoint, by the names that Hugging Face gives them.

    Raises:
        KeyError: a tensor is missing.
        ValueError: a tensor has another shape than the others ask for, or holds what is no number; the width cannot be
            split into `heads`; or no positions are left.
    """
    prefix = next((name.removesuffix(_WORDS) for name in tensors if name.endswith(_WORDS)), "")

    def array(name: str, *shape: int | None) -> Array:
        found = tensors[prefix + name]
        pairs = zip(shape, found.shape, strict=False)
        if found.ndim != len(shape) or not found.size or any(want not in (None, got) for want, got in pairs):
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise ValueError(f"{name} has the shape {found.shape}, wanted ({wanted})")
        numbers = np.ascontiguousarray(found, np.float32)
        if not math.isfinite(numbers.min()) or not math.isfinite(numbers.max()):
            raise ValueError(f"{name} holds values that are no finite numbers")
        return numbers

    def linear(name: str, size_in: int | None, size_out: int | None) -> Linear:
        weight = array(f"{name}.weight", size_out, size_in)
        return Linear(np.ascontiguousarray(weight.T), array(f"{name}.bias", len(weight)))

    def norm(name: str) -> Norm:
        return Norm(array(f"{name}.weight", width), array(f"{name}.bias", width))

    def layer(i: int) -> Layer:
        here = f"encoder.layer.{i}"
        up = linear(f"{here}.intermediate.dense", width, None)
        return Layer(
            query=linear(f"{here}.attention.self.query", width, width),
            key=linear(f"{here}.attention.self.key", width, width),
            value=linear(f"{here}.attention.self.value", width, width),
            out=linear(f"{here}.attention.output.dense", width, width),
            attention_norm=norm(f"{here}.attention.output.LayerNorm"),
            up=up,
            down=linear(f"{here}.output.dense", len(up.bias), width),
            output_norm=norm(f"{here}.output.LayerNorm"),
        )

    words = array(_WORDS, None, None)
    width = words.shape[1]
    if width % heads:
        raise ValueError(f"width {width} cannot be split into {heads} heads")
    positions = array("embeddings.position_embeddings.weight", None, width)[skip_positions:]
    if not len(positions):
        raise ValueError(f"no positions are left behind the first {skip_positions}, which are padding's")
    return Bert(
        words=words,
        positions=positions + array("embeddings.token_type_embeddings.weight", None, width)[0],
        norm=norm("embeddings.LayerNorm"),
        layers=tuple(layer(i) for i in range(layers)),
        heads=heads,
        epsilon=epsilon,
    )
