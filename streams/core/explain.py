"""Reasons: which channel, how much, and which of the shopper's events it rests on."""

import functools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core.channels import ORDER
from streams.core.coldstart import in_words
from streams.core.decay import DAY_MS
from streams.core.events import EventType, Interaction
from streams.core.items import Places
from streams.core.policy import Channel
from streams.core.profile import Profile
from streams.core.ragged import NOWHERE

Floats = npt.NDArray[np.float64]

CITED = 2
"""Events cited for one reason."""

REASONS = 3
"""Reasons of one item at most."""

SLIGHT = 0.05
"""Share below which what is not the largest reason goes unsaid."""

_LEAST = 1e-9

_BY_NAME = sorted(range(len(ORDER)), key=ORDER.__getitem__)
_NAMED = np.array(_BY_NAME)
"""Channels that gave alike come by name."""

_CONTENT, _SEGMENT, _SESSIONS, _DISCOVERED, _ARRIVALS = (
    ORDER.index(channel)
    for channel in (Channel.CONTENT, Channel.SEGMENT, Channel.SESSIONS, Channel.DISCOVERED, Channel.ARRIVALS)
)

_CLOSE, _LARGE = 1e-4, 1e4
"""What is as close to a half, and what is as large, is left to `round`: products of others err by less."""

VERBS = {
    EventType.VIEW: "viewed",
    EventType.CLICK: "clicked on",
    EventType.CART: "put in the cart",
    EventType.FAVOURITE: "marked as favourite",
    EventType.PURCHASE: "bought",
    EventType.RATING: "rated",
}


class Shares(NamedTuple):
    """What reasons there are for some items.

    Attributes:
        counts: int64 (items,), how many each has, at most `REASONS`.
        columns: int64 (reasons,), the channel of each by `channels.ORDER`, an item's largest first.
        shares: float64 (reasons,); those of an item sum to 1.
    """

    counts: Places
    columns: Places
    shares: Floats


def shared(gains: Floats, ranks: npt.NDArray[np.integer], sayable: npt.NDArray[np.bool_]) -> Shares:
    """Which channels are the reasons of items, and how much.

    A channel that pulled an item down, or of which nothing can be said, is no reason, nor is one that gave next to
    nothing beside others.

    Args:
        gains: float64 (n, channels), by `channels.ORDER`, what each channel gave of the score.
        ranks: int (n, channels), 1-based; 0 where a channel has not got the item.
        sayable: bool (n, channels), where there is something to be said of an item.
    """
    # A channel that has the item in its list is a reason even if it gave next to nothing: there is one at least.
    amounts = np.maximum(gains, np.where(ranks > 0, _LEAST, 0.0))[:, _BY_NAME]
    order = np.argsort(-amounts, axis=1, kind="stable")
    largest, columns = np.take_along_axis(amounts, order, axis=1), _NAMED[order]
    kept = np.take_along_axis(sayable, columns, axis=1) & (largest > 0)
    kept &= np.cumsum(kept, axis=1) <= REASONS
    kept &= largest >= SLIGHT * np.where(kept, largest, 0.0).sum(axis=1, keepdims=True)
    totals = np.where(kept, largest, 0.0).sum(axis=1, keepdims=True)
    shares = np.divide(largest, totals, out=np.zeros_like(largest), where=kept)
    return Shares(np.count_nonzero(kept, axis=1), columns[kept], shares[kept])


def likeness(
    cosines: Floats,
    itself: npt.NDArray[np.bool_],
    faded: Floats,
    sitting: npt.NDArray[np.bool_],
    gains: Floats,
) -> Floats:
    """How much of what items have for being alike each of what was had gave.

    An interest is the sum of what was had; what an item is most like is one of it. What counts against an item is not
    told; where all of it does, it is as if interests were all there is.

    Args:
        cosines: float64 (shoppers, lines, asked), of the items in each shopper's list to what was had.
        itself: bool, alike; where an item is what was had.
        faded: float64 (shoppers, 1, asked), what each counts in the interests, at least 0.
        sitting: bool (shoppers, 1, asked), what is of the present sitting.
        gains: float64 (3, shoppers, lines), what items have of interests, of what they are most like, and of what of
            the sitting they are: see `features.ALIKE`.

    Returns:
        float64 (shoppers, lines, asked).
    """
    if not cosines.shape[2]:
        return cosines
    gains = np.maximum(gains, 0.0)
    gains[0][gains.sum(axis=0) == 0] = 1.0
    pulls: Floats = cosines * faded
    pulls *= (gains[0] / np.maximum(np.maximum(pulls, 0.0).sum(axis=2), _LEAST))[..., None]
    others = np.where(itself, 0.0, cosines)
    for gain, like in zip(gains[1:], (others, others * sitting), strict=True):
        best = like.argmax(axis=2)[..., None]
        there = np.take_along_axis(like, best, axis=2) > 0
        np.put_along_axis(pulls, best, np.take_along_axis(pulls, best, axis=2) + gain[..., None] * there, axis=2)
    return pulls


def strongest(pulls: Floats) -> Places:
    """The `CITED` that pull most, strongest first; of equal ones the first.

    Args:
        pulls: float64 (..., m), above 0 where there is one; written over.

    Returns:
        int64 (CITED, ...), which ones; `NOWHERE` for none.
    """
    found = np.full((CITED, *pulls.shape[:-1]), NOWHERE)
    if pulls.shape[-1]:
        for cited in found:
            best = pulls.argmax(axis=-1)[..., None]
            np.copyto(cited, best[..., 0], where=np.take_along_axis(pulls, best, axis=-1)[..., 0] > 0)
            np.put_along_axis(pulls, best, 0.0, axis=-1)
    return found


class Words:
    """Reasons of one shopper's items in words."""

    def __init__(self, profile: Profile, recent: Sequence[Interaction], title: Callable[[str], str], segment: str):
        """Nothing said yet.

        Args:
            profile: the shopper's.
            recent: (m,) their interactions of positive weight.
            title: an item's title by its id.
            segment: of the shopper, whose popularity was asked; empty for none.
        """
        self._habits = profile.habits
        self._recent = recent
        self._title = title
        self._segment = segment
        self._said: dict[int, str] = {}

    def of_event(self, column: int, item: str, cited: int) -> str:
        """Why an item is there that a channel brought for something that the shopper did.

        Args:
            column: of the channel: content, neighbours or sessions.
            item: its id.
            cited: number of the interaction, `NOWHERE` for none.
        """
        if cited == NOWHERE:
            return f"close to what you {'keep buying' if self._habits else 'were for before'}"
        if column == _CONTENT and self._recent[cited].item == item:
            return _did(self._recent[cited].type, self._recent[cited].time // DAY_MS)
        key = cited * len(ORDER) + column  # a list says the same of many items
        said = self._said.get(key)
        if said is None:
            said = self._said[key] = self._because(column, self._recent[cited])
        return said

    def of_rank(self, column: int, rank: int) -> str:
        """Why an item is there that is popular, discovered or new. rank: that which the channel gave it, or 0."""
        if column == _SEGMENT:
            return f"popular with {in_words(self._segment)} (number {rank})"
        if column == _DISCOVERED:
            return f"what shoppers discover now (number {rank})"
        if column == _ARRIVALS:
            return f"new here and already wanted (number {rank})"
        return f"popular now (number {rank})" if rank else "popular lately"

    def _because(self, column: int, event: Interaction) -> str:
        title, did = self._title(event.item), _did(event.type, event.time // DAY_MS)
        if column == _CONTENT:
            return f"like {title}, {did}"
        if column == _SESSIONS:
            return f"others with {title}, which you {did}, went for it"
        together = "often bought with" if event.type is EventType.PURCHASE else "often goes with"
        return f"{together} {title}, which you {did}"


@functools.lru_cache(maxsize=4096)
def _did(kind: EventType, day: int) -> str:
    return f"{VERBS.get(kind, 'seen')} on {_date(day)}"


@functools.lru_cache(maxsize=4096)
def of_habit(purchases: int, day: int) -> str:
    """Why an item is there that was bought before so many times, and last on a day since the epoch."""
    return f"bought {'once' if purchases == 1 else f'{purchases} times'}, last on {_date(day)}"


@functools.lru_cache(maxsize=1024)
def _date(day: int) -> str:
    """A day since the epoch as a date; a list names the same few again and again."""
    return datetime.fromtimestamp(day * DAY_MS / 1000, UTC).date().isoformat()


def rounded(values: Floats, digits: int) -> list[float]:
    """Numbers rounded as `round` does: where a product could be on the wrong side of a half, by that."""
    large = np.abs(values) > _LARGE
    shifted = np.where(large, 0.0, values) * 10.0**digits
    whole = np.rint(shifted)
    close: list[float] = (whole / 10.0**digits).tolist()
    unsure = (np.abs(np.abs(shifted - whole) - 0.5) < _CLOSE) | large
    for place in np.flatnonzero(unsure).tolist():
        close[place] = round(float(values[place]), digits)
    return close
