"""Baselines on cases that can be counted out on paper."""

from collections.abc import Sequence

import numpy as np
import pytest

from streams.evaluation.baselines import NAMES, Baseline, build, top
from streams.evaluation.log import Log
from streams.evaluation.past import HALF_LIFE_MS, Past, Query
from streams.evaluation.sessions import KnnSettings, SessionKnn, Sessions
from tests.unit.recorded import DAY, GOODS, START, Line, event_line, lines, log_of, shopping

ITEMS = list(GOODS)
PLACES = {item: place for place, item in enumerate(ITEMS)}
NOBODY = np.zeros(0, np.int64)
VECTORS = np.eye(len(ITEMS), dtype=np.float32)
VECTORS[PLACES["oatmilk"]] = (VECTORS[0] * 0.8 + VECTORS[1] * 0.6).astype(np.float32)

PURCHASES: list[Line] = [
    ("anna", 1, "hammer"),
    ("anna", 1, "nails"),
    ("bert", 2, "hammer"),
    ("bert", 2, "nails"),
    ("bert", 2, "screws"),
    ("carl", 3, "milk"),
    ("carl", 3, "bread"),
    ("dora", 4, "bread"),
    ("dora", 20, "milk"),
    ("dora", 30, "milk"),
]


def _learnt(log: Log, names: Sequence[str] = NAMES) -> dict[str, Baseline]:
    past = Past(PLACES)
    built = build(names, past, VECTORS)
    learners = dict.fromkeys([*(learner for one in built for learner in one.learners), past])
    for moment in log.moments():
        for learner in learners:
            learner.learn(moment)
    return {one.name: one for one in built}


async def _list(
    name: str, user: str, size: int = 3, *, barred: Sequence[str] = (), log: Log | None = None
) -> list[str]:
    baseline = _learnt(log or shopping(PURCHASES))[name]
    places = np.array([PLACES[item] for item in barred], np.int64)
    (shown,) = await baseline.rank([Query(user, START + 30 * DAY, places)], size)
    return [ITEMS[place] for place in shown]


async def test_popularity_counts_all_and_decayed_popularity_what_is_recent() -> None:
    assert await _list("popularity", "anna", 2) == ["milk", "bread"]
    assert await _list("decayed-popularity", "anna", 4) == ["milk", "bread", "hammer", "nails"]
    older = shopping([("anna", 1, "hammer"), ("bert", 1, "hammer"), ("carl", 60, "milk")])
    assert await _list("popularity", "anna", 2, log=older) == ["hammer", "milk"]
    assert await _list("decayed-popularity", "anna", 2, log=older) == ["milk", "hammer"]


def test_popularity_halves_with_its_half_life() -> None:
    days = HALF_LIFE_MS / DAY
    past = _learnt(shopping([("anna", 0, "milk"), ("bert", days, "nails")]))["popularity"].past
    assert past.decayed[PLACES["milk"]] == pytest.approx(0.5 * past.decayed[PLACES["nails"]])


async def test_personal_frequency_counts_sets_and_ends_in_popularity() -> None:
    bought = [
        ("anna", 1, "nails"),
        ("anna", 1, "nails"),
        ("anna", 2, "milk"),
        ("anna", 3, "milk"),
        ("bert", 3, "rolls"),
    ]
    assert await _list("p-topfreq", "anna", 3, log=shopping(bought)) == ["milk", "nails", "rolls"]
    assert (await _list("p-topfreq", "nobody", 1)) == await _list("decayed-popularity", "nobody", 1)


async def test_content_goes_by_the_last_item_or_by_all_of_them() -> None:
    bought = shopping([("anna", 1, "milk"), ("anna", 2, "nails")])
    assert (await _list("last-item", "anna", 1, log=bought)) == ["nails"]
    assert (await _list("mean-profile", "anna", 3, log=bought)) == ["nails", "milk", "oatmilk"]
    assert (await _list("mean-profile", "anna", 1, barred=["milk", "nails"], log=bought)) == ["oatmilk"]


async def test_one_place_is_for_what_is_like_the_users_items_and_hardly_known() -> None:
    bought = shopping([*(("anna", day, "milk") for day in range(1, 6)), ("bert", 6, "nails")])
    assert await _list("reserved-slot", "anna", log=bought) == ["oatmilk", "milk", "nails"]
    assert await _list("reserved-slot", "anna", barred=["oatmilk"], log=bought) == ["nails", "milk", "cheese"]
    assert await _list("reserved-slot", "nobody", 2, log=bought) == ["nails", "milk"]
    everything = shopping([("anna", day, item) for day in range(1, 6) for item in ITEMS])
    assert await _list("reserved-slot", "anna", log=everything) == await _list("popularity", "anna", log=everything)


async def test_item_knn_goes_by_the_cosine_of_sessions() -> None:
    """Hammer and nails meet in both their sessions (cosine 1), hammer and screws in one (1/√2)."""
    assert await _list("item-knn", "anna", 1, barred=["hammer", "nails"]) == ["screws"]
    baseline = _learnt(shopping(PURCHASES))["item-knn"]
    scores = baseline.scorer.scores(Query("anna", START + 30 * DAY, NOBODY))
    assert scores[PLACES["screws"]] == pytest.approx((1 + 0.9) / np.sqrt(2))
    assert scores[PLACES["nails"]] == pytest.approx(1 + 0.9)
    assert scores[PLACES["milk"]] == 0.0


@pytest.mark.parametrize("name", ["v-sknn", "v-sknn-tuned", "v-sknn-lines"])
async def test_neighbours_of_the_session_vote_for_what_they_have(name: str) -> None:
    assert await _list(name, "anna", 1, barred=["hammer", "nails"]) == ["screws"]
    assert (await _list(name, "nobody", 1)) == await _list("decayed-popularity", "nobody", 1)


def test_the_votes_of_v_sknn_counted_out() -> None:
    """Anna's session is (hammer, nails), weights 1/2 and 1; hers and bert's hold both, carl's and dora's neither."""
    past, sessions = Past(PLACES), Sessions(PLACES)
    for moment in shopping(PURCHASES).moments():
        past.learn(moment)
        sessions.learn(moment)
    plain = KnnSettings(history=None, keep=None, neighbours=100, sample=1000, length=0.0, memory_ms=None, rarity=0.0)
    votes = SessionKnn(past, sessions, plain).scores(Query("anna", START + 30 * DAY, NOBODY))
    assert {ITEMS[place]: vote for place, vote in enumerate(votes) if vote} == {
        "hammer": 3.0,
        "nails": 3.0,
        "screws": 1.5,
    }
    nearest = KnnSettings(history=2, keep=0.5, neighbours=1, sample=1000, length=1.0, memory_ms=None, rarity=1.0)
    votes = SessionKnn(past, sessions, nearest).scores(Query("anna", START + 30 * DAY, NOBODY))
    assert {ITEMS[place]: vote for place, vote in enumerate(votes) if vote} == {
        "hammer": 1.5 / 2 / 2,
        "nails": 1.5 / 2 / 2,
    }


def test_a_session_ends_with_its_id_or_after_a_pause() -> None:
    sessions = Sessions(PLACES)
    minute = 1 / 1440
    log = log_of([
        *lines([]),
        event_line(0, "anna", 1, "milk"),
        event_line(1, "anna", 1 + 29 * minute, "bread"),
        event_line(2, "anna", 1 + 60 * minute, "nails"),
        event_line(3, "bert", 1, "milk", session="a"),
        event_line(4, "bert", 2, "bread", session="a"),
        event_line(5, "bert", 2 + minute, "nails", session="b"),
    ])  # fmt: skip
    for moment in log.moments():
        sessions.learn(moment)
    held = sorted([ITEMS[item] for item in items] for items in sessions.items)
    assert held == [["milk", "bread"], ["milk", "bread"], ["nails"], ["nails"]]
    owners, items = sessions.pairs
    assert sorted(zip(owners.tolist(), items.tolist(), strict=True)) == sorted(
        (number, item) for number, several in enumerate(sessions.items) for item in several
    )


async def test_events_against_an_item_speak_for_nothing() -> None:
    log = log_of([*lines([("bert", 1, "milk")]), event_line(9, "anna", 2, "nails", type="return")])
    for name in NAMES:
        assert await _list(name, "anna", 1, log=log) == ["milk"], name


def test_top_agrees_with_a_plain_sort() -> None:
    chance = np.random.default_rng(1)
    for _ in range(200):
        scores, popularity = chance.integers(-1, 4, 15).astype(float), chance.integers(0, 3, 15).astype(float)
        barred, size = np.flatnonzero(chance.random(15) < 0.3), int(chance.integers(1, 18))
        plain = sorted(
            set(range(15)) - set(barred.tolist()),
            key=lambda place: (-max(scores[place], 0.0), -popularity[place], place),
        )
        assert top(scores, popularity, barred, size).tolist() == plain[:size]
