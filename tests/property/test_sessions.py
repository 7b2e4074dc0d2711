"""What shoppers of a like mind had, against the definition over a plain dictionary of sessions."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import sessions as wire
from streams.core import decay, ragged
from streams.core.cooccurrence import HALF_LIFE_MS
from streams.core.events import Interaction
from streams.core.items import Items
from streams.core.profile import RING, Profile, fold
from streams.core.sessions import (
    HOLDERS,
    KEEP,
    MEMORY_MS,
    NEAREST,
    RARITY,
    Alike,
    Floats,
    Session,
    Sessions,
    pull,
    session_of,
    weighed,
)
from streams.engine import rows
from streams.errors import ContractError
from tests.property.strategies import DAY, T0, logs

NAMES = [f"item-{number}" for number in range(9)]
SHOPPERS = [f"shopper-{number}".encode() for number in range(7)]
NOW = T0 + 90 * DAY
COUNTS = {name: 3.0**number for number, name in enumerate(NAMES)}

names = st.sampled_from(NAMES)
told = st.builds(
    Session, st.lists(names, min_size=1, unique=True), st.integers(-60, 1).map(lambda days: NOW + days * DAY)
)
steps = st.lists(st.tuples(st.sampled_from(SHOPPERS), st.none() | told))
rings = st.lists(st.tuples(names, st.sampled_from([-1.0, 0.0, 0.1, 1.0])), max_size=12)

Told = Mapping[bytes, Session]
Ring = Sequence[tuple[str, float]]


def _items() -> tuple[Items, Floats]:
    """Places that are not in the order of the names, and masses by them."""
    items = Items()
    items.places(reversed(NAMES))
    logs_of = [decay.log_mass(COUNTS[name], NOW, HALF_LIFE_MS) for name in items.ids]
    return items, np.concatenate((logs_of, np.full(2000, decay.EMPTY)))


def _filled(sessions: Sessions, steps: Sequence[tuple[bytes, Session | None]]) -> dict[bytes, Session]:
    """Take all steps; what is left of them."""
    left: dict[bytes, Session] = {}
    for shopper, session in steps:
        left.pop(shopper, None)
        if session is None:
            sessions.forget(shopper)
        else:
            left[shopper] = session
            sessions.update(shopper, lambda session=session: session)  # type: ignore[misc]
    return left


def _asked(sessions: Sessions, ring: Ring) -> Alike:
    return _asked_together(sessions, [ring], [NOW])


def _asked_together(sessions: Sessions, rings: Sequence[Ring], nows: Sequence[int], users: Sequence[str] = ()) -> Alike:
    """Ask for several shoppers."""
    counts: list[dict[str, float]] = [{} for _ in rings]
    for own, ring in zip(counts, rings, strict=True):
        liked = [(name, weight) for name, weight in reversed(ring) if weight > 0]
        for newer, (name, weight) in enumerate(liked):
            own[name] = own.get(name, 0.0) + float(weighed(np.array([weight]), np.array([newer]))[0])
    asked = sessions.items.places([name for own in counts for name in own])
    bounds = ragged.bounds_of([len(own) for own in counts])
    told = np.array([count for own in counts for count in own.values()])
    return sessions.alike(sessions.held(asked, bounds, users), told, nows)


def _similarities(left: Told, ring: Ring) -> dict[bytes, float]:
    """By definition."""
    liked = [(name, weight) for name, weight in reversed(ring) if weight > 0]
    counts: dict[str, float] = {}
    for newer, (name, weight) in enumerate(liked):
        counts[name] = counts.get(name, 0.0) + weight * KEEP**newer
    found = {}
    for shopper, session in left.items():
        shared = sum(counts.get(name, 0.0) for name in session.items)
        faded = 0.5 ** (max(NOW - session.time, 0) / MEMORY_MS)
        found[shopper] = shared * faded / math.sqrt(len(session.items))
    return {shopper: similarity for shopper, similarity in found.items() if similarity}


@given(steps, st.lists(st.dictionaries(names, st.floats(0.1, 2.0)), min_size=1, max_size=3))
def test_what_was_met(steps: Sequence[tuple[bytes, Session | None]], shoppers: Sequence[dict[str, float]]) -> None:
    items, _ = _items()
    sessions = Sessions(items)
    left = _filled(sessions, steps)
    with_it = {name: {shopper for shopper, session in left.items() if name in session.items} for name in NAMES}
    candidates = [NAMES[number:] for number, _ in enumerate(shoppers)]
    asked = items.places([name for counts in shoppers for name in counts])
    met = sessions.met(
        sessions.held(asked, ragged.bounds_of([len(counts) for counts in shoppers])),
        np.array([count for counts in shoppers for count in counts.values()]),
        items.places([name for some in candidates for name in some]),
        ragged.bounds_of([len(some) for some in candidates]),
    )
    plain = [
        sum(
            count * len(with_it[own] & with_it[name]) / math.sqrt(len(with_it[own]) * len(with_it[name]) or 1)
            for own, count in counts.items()
        )
        for counts, some in zip(shoppers, candidates, strict=True)
        for name in some
    ]
    assert met.tolist() == pytest.approx(plain)


@given(steps, rings, st.sampled_from(SHOPPERS))
def test_nobody_is_told_of_their_own_session(
    steps: Sequence[tuple[bytes, Session | None]], ring: Ring, shopper: bytes
) -> None:
    whole, without = Sessions(_items()[0]), Sessions(_items()[0])
    _filled(whole, steps)
    _filled(without, [step for step in steps if step[0] != shopper])
    ours = _asked_together(whole, [ring, ring], [NOW, NOW], [shopper.decode(), "somebody new"])
    others, everybody = _asked(without, ring), _asked(whole, ring)
    ends = ours.bounds.tolist()
    assert sorted(ours.similarities[: ends[1]]) == pytest.approx(sorted(others.similarities))
    assert ours.similarities[ends[1] :].tolist() == everybody.similarities.tolist()


@given(steps, rings)
def test_scores_and_pulls(steps: Sequence[tuple[bytes, Session | None]], ring: Ring) -> None:
    items, masses = _items()
    sessions = Sessions(items)
    left = _filled(sessions, steps)
    assert len(sessions) == len(left)
    near = _similarities(left, ring)
    alike = _asked(sessions, ring)
    assert sorted(alike.similarities) == pytest.approx(sorted(near.values()))
    expected = {
        name: sum(similarity for shopper, similarity in near.items() if name in left[shopper].items)
        / COUNTS[name] ** RARITY
        for name in NAMES
    }
    places, _, scores, members = sessions.votes(alike, masses, [NOW])
    assert (places[members] == alike.place).all()
    assert len(places) == len(set(places.tolist()))
    found = {items.ids[place]: score for place, score in zip(places, scores, strict=True)}
    assert found == pytest.approx({name: score for name, score in expected.items() if score})
    recent = [name for name, _ in ring]
    lines, columns = (
        np.array(
            [those.index(items.ids[place]) if items.ids[place] in those else ragged.NOWHERE for place in alike.place],
            np.int64,
        )
        for those in (NAMES, list(dict.fromkeys(recent)))
    )
    (by_item,) = pull(alike, lines, columns, (1, len(NAMES), len(set(recent))))
    pulls = by_item[:, [list(dict.fromkeys(recent)).index(name) for name in recent]]
    for name, row in zip(NAMES, pulls, strict=True):
        both = [sum(s for shopper, s in near.items() if {name, other} <= set(left[shopper].items)) for other in recent]
        assert list(row) == pytest.approx(both)


@given(steps, st.lists(rings, max_size=4))
def test_several_are_answered_as_each_alone(
    steps: Sequence[tuple[bytes, Session | None]], rings: Sequence[Ring]
) -> None:
    items, masses = _items()
    sessions = Sessions(items)
    _filled(sessions, steps)
    nows = [NOW + number * DAY for number in range(len(rings))]
    together = _asked_together(sessions, rings, nows)
    votes = sessions.votes(together, masses, nows)
    similarities = ragged.parted(together.similarities, together.bounds)
    of_members = ragged.parted(together.ring, together.edges), ragged.parted(together.place, together.edges)
    of_places = ragged.parted(votes.places, votes.bounds), ragged.parted(votes.scores, votes.bounds)
    for number, (ring, now) in enumerate(zip(rings, nows, strict=True)):
        alone = _asked_together(sessions, [ring], [now])
        assert similarities[number].tolist() == alone.similarities.tolist()
        assert (of_members[0][number] - together.bounds[number]).tolist() == alone.ring.tolist()
        assert of_members[1][number].tolist() == alone.place.tolist()
        places, _, scores, _ = sessions.votes(alone, masses, [now])
        assert of_places[0][number].tolist() == places.tolist()
        assert of_places[1][number].tolist() == scores.tolist()


@given(st.lists(st.tuples(st.sampled_from(SHOPPERS), told), unique_by=(lambda t: t[0], lambda t: t[1].time)), rings)
def test_the_newest_are_kept(steps: Sequence[tuple[bytes, Session]], ring: Ring) -> None:
    items, _ = _items()
    sessions = Sessions(items, most=3)
    left = _filled(sessions, steps)
    kept = dict(sorted(left.items(), key=lambda one: -one[1].time)[:3])
    assert len(sessions) == len(kept)
    similarities = _asked(sessions, ring).similarities
    assert sorted(similarities) == pytest.approx(sorted(_similarities(kept, ring).values()))


def test_of_an_item_the_newest_sessions_are_looked_at() -> None:
    items, _ = _items()
    sessions = Sessions(items)
    times = [T0 + (n * 37 % 200) * DAY // 10 for n in range(200)]
    for number, time in enumerate(times):
        sessions.update(b"%d" % number, lambda time=time: Session(["item-0"], time))  # type: ignore[misc]
    alike = _asked(sessions, [("item-0", 1.0)])
    newest = sorted(times)[-HOLDERS:]
    assert sorted(alike.similarities) == pytest.approx([0.5 ** ((NOW - time) / MEMORY_MS) for time in newest])


@given(st.lists(st.integers(0, 2 * HOLDERS), min_size=4 * HOLDERS, max_size=4 * HOLDERS), st.booleans())
def test_who_comes_back_is_among_the_newest_again(acts: Sequence[int], by_one: bool) -> None:
    """Sessions that saw every record hold the same as those that read the newest of each shopper alone."""
    items, _ = _items()
    sessions = Sessions(items)
    newest: dict[int, int] = {}
    for time, number in enumerate([*range(2 * HOLDERS), *acts], start=T0):
        sessions.update(b"%d" % number, lambda time=time: Session(["item-0"], time))  # type: ignore[misc]
        newest[number] = time
        if by_one:
            assert len(sessions)
    alike = _asked(sessions, [("item-0", 1.0)])
    kept = sorted(newest.values())[-HOLDERS:]
    assert sorted(alike.similarities) == pytest.approx([0.5 ** ((NOW - time) / MEMORY_MS) for time in kept], rel=1e-12)


@pytest.mark.parametrize(("apart", "asked"), [(0, 2 * HOLDERS), (1, NEAREST)])
def test_the_nearest_are_asked_and_those_that_are_as_near(apart: int, asked: int) -> None:
    items, _ = _items()
    sessions = Sessions(items)
    for number in range(2 * HOLDERS):  # half of them like the one, half the other
        sessions.update(b"%d" % number, lambda n=number: Session([NAMES[n % 2]], NOW - n * apart))  # type: ignore[misc]
    alike = _asked(sessions, [(NAMES[1], 1.0), (NAMES[0], 1.0)])
    assert len(alike.similarities) == asked


def test_one_who_is_forgotten_leaves_no_trace() -> None:
    items, masses = _items()
    sessions, other = Sessions(items, most=1), Sessions(items, most=1)
    sessions.update(b"anna", lambda: Session(["item-0", "item-1"], NOW))
    assert len(sessions) == 1
    sessions.forget(b"anna")
    for those in (sessions, other):
        assert len(those) == 0
        those.update(b"bert", lambda: Session(["item-1"], T0))
        places, _, scores, _ = those.votes(_asked(those, [("item-0", 1.0), ("item-1", 1.0)]), masses, [NOW])
        assert [items.ids[place] for place in places] == ["item-1"]
        assert scores[0] > 0
    assert not _asked(sessions, [("item-0", 1.0)]).place.size


def _liked(recent: Sequence[Interaction]) -> list[str]:
    """Items by their newest word, newest first, of those that it was for."""
    words = [event for event in recent if event.weight]
    last = {event.item: event for event in words}
    return [event.item for event in reversed(words) if event is last[event.item] and event.weight > 0]


@given(logs(max_size=80))
def test_a_session_is_what_the_newest_word_is_for(log: Sequence[object]) -> None:
    profile = fold(Profile(), log)  # type: ignore[arg-type]
    session, liked = session_of(profile.recent), _liked(profile.recent)
    if session is None:
        assert liked == []
    else:
        assert session.items == liked
        assert len(liked) <= RING
        assert session.time == max(event.time for event in profile.recent if event.item == liked[0] and event.weight)


@given(told, st.integers(-1, 2**62))
def test_a_record_says_what_was_written(session: Session, offset: int) -> None:
    value = wire.encode(session, offset)
    assert (wire.decode(value), rows.source_offset(value)) == (session, offset)
    for wrong in (b"", b"\x09" + value[1:], value[:-1], value[:9] + b"\x01"):
        with pytest.raises(ContractError):
            wire.decode(wrong)
