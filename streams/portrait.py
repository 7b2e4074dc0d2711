"""A shopper's profile in words and as JSON: what happened, what is a habit, what would be searched for."""

from collections.abc import Mapping
from typing import Any

from streams.core import candidates, decay
from streams.core import profile as profiles
from streams.core.coldstart import Stage
from streams.core.events import Interaction
from streams.core.halflives import HALF_LIVES, HalfLives
from streams.core.profile import RING, Interest, Profile
from streams.views import moment

SHOWN = 10
"""Recent interactions, habits and items of an interest that are told in words, at most."""

Titles = Mapping[str, str]
"""Item id → title."""


def stage(profile: Profile, now: int, half_lives: HalfLives = HALF_LIVES) -> Stage:
    """Where recommendations would come from; `segment` only if enough is known of that of the attributes."""
    if profiles.interests(profile, now, half_lives):
        return Stage.PROFILE
    return Stage.SEGMENT if profile.attributes else Stage.POPULARITY


def as_of(profile: Profile) -> int:
    """The event time that a profile holds for: that of its newest event in a ring, 0 without any. Unix milliseconds."""
    return max((ring[-1].time for ring in (profile.recent, profile.shown) if ring), default=0)


def in_words(profile: Profile, titles: Titles, half_lives: HalfLives = HALF_LIVES) -> str:
    """Several lines for people. `half_lives`: those of the shop."""
    now = as_of(profile)
    rung = stage(profile, now, half_lives)
    return "\n".join([
        f"stage: {rung}" + (", or popularity while little is known of it" if rung is Stage.SEGMENT else ""),
        *_section("attributes", [f"{name}: {known.value}" for name, known in sorted(profile.attributes.items())]),
        *_section(
            f"recent, newest first ({len(profile.recent)} of at most {RING})",
            [_interaction(interaction, titles) for interaction in reversed(profile.recent)],
        ),
        *_section("habits, strongest first", [_habit(profile, item, now, titles) for item in _habits(profile, now)]),
        *_section(
            "was for, purchases left out, most first",
            [_weighed(weight, item, titles) for item, weight in _most(_past(profile, now))],
        ),
        *(
            line
            for interest in profiles.interests(profile, now, half_lives)
            for line in _section(
                f"would search for what is like ({interest.name})",
                [_weighed(weight, item, titles) for item, weight in _strongest(interest)],
            )
        ),
        *_section("would leave out, turned down", [_named(i, titles) for i in sorted(profiles.rejected(profile))]),
        *_section("would leave out, in the cart", [_named(i, titles) for i in sorted(profiles.in_cart(profile))]),
        *_section(
            "was shown and not taken up, most often first",
            [_weighed(w, i, titles) for i, w in _most(profiles.unanswered(profile, now, half_lives))],
        ),
        *_section("has logged in as", [profile.alias.user] if profile.alias else []),
    ])  # fmt: skip


def as_json(profile: Profile, titles: Titles, half_lives: HalfLives = HALF_LIVES) -> dict[str, Any]:
    """The same for programs, nothing left out. Times in Unix milliseconds; `strength` is a decayed count."""
    now = as_of(profile)
    return {
        "offset": profile.offset,
        "time": now,
        "stage": stage(profile, now, half_lives),
        "recent": [interaction._asdict() | _title(interaction.item, titles) for interaction in profile.recent],
        "habits": [
            {"item": item, "strength": _strength(profile, item, now)}
            | profile.habits[item]._asdict()
            | _title(item, titles)
            for item in _habits(profile, now)
        ],
        "interests": {
            interest.name: [
                {"item": item, "weight": weight} | _title(item, titles) for item, weight in _strongest(interest)
            ]
            for interest in profiles.interests(profile, now, half_lives)
        },
        "past": [{"item": i, "weight": w} | _title(i, titles) for i, w in _most(_past(profile, now))],
        "attributes": {name: known._asdict() for name, known in sorted(profile.attributes.items())},
        "turned_down": sorted(profiles.rejected(profile)),
        "in_cart": sorted(profiles.in_cart(profile)),
        "unanswered": [
            {"item": i, "impressions": count} | _title(i, titles)
            for i, count in _most(profiles.unanswered(profile, now, half_lives))
        ],
        "logged_in_as": profile.alias.user if profile.alias else None,
        "remembered_event_ids": len(profile.seen),
    }


def _section(title: str, lines: list[str]) -> list[str]:
    left = len(lines) - SHOWN
    more = [f"  … and {left} more"] if left > 0 else []
    return [f"{title}:", *(f"  {line}" for line in lines[:SHOWN]), *more] if lines else []


def _interaction(interaction: Interaction, titles: Titles) -> str:
    return f"{moment(interaction.time)}  {interaction.type.value:<10}  {_named(interaction.item, titles)}"


def _habits(profile: Profile, now: int) -> list[str]:
    return candidates.buy_again(profile, now)


def _strength(profile: Profile, item: str, now: int) -> float:
    return candidates.habit_strengths(profile, now)[item]


def _habit(profile: Profile, item: str, now: int, titles: Titles) -> str:
    habit = profile.habits[item]
    often = "once" if habit.purchases == 1 else f"{habit.purchases} times, first on {moment(habit.first)[:10]}"
    strength = _strength(profile, item, now)
    counts = f"counts {strength:.2f} now{', as half a habit' if habit.purchases == 1 else ''}"
    return f"{_named(item, titles)}  bought {often}, last on {moment(habit.last)[:10]}; {counts}"


def _past(profile: Profile, now: int) -> dict[str, float]:
    masses = (past.log_mass for past in profile.past.values())
    return dict(zip(profile.past, decay.values_at(masses, now, profile.habits_ms), strict=True))


def _most(weights: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(weights.items(), key=lambda pair: (-pair[1], pair[0]))


def _weighed(weight: float, item: str, titles: Titles) -> str:
    return f"{weight:+6.2f}  {_named(item, titles)}"


def _strongest(interest: Interest) -> list[tuple[str, float]]:
    return sorted(zip(interest.items, interest.weights, strict=True), key=lambda pair: (-abs(pair[1]), pair[0]))


def _named(item: str, titles: Titles) -> str:
    return f"{titles[item]} ({item})" if item in titles else item


def _title(item: str, titles: Titles) -> dict[str, str]:
    return {"title": titles[item]} if item in titles else {}
