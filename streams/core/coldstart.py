"""Whom little is known of: a ladder of what can be said, from the shopper's own doings to everybody's.

    profile ─► segment, the finest known first ─► popularity

A shopper's segments are made of attributes that events carry (age, country, …; which ones is a setting). All known
ones together are the finest segment, each alone is a coarser one. What is popular within a segment is folded as
popularity is, under keys of its own. A rung without items is passed over; the last one has all that is popular.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from streams.core.events import Arrival, Attributes, Known

MAX_VALUE = 64
"""Characters of an attribute's value; a longer one makes no segment."""


class Stage(StrEnum):
    """The rung that a recommendation rests on. The values are the wire names."""

    PROFILE = "profile"
    SEGMENT = "segment"
    POPULARITY = "popularity"


def told(attributes: Mapping[str, str | float | bool | None], names: Sequence[str], time: int) -> dict[str, Known]:
    """What an event tells of its shopper.

    Args:
        attributes: of the event.
        names: attributes that make segments.
        time: of the event, Unix milliseconds.
    """
    texts = {name: _text(attributes.get(name)) for name in names}
    return {name: Known(time, text) for name, text in texts.items() if text}


def learn(known: Attributes, news: Attributes) -> Attributes:
    """What is known of a shopper after an event: the newest value of each attribute, by event time.

    At equal times the larger value stays, so that the order of arrival makes no difference. Returns the same object
    if nothing changes.
    """
    changes = {name: value for name, value in news.items() if name not in known or known[name] < value}
    return {**known, **changes} if changes else known


def segments(known: Attributes, names: Sequence[str]) -> list[str]:
    """The segments of a shopper, the finest first: all known attributes together, then each alone.

    Args:
        known: the shopper's attributes.
        names: attributes that make segments, the most telling first.
    """
    alone = [_segment(name, known[name].value) for name in names if name in known]
    return alone if len(alone) < 2 else ["&".join(alone), *alone]


def in_words(segment: str) -> str:
    """A segment for people."""
    return ", ".join(part.replace("=", " ", 1).replace("%26", "&").replace("%25", "%") for part in segment.split("&"))


def by_segment(
    known: Attributes, arrivals: Iterable[Arrival], names: Sequence[str]
) -> Iterator[tuple[str | None, Arrival]]:
    """Every arrival of a shopper, in offset order, with everybody (None) and each segment that they are in by then.

    Args:
        known: of the shopper before the arrivals.
        arrivals: new ones, in offset order.
        names: attributes that make segments.
    """
    for arrival in arrivals:
        yield None, arrival
        known = learn(known, arrival.told)
        for segment in segments(known, names):
            yield segment, arrival


def _segment(name: str, value: str) -> str:
    return f"{name}={value.replace('%', '%25').replace('&', '%26')}"


def _text(value: str | float | bool | None) -> str | None:
    """A value as text; None for none, and for one that is too long to be a segment."""
    if value is None or value == "":
        return None
    text = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else value
    return text if len(text) <= MAX_VALUE else None
