"""EASE against its formula, over whatever users had."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.evaluation.ease import Ease
from streams.evaluation.past import Past, Query
from tests.unit.recorded import DAY, GOODS, START, Line, shopping

ITEMS = list(GOODS)
PLACES = {item: place for place, item in enumerate(ITEMS)}
NOBODY = np.zeros(0, np.int64)

purchases = st.lists(
    st.tuples(st.sampled_from(["anna", "bert", "carl"]), st.integers(0, 3), st.sampled_from(ITEMS)),
    min_size=1, max_size=25,
)  # fmt: skip


async def _learnt(bought: list[Line], **options: float) -> Ease:
    past = Past(PLACES)
    ease = Ease(past, **options)  # type: ignore[arg-type]
    for moment in shopping(bought).moments():
        ease.learn(moment)
        past.learn(moment)
    await ease.settle()
    return ease


@given(purchases)
async def test_scores_are_those_of_the_closed_form(bought: list[Line]) -> None:
    ease = await _learnt(bought, penalty=2.0)
    matrix = np.zeros((3, len(ITEMS)))
    for user, _, item in bought:
        matrix[["anna", "bert", "carl"].index(user), PLACES[item]] = 1.0
    inverse = np.linalg.inv(matrix.T @ matrix + 2.0 * np.eye(len(ITEMS)))
    weights = np.eye(len(ITEMS)) - inverse / np.diag(inverse)
    for row, user in zip(matrix, ["anna", "bert", "carl"], strict=True):
        # An item that nobody had has no weights but its penalty: 0 either way.
        assert ease.scores(Query(user, START, NOBODY)) == pytest.approx(row @ weights, abs=1e-5)


async def test_the_least_popular_items_are_left_out() -> None:
    bought: list[Line] = [("anna", 0, "milk"), ("anna", 1, "bread"), ("bert", 1, "bread"), ("bert", 2, "milk"),
                          ("bert", 3, "nails")]  # fmt: skip
    scores = (await _learnt(bought, penalty=1.0, most=2)).scores(Query("bert", START, NOBODY))
    assert set(np.flatnonzero(scores)) == {PLACES["milk"], PLACES["bread"]}


async def test_it_trains_when_the_last_training_is_a_day_old() -> None:
    past = Past(PLACES)
    ease = Ease(past, penalty=1.0)
    said = []
    moments = shopping([("anna", 0.1, "milk"), ("bert", 0.2, "milk"), ("bert", 0.3, "bread"), ("carl", 1.4, "milk")])  # type: ignore[list-item]
    for moment in moments.moments():
        ease.learn(moment)
        past.learn(moment)
        await ease.settle()
        said.append(float(ease.scores(Query("anna", START + 2 * DAY, NOBODY))[PLACES["bread"]]))
    assert said[:3] == [0.0, 0.0, 0.0]
    assert said[3] > 0
