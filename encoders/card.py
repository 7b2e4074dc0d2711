"""What a model is: its card, and the manifest that goes with its built files."""

import hashlib
from enum import StrEnum

import msgspec

FORMAT = 2
"""Of the artifact. Goes up whenever the graphs that we build, or how texts are fed to them, change."""

RUNS = frozenset({1, FORMAT})
"""Formats that are fed alike: an artifact of one runs still, where it is named by its version."""


class Precision(StrEnum):
    """In what numbers the model computes."""

    FP32 = "fp32"
    """The reference; any device."""
    FP16 = "fp16"
    """For GPUs: half the memory, tensor cores."""
    INT8 = "int8"
    """For CPUs: static W8A8, calibrated on texts."""
    READY = "ready"
    """As a ready-made graph came; only it knows."""


class Pooling(StrEnum):
    """How a sentence encoder was trained to summarise its tokens; its card says which."""

    MEAN = "mean"
    """Mean over the text's tokens, special tokens included, padding left out."""
    CLS = "cls"
    """The first token's vector."""


class ModelCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What someone who uses the model must know."""

    name: str
    source: str
    """Where the weights came from."""
    revision: str
    """SHA-256 of the weights."""
    licence: str
    """Of the weights, SPDX; `unknown` where the source does not say."""
    dim: int
    max_tokens: int
    """Longer texts are cut; counts the special tokens."""
    pooling: Pooling
    layers: tuple[int, ...]
    """Transformer layers that were kept, counted from 0. Empty where the graph was ready-made."""
    prefix: str = ""
    """Put before every text, as the model was trained."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that determines a vector, and how the artifact measured up when it was built."""

    card: ModelCard
    precision: Precision
    sources: dict[str, str]
    """Files it was built from → SHA-256."""
    files: dict[str, str]
    """Files of the artifact → SHA-256."""
    gate: dict[str, float]
    """Parity that was measured when it was built. Not part of the version."""
    format: int = FORMAT

    @property
    def version(self) -> str:
        """`PRECISION-DIGEST` over everything that determines a vector."""
        feeding = (self.card.max_tokens, self.card.prefix)
        determines = msgspec.json.encode((self.format, self.precision, feeding, sorted(self.files.items())))
        return f"{self.precision}-{hashlib.sha256(determines).hexdigest()[:8]}"

    def encoder_id(self, template: str) -> str:
        """The id stamped on vectors: the version, and how the caller makes a text of an item."""
        if not template:
            return f"{self.card.name}@{self.version}"
        digest = hashlib.sha256(f"{self.version}\0{template}".encode()).hexdigest()
        return f"{self.card.name}@{self.precision}-{digest[:8]}"
