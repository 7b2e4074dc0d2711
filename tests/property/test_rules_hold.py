"""Rules in the recommender: whatever they are, no list breaks one, and a boost is a factor."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core import profile as profiles
from streams.core.events import EventType
from streams.core.policy import Policy
from streams.core.profile import Profile, fold
from streams.core.rules import parse, parse_all
from streams.core.rules import syntax as s
from streams.edge import AcceptedEvent, accept_event
from streams.recommender import Shopper, recommend
from streams.records import RecommendedItem
from tests.property.rulebook import Row, holds, rules
from tests.unit.records import LIMITS, NOW, event, item
from tests.unit.shop import Shop

CATEGORIES = ("toys", "acme", None)
ITEMS = [f"item {number}" for number in range(14)]
DAY = 86_400_000


def _goods(number: int) -> dict[str, Any]:
    category, brand = CATEGORIES[number % 3], ("acme", None)[number % 2]
    return {
        "title": f"Thing number {number}",
        "category": [category] if category else [],
        "brand": brand,
        "price": None if number % 5 == 0 else [1.0, 9.99, 100.0][number % 3],
        "available": number != 7,
        "attributes": {"colour": "acme", "9": 1.0} if number % 4 == 0 else {},
    }


GOODS = {name: _goods(number) for number, name in enumerate(ITEMS)}
SHOP = Shop()
SHOP.catalogue(
    *(item(name, n, **{k: v for k, v in GOODS[name].items() if v is not None}) for n, name in enumerate(ITEMS))
)
SHOP.events(*(event(n, user=f"user{n % 5}", item=ITEMS[n * n % 14], time=NOW + n) for n in range(30)))

deeds = st.lists(
    st.tuples(st.sampled_from(["view", "cart", "purchase", "dislike"]), st.sampled_from(ITEMS), st.integers(0, 9))
)


def _profile(history: list[tuple[str, str, int]]) -> Profile:
    records = [event(n, type=kind, item=name, time=NOW - day * DAY) for n, (kind, name, day) in enumerate(history)]
    accepted = [accept_event(record, LIMITS) for record in records]
    return fold(Profile(), [one.arrival for one in accepted if isinstance(one, AcceptedEvent)])


def _listed(profile: Profile, policy: Policy) -> list[RecommendedItem]:
    (slate,) = asyncio.run(recommend([Shopper(profile, NOW)], SHOP.replica, policy))
    return slate.items


def _row(name: str, profile: Profile) -> Row:
    ages: dict[s.Deed, int] = {}

    def note(deed: s.Deed, time: int) -> None:
        ages[deed] = min(NOW - time, ages.get(deed, NOW))

    for interaction in profile.recent:
        if interaction.item == name:
            note(s.Deed.SEEN, interaction.time)
            if interaction.type is EventType.PURCHASE:
                note(s.Deed.PURCHASED, interaction.time)
            if name in profiles.in_cart(profile):
                note(s.Deed.IN_CART, interaction.time)
    if name in profile.habits:
        note(s.Deed.SEEN, profile.habits[name].last)
        note(s.Deed.PURCHASED, profile.habits[name].last)
    row = {"id": name, "ages": ages, **GOODS[name]}
    row["category"] = row["category"][-1] if row["category"] else None
    return row


@settings(max_examples=60)
@given(deeds, st.lists(rules, max_size=3), st.integers(1, 15))
def test_no_list_breaks_a_rule(history: list[tuple[str, str, int]], drawn: list[s.Rule], size: int) -> None:
    profile = _profile(history)
    shown = _listed(profile, Policy(size=size, rules=tuple(drawn)))
    assert len({entry.item for entry in shown}) == len(shown) <= size
    for rule in drawn:
        if isinstance(rule, s.Exclude):
            assert not any(holds(rule.condition, _row(entry.item, profile)) for entry in shown)
        if isinstance(rule, s.Include):
            assert all(holds(rule.condition, _row(entry.item, profile)) for entry in shown)
        if isinstance(rule, s.Cap):
            groups = Counter(_row(entry.item, profile)[rule.group.value] for entry in shown)
            del groups[None]
            assert max(groups.values(), default=0) <= rule.most


@settings(max_examples=30)
@given(deeds, st.lists(rules.filter(lambda rule: not isinstance(rule, (s.Boost, s.Cap))), min_size=1, max_size=2))
def test_what_the_rules_leave_is_still_recommended(history: list[tuple[str, str, int]], drawn: list[s.Rule]) -> None:
    profile = _profile(history)
    everything = {entry.item for entry in _listed(profile, Policy(size=14, diversity=1.0))}
    left = {
        name
        for name in everything
        for row in [_row(name, profile)]
        if all(
            holds(rule.condition, row) == isinstance(rule, s.Include) for rule in drawn if not isinstance(rule, s.Cap)
        )
    }
    assert {entry.item for entry in _listed(profile, Policy(size=14, diversity=1.0, rules=tuple(drawn)))} == left


@pytest.mark.parametrize(
    "text", ["price > 5", "purchased", "seen within 3d", "attributes.colour = 'acme' or brand = 'acme'"]
)
def test_a_boost_is_a_factor(text: str) -> None:
    profile = _profile([("purchase", ITEMS[2], 1), ("view", ITEMS[5], 5)])
    boosted = parse(f"boost {text} by 3")
    assert isinstance(boosted, s.Boost)
    plain = {entry.item: entry.score for entry in _listed(profile, Policy(size=14, diversity=1.0))}
    after = {entry.item: entry.score for entry in _listed(profile, Policy(size=14, diversity=1.0, rules=(boosted,)))}
    assert plain.keys() == after.keys()
    changed = {name for name in plain if after[name] != plain[name]}
    assert changed == {name for name in plain if holds(boosted.condition, _row(name, profile))}
    for name in changed:
        assert after[name] == pytest.approx(3 * plain[name], abs=2e-6)


def test_rules_of_two_shoppers_do_not_mix() -> None:
    one, two = _profile([("purchase", ITEMS[1], 0)]), _profile([("purchase", ITEMS[2], 0)])
    policy = Policy(size=14, rules=parse_all(["exclude purchased"]))
    slates = asyncio.run(recommend([Shopper(one, NOW), Shopper(two, NOW)], SHOP.replica, policy))
    shown = [{entry.item for entry in slate.items} for slate in slates]
    assert ITEMS[1] not in shown[0]
    assert ITEMS[2] not in shown[1]
    assert ITEMS[2] in shown[0]
    assert ITEMS[1] in shown[1]
