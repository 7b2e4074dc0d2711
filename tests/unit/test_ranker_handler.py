"""What the ranker learns from shoppers' doings, once each, and what becomes of recommendations by it."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from streams import codecs, ranking_codec
from streams.agents.ranker import Learning
from streams.core.features import COLUMN
from streams.core.policy import Channel, Policy
from streams.core.profile import Profile
from streams.core.ranking import ENOUGH, Example, Model
from streams.engine.effects import Batch, RejectReason
from streams.ranking_codec import Learnt
from streams.recommender import Shopper, recommend
from streams.records import RecommendedItem
from tests.unit.records import NOW, FakeRecord, event, item
from tests.unit.shop import TOPICS, Shop

ALWAYS = Learning(sampling=1.0)
THINGS = [f"thing {number}" for number in range(12)]
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def _shop(learning: Learning | None = ALWAYS, policy: Policy | None = None) -> Shop:
    shop = Shop(policy, learning=learning)
    shop.catalogue(*(item(name, number, price=1.0 + number) for number, name in enumerate(THINGS)))
    return shop


def _told(shop: Shop) -> list[Example]:
    """All examples that were sent."""
    return [one for record in shop.examples_sent for one in ranking_codec.decode_examples(record.value or b"")[1]]


def test_an_example_is_of_the_state_before_what_it_is_about() -> None:
    shop = _shop()
    shop.events(event(0, item=THINGS[1]), event(1, user="bert", item=THINGS[2]))
    assert _told(shop) == []  # nobody knew of anything
    shop.events(event(2, user="carl", item=THINGS[2], time=NOW + HOUR))
    (first,) = _told(shop)
    assert (first.offset, first.history, first.away) == (2, 0, 2)
    assert sorted(first.chosen.tolist()) == [False, True]
    assert not first.had.any()
    shop.events(event(3, user="carl", item=THINGS[2], time=NOW + 2 * HOUR))
    second = _told(shop)[-1]
    assert (second.offset, second.away) == (3, 1)
    (bought,) = second.features[second.chosen]
    assert second.had[second.chosen].all()
    assert bought[COLUMN["bought_once"]] == 1.0
    assert bought[COLUMN["bought_ago"]] == pytest.approx(np.log1p(1 / 24) / 6, abs=1e-3)


def test_a_basket_is_one_example_and_what_goes_on_is_none() -> None:
    shop = _shop()
    shop.events(*(event(n, user=f"user {n}", item=name) for n, name in enumerate(THINGS[:6])))
    later = NOW + HOUR
    shop.events(
        event(10, item=THINGS[0], time=later),
        event(11, item=THINGS[3], time=later),
        event(12, item=THINGS[9], time=later),
        event(13, item=THINGS[4], time=later + 1),
    )
    basket, next_one = _told(shop)
    assert (basket.offset, basket.chosen.sum(), next_one.offset, next_one.chosen.sum()) == (10, 2, 13, 1)
    shop.events(event(14, item=THINGS[5], time=later + 1))
    assert len(_told(shop)) == 2


@pytest.mark.parametrize(("sampling", "least", "most"), [(0.0, 0, 0), (0.3, 6, 24), (1.0, 48, 48)])
def test_so_much_is_sampled_and_by_the_event_alone(sampling: float, least: int, most: int) -> None:
    def offsets(shop: Shop) -> list[int]:
        shop.events(*(event(n, user=f"user {n}", item=name) for n, name in enumerate(THINGS)))
        for n in range(48):
            shop.events(event(100 + n, user=f"user {n % 12}", item=THINGS[n * 5 % 12], time=NOW + n * MINUTE + HOUR))
        return [example.offset for example in _told(shop)]

    one = offsets(_shop(Learning(sampling, eager=0)))
    assert least <= len(one) <= most
    assert one == offsets(_shop(Learning(sampling, candidates=5, eager=0)))
    assert sampling == 0 or len(offsets(_shop(Learning(sampling, eager=1_000)))) == 48


def test_a_large_batch_teaches_no_more_than_a_small_one() -> None:
    """A worker that is behind takes large ones."""
    shop = _shop(Learning(1.0, a_batch=10))
    shop.events(*(event(n, user=f"user {n}", item=name) for n, name in enumerate(THINGS)))
    before = len(_told(shop))
    shop.events(*(event(100 + n, user=f"late {n}", item=THINGS[n % 12], time=NOW + HOUR + n) for n in range(200)))
    assert 3 <= len(_told(shop)) - before <= 20
    shop.events(*(event(300 + n, user=f"few {n}", item=THINGS[n], time=NOW + 2 * HOUR + n) for n in range(8)))
    assert [example.offset for example in _told(shop)[-8:]] == list(range(300, 308))


def test_a_basket_is_one_moment_however_long_it_is() -> None:
    shop = _shop(Learning(1.0, a_batch=10))
    shop.events(*(event(n, user=f"user {n}", item=name) for n, name in enumerate(THINGS)))
    before, count = len(_told(shop)), len(THINGS)
    shop.events(
        *(
            event(100 + n, user=f"late {n // count}", item=THINGS[n % count], time=NOW + HOUR + n // count)
            for n in range(10 * count)
        )
    )
    assert [example.offset for example in _told(shop)[before:]] == list(range(100, 100 + 10 * count, count))


def test_candidates_are_bounded() -> None:
    shop = _shop(Learning(1.0, candidates=4))
    shop.events(*(event(n, user=f"user {n}", item=name) for n, name in enumerate(THINGS)))
    shop.events(event(100, item=THINGS[7], time=NOW + HOUR))
    (example,) = _told(shop)
    assert (len(example.chosen), example.stands_for.sum()) == (5, 12.0)


def test_each_example_counts_once_however_often_it_is_sent() -> None:
    shop = _shop()
    shop.events(*(event(n, user=f"user {n}", item=name) for n, name in enumerate(THINGS)))
    for n in range(5):
        shop.events(event(20 + n, item=THINGS[n], time=NOW + n * HOUR + HOUR))
    learnt = ranking_codec.decode_ranker(shop.tables["ranker"][ranking_codec.KEY])
    assert (learnt.ranker.examples, learnt.applied) == (5, {0: 24})
    again = [replace(record, offset=record.offset + 5) for record in shop.examples_sent]
    shop._run(shop.ranker, TOPICS.examples.name, again)
    after = ranking_codec.decode_ranker(shop.tables["ranker"][ranking_codec.KEY])
    assert (after.offset, after.applied, after.ranker.examples) == (9, {0: 24}, 5)
    assert (after.ranker.weights == learnt.ranker.weights).all()


def test_a_replay_of_the_examples_gives_the_same_row_however_it_is_cut() -> None:
    shop = _shop()
    shop.events(*(event(n, user=f"user {n}", item=name) for n, name in enumerate(THINGS)))
    for n in range(9):
        shop.events(event(20 + n, item=THINGS[n * 5 % 12], time=NOW + n * HOUR + HOUR))
    rows: dict[bytes, bytes | None] = {}
    for part in (shop.examples_sent[:2], shop.examples_sent[2:]):
        batch = Batch(TOPICS.examples.name, 0, part)
        effects = asyncio.run(shop.ranker(batch, lambda table, keys: [rows.get(key) for key in keys]))
        rows.update(effects.rows["ranker"])
    assert rows == shop.tables["ranker"]


def test_what_is_no_example_is_refused() -> None:
    shop = _shop()
    bad = FakeRecord(None, b"\xffnone", 0, TOPICS.examples.name)
    effects = asyncio.run(shop.ranker(Batch(TOPICS.examples.name, 0, [bad]), shop.read))
    assert [(one.record, one.reason) for one in effects.rejections] == [(bad, RejectReason.UNDECODABLE)]
    assert ranking_codec.decode_ranker(effects.rows["ranker"][0][1]).offset == 0


def _learnt(shop: Shop, **weights: float) -> None:
    """Let the ranker have learnt some weights, and have proved better."""
    learnt = Learnt()
    for name, weight in weights.items():
        learnt.ranker.weights[0, COLUMN[name]] = weight
    learnt.ranker.examples, learnt.ranker.means[Model.LEARNT] = ENOUGH, 0.5
    record = FakeRecord(ranking_codec.KEY, ranking_codec.encode_ranker(learnt), 7, TOPICS.ranker.name)
    asyncio.run(shop.replica.apply(TOPICS.ranker.name, 0, [record]))


def test_the_ranker_takes_over_when_it_has_proved_better_and_says_why() -> None:
    shop = _shop(None, Policy(size=5, exploration=0.0, diversity=1.0))
    shop.events(*(event(n, user=f"user {n}", item=name) for n, name in enumerate(THINGS)))
    _learnt(shop, fused=0.0, dearer=1.0)
    (learnt,) = shop.events(event(9_001, user="new", type="view", item=THINGS[0], time=NOW + HOUR))
    profile = codecs.decode_profile(shop.tables["profiles"][b"new"])
    asked = [Shopper(profile, NOW + HOUR)]
    (fused,) = asyncio.run(recommend(asked, shop.replica, Policy(size=5, ranker=False, diversity=1.0)))
    assert [entry.item for entry in learnt.items] == THINGS[:-6:-1]
    assert [entry.item for entry in fused.items] != THINGS[:-6:-1]
    assert learnt.items[0].score == 1.0
    assert [entry.score for entry in learnt.items] == sorted((e.score for e in learnt.items), reverse=True)
    assert learnt.as_of["shop.ranker.v1/0"] == 7
    for entry in learnt.items:
        assert sum(reason.share for reason in entry.reasons) == pytest.approx(1.0, abs=1e-3)
        assert entry.channel == entry.reasons[0].channel == Channel.CONTENT


def test_taking_a_cited_event_away_changes_the_score() -> None:
    shop = _shop(None, Policy(size=5, exploration=0.0))
    for n in range(24):
        shop.events(event(n, user=f"user {n % 3}", item=THINGS[n * 5 % 12], time=NOW + n * MINUTE))
    _learnt(shop, fused=0.0, cosine=1.0, wide_log=1.0, tight=0.5, strength=1.0)
    views = [event(900 + n, user="new", type="view", item=THINGS[n], time=NOW + HOUR + n) for n in range(3)]
    shop.events(*views)
    policy = Policy(size=12, exploration=0.0)

    def scores(profile: Profile) -> dict[str, RecommendedItem]:
        (slate,) = asyncio.run(recommend([Shopper(profile, NOW + HOUR + 9)], shop.replica, policy))
        return {entry.item: entry for entry in slate.items}

    profile = codecs.decode_profile(shop.tables["profiles"][b"new"])
    whole = scores(profile)
    cited = [(entry, one) for entry in whole.values() for reason in entry.reasons for one in reason.because]
    assert {Channel.CONTENT, Channel.NEIGHBOURS} <= {one.channel for entry in whole.values() for one in entry.reasons}
    best = max(whole.values(), key=lambda entry: entry.score)
    changed = 0
    for entry, because in cited:
        less = replace(profile, recent=tuple(one for one in profile.recent if one.item != because.item), past={})
        without = scores(less)
        if entry.item != best.item and entry.item in without:
            changed += 1
            assert without[entry.item].score != entry.score
    assert changed > 5


@pytest.mark.parametrize(
    ("feature", "cited"),
    [("cosine_intent", "hose"), ("alike", "pan"), ("alike_new", "pan"), ("alike_sitting", "knife")],
)
def test_what_an_item_is_most_like_is_cited(feature: str, cited: str) -> None:
    titles = {
        "pan": "red enamel bowls",
        "knife": "red enamel knife",
        "hose": "hose of enamel",
        "bowl": "red enamel bowl",
    }
    shop = Shop(Policy(size=5, exploration=0.0))
    shop.catalogue(*(item(name, number, title=title) for number, (name, title) in enumerate(titles.items())))
    had = [("pan", -DAY), ("knife", 0), *(("hose", n) for n in range(1, 40))]
    shop.events(*(event(n, item=name, type="view", time=NOW + then) for n, (name, then) in enumerate(had)))
    _learnt(shop, **{"fused": 0.0, feature: 1.0, "bias": -9.0})
    profile = codecs.decode_profile(shop.tables["profiles"][b"anna"])

    (slate,) = asyncio.run(recommend([Shopper(profile, NOW + HOUR)], shop.replica, Policy(exploration=0.0)))
    (bowl,) = [entry for entry in slate.items if entry.item == "bowl"]
    (reason,) = [one for one in bowl.reasons if one.channel == Channel.CONTENT]
    assert reason.because[0].item == cited


def test_a_shopper_for_whom_there_is_nothing_gets_nothing_beside_others() -> None:
    shop = _shop(None)
    shop.events(event(0, item=THINGS[0]), event(1, user="bert", item=THINGS[1]))
    _learnt(shop, cosine=1.0)
    policy = Policy(channel_weights={Channel.CONTENT: 1.0})
    known = codecs.decode_profile(shop.tables["profiles"][b"anna"])
    asked = [Shopper(profile, NOW + HOUR, "key") for profile in (Profile(), known, Profile())]
    slates = asyncio.run(recommend(asked, shop.replica, policy))
    assert [bool(slate.items) for slate in slates] == [False, True, False]
    newcomers = asyncio.run(recommend([Shopper(Profile(), NOW + HOUR)] * 2, shop.replica, Policy()))
    assert [{entry.item for entry in slate.items} for slate in newcomers] == [set(THINGS[:2])] * 2
