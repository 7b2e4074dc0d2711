"""Encoders by name: the one way in for the rest of Upwell."""

from pathlib import Path

from encoders.base import Encoder, ModelError
from encoders.hashing import HashingEncoder

HASHING = "hashing"
DEFAULT = "all-MiniLM-L6-v2"


def load_encoder(name_or_path: str, cache_dir: Path, *, build: bool = False, template: str = "") -> Encoder:
    """The encoder that a shop named in its settings, its files verified.

    Args:
        name_or_path: `hashing` or a known model.
        cache_dir: where models are kept, each under `models/NAME/VERSION/`.
        build: fetch and build a known model that is not in the cache yet.
        template: names how the caller makes a text of an item; part of the encoder's id.

    Raises:
        ModelError: the name is unknown.
    """
    if name_or_path == HASHING:
        return HashingEncoder(template=template)
    raise ModelError(f"unknown model {name_or_path!r}: choose {HASHING!r}")
