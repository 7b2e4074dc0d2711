"""Models from a directory in Hugging Face's layout: the weights, and what its small files say about their use."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from encoders.base import ModelError
from encoders.card import ModelCard, Pooling
from encoders.store import TOKENIZER, sha256
from encoders.tokenizing import Tokenizer
from encoders.weights import Bert, parse_json, read_bert, read_json, whole

WEIGHTS = "model.safetensors"
_MODULES = {"Transformer", "Pooling", "Normalize"}
_UNSTATED = 512
"""Tokens, where the files give no limit: what BERT was trained with."""
_ENDLESS = 1 << 20
"""More tokens than any model takes."""
_MODE = "pooling_mode_"
_MODES = {"mean": "mean_tokens", "cls": "cls_token"}
"""How a `pooling_mode` of one word writes what the switches say, too."""


@dataclass(frozen=True, slots=True)
class Source:
    """A model that can be built."""

    card: ModelCard
    bert: Bert
    tokenizer: bytes
    digests: dict[str, str]
    """The files that determine it → SHA-256."""
    bridged: bool = False
    """Whether it keeps languages apart that are to be brought together: see `encoders.bridge`."""

    def keep(self, layers: tuple[int, ...], name: str) -> "Source":
        """The same model with some of its layers, under another name."""
        card = msgspec.structs.replace(self.card, name=name, layers=layers)
        return replace(self, card=card, bert=self.bert.keep(layers))


def digests(directory: Path) -> dict[str, str]:
    """SHA-256 of the files that determine the model.

    Raises:
        ModelError: one is missing.
    """
    found = {}
    for name in ("config.json", TOKENIZER, WEIGHTS):
        if not (directory / name).is_file():
            raise ModelError(f"{directory} is no Hugging Face model directory: {name} is missing")
        found[name] = sha256((directory / name).read_bytes())
    return found


def read_directory(directory: Path) -> Source:
    """Read a sentence encoder as its own files describe it.

    Raises:
        ModelError: something is missing, does not fit, or is not supported.
    """
    files = digests(directory)
    bert = read_bert(directory)
    card = describe(directory, name=directory.resolve().name, revision=files[WEIGHTS])
    card = msgspec.structs.replace(
        card,
        dim=bert.width,
        max_tokens=min(card.max_tokens, len(bert.positions)),
        layers=tuple(range(len(bert.layers))),
    )
    tokenizer = (directory / TOKENIZER).read_bytes()
    Tokenizer(tokenizer, card.max_tokens, card.prefix).check(len(bert.words))
    return Source(card, bert, tokenizer, files)


def describe(directory: Path, *, name: str, revision: str) -> ModelCard:
    """What the small files say: everything of a card but dimension and layers, which only the weights know.

    Raises:
        ModelError: the model pools in another way, or has modules that are not built here.
    """
    return ModelCard(
        name=name,
        source="directory",
        revision=revision,
        licence=_licence(directory),
        dim=0,
        max_tokens=_max_tokens(directory),
        pooling=_pooling(directory),
        layers=(),
        prefix=_prefix(directory),
    )


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _pooling(directory: Path) -> Pooling:
    """As `1_Pooling/config.json` says; mean where there is none, as sentence-transformers does."""
    _check_modules(directory / "modules.json")
    config = _optional(directory / "1_Pooling" / "config.json")
    if config.get("include_prompt") is False and _prefix(directory):
        raise ModelError(
            f"{directory.name} leaves its prompt out when it pools (include_prompt), which is not built here"
        )
    modes = _modes(config)
    if modes == {"mean_tokens"}:
        return Pooling.MEAN
    if modes == {"cls_token"}:
        return Pooling.CLS
    stated = ", ".join(sorted(modes)) or "nothing"
    raise ModelError(f"{directory.name} pools by {stated}; only the mean or the CLS token is built")


def _modes(config: Mapping[str, Any]) -> set[str]:
    """Every way of pooling that is switched on, also one that we never heard of."""
    modes = {key.removeprefix(_MODE) for key, on in config.items() if key.startswith(_MODE) and on is True}
    if (word := config.get("pooling_mode")) is not None:
        modes.add(_MODES.get(str(word), str(word)))
    if not modes and config.get(f"{_MODE}mean_tokens", True):
        return {"mean_tokens"}
    return modes


def _check_modules(path: Path) -> None:
    if not path.is_file():
        return
    try:
        kinds = {module["type"].rpartition(".")[2] for module in parse_json(path)}
    except (TypeError, KeyError, AttributeError):
        raise ModelError(f"{path} is no list of modules") from None
    if unknown := kinds - _MODULES:
        raise ModelError(f"{path.parent.name} has a {', '.join(sorted(unknown))} module, which is not built here")


def _max_tokens(directory: Path) -> int:
    stated = _optional(directory / "sentence_bert_config.json")
    other = _optional(directory / "tokenizer_config.json")
    try:
        if stated.get("max_seq_length") is not None:
            return min(whole(stated, "max_seq_length", 1), _ENDLESS)
        if other.get("model_max_length") is not None:
            # A tokenizer without a limit says so by a huge number.
            return min(whole(other, "model_max_length", 1), _UNSTATED)
    except ValueError as error:
        raise ModelError(f"{directory.name}: {error}") from None
    return _UNSTATED


def _prefix(directory: Path) -> str:
    config = _optional(directory / "config_sentence_transformers.json")
    if (name := config.get("default_prompt_name")) is None:
        return ""
    prompts = config.get("prompts")
    prompt = prompts.get(name) if isinstance(prompts, dict) and isinstance(name, str) else None
    if not isinstance(prompt, str):
        raise ModelError(f"{directory.name}: its default prompt is {name!r}, and its prompts have no such text")
    return prompt


def _licence(directory: Path) -> str:
    """From the front matter of the model's README."""
    readme = directory / "README.md"
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    front_matter = text.split("---", 2)[1] if text.startswith("---") and text.count("---") > 1 else ""
    found = re.search(r"^license:\s*(\S+)", front_matter, re.MULTILINE)
    return found.group(1) if found else "unknown"
