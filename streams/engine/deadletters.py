"""The record that goes to the dead-letter topic: the refused one byte for byte, and why in its headers.

Headers as `streams.records.DeadLetter` names them, after the record's own.
"""

from dataclasses import dataclass, replace

from streams.engine.effects import Output, Record, Rejection

HEADER_PREFIX = "upwell."
LEFT_OUT = (HEADER_PREFIX + "left-out", b"key, value, headers: too large for this topic")
"""A header of dead letters that do not carry their record."""

_NAMES = ("reason", "detail", "topic", "partition", "offset", "timestamp")
_DETAIL_BYTES = 1024


def dead_letter(topic: str, rejection: Rejection) -> Output:
    """A rejection as a record for the dead-letter topic."""
    record = rejection.record
    why = {
        "reason": rejection.reason.value,
        "detail": rejection.detail.encode()[:_DETAIL_BYTES].decode(errors="ignore"),
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
    }
    headers = tuple((HEADER_PREFIX + name, why[name].encode()) for name in _NAMES)
    return Output(topic, record.key, record.value, headers=(*record.headers, *headers))


def without_content(letter: Output) -> Output:
    """A dead letter that its topic takes however large the record was: what is left says where the record is."""
    return replace(letter, key=None, value=None, headers=(*letter.headers[-len(_NAMES) :], LEFT_OUT))


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused record as it was, and why it was refused: what a dead letter says.

    `whole` is False where the letter does not carry the record; key and value are None then.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    reason: str
    detail: str
    whole: bool = True


def refused(letter: Record) -> Refused | None:
    """The inverse of `dead_letter` and `without_content`; None for a record that is no dead letter."""
    whole = not letter.headers or letter.headers[-1] != LEFT_OUT
    headers = letter.headers if whole else letter.headers[:-1]
    own, why = headers[: -len(_NAMES)], headers[-len(_NAMES) :]
    if tuple(name for name, _ in why) != tuple(HEADER_PREFIX + name for name in _NAMES):
        return None
    try:
        reason, detail, topic, *numbers = (value.decode() for _, value in why)
        partition, offset, timestamp = map(int, numbers)
    except ValueError:  # UnicodeDecodeError is one
        return None
    record = letter.key, letter.value, tuple(own)
    return Refused(topic, partition, offset, timestamp, *record, reason, detail, whole)
