"""Reasons: which channel, how much, and which of the shopper's events it rests on."""

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core.channels import ORDER
from streams.core.coldstart import in_words
from streams.core.decay import DAY_MS
from streams.core.events import EventType, Interaction
from streams.core.halflives import INTENT_HALF_LIFE
from streams.core.memory import Habit
from streams.core.policy import Channel
from streams.core.profile import Profile

Floats = npt.NDArray[np.float64]

CITED = 2
"""Events cited for one reason."""

REASONS = 3
"""Reasons of one item at most."""

_LEAST = 1e-9

_BY_NAME = sorted(range(len(ORDER)), key=ORDER.__getitem__)
_NAMED = np.array([ORDER[column] for column in _BY_NAME], object)
"""Channels that gave alike come by name."""

_POPULAR, _SEGMENT = ORDER.index(Channel.POPULAR), ORDER.index(Channel.SEGMENT)

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
        gains: what channels gave of the score, the most first, and only what is above 0.
        ranks: (channels,) the places that channels gave it, by `channels.ORDER`, 1-based; 0 where one did not.
        propensity: of a place that is open to exploration, the chance that the item had to be there; else None.
    """

    item: str
    score: float
    gains: Sequence[tuple[Channel, float]]
    ranks: Sequence[int]
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


def picked(items: Sequence[str], scores: Floats, gains: Floats, ranks: npt.NDArray[np.integer]) -> list[Pick]:
    """Picks from columns.

    Args:
        items: (n,) their ids.
        scores: float64 (n,), above 0.
        gains: float64 (n, channels), by `channels.ORDER`, what each channel gave of the score.
        ranks: int (n, channels), 1-based; 0 where a channel has not got the item.
    """
    # A channel that has the item in its list is a reason even if it gave next to nothing: there is one at least.
    amounts = np.maximum(gains, np.where(ranks > 0, _LEAST, 0.0))[:, _BY_NAME]
    order = np.argsort(-amounts, axis=1, kind="stable")
    largest = np.take_along_axis(amounts, order, axis=1)
    counts = np.count_nonzero(largest > 0, axis=1).tolist()
    return [
        Pick(item, score, list(zip(columns[:count], given[:count], strict=True)), numbers)
        for item, score, columns, given, count, numbers in zip(
            items, scores.tolist(), _NAMED[order].tolist(), largest.tolist(), counts, ranks.tolist(), strict=True
        )
    ]


def cited(pulls: npt.NDArray[np.floating], recent: Sequence[Interaction]) -> list[list[Interaction]]:
    """For each item at most `CITED` interactions that pull towards it, with different items, strongest first.

    pulls: float (n, m), of m interactions towards n items: `pull` for content, `Neighbourhood.pull` for neighbours.
    """
    found: list[list[Interaction]] = [[] for _ in pulls]
    if not recent:
        return found
    left, lines = pulls.copy(), np.arange(len(pulls))
    codes = {interaction.item: code for code, interaction in enumerate(recent)}
    item = np.array([codes[interaction.item] for interaction in recent])
    for _ in range(CITED):
        best = left.argmax(axis=1)
        for events, place, strength in zip(found, best.tolist(), left[lines, best].tolist(), strict=True):
            if strength > 0:
                events.append(recent[place])
        left[item == item[best][:, None]] = 0.0
    return found


def causes(pick: Pick, grounds: Grounds, events: Mapping[Channel, list[Interaction]]) -> list[Cause]:
    """The reasons of one item, at most `REASONS`, largest share first; the shares sum to 1.

    A channel that pulled the item down, or that rests on nothing of this shopper, is no reason.

    Args:
        pick: the item.
        grounds: what reasons may rest on.
        events: by channel, the interactions that it may cite, strongest first.
    """
    found = []
    for channel, gain in pick.gains:
        if said := _said(channel, pick, grounds, events):
            found.append((channel, gain, said))
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
    if channel is Channel.SESSIONS:
        return _shared(events[channel], title) if events[channel] else None
    if channel is Channel.SEGMENT:
        number = pick.ranks[_SEGMENT]
        return (f"popular with {in_words(grounds.segment)} (number {number})", []) if number else None
    if channel is Channel.FRESH:
        return "new here", []
    number = pick.ranks[_POPULAR]
    return (f"popular now (number {number})" if number else "popular lately"), []


def _buy_again(item: str, habit: Habit) -> tuple[str, list[Interaction]]:
    times = "once" if habit.purchases == 1 else f"{habit.purchases} times"
    last = Interaction(item, EventType.PURCHASE, 1.0, habit.last)
    return f"bought {times}, last on {_date(habit.last // DAY_MS)}", [last]


def _content(item: str, events: list[Interaction], title: Callable[[str], str]) -> tuple[str, list[Interaction]]:
    if not events:
        return "close to what you keep buying", []
    did = _did(events[0])
    return (did if events[0].item == item else f"like {title(events[0].item)}, {did}"), events


def _beside(events: list[Interaction], title: Callable[[str], str]) -> tuple[str, list[Interaction]]:
    together = "often bought with" if events[0].type is EventType.PURCHASE else "often goes with"
    return f"{together} {title(events[0].item)}, which you {_did(events[0])}", events


def _shared(events: list[Interaction], title: Callable[[str], str]) -> tuple[str, list[Interaction]]:
    return f"others with {title(events[0].item)}, which you {_did(events[0])}, went for it", events


def _did(interaction: Interaction) -> str:
    return f"{VERBS.get(interaction.type, 'seen')} on {_date(interaction.time // DAY_MS)}"


@functools.lru_cache(maxsize=1024)
def _date(day: int) -> str:
    """A day since the epoch as a date; a list names the same few again and again."""
    return datetime.fromtimestamp(day * DAY_MS / 1000, UTC).date().isoformat()
