"""The fold of a profile against a plain oracle, in any order, in any batches, with anything delivered twice."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core import decay, memory
from streams.core import profile as profiles
from streams.core.events import WEIGHTS, Arrival, EventType, Interaction
from streams.core.halflives import HABIT_HALF_LIFE_MS, HALF_LIVES, IMPRESSION_HALF_LIFE_MS, HalfLives, half_lives
from streams.core.memory import AGAINST, HABITS, PAST, PAST_MOST
from streams.core.profile import RING, SEEN, SHOWN, Profile, absorbed, fingerprint, fold, fresh
from tests.property.strategies import DAY, T0, logs

IMPRESSION = EventType.IMPRESSION
PURCHASE = EventType.PURCHASE


def did(*kinds: tuple[EventType, str], start: int = T0) -> list[Arrival]:
    """Arrivals a minute apart."""
    return [
        Arrival(n, f"e{n}", Interaction(item, kind, WEIGHTS[kind], start + 60_000 * n))
        for n, (kind, item) in enumerate(kinds)
    ]


def oracle_ring(arrivals: list[Arrival], shown: bool, size: int) -> list[tuple[str, int]]:
    """A ring: impressions, or all else, by time (then arrival), the last of them."""
    happened = [(a.interaction, a.offset) for a in arrivals if a.interaction]
    ordered = sorted((i.time, at, i.item) for i, at in happened if (i.type is IMPRESSION) == shown)
    return [(item, time) for time, _, item in ordered][-size:]


def oracle_habits(arrivals: list[Arrival]) -> dict[str, tuple[int, int, int, float]]:
    bought: dict[str, list[int]] = {}
    for arrival in arrivals:
        if arrival.interaction and arrival.interaction.type is EventType.PURCHASE:
            bought.setdefault(arrival.interaction.item, []).append(arrival.interaction.time)
    return {
        item: (len(times), min(times), max(times), sum(2.0 ** ((time - T0) / HABIT_HALF_LIFE_MS) for time in times))
        for item, times in bought.items()
    }


@given(st.integers(0), st.integers(1, SEEN + 40), st.lists(st.integers(0, 4 * SEEN)), st.integers(0, SEEN))
def test_what_a_duplicate_is_does_not_depend_on_the_batches(seed: int, pool: int, cuts: list[int], held: int) -> None:
    """Ids come again before and beyond the window; those `held` before are of two histories, and may be one twice."""
    rng = random.Random(seed)
    ids, seen = [rng.randrange(pool) for _ in range(4 * SEEN)], [rng.randrange(pool) for _ in range(held)]
    log = [Arrival(n, str(name), Interaction("saw", PURCHASE, 1.0, T0 + n)) for n, name in enumerate(ids)]
    window, counted = [str(name) for name in seen], 0
    for name in map(str, ids):
        if name not in window[-SEEN:]:
            window.append(name)
            counted += 1
    begin = Profile(seen=tuple(fingerprint(str(name)) for name in seen))
    profile = begin
    for start, end in pairwise([0, *sorted(min(cut, len(log)) for cut in cuts), len(log)]):
        profile = fold(profile, log[start:end])
    assert (profile.habits["saw"].purchases if counted else 0) == counted
    assert profile == fold(begin, log)
    assert profile.seen == tuple(map(fingerprint, window[-SEEN:]))


@given(logs())
def test_the_fold_is_what_the_oracle_says(log: list[Arrival]) -> None:
    profile = fold(Profile(), log)
    assert [(i.item, i.time) for i in profile.recent] == oracle_ring(log, False, RING)
    assert list(profile.shown) == oracle_ring(log, True, SHOWN)
    expected = oracle_habits(log)
    assert profile.habits.keys() == expected.keys()
    for item, (purchases, first, last, mass) in expected.items():
        habit = profile.habits[item]
        assert (habit.purchases, habit.first, habit.last) == (purchases, first, last)
        assert decay.values_at([habit.log_mass], T0, HABIT_HALF_LIFE_MS) == pytest.approx([mass])


@given(logs())
def test_what_is_remembered_for_long_is_what_the_oracle_says(log: list[Arrival]) -> None:
    profile = fold(Profile(), log)
    happened = [arrival.interaction for arrival in log if arrival.interaction]
    past: dict[str, list[Interaction]] = {}
    against: dict[str, list[Interaction]] = {}
    for interaction in happened:
        if interaction.weight > 0 and interaction.type is not PURCHASE:
            past.setdefault(interaction.item, []).append(interaction)
        if interaction.type in (EventType.DISLIKE, EventType.RETURN):
            against.setdefault(interaction.item, []).append(interaction)
    assert {item: kept.last for item, kept in profile.past.items()} == {
        item: max(one.time for one in of) for item, of in past.items()
    }
    for item, of in past.items():
        mass = sum(one.weight * 2.0 ** ((one.time - T0) / HABIT_HALF_LIFE_MS) for one in of)
        assert decay.values_at([profile.past[item].log_mass], T0, HABIT_HALF_LIFE_MS) == pytest.approx([mass])
    assert profile.against == {
        item: (sum(one.type is EventType.RETURN for one in of), max(one.time for one in of))
        for item, of in against.items()
    }


@given(logs(max_size=RING), st.integers(0, 500))
def test_what_counts_against_an_item_is_what_the_oracle_says(log: list[Arrival], later: int) -> None:
    profile, now = fold(Profile(), log), T0 + later * DAY
    happened = [arrival.interaction for arrival in log if arrival.interaction]
    last_for: dict[str, int] = {}
    bought: dict[str, list[int]] = {}
    returns: dict[str, int] = {}
    for interaction in happened:
        if interaction.weight > 0:
            last_for[interaction.item] = max(interaction.time, last_for.get(interaction.item, -1))
        if interaction.type is PURCHASE:
            bought.setdefault(interaction.item, []).append(interaction.time)
        if interaction.type is EventType.RETURN:
            returns[interaction.item] = returns.get(interaction.item, 0) + 1
    unanswered: dict[str, float] = {}
    for interaction in happened:
        if interaction.type is IMPRESSION and interaction.time > last_for.get(interaction.item, -1):
            count = 0.5 ** (max(now - interaction.time, 0) / IMPRESSION_HALF_LIFE_MS)
            unanswered[interaction.item] = unanswered.get(interaction.item, 0.0) + count
    assert profiles.unanswered(profile, now) == pytest.approx(unanswered)
    kept = {
        item: (1 - returns.get(item, 0) / len(times)) * sum(0.5 ** ((now - t) / HABIT_HALF_LIFE_MS) for t in times)
        for item, times in bought.items()
        if returns.get(item, 0) < len(times)
    }
    assert profiles.purchases(profile, now) == pytest.approx(kept)
    assert profiles.owned(profile) == kept.keys()


@given(
    logs(max_size=RING, unique_times=True), st.lists(st.booleans(), min_size=RING, max_size=RING), st.integers(1, 99)
)
def test_two_halves_of_a_history_united_are_the_whole(log: list[Arrival], halves: list[bool], days: int) -> None:
    base = HALF_LIVES._replace(habits_ms=float(days * DAY))
    one, other, everything = (
        fold(Profile(), [a for a, half in zip(log, halves, strict=False) if wanted in (half, None)], base)
        for wanted in (True, False, None)
    )
    found = profiles.united(one, other)
    assert (found.recent, found.shown, found.against) == (everything.recent, everything.shown, everything.against)
    assert (found.attributes, set(found.seen)) == (everything.attributes, set(everything.seen))
    for mine, whole in ((found.habits, everything.habits), (found.past, everything.past)):
        assert mine.keys() == whole.keys()
        assert all(mine[item][:-1] == whole[item][:-1] for item in mine)
        assert [mine[item][-1] for item in mine] == pytest.approx([whole[item][-1] for item in mine])


@given(logs(max_size=20), st.integers(1, 99))
def test_with_another_half_life_a_row_is_carried_over(log: list[Arrival], days: int) -> None:
    """Sums of one event are exact, others as if everything had happened when it last did."""
    changed = HALF_LIVES._replace(habits_ms=float(days * DAY))
    before = fold(Profile(), log)
    after = profiles.rebased(before, changed.habits_ms)
    assert profiles.rebased(after, changed.habits_ms) is after
    for item, habit in after.habits.items():
        assert decay.values_at([habit.log_mass], habit.last, changed.habits_ms) == pytest.approx(
            decay.values_at([before.habits[item].log_mass], habit.last, HABIT_HALF_LIFE_MS)
        )
    offset = log[-1].offset + 1 if log else 0
    (bought,) = did((PURCHASE, "new"))
    folded = fold(before, [bought._replace(offset=offset)], changed)
    assert folded.habits_ms == changed.habits_ms
    assert {item: folded.habits[item] for item in after.habits} == after.habits


@given(logs(max_size=RING))
def test_without_decay_and_at_weight_one_intent_is_a_mean(log: list[Arrival]) -> None:
    ones = [
        arrival._replace(interaction=arrival.interaction._replace(weight=1.0)) for arrival in log if arrival.interaction
    ]
    never = half_lives({"habits": None, "intent": None, "impressions": None})
    profile = fold(Profile(), ones, never)
    counts: dict[str, float] = {}
    for interaction in profile.recent:
        counts[interaction.item] = counts.get(interaction.item, 0.0) + 1.0
    found = {interest.name: interest for interest in profiles.interests(profile, T0, never)}
    if counts:
        assert dict(zip(found["intent"].items, found["intent"].weights, strict=True)) == counts
    everything: dict[str, float] = {}
    for arrival in ones:
        if arrival.interaction:
            everything[arrival.interaction.item] = everything.get(arrival.interaction.item, 0.0) + 1.0
    assert profiles.long_term(profile, T0 + 10**12) == pytest.approx(everything)


@pytest.mark.parametrize("given", [{"sleep": 1.0}, {"habits": 0.0}, {"intent": -1.0}, {"habits": float("nan")}])
def test_a_half_life_that_is_none_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"half-life.* '{next(iter(given))}'"):
        half_lives(given)


def test_half_lives_are_given_in_days_and_in_interactions() -> None:
    assert half_lives({}) == HALF_LIVES
    assert half_lives({"habits": 30, "intent": 2}) == HalfLives(30.0 * DAY, 2.0, IMPRESSION_HALF_LIFE_MS)


def test_impressions_do_not_push_out_what_the_shopper_did() -> None:
    profile = fold(Profile(), did((PURCHASE, "milk"), *((IMPRESSION, f"item-{n}") for n in range(3 * SHOWN))))
    assert [interaction.item for interaction in profile.recent] == ["milk"]
    assert len(profile.shown) == SHOWN


@pytest.mark.parametrize("word", [EventType.DISLIKE, EventType.RETURN])
def test_a_no_holds_beyond_the_ring_until_a_yes(word: EventType) -> None:
    views = [(EventType.VIEW, f"item-{number}") for number in range(RING)]
    log = did((word, "spam"), (EventType.UNCART, "ham"), *views)
    assert profiles.rejected(fold(Profile(), log)) == {"spam"}
    assert profiles.rejected(fold(Profile(), did((word, "spam"), (EventType.VIEW, "spam"), *views))) == set()


def test_the_long_memory_is_bounded() -> None:
    views = fold(Profile(), did(*((EventType.VIEW, f"item-{number}") for number in range(PAST_MOST + 1))))
    assert set(views.past) == {f"item-{number}" for number in range(PAST_MOST + 1 - PAST, PAST_MOST + 1)}
    noes = fold(Profile(), did(*((EventType.DISLIKE, f"item-{number}") for number in range(AGAINST + 1))))
    assert set(noes.against) == {f"item-{number}" for number in range(1, AGAINST + 1)}


@given(logs(), st.lists(st.integers(0, 80), max_size=6))
def test_batches_do_not_matter(log: list[Arrival], cuts: list[int]) -> None:
    edges = sorted({0, len(log), *(cut for cut in cuts if cut < len(log))})
    profile, found = Profile(), frozenset[int]()
    for begin, end in pairwise(edges):
        profile, more = absorbed(profile, log[begin:end], log[end - 1].offset)
        found |= more
    assert profile == fold(Profile(), log)
    assert found == discovered(log)


def discovered(log: list[Arrival]) -> set[int]:
    """Offsets of the arrivals that come to an item for the first time, of a shopper who did something before."""
    before: list[Interaction] = []
    found = set()
    for arrival in log:
        event = arrival.interaction
        assert event is not None
        known = {other.item for other in before if other.weight > 0}
        been_here = len(before) >= RING or any(other.time < event.time for other in before)
        if event.weight > 0 and event.item not in known and been_here:
            found.add(arrival.offset)
        if event.weight or event.type is not EventType.IMPRESSION:
            before.append(event)
    return found


def test_who_comes_for_the_first_time_discovers_nothing() -> None:
    basket = [Arrival(n, f"{n}", Interaction(f"item-{n}", EventType.PURCHASE, 1.0, T0)) for n in range(5)]
    profile, found = absorbed(Profile(), basket, 4)
    assert found == set()
    later = Interaction("item-9", EventType.PURCHASE, 1.0, T0 + 1)
    assert absorbed(profile, [Arrival(5, "5", later), Arrival(6, "6", later)], 6).discoveries == {5}


@given(logs(), st.integers(0, 80), st.integers(0, 80))
def test_redelivery_changes_nothing(log: list[Arrival], begin: int, end: int) -> None:
    profile = fold(Profile(), log)
    again = log[begin:end]
    assert fold(profile, again) is profile
    assert fresh(profile, again) == []


@given(logs(max_size=SEEN), st.data())
def test_a_producers_duplicate_counts_once(log: list[Arrival], data: st.DataObject) -> None:
    repeats = data.draw(st.lists(st.sampled_from(log), max_size=10)) if log else []
    offset = log[-1].offset if log else 0
    resent = [repeat._replace(offset=offset + number) for number, repeat in enumerate(repeats, start=1)]
    once, twice = fold(Profile(), log), fold(Profile(), [*log, *resent])
    assert (twice.recent, twice.habits, twice.seen) == (once.recent, once.habits, once.seen)
    assert twice.offset == offset + len(repeats) if log or repeats else twice.offset == -1
    assert fresh(once, resent) == []


@given(logs(max_size=RING, unique_times=True), st.integers(0, 2**32))
def test_the_order_of_arrival_does_not_matter(log: list[Arrival], seed: int) -> None:
    shuffled = list(log)
    random.Random(seed).shuffle(shuffled)
    late = [arrival._replace(offset=place) for place, arrival in enumerate(shuffled)]
    a, b = fold(Profile(), log), fold(Profile(), late)
    assert (a.recent, a.attributes, a.shown, a.against) == (b.recent, b.attributes, b.shown, b.against)
    assert a.habits.keys() == b.habits.keys()
    for item, habit in a.habits.items():
        other = b.habits[item]
        assert habit[:3] == other[:3]
        assert habit.log_mass == pytest.approx(other.log_mass)


def test_the_bounds_hold_and_the_weakest_habit_goes() -> None:
    log = [Arrival(n, f"e{n}", Interaction(f"item-{n}", EventType.PURCHASE, 1.0, T0 + n)) for n in range(HABITS + 1)]
    profile = fold(Profile(), log)
    assert len(profile.recent) == RING
    assert len(profile.habits) == HABITS
    assert "item-0" not in profile.habits
    assert len(profile.seen) == SEEN


@given(logs())
def test_rejected_and_cart_follow_the_newest_word(log: list[Arrival]) -> None:
    profile = fold(Profile(), log)
    said: dict[str, float] = {}
    cart: set[str] = set()
    for interaction in profile.recent:
        if interaction.weight:
            said[interaction.item] = interaction.weight
        if interaction.type is EventType.CART:
            cart |= {interaction.item}
        if interaction.type in (EventType.UNCART, EventType.PURCHASE):
            cart -= {interaction.item}
    last_for: dict[str, int] = {}
    no: dict[str, int] = {}
    for arrival in log:
        if (interaction := arrival.interaction) and interaction.type in memory.LASTING:
            no[interaction.item] = max(interaction.time, no.get(interaction.item, -1))
        elif interaction and interaction.weight > 0:
            last_for[interaction.item] = max(interaction.time, last_for.get(interaction.item, -1))
    forgotten = {item for item, time in no.items() if item not in said and time > last_for.get(item, -1)}
    assert profiles.rejected(profile) == {item for item, weight in said.items() if weight < 0} | forgotten
    assert profiles.in_cart(profile) == cart
