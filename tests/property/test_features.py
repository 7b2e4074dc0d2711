"""The features of many candidates at once are those of each by its definition, written plainly."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.core import decay
from streams.core.candidates import RRF_K
from streams.core.channels import ORDER, Near, Stock, Visit
from streams.core.cooccurrence import HALF_LIFE_MS as PAIR_HALF_LIFE_MS
from streams.core.doings import SITTING_MS
from streams.core.eligible import Eligibility
from streams.core.events import EventType, Interaction
from streams.core.features import COLUMN, FEATURES, Fetched, buckets, features
from streams.core.gathering import Gathered, gather
from streams.core.items import Items
from streams.core.neighbourhood import TIGHT_RHO, WIDE_RHO, Neighbourhood
from streams.core.policy import Channel, Policy
from streams.core.profile import Profile, fold, purchases
from streams.core.ragged import bounds_of, distinct
from streams.core.sessions import MET_KEEP, Session, Sessions, weighed
from streams.core.trending import DISCOVERY_HALF_LIFE_MS, HALF_LIFE_MS, NEW_MS, Board
from tests.property.strategies import DAY, T0, logs

SETTINGS = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAMES = [f"item-{number}" for number in range(12)]
SEGMENT = ["item-3", "item-9", "item-1"]
NOW = T0 + 401 * DAY
VECTORS = np.random.default_rng(7).standard_normal((len(NAMES), 3)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
VECTORS[6] = 0.0


def _facts(number: int) -> dict[str, object]:
    return {
        "available": number != 5,
        "category": ("tea", "cups", None)[number % 3],
        "brand": ("acme", None)[number % 2],
        "price": None if number == 4 else float(1 + number),
    }


def _stock() -> Stock:
    items = Items()
    board, discoveries, beside, others = Board(1, items), Board(1, items), Neighbourhood(items), Sessions(items)
    for number, name in enumerate(NAMES):
        items.describe(name, **_facts(number))  # type: ignore[arg-type]
        if number % 4:
            board.update(name, 0, decay.log_mass(1.0 + number, NOW, HALF_LIFE_MS))
            items.met(name, NOW - number**2 * DAY)
            items.met(name, NOW - DAY)
            mass = decay.log_mass(2.0 + number, NOW, PAIR_HALF_LIFE_MS)
            partners = {NAMES[(number * step) % 12]: mass - step for step in (5, 7)}
            beside.update(name, mass, partners.copy)
        if number % 3:
            discoveries.update(name, 0, decay.log_mass(3.0 + number * 7 % 12, NOW, DISCOVERY_HALF_LIFE_MS))
        both = [name, NAMES[(number * 5 + 3) % 12]]
        others.update(name.encode(), lambda items=both, age=number: Session(items, NOW - age * DAY))  # type: ignore[misc]
    return Stock(items, board, discoveries, beside, others)


STOCK = _stock()

nearest = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(1, 8).map(lambda n: n / 8)), unique_by=lambda pair: pair[0]
)


@st.composite
def visits(draw: st.DrawFn) -> Visit:
    arrivals = draw(logs(max_size=20))
    if draw(st.booleans()):  # all within two hours
        arrivals = [
            arrival._replace(interaction=event._replace(time=T0 + event.time % 24 * 300_000))
            for arrival in arrivals
            for event in [arrival.interaction]
        ]
    profile = fold(Profile(), arrivals)
    shown = draw(st.dictionaries(st.sampled_from(NAMES), st.floats(0.1, 9.0)))
    near = [
        Near(name, STOCK.items.places([item for item, _ in found]), np.array([c for _, c in found], np.float32))
        for name in ("intent", "habits", "another")[: draw(st.integers(0, 3))]
        for found in [sorted(draw(nearest), key=lambda pair: -pair[1])]
    ]
    popular = STOCK.items.places(SEGMENT if draw(st.booleans()) else [])
    return Visit(profile, NOW, near, shown, popular, "", Eligibility((), lambda _: None, profile, NOW))  # type: ignore[arg-type,return-value]


def _look(visit: Visit, rho: float, since: float = 0.0) -> dict[str, float]:
    """Scores as neighbours of what was done since a time, by the lookup that has an oracle of its own."""
    counts: dict[str, float] = {}
    moments = sorted({event.time for event in visit.profile.recent if event.weight > 0}, reverse=True)
    for event in visit.profile.recent:
        if event.weight > 0 and event.time >= since:
            counts[event.item] = counts.get(event.item, 0.0) + event.weight * rho ** moments.index(event.time)
    places, scores = STOCK.neighbourhood.scores(counts, NOW)
    return {STOCK.items.ids[place]: score / scores.max() for place, score in zip(places, scores, strict=True)}


def _fetched(found: Gathered) -> Fetched:
    """Vectors of all items, for their places are their rows."""
    return Fetched(VECTORS, found.batch.place, found.doings.asked)


def _alike(item: str, visit: Visit, since: float = 0.0) -> float:
    """The largest cosine to anything else that was done since a time."""
    own = VECTORS[NAMES.index(item)]
    others = {event.item for event in visit.profile.recent if event.weight > 0 and event.time >= since} - {item}
    return max([0.0, *(float(VECTORS[NAMES.index(other)] @ own) for other in others)])


def votes(recent: Sequence[Interaction]) -> dict[str, float]:
    """Scores by others' sessions, by the lookup that has an oracle of its own."""
    liked = [event for event in reversed(recent) if event.weight > 0]
    places = STOCK.items.places([event.item for event in liked])
    asked, bounds, at = distinct(places, bounds_of([len(liked)]), STOCK.items.scratch)
    weights = np.array([event.weight for event in liked], np.float64)
    counts = np.bincount(at, weighed(weights, np.arange(len(liked))), len(asked))
    alike = STOCK.sessions.alike(STOCK.sessions.held(asked, bounds), counts, [NOW])
    places, _, scores, _ = STOCK.sessions.votes(alike, STOCK.neighbourhood.masses, [NOW])
    return {STOCK.items.ids[place]: score for place, score in zip(places, scores, strict=True)}


def _days(item: str) -> int:
    """How long ago it was first met."""
    number = NAMES.index(item)
    return max(number**2, 1) if number % 4 else 0


def _plain_popularity(item: str) -> dict[str, float]:
    """Those of them that say how popular an item is."""
    number, place, found = NAMES.index(item), STOCK.items.place(item), {}
    mass, most = STOCK.board.total(item), max(STOCK.board.total(name) for name in NAMES)
    found["popularity"] = math.exp(mass - most)
    found["popularity_log"] = 1.0 + math.log(found["popularity"] + 1e-4) / math.log(1e4)
    count = math.exp(mass - decay.log_mass(1.0, NOW, HALF_LIFE_MS))
    longer = math.exp(STOCK.neighbourhood.masses[place] - decay.log_mass(1.0, NOW, PAIR_HALF_LIFE_MS))
    found["mass"] = math.log1p(count) / 6.0
    found["trend"] = math.log((count + 0.3) / (longer + 1.0)) / 3.0
    found["scarce"] = 1.0 / (1.0 + count)
    found["age"] = math.log1p(_days(item)) / 6.0
    discoveries = 3.0 + number * 7 % 12 if number % 3 else 0.0
    found["found"] = math.log1p(discoveries) / 6.0
    found["found_share"] = math.log((discoveries + 0.3) / (count + 1.0)) / 3.0
    return found


def _met(visit: Visit, candidates: Sequence[str]) -> dict[str, float]:
    """How often candidates were in others' sessions with what the shopper was for, by the lookup that has an oracle."""
    counts: dict[str, float] = {}
    liked = [event for event in reversed(visit.profile.recent) if event.weight > 0]
    for newer, event in enumerate(liked):
        counts[event.item] = counts.get(event.item, 0.0) + event.weight * MET_KEEP**newer
    asked, places = STOCK.items.places(counts), STOCK.items.places(candidates)
    held = STOCK.sessions.held(asked, np.array([0, len(asked)]))
    met = STOCK.sessions.met(held, np.array(list(counts.values())), places, np.array([0, len(places)]))
    return dict(zip(candidates, met.tolist(), strict=True))


def _plain(
    item: str, visit: Visit, ranks: dict[Channel, int], fused: float, candidates: Sequence[str]
) -> dict[str, float]:
    """The features of an item for a shopper."""
    facts = [_facts(NAMES.index(name)) for name in NAMES]
    own, profile, price = (
        facts[NAMES.index(item)],
        visit.profile,
        {n: f["price"] for n, f in zip(NAMES, facts, strict=True)},
    )
    liked = [event for event in profile.recent if event.weight > 0]
    total = sum(event.weight for event in liked)
    found = {"fused": fused, "bias": 1.0}
    for channel in ORDER:
        found[f"rank_{channel}"] = 5.0 / (5.0 + ranks[channel]) if channel in ranks else 0.0
    cosines = {
        near.interest: dict(zip(near.places.tolist(), near.cosines.tolist(), strict=True)) for near in visit.near
    }
    place = STOCK.items.place(item)
    found["cosine"] = max([0.0, *(one.get(place, 0.0) for one in cosines.values())])
    found["cosine_intent"] = cosines.get("intent", {}).get(place, 0.0)
    others = [one.get(place, 0.0) for interest, one in cosines.items() if interest != "intent"]
    found["cosine_long"] = max([0.0, *others])
    since = max((event.time for event in liked), default=NOW) - SITTING_MS
    found["alike"], found["alike_sitting"] = _alike(item, visit), _alike(item, visit, since)
    found["alike_new"] = found["alike"] * 0.5 ** (_days(item) * DAY / NEW_MS)
    looks = {"wide": _look(visit, WIDE_RHO), "tight": _look(visit, TIGHT_RHO), "sitting": _look(visit, 1.0, since)}
    looks["votes"] = votes(profile.recent)
    looks["met"] = _met(visit, candidates)
    for name, scores in looks.items():
        found[name] = scores.get(item, 0.0) / (max(scores.values(), default=1.0) or 1.0)
        found[f"{name}_log"] = 1.0 + math.log(found[name] + 1e-3) / math.log(1e3)
    found |= _plain_popularity(item)
    paid = [(event.weight, math.log(price[event.item])) for event in liked if price[event.item]]  # type: ignore[arg-type]
    gap = 0.0
    if paid and own["price"]:
        gap = math.log(own["price"]) - sum(w * p for w, p in paid) / sum(w for w, _ in paid)  # type: ignore[arg-type]
    found["price_gap"], found["dearer"] = -abs(max(-3.0, min(3.0, gap))), max(0.0, min(3.0, gap))
    for group in ("category", "brand"):
        same = [e.weight for e in liked if own[group] and facts[NAMES.index(e.item)][group] == own[group]]
        found[group] = sum(same) / total if same else 0.0
    for name in ("strength", "strength_log", "often", "due", "overdue", "bought_ago", "bought_once"):
        found[name] = 0.0
    if habit := profile.habits.get(item):
        kept = purchases(profile, NOW).get(item, 0.0)
        strength = kept if habit.purchases > 1 else 0.5 * kept
        ago = (NOW - habit.last) / DAY
        between = (habit.last - habit.first) / DAY / (habit.purchases - 1) if habit.purchases > 1 else 0.0
        found["strength"], found["strength_log"] = strength / (1.0 + strength), math.log1p(strength) / 3.0
        found["often"] = habit.purchases / max(other.purchases for other in profile.habits.values())
        found["bought_ago"], found["bought_once"] = math.log1p(ago) / 6.0, float(habit.purchases == 1)
        if between > 0:
            found["due"] = math.exp(-abs(math.log(max(ago / between, 1e-3))))
            found["overdue"] = min(ago / between, 5.0) / 5.0
    mine = [event for event in liked if event.item == item]
    last = max((event.time for event in mine), default=0)
    found["seen_weight"] = math.log1p(sum(event.weight for event in mine))
    found["seen_ago"] = 1.0 / (1.0 + math.log1p((NOW - last) / 3_600_000)) if mine else 0.0
    found["seen_now"] = float(bool(mine) and last == profile.recent[-1].time)
    found["impressions"] = math.log1p(visit.shown.get(item, 0.0)) / 3.0
    return found


@SETTINGS
@given(st.lists(visits(), min_size=1, max_size=3))
def test_features_are_what_they_are_said_to_be(asked: list[Visit]) -> None:
    policy = Policy(pool=8)
    found = gather(asked, STOCK, policy)
    batch = found.batch
    if not len(batch.owner):
        return
    matrix, had = features(found, asked, STOCK, _fetched(found))
    assert matrix.shape == (len(batch.owner), len(FEATURES))
    for row, (owner, place) in enumerate(zip(batch.owner, batch.place, strict=True)):
        visit, item = asked[owner], STOCK.items.ids[place]
        ranks = {channel: int(rank) for channel, rank in zip(ORDER, batch.ranks[row], strict=True) if rank}
        score = sum(Policy().channel_weights[channel] / (RRF_K + rank) for channel, rank in ranks.items())
        assert batch.fused[row] == pytest.approx(score)
        beside = batch.owner == owner
        candidates = [STOCK.items.ids[other] for other in batch.place[beside]]
        plain = _plain(item, visit, ranks, score / batch.fused[beside].max(), candidates)
        told = dict(zip((feature.name for feature in FEATURES), matrix[row].tolist(), strict=True))
        assert told == pytest.approx(plain, abs=1e-5)
        done = {event.item for event in visit.profile.recent if event.weight > 0} | set(visit.profile.habits)
        assert had[row] == (item in done)


@SETTINGS
@given(st.lists(visits(), min_size=2, max_size=3))
def test_nobodys_features_depend_on_who_is_asked_beside_them(asked: list[Visit]) -> None:
    found = gather(asked, STOCK, Policy())
    together = found.batch
    matrix, had = features(found, asked, STOCK, _fetched(found))
    for number, visit in enumerate(asked):
        by_oneself = gather([visit], STOCK, Policy())
        alone = by_oneself.batch
        rows = together.owner == number
        assert alone.place.tolist() == together.place[rows].tolist()
        if rows.any():
            own, own_had = features(by_oneself, [visit], STOCK, _fetched(by_oneself))
            assert (own == matrix[rows]).all()
            assert (own_had == had[rows]).all()


@pytest.mark.parametrize("places", [(0, 1), (1, 0), (1, 0, 1)])
def test_a_shopper_without_candidates_is_no_obstacle(places: tuple[int, ...]) -> None:
    profile = Profile()
    eligible = Eligibility((), lambda _: None, profile, NOW)  # type: ignore[arg-type,return-value]
    near = [Near("intent", STOCK.items.places(["item-1", "item-2"]), np.array([0.5, 0.25], np.float32))]
    both = [Visit(profile, NOW, found, {}, np.zeros(0, np.int64), "", eligible) for found in ([], near)]
    asked = [both[place] for place in places]
    found = gather(asked, STOCK, Policy(channel_weights={Channel.CONTENT: 1.0}))
    matrix, _ = features(found, asked, STOCK, _fetched(found))
    assert found.batch.owner.tolist() == [number for number, place in enumerate(places) if place for _ in range(2)]
    assert (matrix[:, COLUMN["fused"]].reshape(-1, 2) == np.float32([1.0, (RRF_K + 1) / (RRF_K + 2)])).all()


def test_what_was_shown_and_never_heard_of_is_no_candidate_of_anybody() -> None:
    stock, profile = _stock(), Profile()
    eligible = Eligibility((), lambda _: None, profile, NOW)  # type: ignore[arg-type,return-value]
    near = [Near("intent", stock.items.places(["item-0"]), np.array([0.5], np.float32))]
    asked = [
        Visit(profile, NOW, near, shown, np.zeros(0, np.int64), "", eligible)
        for shown in ({"nothing known": 3.0}, {}, {"item-0": 1.0})
    ]
    found = gather(asked, stock, Policy(channel_weights={Channel.CONTENT: 1.0}))
    matrix, _ = features(found, asked, stock, _fetched(found))
    assert matrix[:, COLUMN["impressions"]].tolist() == pytest.approx([0.0, 0.0, math.log(2.0) / 3.0])


@pytest.mark.parametrize(
    ("events", "days", "bucket"), [(0, 9, (0, 2)), (3, 0, (1, 0)), (10, 1, (2, 1)), (50, 3, (3, 2))]
)
def test_buckets(events: int, days: int, bucket: tuple[int, int]) -> None:
    recent = tuple(Interaction("item-1", EventType.VIEW, 0.1, NOW - days * DAY) for _ in range(events))
    profile = Profile(0, recent)
    eligible = Eligibility((), lambda _: None, profile, NOW)  # type: ignore[arg-type,return-value]
    assert buckets(Visit(profile, NOW, [], {}, np.zeros(0, np.int64), "", eligible)) == bucket
