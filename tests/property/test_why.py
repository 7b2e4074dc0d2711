"""The trace of an item ends where the recommender left it."""

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core import profile as profiles
from streams.core.policy import Channel, Policy
from streams.core.profile import Profile, fold
from streams.core.rules import parse_all
from streams.core.rules import syntax as s
from streams.edge import AcceptedEvent, accept_event
from streams.recommender import Shopper, recommend
from streams.why import End, Trace, why
from tests.property.rulebook import holds, rules
from tests.property.test_rules_hold import DAY, GOODS, ITEMS, SHOP, _profile, _row, deeds
from tests.unit.records import LIMITS, NOW, event


def traced(item: str, profile: Profile, policy: Policy) -> Trace:
    return asyncio.run(why(Shopper(profile, NOW), item, SHOP.replica, policy))


@settings(max_examples=60)
@given(deeds, st.lists(rules, max_size=2), st.integers(1, 6), st.sampled_from(ITEMS), st.sampled_from([1.0, 0.5]))
def test_a_trace_ends_where_the_list_says(
    history: list[Any], drawn: list[s.Rule], size: int, item: str, diversity: float
) -> None:
    profile = _profile(history)
    policy = Policy(size=size, rules=tuple(drawn), diversity=diversity)
    (slate,) = asyncio.run(recommend([Shopper(profile, NOW)], SHOP.replica, policy))
    places = {entry.item: entry for entry in slate.items}
    trace = traced(item, profile, policy)
    assert (trace.end is End.LISTED) == (item in places)
    assert trace.entry == places.get(item)
    drops = [
        rule for rule in drawn
        if (isinstance(rule, s.Exclude) and holds(rule.condition, _row(item, profile)))
        or (isinstance(rule, s.Include) and not holds(rule.condition, _row(item, profile)))
    ]  # fmt: skip
    if trace.end is End.UNAVAILABLE:
        assert not GOODS[item]["available"]
    if trace.end is End.TURNED_DOWN:
        assert item in profiles.rejected(profile)
    if trace.end is End.IN_CART:
        assert item in profiles.in_cart(profile)
    if trace.end is End.RULE:
        assert drops
    if trace.end in (End.CUT, End.CAP, End.DIVERSITY, End.LISTED):
        assert not drops
        assert trace.channels
        assert trace.rank is not None
        assert 1 <= trace.rank <= trace.candidates
        boosts = [one.factor for one in drawn if isinstance(one, s.Boost) and holds(one.condition, _row(item, profile))]
        assert trace.boost == pytest.approx(math.prod(boosts))
    if trace.end is End.CAP:
        assert any(isinstance(rule, s.Cap) for rule in drawn)
        assert len(slate.items) <= size


def test_every_way_can_end() -> None:
    nobody, buyer = _profile([]), _profile([("purchase", ITEMS[2], 1), ("dislike", ITEMS[4], 0), ("cart", ITEMS[6], 0)])
    plain = Policy()
    (slate,) = asyncio.run(recommend([Shopper(nobody, NOW)], SHOP.replica, Policy(size=14, diversity=1.0)))
    order = [entry.item for entry in slate.items]
    dropped = Policy(rules=parse_all(["cap brand 5", f'exclude id = "{order[0]}"']))
    ends = {
        traced("unheard of", nobody, plain).end: End.UNKNOWN,
        traced(ITEMS[7], nobody, plain).end: End.UNAVAILABLE,
        traced(ITEMS[4], buyer, plain).end: End.TURNED_DOWN,
        traced(ITEMS[6], buyer, plain).end: End.IN_CART,
        traced(order[0], nobody, Policy(excluded=frozenset({order[0]}))).end: End.EXCLUDED,
        traced(order[0], nobody, dropped).end: End.RULE,
        traced(ITEMS[2], buyer, Policy(channel_weights={Channel.POPULAR: 1.0})).end: End.NO_CANDIDATE,
        traced(order[3], nobody, Policy(size=1)).end: End.CUT,
        traced(order[0], nobody, plain).end: End.LISTED,
    }
    assert all(found is expected for found, expected in ends.items())
    assert len(ends) == 9
    assert (
        f'a rule of the policy default drops it: exclude id = "{order[0]}"' in traced(order[0], nobody, dropped).words
    )
    second = traced(order[1], nobody, Policy(size=1, diversity=1.0))
    assert second.end is End.DIVERSITY
    assert second.words.startswith("number 2 by score")
    capped = [traced(name, nobody, Policy(size=3, diversity=1.0, rules=parse_all(["cap brand 1"]))) for name in ITEMS]
    assert End.CAP in {trace.end for trace in capped}


def test_what_was_shown_in_vain_is_told() -> None:
    shown = [event(n, type="impression", item=ITEMS[3], time=NOW - DAY) for n in range(4)]
    shown.append(event(4, type="view", item=ITEMS[2], time=NOW - 2 * DAY))
    accepted = [accept_event(record, LIMITS) for record in shown]
    profile = fold(Profile(), [one.arrival for one in accepted if isinstance(one, AcceptedEvent)])
    trace, plain = (traced(ITEMS[3], profile, Policy(fatigue=fatigue, ranker=False)) for fatigue in (0.5, 1.0))
    times = 4 * 0.5 ** (1 / 3)
    assert trace.shown == pytest.approx(times)
    assert trace.faded == pytest.approx(0.5**times)
    assert trace.boost == pytest.approx(1.0)
    assert trace.score is not None
    assert plain.score is not None
    assert trace.score == pytest.approx(plain.score * trace.faded, abs=1e-6)
    assert plain.faded == 1.0
