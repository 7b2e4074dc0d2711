"""The ranker's steps, its guard and its shares, against plain sums; and its bytes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import ranking_codec
from streams.core.channels import ORDER
from streams.core.features import COLUMN, FEATURES, FUSED
from streams.core.policy import Channel
from streams.core.ranking import (
    AWAY_BLOCK,
    BLOCKS,
    CUT,
    ENOUGH,
    HAD_BLOCK,
    HISTORY_BLOCK,
    RATE,
    Contexts,
    Example,
    Model,
    Ranker,
    bounded,
    by_channel,
    contributions,
    ndcg,
)
from streams.errors import ContractError
from streams.ranking_codec import Learnt

K = len(FEATURES)


@st.composite
def examples(draw: st.DrawFn, most: int = 30) -> Example:
    count = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return Example(
        draw(st.integers(0, 1000)),
        draw(st.integers(0, 3)),
        draw(st.integers(0, 2)),
        rng.uniform(-1, 1, (count, K)).astype(np.float16).astype(np.float32),
        rng.random(count) < 0.4,
        rng.random(count) < 0.3,
        rng.integers(1, 5, count).astype(np.float32),
    )


def _logit(weights: np.ndarray, example: Example, row: int) -> float:
    blocks = 0, HISTORY_BLOCK + example.history, AWAY_BLOCK + example.away, HAD_BLOCK + int(example.had[row])
    return sum(float(weights[block][k]) * float(example.features[row][k]) for block in blocks for k in range(K))


def _loss(weights: np.ndarray, example: Example) -> float:
    """Cross-entropy of each of the chosen among those that were not, each as often as it stands for others."""
    logits = [_logit(weights, example, row) for row in range(len(example.chosen))]
    odds = [math.exp(logit) * float(stands) for logit, stands in zip(logits, example.stands_for, strict=True)]
    others = sum(odd for odd, chosen in zip(odds, example.chosen, strict=True) if not chosen)
    own = [
        logit - math.log(odd + others)
        for logit, odd, chosen in zip(logits, odds, example.chosen, strict=True)
        if chosen
    ]
    return -sum(own) / math.sqrt(len(own))


@given(examples(most=8), st.integers(0, BLOCKS - 1), st.integers(0, K - 1))
def test_a_step_goes_down_the_slope_of_the_loss(example: Example, block: int, feature: int) -> None:
    ranker = Ranker()
    ranker.weights += np.random.default_rng(1).normal(0, 0.3, ranker.weights.shape)
    before, squares = ranker.weights.copy(), ranker.squares.copy()
    example = example._replace(had=np.full(len(example.had), np.bool_(example.offset % 2)))
    ranker.learn(example, rate=0.05)
    if not 0 < example.chosen.sum() < len(example.chosen):
        assert (ranker.weights == before).all()
        assert ranker.examples == 0
        return
    up, down, step = before.copy(), before.copy(), 1e-5
    up[block, feature] += step
    down[block, feature] -= step
    slope = (_loss(up, example) - _loss(down, example)) / (2 * step)
    grown = squares[block, feature] + slope * slope
    assert ranker.squares[block, feature] == pytest.approx(grown, abs=1e-6)
    assert ranker.weights[block, feature] - before[block, feature] == pytest.approx(
        -0.05 * slope / math.sqrt(grown), abs=1e-6
    )


@given(examples())
def test_what_was_new_is_learnt_by_itself_too(example: Example) -> None:
    ranker, again = Ranker(), Ranker()
    ranker.learn(example)
    fresh = example.only(~example.had)
    tells = [0 < part.chosen.sum() < len(part.chosen) for part in (example, fresh)]
    if not example.had.any() or not all(tells):
        return
    again._step(example, RATE)
    assert (again.weights != ranker.weights).any()
    again._step(fresh, RATE)
    assert (again.weights == ranker.weights).all()


@given(st.lists(examples(), min_size=1, max_size=5))
def test_contributions_add_up_to_logits_and_channels(asked: list[Example]) -> None:
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(BLOCKS, K))
    sizes = [len(example.chosen) for example in asked]
    owner = np.repeat(np.arange(len(asked)), sizes)
    matrix = np.concatenate([example.features for example in asked])
    had = np.concatenate([example.had for example in asked]).astype(np.int64)
    history = np.array([example.history for example in asked])
    away = np.array([example.away for example in asked])
    given_ = contributions(weights, Contexts(history, away, had), owner, matrix)
    logits = [_logit(weights, example, row) for example, size in zip(asked, sizes, strict=True) for row in range(size)]
    assert given_.sum(axis=1) == pytest.approx(logits)
    fused = rng.dirichlet(np.ones(len(ORDER)), len(owner))
    shares = by_channel(given_, fused)
    assert shares.sum(axis=1) == pytest.approx(logits)
    names = [feature.name for feature in FEATURES if feature.channel is Channel.NEIGHBOURS]
    theirs = given_[:, [COLUMN[name] for name in names]].sum(axis=1)
    column = ORDER.index(Channel.NEIGHBOURS)
    assert shares[:, column] == pytest.approx(theirs + given_[:, FUSED] * fused[:, column])
    first = Contexts(history[:1], away[:1], had[: sizes[0]])
    alone = contributions(weights, first, owner[: sizes[0]], matrix[: sizes[0]])
    assert (alone.sum(axis=1) == given_[: sizes[0]].sum(axis=1)).all()


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_what_a_channel_gave_does_not_depend_on_who_is_beside(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    given_, fused = rng.normal(size=(count, K)), rng.dirichlet(np.ones(len(ORDER)), count)
    alone = [by_channel(given_[row : row + 1], fused[row : row + 1]) for row in range(count)]
    assert (by_channel(given_, fused) == np.concatenate(alone)).all()


@given(examples(), st.integers(0, 2**32))
def test_the_guards_ndcg(example: Example, seed: int) -> None:
    if not example.chosen.any():
        return
    scores = np.random.default_rng(seed).integers(0, 6, len(example.chosen)).astype(np.float64)
    gains = 0.0
    for place in np.flatnonzero(example.chosen):
        rank = 1.0
        for other, stands in enumerate(example.stands_for):
            if other != place:
                rank += float(stands) * (
                    1.0 if scores[other] > scores[place] else 0.5 if scores[other] == scores[place] else 0.0
                )
        gains += 1.0 / math.log2(1.0 + rank) if rank <= CUT else 0.0
    ideal = sum(1.0 / math.log2(1.0 + rank) for rank in range(1, min(int(example.chosen.sum()), CUT) + 1))
    assert ndcg(scores, example) == pytest.approx(gains / ideal)


@given(examples(), st.integers(2, 12))
def test_a_bounded_example_stands_for_the_whole(example: Example, most: int) -> None:
    example = example._replace(stands_for=np.ones(len(example.chosen), np.float32))
    kept = bounded(example, most)
    others = int((~example.chosen).sum())
    assert (kept.chosen.sum(), (~kept.chosen).sum()) == (example.chosen.sum(), min(others, most))
    assert kept.stands_for.sum() == pytest.approx(len(example.chosen))
    best = np.sort(example.features[~example.chosen, FUSED])[::-1][: most // 2]
    assert set(best.tolist()) <= set(kept.features[~kept.chosen, FUSED].tolist())
    rows = {row.tobytes() for row in example.features}
    assert all(row.tobytes() in rows for row in kept.features)


def _examples(count: int, rule: str, seed: int = 0) -> list[Example]:
    """Shoppers who choose the candidate with the largest value of one feature."""
    rng = np.random.default_rng(seed)
    made = []
    for offset in range(count):
        values = rng.uniform(0, 1, (25, K)).astype(np.float32)
        chosen = np.zeros(25, np.bool_)
        chosen[np.argmax(values[:, COLUMN[rule]])] = True
        made.append(Example(offset, 1, 1, values, rng.random(25) < 0.3, chosen, np.ones(25, np.float32)))
    return made


def test_at_first_it_is_fusion_and_then_whoever_leads() -> None:
    ranker = Ranker()
    assert ranker.serving() is None
    assert not ranker.weights.any()
    for example in _examples(ENOUGH - 1, "price_gap"):
        ranker.learn(example)
    assert ranker.leader() is Model.FUSION
    for example in _examples(100, "price_gap", seed=1):
        ranker.learn(example)
    assert ranker.leader() is Model.LEARNT
    assert ranker.serving() is ranker.weights
    assert ranker.means[Model.LEARNT] > 0.5
    assert ranker.means[Model.FUSION] < 0.3


def test_where_popularity_rules_it_is_not_left_behind() -> None:
    ranker = Ranker()
    for example in _examples(ENOUGH + 50, "popularity_log"):
        ranker.learn(example, rate=1e-6)
    assert ranker.leader() is Model.POPULARITY
    weights = ranker.serving()
    assert weights is not None
    assert [FEATURES[place].name for place in np.flatnonzero(weights[0])] == ["popularity_log"]


@given(st.lists(examples(), max_size=4), st.integers(0, 99))
def test_examples_survive_as_bytes(written: list[Example], origin: int) -> None:
    told, read = ranking_codec.decode_examples(ranking_codec.encode_examples(origin, written))
    assert told == origin
    for one, other in zip(written, read, strict=True):
        for before, after in zip(one, other, strict=True):
            assert np.array_equal(before, after)


def test_the_ranker_survives_as_bytes() -> None:
    learnt = Learnt(7, {0: 3, 5: 9})
    for example in _examples(5, "wide"):
        learnt.ranker.learn(example)
    again = ranking_codec.decode_ranker(ranking_codec.encode_ranker(learnt))
    assert (again.offset, again.applied, again.ranker.examples) == (7, {0: 3, 5: 9}, 5)
    assert ranking_codec.encode_ranker(again) == ranking_codec.encode_ranker(learnt)
    assert (again.ranker.weights == learnt.ranker.weights).all()


def test_bytes_of_other_features_or_versions() -> None:
    learnt = Learnt(7, {0: 3})
    learnt.ranker.examples = 5
    row, record = ranking_codec.encode_ranker(learnt), ranking_codec.encode_examples(0, _examples(1, "wide"))
    others = row.replace(ranking_codec.DIGEST, bytes(8))
    assert ranking_codec.decode_ranker(others).ranker.examples == 0
    assert ranking_codec.decode_ranker(others).offset == 7
    assert ranking_codec.decode_examples(record.replace(ranking_codec.DIGEST, bytes(8))) == (-1, [])
    with pytest.raises(ContractError, match="version 9, this Upwell reads 1"):
        ranking_codec.decode_ranker(b"\x09" + row[1:])
    with pytest.raises(ContractError, match="version 09, this Upwell reads 01"):
        ranking_codec.decode_examples(b"\x09" + record[1:])
    with pytest.raises(ContractError, match="is none"):
        ranking_codec.decode_examples(record[:-3])
