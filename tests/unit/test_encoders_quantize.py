"""The int8 path: rounding, calibration and the gates, on arrays and on a tiny model."""

from pathlib import Path

import numpy as np
import pytest

from encoders.base import ModelError
from encoders.build import split
from encoders.calibrate import Observed, observe
from encoders.directory import read_directory
from encoders.gates import Limits, check_company, cosines, gate, recall
from encoders.quantize import choose, round_weight
from encoders.tokenizing import Tokenizer
from tests import tinybert


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def observed(rows: np.ndarray) -> Observed:
    return Observed(rows.min(axis=0), rows.max(axis=0), rows)


def test_weights_are_rounded_to_the_nearest_step_of_their_column() -> None:
    weight = np.random.default_rng(0).normal(size=(40, 7)).astype(np.float32)
    rounded, scale = round_weight(weight)
    assert rounded.dtype == np.int8
    assert np.abs(rounded).max() == 127
    assert (np.abs(rounded * scale - weight) <= scale / 2 + 1e-7).all()


def test_a_column_of_zeros_stays_zero() -> None:
    rounded, scale = round_weight(np.zeros((3, 2), np.float32))
    assert not rounded.any()
    assert (scale > 0).all()


def test_smoothing_tames_an_outlier_channel() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=(500, 32)).astype(np.float32)
    rows[:, 3] *= 100
    weight = random.normal(size=(32, 16)).astype(np.float32)
    step = (rows.max() - rows.min()) / 255
    plain = np.rint(rows / step) * step @ weight
    assert choose(observed(rows), weight).error < np.square(plain - rows @ weight).mean() / 10


def test_what_is_chosen_describes_the_error_it_makes() -> None:
    random = np.random.default_rng(2)
    rows = (random.normal(size=(300, 8)) + 2).astype(np.float32)
    weight = random.normal(size=(8, 5)).astype(np.float32)
    site = choose(observed(rows), weight)
    levels = np.clip(np.rint(rows / site.smooth / site.step) + site.zero, 0, 255) - float(site.zero)
    rounded, scale = round_weight(weight * site.smooth[:, None])
    approximate = levels * site.step @ (rounded * scale)
    np.testing.assert_allclose((rows @ weight - approximate).mean(axis=0), site.shift, atol=1e-5)
    assert np.square(rows @ weight - approximate).mean() == pytest.approx(site.error, rel=1e-3)


def test_calibration_sees_the_tokens_and_not_the_padding(tmp_path: Path) -> None:
    source = read_directory(tinybert.write(tmp_path / "tiny"))
    texts = ["red shoe", "blue wool shirt tea", "cup"]
    ids = Tokenizer(source.tokenizer, source.card.max_tokens).ids(texts)
    seen = observe(source.bert, source.card.pooling, ids)
    assert set(seen) == {f"layer{i}.{site}" for i in range(tinybert.LAYERS) for site in ("qkv", "out", "up", "down")}

    bert = source.bert
    tokens = [bert.words[row] + bert.positions[: len(row)] for row in ids]
    embedded = np.concatenate([(x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True) for x in tokens])
    embedded = embedded * bert.norm.gain + bert.norm.bias
    first = seen["layer0.qkv"]
    np.testing.assert_allclose(first.low, embedded.min(axis=0), atol=1e-4)
    np.testing.assert_allclose(first.high, embedded.max(axis=0), atol=1e-4)
    assert len(first.rows) == sum(map(len, ids))


def test_texts_are_split_the_same_way_in_any_order() -> None:
    texts = [f"item {i}" for i in range(400)]
    calibration, judges = split(texts)
    assert split(texts[::-1] + texts[:50]) == (calibration, judges)
    assert not set(calibration) & set(judges)
    assert len(calibration) == 128
    assert len(judges) == 272


def test_recall_counts_shared_neighbours() -> None:
    reference = unit(np.random.default_rng(3).normal(size=(60, 8)))
    assert recall(reference, reference) == 1
    shuffled = reference[np.random.default_rng(4).permutation(60)]
    assert recall(shuffled, reference) < 0.5


def test_the_gate_names_what_falls_short() -> None:
    random = np.random.default_rng(5)
    reference = unit(random.normal(size=(50, 64)))
    near = unit(reference + 0.01 * random.normal(size=reference.shape))
    measured = gate(near, reference, Limits(cosine_min=0.99, recall_at_10=0.8))
    assert measured["cosine_min"] == pytest.approx(cosines(near, reference).min())
    with pytest.raises(ModelError, match=r"cosine_min is 0\.9\d+, wanted 0\.9999"):
        gate(near, reference, Limits(cosine_min=0.9999))
    with pytest.raises(ModelError, match="recall_at_10"):
        gate(unit(random.normal(size=reference.shape)), reference, Limits(recall_at_10=0.9))
    with pytest.raises(ModelError, match="lengths from"):
        gate(reference * 2, reference, Limits())


def test_company_that_changes_a_vector_is_noticed() -> None:
    def alone(texts: object) -> np.ndarray:
        return np.array([[len(text)] for text in texts], np.float32)  # type: ignore[attr-defined]

    def together(texts: object) -> np.ndarray:
        return np.asarray(alone(texts) - alone(texts).mean(axis=0))

    check_company(alone)
    with pytest.raises(ModelError, match="depends on the texts beside it"):
        check_company(together)
