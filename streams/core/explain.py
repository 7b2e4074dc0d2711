"""Reasons: which channel, how much, and which of the shopper's events it rests on."""

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core.coldstart import in_words
from streams.core.decay import DAY_MS
from streams.core.events import EventType, Interaction
from streams.core.halflives import INTENT_HALF_LIFE
from streams.core.memory import Habit
from streams.core.policy import Channel
from streams.core.profile import Profile

CITED = 2
"""Events cited for one reason."""

REASONS = 3
"""Reasons of one item at most."""

_LEAST = 1e-9

VERBS = {
    EventType.VIEW: "viewed",
    EventType.CLICK: "clicked on",
    EventType.CART: "put in the cart",
    EventType.FAVOURITE: "marked as favourite",
    EventType.PURCHASE: "bought",
    EventType.RATING: "rated",
}


class Pick(NamedTuple):
    """An item of a list.

    Attributes:
        item: its id.
        score: above 0.
        gains: what each channel gave of the score; what is not above 0 gives no reason.
        ranks: the places that channels gave it, 1-based.
        propensity: of a place that is open to exploration, the chance that the item had to be there; else None.
    """

    item: str
    score: float
    gains: Mapping[Channel, float]
    ranks: Mapping[Channel, int]
    propensity: float | None = None


class Grounds(NamedTuple):
    """What reasons may rest on.

    Attributes:
        profile: the shopper's.
        recent: (m,) the shopper's interactions of positive weight.
        title: an item's title by its id.
        segment: of the shopper, whose popularity was asked; empty for none.
    """

    profile: Profile
    recent: Sequence[Interaction]
    title: Callable[[str], str]
    segment: str = ""


class Cause(NamedTuple):
    """Why an item is there: a channel's share of the score, in words, with the events behind it."""

    channel: Channel
    share: float
    text: str
    because: list[Interaction]


def pull(
    vectors: npt.NDArray[np.float32],
    recent_vectors: npt.NDArray[np.float32],
    recent: Sequence[Interaction],
    half_life: float = INTENT_HALF_LIFE,
) -> npt.NDArray[np.float32]:
    """How strongly each recent interaction pulls towards each item: cosine · weight · age, as intent weighs them.

    Args:
        vectors: float32 (n, dim), unit rows, of the items to explain.
        recent_vectors: float32 (m, dim), of the interactions' items.
        recent: (m,) interactions of positive weight, newest last.
        half_life: of intent, in newer interactions.

    Returns:
        float32 (n, m).
    """
    ages = np.arange(len(recent) - 1, -1, -1)
    weights = np.array([interaction.weight for interaction in recent]) * 0.5 ** (ages / half_life)
    return (vectors @ recent_vectors.T * weights).astype(np.float32)


def cited(pulls: npt.NDArray[np.floating], recent: Sequence[Interaction]) -> list[list[Interaction]]:
    """For each item at most `CITED` interactions that pull towards it, with different items, strongest first.

    pulls: float (n, m), of m interactions towards n items: `pull` for content, `Neighbourhood.pull` for neighbours.
    """
    found = []
    for order, row in zip(np.argsort(-pulls, axis=1, kind="stable").tolist(), pulls.tolist(), strict=True):
        strongest: dict[str, Interaction] = {}
        for place in order:
            if row[place] <= 0 or len(strongest) == CITED:
                break
            strongest.setdefault(recent[place].item, recent[place])
        found.append(list(strongest.values()))
    return found


def causes(pick: Pick, grounds: Grounds, events: Mapping[Channel, list[Interaction]]) -> list[Cause]:
    """The reasons of one item, at most `REASONS`, largest share first; the shares sum to 1.

    A channel that pulled the item down, or that rests on nothing of this shopper, is no reason.

    Args:
        pick: the item.
        grounds: what reasons may rest on.
        events: by channel, the interactions that it may cite, strongest first.
    """
    # A channel that has the item in its list is a reason even if it gave next to nothing: there is one at least.
    ranks = pick.ranks
    amounts = [(-max(gain, _LEAST if channel in ranks else 0.0), channel) for channel, gain in pick.gains.items()]
    found = []
    for negated, channel in sorted(amounts):
        if negated < 0 and (said := _said(channel, pick, grounds, events)):
            found.append((channel, -negated, said))
            if len(found) == REASONS:
                break
    total = sum(gain for _, gain, _ in found)
    return [Cause(channel, gain / total, *said) for channel, gain, said in found]


def _said(
    channel: Channel, pick: Pick, grounds: Grounds, events: Mapping[Channel, list[Interaction]]
) -> tuple[str, list[Interaction]] | None:
    """A channel's reason in words with the events behind it; None for one that says nothing of the item."""
    title, habits = grounds.title, grounds.profile.habits
    if channel is Channel.BUY_AGAIN:
        return _buy_again(pick.item, habits[pick.item]) if pick.item in habits else None
    if channel is Channel.CONTENT:
        return _content(pick.item, events[channel], title) if grounds.recent or habits else None
    if channel is Channel.NEIGHBOURS:
        return _beside(events[channel], title) if events[channel] else None
    if channel is Channel.SEGMENT:
        number = pick.ranks.get(channel)
        return (f"popular with {in_words(grounds.segment)} (number {number})", []) if number else None
    if channel is Channel.FRESH:
        return "new here", []
    number = pick.ranks.get(channel)
    return (f"popular now (number {number})" if number else "popular lately"), []


def _buy_again(item: str, habit: Habit) -> tuple[str, list[Interaction]]:
    times = "once" if habit.purchases == 1 else f"{habit.purchases} times"
    last = Interaction(item, EventType.PURCHASE, 1.0, habit.last)
    return f"bought {times}, last on {_day(habit.last)}", [last]


def _content(item: str, events: list[Interaction], title: Callable[[str], str]) -> tuple[str, list[Interaction]]:
    if not events:
        return "close to what you keep buying", []
    did = _did(events[0])
    return (did if events[0].item == item else f"like {title(events[0].item)}, {did}"), events


def _beside(events: list[Interaction], title: Callable[[str], str]) -> tuple[str, list[Interaction]]:
    together = "often bought with" if events[0].type is EventType.PURCHASE else "often goes with"
    return f"{together} {title(events[0].item)}, which you {_did(events[0])}", events


def _did(interaction: Interaction) -> str:
    return f"{VERBS.get(interaction.type, 'seen')} on {_day(interaction.time)}"


def _day(millis: int) -> str:
    return _date(millis // DAY_MS)


@functools.lru_cache(maxsize=1024)
def _date(day: int) -> str:
    """A day since the epoch as a date; a list names the same few again and again."""
    return datetime.fromtimestamp(day * DAY_MS / 1000, UTC).date().isoformat()
