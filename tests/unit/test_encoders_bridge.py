"""What brings two languages of a model together: how Chinese a text is, what moves, and the same in the graph."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from encoders.bridge import PAIRS, Bridge, cross, span
from encoders.build import build
from encoders.card import Precision
from encoders.directory import read_directory
from encoders.models import load_encoder
from encoders.store import Store
from encoders.tokenizing import Tokenizer
from tests import tinybert

WORDS = ["<s>", "▁query", "▁茶", "杯子", "▁red", "ひ", "차", "茶ひ", "▁500", "é", ":", "茶x"]


def marks(word: str) -> list[float]:
    bridge = span(lambda texts: np.zeros((len(texts), 2), np.float32), WORDS)
    row: list[float] = bridge.marks[WORDS.index(word)].tolist()
    return row


@pytest.mark.parametrize("word", ["▁茶", "杯子", "茶x"])
def test_words_with_han_characters_are_chinese(word: str) -> None:
    assert marks(word) == [1, 1]


@pytest.mark.parametrize("word", ["ひ", "차", "茶ひ"])
def test_kana_and_hangul_count_against_it(word: str) -> None:
    assert marks(word) == [-2, 1]


def test_other_letters_count_and_what_is_of_no_language_does_not() -> None:
    assert marks("▁red") == marks("é") == [0, 1]
    assert marks("<s>") == marks("▁query") == marks("▁500") == marks(":") == [0, 0]


def test_the_shift_leads_from_the_chinese_mean_to_the_english_one() -> None:
    chinese = {text for text, _ in PAIRS}

    def encode(texts: Sequence[str]) -> np.ndarray:
        return np.array([[1.0, 0.0] if text in chinese else [0.0, 1.0] for text in texts], np.float32)

    np.testing.assert_allclose(span(encode, WORDS).shift, [-1, 1])


def test_pairs_are_translations_not_twice_the_same() -> None:
    for texts in zip(*PAIRS, strict=True):
        assert len(set(texts)) == len(PAIRS)
    assert all(
        english.isascii() and not any(char.isascii() and char.islower() for char in text) for text, english in PAIRS
    )


def test_a_text_moves_by_its_share_of_chinese() -> None:
    bridge = Bridge(np.array([[0, 0], [1, 1], [0, 1], [-2, 1]], np.float32), np.array([0, 1], np.float32))
    unit = np.tile(np.array([1, 0], np.float32), (4, 1))
    moved = cross(bridge, unit, [[0, 1, 1], [1, 2], [2, 0], [1, 3]])
    half = np.array([1, 0.5]) / np.sqrt(1.25)
    np.testing.assert_allclose(moved, [[0.5**0.5, 0.5**0.5], half, [1, 0], [1, 0]], atol=1e-6)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_the_graph_moves_the_same_texts_by_as_much(tmp_path: Path, precision: Precision) -> None:
    words = [*tinybert.WORDS[:-2], "茶", "ひ"]
    source = read_directory(tinybert.write(tmp_path / "tiny", tokenizer_words=words))
    for name, bridged in (("plain", False), ("bridged", True)):
        build(replace(source, bridged=bridged), precision, Store(tmp_path / name), print)
    plain, bridged_ = (load_encoder(f"tiny@{precision}", tmp_path / name) for name in ("plain", "bridged"))
    texts = ["红 茶", "茶 red 茶 shoe", "red shoe", "茶 ひ", ""]
    ids = Tokenizer(source.tokenizer, source.card.max_tokens).ids(texts)
    before, after = plain.encode(texts), bridged_.encode(texts)
    bridge = span(plain.encode, words)
    np.testing.assert_allclose(after, cross(bridge, before, ids), atol=2e-3 if precision is Precision.FP16 else 1e-5)
    np.testing.assert_allclose(after[2:], before[2:], atol=1e-6)
    assert (np.abs(after[:2] - before[:2]).max(axis=1) > 0.01).all()
    assert plain.id != bridged_.id
