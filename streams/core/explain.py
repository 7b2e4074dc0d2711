"""Reasons: which channel, how much, and which of the shopper's events it rests on."""

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core.candidates import Candidate
from streams.core.coldstart import in_words
from streams.core.decay import DAY_MS
from streams.core.events import EventType, Interaction
from streams.core.halflives import INTENT_HALF_LIFE
from streams.core.memory import Habit
from streams.core.policy import Channel
from streams.core.profile import Profile

CITED = 2
"""Events cited for one reason."""

VERBS = {
    EventType.VIEW: "viewed",
    EventType.CLICK: "clicked on",
    EventType.CART: "put in the cart",
    EventType.FAVOURITE: "marked as favourite",
    EventType.PURCHASE: "bought",
    EventType.RATING: "rated",
}


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


def causes(
    candidate: Candidate,
    profile: Profile,
    recent: Sequence[Interaction],
    pulls: Mapping[Channel, npt.NDArray[np.floating]],
    title: Callable[[str], str],
    segment: str = "",
) -> list[Cause]:
    """The reasons of one item, largest share first; the shares sum to 1.

    Args:
        candidate: the item with what each channel gave of its score.
        profile: the shopper's.
        recent: (m,) the interactions that `pulls` speaks of.
        pulls: float (m,), how strongly each of them pulls towards the item, by channel: `pull` for content,
            `Neighbourhood.pull` for neighbours.
        title: an item's title by its id.
        segment: of the shopper, whose popularity was asked.
    """
    found = []
    for channel, gain in candidate.gains.items():
        if channel is Channel.BUY_AGAIN:
            text, because = _buy_again(candidate.item, profile.habits[candidate.item])
        elif channel is Channel.CONTENT:
            text, because = _content(candidate.item, recent, pulls[channel], title)
        elif channel is Channel.NEIGHBOURS:
            text, because = _beside(recent, pulls[channel], title)
        elif channel is Channel.SEGMENT:
            text, because = f"popular with {in_words(segment)} (number {candidate.ranks[channel]})", []
        elif channel is Channel.FRESH:
            text, because = "new here", []
        else:
            text, because = f"popular now (number {candidate.ranks[channel]})", []
        found.append(Cause(channel, gain / candidate.score, text, because))
    return sorted(found, key=lambda cause: (-cause.share, cause.channel))


def _buy_again(item: str, habit: Habit) -> tuple[str, list[Interaction]]:
    times = "once" if habit.purchases == 1 else f"{habit.purchases} times"
    last = Interaction(item, EventType.PURCHASE, 1.0, habit.last)
    return f"bought {times}, last on {_day(habit.last)}", [last]


def _content(
    item: str, recent: Sequence[Interaction], pulls: npt.NDArray[np.floating], title: Callable[[str], str]
) -> tuple[str, list[Interaction]]:
    cited = _strongest(recent, pulls)
    if not cited:
        return "close to what you keep buying", []
    did = _did(cited[0])
    return (did if cited[0].item == item else f"like {title(cited[0].item)}, {did}"), cited


def _beside(
    recent: Sequence[Interaction], pulls: npt.NDArray[np.floating], title: Callable[[str], str]
) -> tuple[str, list[Interaction]]:
    cited = _strongest(recent, pulls)
    together = "often bought with" if cited[0].type is EventType.PURCHASE else "often goes with"
    return f"{together} {title(cited[0].item)}, which you {_did(cited[0])}", cited


def _strongest(recent: Sequence[Interaction], pulls: npt.NDArray[np.floating]) -> list[Interaction]:
    """At most `CITED` interactions that pull, with different items, strongest first."""
    strongest: dict[str, Interaction] = {}
    for place in np.argsort(-pulls, kind="stable"):
        if pulls[place] <= 0 or len(strongest) == CITED:
            break
        strongest.setdefault(recent[place].item, recent[place])
    return list(strongest.values())


def _did(interaction: Interaction) -> str:
    return f"{VERBS.get(interaction.type, 'seen')} on {_day(interaction.time)}"


def _day(millis: int) -> str:
    return _date(millis // DAY_MS)


@functools.lru_cache(maxsize=1024)
def _date(day: int) -> str:
    """A day since the epoch as a date; a list names the same few again and again."""
    return datetime.fromtimestamp(day * DAY_MS / 1000, UTC).date().isoformat()
