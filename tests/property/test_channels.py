"""What channels bring, against lists made one item at a time."""

import math
import tracemalloc
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from streams.core import profile as profiles
from streams.core.candidates import buy_again
from streams.core.channels import ORDER, Candidates, Stock, Visit, fresh, merged
from streams.core.eligible import Eligibility
from streams.core.events import Interaction
from streams.core.gathering import _LOOKED_AT, gather
from streams.core.items import Items, tie
from streams.core.neighbourhood import WIDE_RHO, Neighbourhood
from streams.core.policy import Channel, Policy
from streams.core.profile import Profile
from streams.core.rules import parse
from streams.core.sessions import Sessions
from streams.core.trending import Board, arrivals
from streams.replicas import Facts
from tests.property.test_features import NAMES, NOW, SEGMENT, SETTINGS, STOCK, visits, votes


def merge(lists: list[list[str]]) -> list[str]:
    """By best rank, earlier lists first at equal ranks."""
    best = {
        item: min((items.index(item), order) for order, items in enumerate(lists) if item in items)
        for items in lists
        for item in items
    }
    return sorted(best, key=best.__getitem__)


def counted(recent: Sequence[Interaction]) -> dict[str, float]:
    """What each item that the shopper was for counts: less for every moment that is newer."""
    liked = [event for event in recent if event.weight > 0]
    moments = sorted({event.time for event in liked}, reverse=True)
    counts = dict.fromkeys((event.item for event in reversed(liked)), 0.0)
    for event in reversed(liked):
        counts[event.item] += event.weight * WIDE_RHO ** moments.index(event.time)
    return counts


@SETTINGS
@given(st.lists(visits(), min_size=1, max_size=3), st.integers(1, 12), st.sets(st.sampled_from(NAMES), max_size=3))
def test_each_channel_has_its_best_that_are_open(asked: list[Visit], pool: int, excluded: set[str]) -> None:
    found = gather(asked, STOCK, Policy(pool=pool, excluded=frozenset(excluded))).candidates
    for visit, candidates in zip(asked, found, strict=True):
        _has_the_best(visit, candidates, pool, excluded)


def _has_the_best(visit: Visit, found: Candidates, pool: int, excluded: set[str]) -> None:
    profile, ids = visit.profile, STOCK.items.ids
    shut = profiles.rejected(profile) | profiles.in_cart(profile) | excluded | {"item-5"}
    bought = profiles.owned(profile)
    near = merge([[ids[place] for place in one.places] for one in visit.near])
    segment = SEGMENT if len(visit.popular) else []
    others = votes(profile.recent)
    lists = {
        Channel.CONTENT: [item for item in near if item not in shut | bought],
        Channel.POPULAR: [item for item in STOCK.board.top(12) if item not in shut | bought],
        Channel.BUY_AGAIN: [item for item in buy_again(profile, NOW) if item not in shut],
        Channel.NEIGHBOURS: [
            item for item in STOCK.neighbourhood.top(counted(profile.recent), NOW, 12) if item not in shut | bought
        ],
        Channel.SEGMENT: [item for item in segment if item not in shut | bought],
        Channel.SESSIONS: [
            item
            for item in sorted(others, key=lambda item: (-round(math.log(others[item]), 9), tie(item)))
            if item not in shut | bought
        ],
        Channel.DISCOVERED: [item for item in STOCK.discoveries.top(12) if item not in shut | bought],
        Channel.ARRIVALS: [
            item for item in (ids[place] for place in arrivals(STOCK.board, NOW)) if item not in shut | bought
        ],
    }
    told: dict[str, dict[Channel, int]] = {}
    for channel, items in lists.items():
        for rank, item in enumerate(items[:pool], start=1):
            told.setdefault(item, {})[channel] = rank
    assert [ids[place] for place in found.places] == sorted(told, key=STOCK.items.place)
    for place, row in zip(found.places, found.ranks, strict=True):
        assert {channel: rank for channel, rank in zip(ORDER, row, strict=True) if rank} == told[ids[place]]
    known = STOCK.board.total("item-6")
    hardly = [item for item in near if item not in shut | bought and STOCK.board.total(item) < known]
    assert list(fresh(visit, STOCK, found, known)) == hardly


@given(st.lists(st.lists(st.sampled_from(NAMES), unique=True), max_size=4))
def test_merging_is_by_best_rank(lists: list[list[str]]) -> None:
    places = merged([STOCK.items.places(one) for one in lists], STOCK.items)
    assert [STOCK.items.ids[place] for place in places] == merge(lists)


def test_of_a_long_order_rules_are_asked_for_as_many_as_it_takes() -> None:
    items, count = Items(), 100_000
    order = items.places([f"item {number}" for number in range(count)])
    items.available.values[:count] = True
    stock = Stock(items, Board(1, items), Board(1, items), Neighbourhood(items), Sessions(items))
    facts = Facts("title", available=True, category="odd", brand=None, price=None, attributes={})
    rules = [parse(f'exclude id in ("item 0", "item {_LOOKED_AT}")')]
    eligible = Eligibility(rules, lambda _: facts, Profile(), NOW)
    visit = Visit(Profile(), NOW, [], {}, order, "", eligible)
    policy = Policy(pool=_LOOKED_AT, channel_weights={Channel.SEGMENT: 1.0})
    tracemalloc.start()
    try:
        (found,) = gather([visit], stock, policy).candidates
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.places.tolist() == [*range(1, _LOOKED_AT), _LOOKED_AT + 1]
    assert peak < 2 << 20
