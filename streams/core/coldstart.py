"""Whom little is known of: a ladder of what can be said, from the shopper's own doings to everybody's.

    profile ─► segment, the finest known first ─► popularity

A shopper's segments are made of attributes that events carry (age, country, …; which ones is a setting). All known
ones together are the finest segment, each alone is a coarser one. What is popular within a segment is folded as
popularity is, under keys of its own. A rung without items is passed over; the last one has all that is popular.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeAlias

MAX_VALUE = 64
"""Characters of an attribute's value; a longer one makes no segment."""

Scalar: TypeAlias = str | float | bool | None


class Stage(StrEnum):
    """The rung that a recommendation rests on. The values are the wire names."""

    PROFILE = "profile"
    SEGMENT = "segment"
    POPULARITY = "popularity"


class Known(NamedTuple):
    """An attribute's value with the time of the event that told it, Unix milliseconds."""

    value: str
    time: int


Attributes: TypeAlias = Mapping[str, Known]
"""Of a shopper, by name."""


def learn(known: Attributes, told: Mapping[str, Scalar], time: int, names: Sequence[str]) -> Attributes:
    """What is known of a shopper after an event: the newest value of each attribute, by event time.

    At equal times the larger value stays, so that the order of arrival makes no difference. Returns the same object
    if nothing changes.

    Args:
        known: before.
        told: attributes of the event.
        time: of the event, Unix milliseconds.
        names: attributes that make segments.
    """
    changes = {}
    for name in names:
        value = _text(told.get(name))
        if value and (name not in known or (known[name].time, known[name].value) < (time, value)):
            changes[name] = Known(value, time)
    return {**known, **changes} if changes else known


def segments(known: Attributes, names: Sequence[str]) -> list[str]:
    """The segments of a shopper, the finest first: all known attributes together, then each alone.

    Args:
        known: the shopper's attributes.
        names: attributes that make segments, the most telling first.
    """
    alone = [_segment(name, known[name].value) for name in names if name in known]
    return alone if len(alone) < 2 else ["&".join(alone), *alone]


def _segment(name: str, value: str) -> str:
    return f"{name}={value.replace('%', '%25').replace('&', '%26')}"


def _text(value: Scalar) -> str | None:
    """A value as text; None for none, and for one that is too long to be a segment."""
    if value is None or value == "":
        return None
    text = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else value
    return text if len(text) <= MAX_VALUE else None
