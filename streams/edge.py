"""The guarded edge: raw Kafka bytes become checked values or a rejection with its reason. Nothing else parses them.

Every rule is a function of the record alone, so that a replay accepts and refuses the same records.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from streams import pseudonyms
from streams.core import coldstart, events
from streams.core.erasure import Erasure, Ledger
from streams.core.events import Alias, Arrival, EventType
from streams.core.halflives import HALF_LIVES, HalfLives, half_lives
from streams.engine.effects import Record, Rejection, RejectReason
from streams.errors import ConfigError
from streams.formats.base import FormatError
from streams.formats.reading import Formats, Subject
from streams.formats.settings import formats_of
from streams.partitioning import Partitioner, partition_of
from streams.pseudonyms import Pseudonyms, UnknownVersionError
from streams.records import CatalogueItem, Event, Question
from streams.settings import Settings

ERASE = "upwell.erase"
"""A record without value that carries this header erases its key; any other one is refused as an event."""

_QUOTES = re.compile(r"(?<=^Invalid enum value) .*(?= - at )", re.DOTALL)
"""The one validation message that quotes the record, and where."""

_decode_event = msgspec.json.Decoder(Event).decode
_decode_item = msgspec.json.Decoder(CatalogueItem).decode
_decode_question = msgspec.json.Decoder(Question).decode


@dataclass(frozen=True, slots=True)
class Limits:
    """What the edge lets through, and what it takes from it.

    Sizes in bytes, times in milliseconds; `weights` by event type; `segments` are the attributes of events that tell
    of their shopper; `ledger` knows who has been erased; `pseudonyms`, if any, stand for shoppers from here on;
    `half_lives` of what shoppers did; `partitions` of the events, and the `partitioner` that puts shoppers on them;
    `formats` in which records are written.
    """

    max_event_bytes: int
    max_item_bytes: int
    max_future_ms: int
    weights: Mapping[EventType, float]
    segments: tuple[str, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    pseudonyms: Pseudonyms | None = None
    half_lives: HalfLives = HALF_LIVES
    partitions: int = 1
    partitioner: Partitioner = Partitioner.MURMUR2
    formats: Formats = field(default_factory=Formats)


def limits_of(settings: Settings) -> Limits:
    """The limits that the settings say.

    Raises:
        ConfigError: an event weight, a half-life, the pseudonyms' keys or the schema registry are wrong.
    """
    try:
        weights = events.weights(settings.event_weights)
    except ValueError as error:
        raise ConfigError(f"UPWELL_EVENT_WEIGHTS: {error}") from None
    try:
        fading = half_lives(settings.half_lives)
    except ValueError as error:
        raise ConfigError(f"UPWELL_HALF_LIVES: {error}") from None
    secret = settings.erasure_key.get_secret_value() if settings.erasure_key else settings.shop
    return Limits(
        settings.max_event_bytes,
        settings.max_item_bytes,
        1000 * settings.max_future_seconds,
        weights,
        settings.segments,
        Ledger(secret.encode()),
        pseudonyms.of_settings(settings),
        fading,
        settings.partitions,
        settings.partitioner,
        formats_of(settings),
    )


class AcceptedEvent(NamedTuple):
    """An event with its shopper and its record's Kafka timestamp (Unix milliseconds), ready to be folded."""

    shopper: str
    event: Event
    timestamp: int
    arrival: Arrival

    def erased_by(self, erasure: Erasure) -> bool:
        """Whether an erasure of the shopper covers it."""
        return erasure.covers(self.arrival.offset, self.event.time, self.timestamp)


def erasure_of(record: Record, limits: Limits) -> tuple[str, Erasure] | None:
    """The shopper whom a record of the events topic asks to forget; None for any other record."""
    if record.value is not None or not record.key or all(name != ERASE for name, _ in record.headers):
        return None
    shopper = shopper_of(record.key, limits)
    return None if shopper is None else (shopper, Erasure(record.offset, record.timestamp))


def shopper_of(key: bytes | None, limits: Limits) -> str | None:
    """The shopper whom a key of the events topic names, by pseudonym where there are any; None for nobody."""
    try:
        return pseudonyms.of(limits.pseudonyms, key.decode()) if key else None
    except (UnicodeDecodeError, UnknownVersionError):
        return None


def accept_event(record: Record, limits: Limits) -> AcceptedEvent | Rejection:
    """Decode and check a record of the events topic."""
    decoded = _decode(record, _decode_event, limits.max_event_bytes, limits.formats, Subject.EVENTS)
    if isinstance(decoded, Rejection):
        return decoded
    key, event = decoded
    if event is None:
        return Rejection(record, RejectReason.INVALID, "an event must not be null")
    checked = events.validate(
        event, key=key, timestamp=record.timestamp, weights=limits.weights, max_future_ms=limits.max_future_ms
    )
    if isinstance(checked, events.Invalid):
        return Rejection(record, RejectReason(checked.reason), checked.detail)
    if event.type is EventType.LOGIN and pseudonyms.is_pseudonym(str(event.alias)):
        # Of a pseudonym nobody can tell the partition of the user's events.
        wanted = "wanted the user's id, or PSEUDONYM@PARTITION"
        return Rejection(record, RejectReason.INVALID, f"`as` of a login is a pseudonym alone: {wanted}")
    try:
        shopper = pseudonyms.of(limits.pseudonyms, key)
        login = _login(event, limits) if event.type is EventType.LOGIN else None
    except UnknownVersionError as error:
        return Rejection(record, RejectReason.WRONG_KEY, str(error))
    told = coldstart.told(event.attributes or {}, limits.segments, event.time)
    return AcceptedEvent(shopper, event, record.timestamp, Arrival(record.offset, event.id, checked, told, login))


def _login(event: Event, limits: Limits) -> Alias:
    user = str(event.alias)
    if limits.pseudonyms is not None and (at := pseudonyms.placed(user)):
        return Alias(limits.pseudonyms.of(at[0]), at[1])
    return Alias(pseudonyms.of(limits.pseudonyms, user), partition_of(user, limits.partitions, limits.partitioner))


def accept_item(record: Record, limits: Limits) -> tuple[str, CatalogueItem | None] | Rejection:
    """Decode and check a record of the catalogue topic: item id with the item, None where it was deleted."""
    decoded = _decode(record, _decode_item, limits.max_item_bytes, limits.formats, Subject.CATALOGUE)
    if isinstance(decoded, Rejection):
        return decoded
    key, item = decoded
    if item is not None and item.id != key:
        return Rejection(record, RejectReason.WRONG_KEY, "the record's key is not the item's `id`")
    return key, item


def accept_question(record: Record, limits: Limits) -> tuple[str | None, Question] | Rejection:
    """Decode and check a record of the questions topic: the shopper who asks, None for nobody known, and the question.

    The shopper is named by pseudonym where there are any.
    """
    decoded = _decode(record, _decode_question, limits.max_event_bytes, limits.formats, Subject.QUESTIONS)
    if isinstance(decoded, Rejection):
        return decoded
    key, question = decoded
    if question is None:
        return Rejection(record, RejectReason.INVALID, "a question must not be null")
    if key != (question.user or question.id):
        return Rejection(record, RejectReason.WRONG_KEY, "the record's key is not the question's `user` (else `id`)")
    if not question.text.strip():
        return Rejection(record, RejectReason.INVALID, "`text` is empty")
    try:
        return question.user and pseudonyms.of(limits.pseudonyms, question.user), question
    except UnknownVersionError as error:
        return Rejection(record, RejectReason.WRONG_KEY, str(error))


def _decode(
    record: Record, decode: Any, max_bytes: int, formats: Formats, subject: Subject
) -> tuple[str, Any] | Rejection:
    """Key as text and the decoded value; None for a null value."""
    if not record.key:
        return Rejection(record, RejectReason.WRONG_KEY, "the record has no key")
    try:
        key = record.key.decode()
    except UnicodeDecodeError:
        return Rejection(record, RejectReason.WRONG_KEY, "the record's key is not UTF-8 text")
    if record.value is None:
        return key, None
    if len(record.value) > max_bytes:
        return Rejection(record, RejectReason.OVERSIZE, f"{len(record.value)} bytes, at most {max_bytes} are read")
    try:
        return key, decode(formats.json(record, subject))
    except (FormatError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Rejection(record, *_why(error))


def _why(error: Exception) -> tuple[RejectReason, str]:
    """Why a value could not be decoded, without what it says."""
    if isinstance(error, FormatError):
        return RejectReason(error.fault), str(error)
    if isinstance(error, RecursionError):
        return RejectReason.UNDECODABLE, "nested too deeply"
    if isinstance(error, msgspec.ValidationError):
        # What stands where an event type should may be anything, a name or an address.
        return RejectReason.INVALID, _QUOTES.sub("", str(error))
    return RejectReason.UNDECODABLE, str(error)
