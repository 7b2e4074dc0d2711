"""One suite for everything that claims to be an `Encoder`."""

import random
import re
from collections.abc import Callable

import numpy as np
import pytest

from encoders.base import Encoder
from encoders.hashing import HashingEncoder
from tests.minilm import minilm, minilm_int8

TEXTS = [
    "Red running shoes",
    "WHITE HANGING HEART T-LIGHT HOLDER",
    "男士商务双肩背包 防水 15.6英寸",
    "🎁🎈 gift set – crème brûlée",
    "שעון יד",
    "a",
    "",
    "   \n\t ",
    "\ud800 lone surrogate, \x00 and \x07",
    "whole milk, 1 gallon, grocery, private brand " * 3,
    "stainless steel water bottle, keeps cold for 24 hours " * 400,
]


@pytest.fixture(scope="module", params=[HashingEncoder, minilm, minilm_int8], ids=["hashing", "fp32", "int8"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    make: Callable[[], Encoder] = request.param
    return make()


def test_vectors_are_float32_unit_rows(encoder: Encoder) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_rows(encoder: Encoder) -> None:
    vectors = encoder.encode([])
    assert vectors.shape == (0, encoder.dim)
    assert vectors.dtype == np.float32


def test_a_vector_has_the_same_bits_alone_and_in_any_company(encoder: Encoder) -> None:
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    shuffler = random.Random(7)
    for size in (2, 5, 40):
        company = shuffler.choices(range(len(TEXTS)), k=size) + list(range(len(TEXTS)))
        shuffler.shuffle(company)
        np.testing.assert_array_equal(encoder.encode([TEXTS[i] for i in company]), alone[company])


def test_results_keep_the_order_of_the_texts(encoder: Encoder) -> None:
    np.testing.assert_array_equal(encoder.encode(TEXTS[::-1]), encoder.encode(TEXTS)[::-1])


def test_different_texts_are_told_apart(encoder: Encoder) -> None:
    milk, same, shoes = encoder.encode(["whole milk 1 gallon", "Whole milk, 1 gallon", "red running shoes"])
    assert milk @ same > milk @ shoes + 0.2


def test_the_id_names_the_model_and_stays(encoder: Encoder) -> None:
    before = encoder.id
    encoder.encode(TEXTS)
    assert encoder.id == before
    assert re.fullmatch(r"[\w.-]+@[a-z0-9]+-[0-9a-f]{8}", before)
