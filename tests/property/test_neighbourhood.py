"""A lookup of neighbours is the sum that its definition says."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core import decay
from streams.core.cooccurrence import HALF_LIFE_MS
from streams.core.items import tie
from streams.core.neighbourhood import OWN, THEIRS, Floats, Neighbourhood
from streams.core.ragged import bounds_of, parted
from tests.property.strategies import DAY, T0

NAMES = [f"item-{number}" for number in range(8)]
names = st.sampled_from(NAMES)
amounts = st.floats(0.01, 100)
Rows = dict[str, tuple[float, dict[str, float]]]
rows = st.dictionaries(names, st.tuples(amounts, st.dictionaries(names, amounts)))


def _log(mass: float) -> float:
    return decay.log_mass(mass, T0, HALF_LIFE_MS)


def _filled(rows: Rows) -> Neighbourhood:
    neighbourhood = Neighbourhood()
    for item, (mass, partners) in rows.items():
        neighbourhood.update(item, _log(1.0), dict)  # replaced before anybody asks
        neighbourhood.update(item, _log(mass), {partner: _log(w) for partner, w in partners.items()}.copy)
    return neighbourhood


def _pull(neighbourhood: Neighbourhood, items: Iterable[str], recent: Iterable[str], now: int) -> Floats:
    asked, ids = list(dict.fromkeys(recent)), neighbourhood.items.ids
    counts = np.ones((1, len(asked)))
    looks = neighbourhood.looks(neighbourhood.items.places(asked), bounds_of([len(asked)]), counts, [now])
    pairs = zip(*looks.pull(np.ones(len(looks.places), np.bool_), len(asked)), strict=True)
    pulls = {(ids[looks.places[partner]], asked[whose]): pull for partner, whose, pull in pairs}
    return np.array([[pulls.get((item, other), 0.0) for other in recent] for item in items])


def _similarity(rows: Rows, x: str, y: str, later: float) -> float:
    """By definition, when everything weighs `later` of what it did."""
    mass, partners = rows.get(x, (1.0, {}))
    theirs = (later * rows[y][0]) ** THEIRS if y in rows else 1.0
    return later * partners.get(y, 0.0) / ((later * mass) ** OWN * theirs)


@given(rows, st.dictionaries(names, amounts), st.integers(0, 200))
def test_scores_and_pulls(rows: Rows, recent: dict[str, float], days: int) -> None:
    neighbourhood, now, later = _filled(rows), T0 + days * DAY, 0.5 ** (days * DAY / HALF_LIFE_MS)
    assert len(neighbourhood) == len(rows)
    expected = {y: sum(w * _similarity(rows, x, y, later) for x, w in recent.items()) for y in NAMES}
    places, scores = neighbourhood.scores(recent, now)
    assert len(places) == len(set(places))
    found = {neighbourhood.items.ids[place]: score for place, score in zip(places, scores, strict=True)}
    assert found == pytest.approx({y: score for y, score in expected.items() if score})
    top = neighbourhood.top(recent, now, 3)
    assert top == sorted(found, key=lambda item: (-round(math.log(found[item]), 9), tie(item)))[:3]
    pulls = _pull(neighbourhood, NAMES, recent, now)
    for item, row in zip(NAMES, pulls, strict=True):
        assert list(row) == pytest.approx([_similarity(rows, x, item, later) for x in recent])


@given(st.lists(st.tuples(names, st.dictionaries(names, amounts)), max_size=40))
def test_rows_that_were_read_are_replaced(updates: list[tuple[str, dict[str, float]]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("streams.core.neighbourhood._BEGIN", 4)
        neighbourhood, latest = Neighbourhood(), {}
        for item, partners in updates:
            latest[item] = (1.0, partners)
            neighbourhood.update(item, _log(1.0), {partner: _log(w) for partner, w in partners.items()}.copy)
            neighbourhood.scores({item: 1.0}, T0)
    everything = dict.fromkeys(NAMES, 1.0)
    found, expected = (
        {one.items.ids[place]: score for place, score in zip(*one.scores(everything, T0), strict=True)}
        for one in (neighbourhood, _filled(latest))
    )
    assert found == expected


@given(rows, st.lists(st.dictionaries(names, amounts), max_size=4), st.integers(0, 200))
def test_several_are_answered_as_each_alone(rows: Rows, asked: list[dict[str, float]], days: int) -> None:
    neighbourhood = _filled(rows)
    nows = [T0 + (days + number) * DAY for number in range(len(asked))]
    places = neighbourhood.items.places([item for recent in asked for item in recent])
    counts = np.array([[count for recent in asked for count in recent.values()]])
    looks = neighbourhood.looks(places, bounds_of([len(recent) for recent in asked]), counts, nows)
    lists = parted(looks.places, looks.bounds), parted(looks.scores[0], looks.bounds)
    for recent, now, near, scores in zip(asked, nows, *lists, strict=True):
        alone = neighbourhood.scores(recent, now)
        assert (near.tolist(), scores.tolist()) == (alone[0].tolist(), alone[1].tolist())


def test_equal_scores_are_ranked_by_tie() -> None:
    neighbourhood = _filled({"item-0": (1.0, dict.fromkeys(reversed(NAMES[1:]), 1.0))})
    assert neighbourhood.top({"item-0": 1.0}, T0, 3) == sorted(NAMES[1:], key=tie)[:3]


def test_a_pair_of_centuries_ahead_is_no_obstacle() -> None:
    neighbourhood = _filled({"item-0": (1.0, {"item-1": 1.0})})
    for now in (0, T0, T0 + 10**15):
        assert neighbourhood.top({"item-0": 1.0}, now, 3) == ["item-1"]
        assert _pull(neighbourhood, ["item-1"], ["item-0"], now) > 0


def test_an_item_that_nothing_was_done_with_has_no_neighbours() -> None:
    """Its pairs were counted, its own events were not: they are of before there were rows."""
    neighbourhood = Neighbourhood()
    neighbourhood.update("item-0", decay.EMPTY, {"item-1": _log(1.0)}.copy)
    assert neighbourhood.top({"item-0": 1.0}, T0, 3) == []
    assert not _pull(neighbourhood, ["item-1"], ["item-0"], T0).any()
    neighbourhood.update("item-0", _log(1.0), {"item-1": _log(1.0)}.copy)
    assert neighbourhood.top({"item-0": 1.0}, T0, 3) == ["item-1"]
