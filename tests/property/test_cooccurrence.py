"""Streaming co-occurrence is a recount of the whole log, however it is cut, mixed and sent again."""

import math
import random
from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core import profile
from streams.core.cooccurrence import (
    APART,
    HALF_LIFE_MS,
    KEPT,
    LASTING_MS,
    MOST,
    SITTING_MS,
    WINDOW,
    Delta,
    Neighbours,
    Share,
    deltas,
    fold,
    shares,
)
from streams.core.events import Arrival, EventType, Interaction
from streams.core.profile import Profile
from tests.property.strategies import DAY, T0, logs

Masses = dict[str, float]


def recount(log: Sequence[Arrival]) -> tuple[Masses, dict[str, Masses]]:
    """Masses and pairs of one shopper's log by definition, decayed to T0; for logs that the ring holds."""
    masses: Masses = defaultdict(float)
    pairs: dict[str, Masses] = defaultdict(lambda: defaultdict(float))
    said = [arrival.interaction for arrival in log if arrival.interaction and arrival.interaction.weight > 0]
    for number, x in enumerate(said):
        value = 2 ** ((x.time - T0) / HALF_LIFE_MS)
        masses[x.item] += x.weight * value
        others = [y for y in said[:number] if y.item != x.item]
        nearest = {y.item: y for y in sorted(others, key=lambda y: _distance(x, y), reverse=True)}
        together = math.fsum(_closeness(x, y) for y in nearest.values())
        for y in nearest.values():
            weight = math.sqrt(x.weight * y.weight / together) * _closeness(x, y)
            pairs[x.item][y.item] += weight * value
            pairs[y.item][x.item] += weight * value
    return masses, pairs


def _closeness(x: Interaction, y: Interaction) -> float:
    gap = abs(x.time - y.time)
    return (1 - APART) * 2 ** (-gap / SITTING_MS) + APART * 2 ** (-gap / LASTING_MS)


def _distance(x: Interaction, y: Interaction) -> tuple[int, bool]:
    return abs(x.time - y.time), y.time <= x.time


def sent(log: Sequence[Arrival], chance: random.Random) -> list[list[Delta]]:
    """A shopper's deltas in batches cut anywhere; a batch may be sent, cut elsewhere, before its row is written."""
    state, batches, start = Profile(), [], 0
    while start < len(log):
        for _ in range(chance.randint(0, 2)):  # crashed between the deltas and the row
            crashed = log[start : chance.randint(start + 1, len(log))]
            batches.append(deltas(state.recent, profile.fresh(state, crashed)))
        end = chance.randint(start + 1, len(log))
        batches.append(deltas(state.recent, profile.fresh(state, log[start:end])))
        state = profile.fold(state, log[start:end])
        start = end - chance.randint(0, end - start - 1)  # what was committed is sent again, too
    return batches


def added(origins: Sequence[list[list[Delta]]], chance: random.Random) -> dict[str, Neighbours]:
    """Rows from batches of several origins, which keep their order but are mixed, and folded in cuts."""
    rows: dict[str, Neighbours] = defaultdict(Neighbours)
    queues = {origin: list(batches) for origin, batches in enumerate(origins) if batches}
    record = 0
    given: dict[str, list[Share]] = {}
    while queues:
        origin = chance.choice(list(queues))
        for delta in queues[origin].pop(0):
            for item, share in shares(origin, delta, lambda item: True):
                given.setdefault(item, []).append(share)
        if not queues[origin]:
            del queues[origin]
        record += 1
        if chance.random() < 0.3 or not queues:
            rows |= {item: fold(rows[item], part, record) for item, part in given.items()}
            given = {}
    return rows


def decayed(log_mass: float) -> float:
    return math.exp(log_mass - T0 / HALF_LIFE_MS * math.log(2.0))


@settings(max_examples=150, deadline=None)
@given(st.lists(logs(max_size=25), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_the_rows_are_a_recount_of_the_log(shoppers: list[list[Arrival]], chance: random.Random) -> None:
    """Each shopper is an origin here; the items are fewer than the bounds of window, ring and row."""
    rows = added([sent(log, chance) for log in shoppers], chance)
    masses: Masses = defaultdict(float)
    pairs: dict[str, Masses] = defaultdict(lambda: defaultdict(float))
    for log in shoppers:
        own, together = recount(log)
        for item, mass in own.items():
            masses[item] += mass
            for partner, weight in together[item].items():
                pairs[item][partner] += weight
    assert rows.keys() == masses.keys()
    for item, row in rows.items():
        assert decayed(row.log_mass) == pytest.approx(masses[item])
        assert {p: decayed(log) for p, log in row.partners.items()} == pytest.approx(dict(pairs[item]))


@settings(max_examples=50, deadline=None)
@given(logs(max_size=80), st.randoms(use_true_random=False))
def test_cuts_and_repetitions_change_no_bit(log: list[Arrival], chance: random.Random) -> None:
    once = added([[deltas((), profile.fresh(Profile(), log))]], chance)
    again = added([sent(log, chance)], chance)
    assert {item: (row.log_mass, row.applied, row.partners) for item, row in again.items()} == {
        item: (row.log_mass, row.applied, row.partners) for item, row in once.items()
    }


def _bought(offset: int, item: str, time: int = T0) -> Arrival:
    return Arrival(offset, f"event-{offset}", Interaction(item, EventType.PURCHASE, 1.0, time))


def test_a_basket_goes_together_and_a_long_one_says_less() -> None:
    basket = [_bought(number, f"item-{number}") for number in range(6)]
    rows = added([[deltas((), basket)]], random.Random(1))
    for one in range(6):
        pairs = {f"item-{other}": max(one, other) ** -0.5 for other in range(6) if other != one}
        assert {p: decayed(w) for p, w in rows[f"item-{one}"].partners.items()} == pytest.approx(pairs)


def test_what_is_days_apart_goes_together_a_little() -> None:
    later = [_bought(0, "first", T0 - DAY), _bought(1, "now"), _bought(2, "with it")]
    rows = added([[deltas((), later)]], random.Random(1))
    among = {partner: decayed(weight) for partner, weight in rows["with it"].partners.items()}
    assert among["first"] == pytest.approx(among["now"] * APART * 2 ** (-DAY / LASTING_MS))


def test_at_most_so_many_partners_and_the_nearest_of_them() -> None:
    many = [_bought(number, f"item-{number}", T0 + number * DAY) for number in range(WINDOW + 5)]
    delta = deltas((), many)[-1]
    assert delta.partners == tuple(f"item-{number}" for number in range(WINDOW + 3, 3, -1))
    assert list(delta.weights) == sorted(delta.weights, reverse=True)


def test_a_row_past_its_bound_keeps_the_heaviest() -> None:
    weights = {f"item-{number}": 1.0 + number % 7 for number in range(MOST + 1)}
    given = [Share(0, number, T0, 0.0, (item,), (weight,)) for number, (item, weight) in enumerate(weights.items())]
    full = fold(Neighbours(), given[:MOST], 0)
    assert len(full.partners) == MOST
    cut = fold(full, given[MOST:], 1)
    heaviest = sorted(weights, key=lambda item: (-weights[item], item))[:KEPT]
    assert set(cut.partners) == set(heaviest)
    assert cut == fold(Neighbours(), given, 1), "however the batches are cut"
