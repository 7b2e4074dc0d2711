"""Models from a directory in Hugging Face's layout: the weights, and what its small files say about their use."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from encoders.base import ModelError
from encoders.card import ModelCard, Pooling
from encoders.store import TOKENIZER, sha256
from encoders.tokenizing import Tokenizer
from encoders.weights import Bert, read_bert, read_json

WEIGHTS = "model.safetensors"
_MODULES = {"Transformer", "Pooling", "Normalize"}
_UNSTATED = 512
"""Tokens, where the files give no limit: what BERT was trained with."""


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
    Tokenizer(tokenizer, card.max_tokens).check(len(bert.words))
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
    modes = {key for key, on in _optional(directory / "1_Pooling" / "config.json").items() if on is True}
    modes &= {f"pooling_mode_{mode}" for mode in ("cls_token", "max_tokens", "mean_sqrt_len_tokens", "mean_tokens")}
    if modes <= {"pooling_mode_mean_tokens"}:
        return Pooling.MEAN
    if modes == {"pooling_mode_cls_token"}:
        return Pooling.CLS
    raise ModelError(f"{directory.name} pools by {', '.join(sorted(modes))}; only the mean or the CLS token is built")


def _check_modules(path: Path) -> None:
    if not path.is_file():
        return
    kinds = set(re.findall(r'"type":\s*"[\w.]*\.(\w+)"', path.read_text(encoding="utf-8")))
    if unknown := kinds - _MODULES:
        raise ModelError(f"{path.parent.name} has a {', '.join(sorted(unknown))} module, which is not built here")


def _max_tokens(directory: Path) -> int:
    stated = _optional(directory / "sentence_bert_config.json").get("max_seq_length")
    if stated is None:
        # A tokenizer without a limit says so by a huge number.
        stated = min(_optional(directory / "tokenizer_config.json").get("model_max_length", _UNSTATED), _UNSTATED)
    return int(stated)


def _prefix(directory: Path) -> str:
    config = _optional(directory / "config_sentence_transformers.json")
    return str((config.get("prompts") or {}).get(config.get("default_prompt_name"), ""))


def _licence(directory: Path) -> str:
    """From the front matter of the model's README."""
    readme = directory / "README.md"
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    front_matter = text.split("---", 2)[1] if text.startswith("---") and text.count("---") > 1 else ""
    found = re.search(r"^license:\s*(\S+)", front_matter, re.MULTILINE)
    return found.group(1) if found else "unknown"
