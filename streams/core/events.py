"""Event types, their weights, and what makes an event acceptable."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias


class EventType(StrEnum):
    """What a shopper can do. The values are the wire names."""

    IMPRESSION = "impression"
    VIEW = "view"
    CLICK = "click"
    CART = "cart"
    UNCART = "uncart"
    FAVOURITE = "favourite"
    PURCHASE = "purchase"
    RETURN = "return"
    RATING = "rating"
    DISLIKE = "dislike"
    SEARCH = "search"
    LOGIN = "login"


WEIGHTS: Mapping[EventType, float] = {
    EventType.IMPRESSION: 0.0,
    EventType.VIEW: 0.1,
    EventType.CLICK: 0.2,
    EventType.CART: 0.5,
    EventType.UNCART: -0.5,
    EventType.FAVOURITE: 0.6,
    EventType.PURCHASE: 1.0,
    EventType.RETURN: -1.0,
    EventType.RATING: 1.0,
    EventType.DISLIKE: -1.0,
    EventType.SEARCH: 0.0,
    EventType.LOGIN: 0.0,
}
"""How much an event says for (or against) its item. A rating's weight is scaled by its stars."""


class EventLike(Protocol):
    """The fields of `streams.records.Event` that the core reads."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> EventType: ...
    @property
    def time(self) -> int: ...
    @property
    def user(self) -> str | None: ...
    @property
    def item(self) -> str | None: ...
    @property
    def value(self) -> float | None: ...
    @property
    def anonymous_id(self) -> str | None: ...
    @property
    def alias(self) -> str | None: ...


class Interaction(NamedTuple):
    """An accepted event, as a profile keeps it. `time` in Unix milliseconds."""

    item: str
    type: EventType
    weight: float
    time: int


class Known(NamedTuple):
    """An attribute's value with the time of the event that told it, Unix milliseconds."""

    time: int
    value: str


Attributes: TypeAlias = Mapping[str, Known]
"""What is known of a shopper, by name."""

NOTHING: Attributes = {}


class Alias(NamedTuple):
    """Whom an anonymous shopper has logged in as: the user, and the partition of their events."""

    user: str
    partition: int


class Arrival(NamedTuple):
    """An interaction (None: an event that says nothing of an item) with where in the log it stands.

    `told` is what the event tells of its shopper, `login` whom they log in as with it.
    """

    offset: int
    event: str
    interaction: Interaction | None
    told: Attributes = NOTHING
    login: Alias | None = None


@dataclass(frozen=True, slots=True)
class Invalid:
    """Why an event is refused. `reason` is a stable name, `detail` is for people."""

    reason: str
    detail: str


def weights(changes: Mapping[str, float]) -> dict[EventType, float]:
    """`WEIGHTS` with changes by wire name.

    Raises:
        ValueError: for an unknown event type or a weight that is not finite.
    """
    merged = dict(WEIGHTS)
    for name, weight in changes.items():
        if name not in {known.value for known in EventType}:
            raise ValueError(f"unknown event type {name!r}; known: {', '.join(EventType)}")
        if not math.isfinite(weight):
            raise ValueError(f"weight of {name!r} is {weight}, not a finite number")
        merged[EventType(name)] = float(weight)
    return merged


def validate(
    event: EventLike, *, key: str | None, timestamp: int, weights: Mapping[EventType, float], max_future_ms: int
) -> Interaction | Invalid | None:
    """Check what a schema cannot, and reduce the event to an interaction.

    The rules depend on the record alone (its key and Kafka timestamp, never the clock), so that a replay accepts
    and refuses the same events.

    Args:
        event: the decoded event.
        key: the record's key as text.
        timestamp: the record's Kafka timestamp, Unix milliseconds.
        weights: weight by event type.
        max_future_ms: how far the event's own time may be ahead of `timestamp`.

    Returns:
        The interaction; None for an event that is fine but says nothing of an item (a search, a login); or Invalid.
    """
    shopper = event.user or event.anonymous_id
    if shopper is None:
        return Invalid("invalid", "neither `user` nor `anonymous_id` is set")
    if key != shopper:
        return Invalid("wrong-key", "the record's key is not the event's `user` (else `anonymous_id`)")
    if event.time > timestamp + max_future_ms:
        return Invalid(
            "time-travel", f"event time {event.time} is more than {max_future_ms} ms ahead of the record's {timestamp}"
        )
    if event.type is EventType.LOGIN:
        return _validate_login(event)
    if event.item is None:
        if event.type is EventType.SEARCH:
            return None
        return Invalid("invalid", f"`item` is missing in an event of type {event.type.value}")
    weight = weights[event.type]
    if event.type is EventType.RATING:
        if event.value is None or not 1.0 <= event.value <= 5.0:
            return Invalid("invalid", "`value` of a rating must be stars from 1 to 5")
        weight *= (event.value - 3.0) / 2.0
    return Interaction(event.item, event.type, weight, event.time)


def _validate_login(event: EventLike) -> Invalid | None:
    if event.anonymous_id is None or event.user is not None:
        return Invalid("invalid", "a login belongs to the `anonymous_id` that it names, and carries no `user`")
    if event.alias is None:
        return Invalid("invalid", "`as` is missing in an event of type login: the user who has logged in")
    if event.alias == event.anonymous_id:
        return Invalid("invalid", "`as` of a login is the `anonymous_id` itself: wanted the user who has logged in")
    return None
