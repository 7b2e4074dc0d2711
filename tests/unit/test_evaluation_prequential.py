"""Nobody sees what they are to predict, and what is evaluated is what runs live."""

import asyncio
from typing import Any

import numpy as np
import pytest

from encoders.hashing import HashingEncoder
from streams import codecs
from streams.agents.ranker import Learning
from streams.core.policy import Channel, Policy
from streams.evaluation.baselines import NAMES
from streams.evaluation.log import EventSet, Log
from streams.evaluation.past import Past, Query
from streams.evaluation.prequential import PolicyContender, Trial, run
from streams.evaluation.questions import Reading, Targets, ask
from streams.evaluation.state import State
from streams.evaluation.study import TOPICS, Study, evaluate
from streams.items import ItemEncoder
from streams.recommender import Shopper, recommend
from tests.unit.recorded import GOODS, Line, shopping
from tests.unit.records import LIMITS, FakeRecord
from tests.unit.shop import Shop

CATALOGUE = frozenset(GOODS)
ITEMS = list(GOODS)


def _some_shopping(seed: int = 5, days: int = 24) -> list[Line]:
    """Three users, up to three items on every other day; two of them always at the same time."""
    chance = np.random.default_rng(seed)
    return [
        (user, day, ITEMS[place])
        for day in range(days)
        for user in ("anna", "bert", "carl")
        if user == "anna" or chance.random() < 0.6
        for place in chance.choice(len(ITEMS), chance.integers(1, 4), replace=False)
    ]


def _study(log: Log, targets: Targets = Targets.ALL, **policy: Any) -> Trial:
    study = Study([Policy(size=5, **policy)], NAMES, Reading(targets, start=0.0))
    return asyncio.run(evaluate(log, study, LIMITS, ItemEncoder(HashingEncoder()))).trial


@pytest.mark.parametrize("cut", [4, 11, 17])
def test_no_prediction_sees_its_own_set_or_anything_later(cut: int) -> None:
    """Whatever is bought on a day and after it: the lists up to and on that day are the same."""
    purchases = _some_shopping()
    told = _study(shopping(purchases))
    others = [(user, day, ITEMS[-1 - ITEMS.index(item)] if day >= cut else item) for user, day, item in purchases]
    changed = _study(shopping(others))
    until = [n for n, question in enumerate(told.questions) if question.time <= _time_of(cut)]
    assert [told.questions[n][:3] for n in until] == [changed.questions[n][:3] for n in until]
    for name, answers in told.answers.items():
        assert (answers.lists[until] == changed.answers[name].lists[until]).all(), name
        assert (answers.novelty[until] == changed.answers[name].novelty[until]).all(), name
        assert (answers.lists != changed.answers[name].lists).any(), f"{name} learns nothing"


def _time_of(day: int) -> int:
    from tests.unit.recorded import DAY, START

    return START + day * DAY


def test_a_contender_is_asked_before_it_learns() -> None:
    seen: list[tuple[str, int]] = []

    class Watcher:
        name = "watcher"

        def __init__(self) -> None:
            self.learners = (self,)

        def learn(self, sets: list[EventSet]) -> None:
            seen.extend(("learnt", one.time) for one in sets)

        async def settle(self) -> None:
            seen.append(("settled", 0))

        async def rank(self, queries: list[Query], size: int) -> list[Any]:
            seen.extend(("asked", query.time) for query in queries)
            return [np.zeros(0, np.int64) for _ in queries]

    log = shopping([("anna", 1, "milk"), ("bert", 1, "milk"), ("anna", 2, "milk")])
    reading = Reading(start=0.0)
    past = Past({item: place for place, item in enumerate(ITEMS)})
    asyncio.run(run(log, ask(log, CATALOGUE, reading), reading, [Watcher()], past))
    one, two = _time_of(1), _time_of(2)
    assert seen == [
        *[("settled", 0), ("asked", one), ("asked", one), ("learnt", one), ("learnt", one)],
        *[("settled", 0), ("asked", two), ("learnt", two)],
    ]


def _live(log: Log, policy: Policy) -> Shop:
    shop = Shop(policy)
    shop.catalogue(*(FakeRecord(r.key, r.value, r.offset, TOPICS.catalogue.name) for r in log.catalogue))
    return shop


def _records(happened: EventSet) -> list[FakeRecord]:
    return [FakeRecord(e.record.key, e.record.value, e.record.offset, timestamp=e.time) for e in happened.events]


def test_what_is_evaluated_is_what_the_live_state_recommends() -> None:
    """At every question the live handlers' tables and replica, asked by the recommender, give the evaluated list."""
    log, policy = shopping(_some_shopping()), Policy(size=5)
    trial, shop, number = _study(log), _live(log, policy), 0
    for moment in log.moments():
        for happened in moment:
            profile = codecs.decode_profile(shop.tables["profiles"].get(happened.user.encode()))
            (slate,) = asyncio.run(recommend([Shopper(profile, happened.time)], shop.replica, policy))
            shown = trial.answers["default"].lists[number]
            assert [ITEMS[place] for place in shown if place >= 0] == [entry.item for entry in slate.items]
            number += 1
        for happened in sorted(moment, key=lambda one: one.events[0].record.offset):
            shop.events(*_records(happened))
    assert number == len(trial.questions) > 20


def test_what_the_live_agent_sent_after_a_set_is_what_is_evaluated_at_the_next() -> None:
    """Without the channel that others move, and without exploration: what is judged is what is on the topic."""
    weights = {Channel.CONTENT: 1.0, Channel.BUY_AGAIN: 1.3}
    log, policy = shopping(_some_shopping()), Policy(size=5, channel_weights=weights, exploration=0.0)
    trial, shop, number, compared = _study(log, channel_weights=weights), _live(log, policy), 0, 0
    sent: dict[str, list[str]] = {}
    for moment in log.moments():
        for happened in moment:
            shown = [ITEMS[place] for place in trial.answers["default"].lists[number] if place >= 0]
            if happened.user in sent:
                assert shown == sent[happened.user]
                compared += 1
            number += 1
        for happened in sorted(moment, key=lambda one: one.events[0].record.offset):
            (recommendation,) = shop.events(*_records(happened))
            sent[happened.user] = [entry.item for entry in recommendation.items]
    assert compared > 20


def test_the_state_is_the_live_state_however_it_is_cut() -> None:
    log = shopping(_some_shopping())
    shop = _live(log, Policy())
    state = State(TOPICS, LIMITS, ItemEncoder(HashingEncoder()), learning=Learning(sampling=0.0))

    async def fold() -> None:
        await state.stock(log.catalogue)
        for number, moment in enumerate(log.moments()):
            state.learn(moment)
            if number % 5 == 0:
                await state.settle()
        await state.settle()

    asyncio.run(fold())
    for event in log.events:
        shop.events(FakeRecord(event.record.key, event.record.value, event.record.offset, timestamp=event.time))
    rows = {name: {key: row for (_, key), row in table.rows().items()} for name, table in state.tables.items()}
    assert {name: table.keys() for name, table in rows.items()} == {n: table.keys() for n, table in shop.tables.items()}
    assert rows["profiles"] == shop.tables["profiles"]
    for key, row in rows["trending"].items():
        mine, live = codecs.decode_popularity(row), codecs.decode_popularity(shop.tables["trending"][key])
        assert mine == pytest.approx(live)
    for key, row in rows["neighbours"].items():
        ours, lives = codecs.decode_neighbours(row), codecs.decode_neighbours(shop.tables["neighbours"][key])
        assert (ours.log_mass, ours.applied, ours.partners) == (lives.log_mass, lives.applied, lives.partners)


def test_first_time_lists_hold_nothing_that_the_user_had() -> None:
    log = shopping(_some_shopping())
    trial = _study(log, Targets.FIRST_TIME)
    had = {
        (one.user, one.time): {e.item for e in log.events if e.user == one.user and e.time < one.time}
        for one in trial.questions
    }
    for answers in trial.answers.values():
        for question, shown in zip(trial.questions, answers.lists, strict=True):
            assert not had[question.user, question.time] & {ITEMS[place] for place in shown if place >= 0}


def test_a_policy_may_be_held_against_itself_under_another_name() -> None:
    log = shopping(_some_shopping())
    study = Study([Policy(), Policy()], (), Reading(start=0.0))
    trial, verdict, *_ = asyncio.run(evaluate(log, study, LIMITS, ItemEncoder(HashingEncoder())))
    assert (trial.answers["default"].lists == trial.answers["default (2)"].lists).all()
    lead = verdict.slices["all"].leads["default (2)"]["ndcg", 20]
    assert lead == (0.0, (0.0, 0.0))


async def test_an_unknown_excluded_item_is_no_obstacle() -> None:
    log = shopping(_some_shopping(days=2))
    state = State(TOPICS, LIMITS, ItemEncoder(HashingEncoder()))
    await state.stock(log.catalogue)
    contender = PolicyContender(Policy(excluded=frozenset({"unheard-of"})), state, ITEMS)
    (shown,) = await contender.rank([Query("nobody", 0, np.zeros(0, np.int64))], 5)
    assert not len(shown), "nothing is popular yet"
