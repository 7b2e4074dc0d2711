"""Lines of JSON: each becomes a record for its topic, or is refused with its file and number.

A line is checked by the workers' own edge, so that what is sent is what they accept. It is sent byte for byte: fields
that Upwell does not read reach the topic too. Only shoppers give way to their pseudonyms, where there are any.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from streams.edge import Limits, accept_event, accept_item, accept_question
from streams.engine.effects import Rejection
from streams.partitioning import partition_of
from streams.pseudonyms import Pseudonyms
from streams.records import Id

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NO_KEY = b"?"
"""Stands in for a key that the line does not give; the edge then says what is missing."""


class Kind(StrEnum):
    """What a file can hold."""

    EVENTS = "events"
    CATALOGUE = "catalogue"
    QUESTIONS = "questions"


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank, without its line end. `text` is None when the line is longer than any record."""

    source: str
    number: int
    text: bytes | None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to send to the topic of its kind. A null value deletes a catalogue item.

    `partition`: where it goes, if not where the key does: to that of the shopper whom a pseudonym stands for.
    """

    kind: Kind
    key: bytes
    value: bytes | None
    timestamp: int
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is refused, and why."""

    line: Line
    detail: str

    def __str__(self) -> str:
        return f"{self.line.source}:{self.line.number}: {self.detail}"


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A line as the edge sees it: a record that has not been sent yet."""

    key: bytes
    value: bytes
    timestamp: int
    topic: str = ""
    partition: int = 0
    offset: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


class _Shape(msgspec.Struct):
    """The fields that tell what a line is and what its key is, whatever their types."""

    id: Any = None
    user: Any = None
    anonymous_id: Any = None
    type: Any = msgspec.UNSET
    time: Any = msgspec.UNSET
    title: Any = msgspec.UNSET
    text: Any = msgspec.UNSET
    deleted: Any = False


class _Deletion(msgspec.Struct):
    id: Id
    deleted: bool


_ACCEPT: dict[Kind, Callable[[_Candidate, Limits], Any]] = {
    Kind.EVENTS: accept_event,
    Kind.CATALOGUE: accept_item,
    Kind.QUESTIONS: accept_question,
}
_decode_shape = msgspec.json.Decoder(_Shape).decode
_decode_deletion = msgspec.json.Decoder(_Deletion).decode


class Splitter:
    """Cuts chunks of bytes into lines. A line of more than `max_bytes`, white space included, is not kept."""

    def __init__(self, source: str, max_bytes: int) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._number = 0
        self._rest = b""
        self._too_long = False

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in this chunk. An empty chunk is the end of the file, and ends the last line."""
        *whole, rest = (self._rest + chunk).split(b"\n") if chunk else (self._rest, b"")
        for text in whole:
            yield from self._line(text)
        self._too_long = self._too_long or len(rest) > self._max_bytes
        self._rest = b"" if self._too_long else rest

    def _line(self, text: bytes) -> Iterator[Line]:
        self._number += 1
        too_long, self._too_long = self._too_long or len(text) > self._max_bytes, False
        if too_long:
            yield Line(self._source, self._number, None)
        elif text := (text.removeprefix(_BYTE_ORDER_MARK) if self._number == 1 else text).strip():
            yield Line(self._source, self._number, text)


def parse(line: Line, limits: Limits, kind: Kind | None, timestamp: int) -> Outgoing | BadLine:
    """Check a line as a worker will.

    Args:
        line: the line.
        limits: what workers let through.
        kind: what the line is; None to tell by its fields (`type` and `time`: an event; `title`: a catalogue item;
            `"deleted": true`: a catalogue item to delete; `text`: a question).
        timestamp: Kafka timestamp that the record will have, Unix milliseconds.
    """
    if line.text is None:
        return BadLine(
            line, f"longer than any record may be ({max(limits.max_event_bytes, limits.max_item_bytes)} bytes)"
        )
    try:
        shape = _decode_shape(line.text)
        if kind in (None, Kind.CATALOGUE) and shape.deleted is True:
            return Outgoing(Kind.CATALOGUE, _decode_deletion(line.text).id.encode(), None, timestamp)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return BadLine(line, str(error))
    except RecursionError:
        return BadLine(line, "nested too deeply")
    if (kind := kind or _kind(shape)) is None:
        return BadLine(
            line,
            "neither an event (with `type` and `time`) nor a catalogue item (with `title`) nor a deletion "
            '(`{"id": "...", "deleted": true}`) nor a question (with `text`)',
        )
    shopper = {Kind.EVENTS: shape.user or shape.anonymous_id, Kind.QUESTIONS: shape.user}.get(kind)
    given = shopper or (None if kind is Kind.EVENTS else shape.id)
    key = given.encode() if isinstance(given, str) and given else _NO_KEY
    verdict = _ACCEPT[kind](_Candidate(key, line.text, timestamp), limits)
    if isinstance(verdict, Rejection):
        return BadLine(line, verdict.detail)
    if shopper and limits.pseudonyms is not None:
        return _by_pseudonym(kind, shopper, line.text, limits.pseudonyms, limits, timestamp)
    return Outgoing(kind, key, line.text, timestamp)


def _by_pseudonym(
    kind: Kind, shopper: str, value: bytes, names: Pseudonyms, limits: Limits, timestamp: int
) -> Outgoing:
    """A record with pseudonyms, for the partition of the shopper: whoever sends ids sends them there, too."""

    def partition(given: str) -> int:
        return partition_of(given, limits.partitions, limits.partitioner)

    veiled = names.event(value, partition)
    return Outgoing(kind, names.of(shopper).encode(), veiled, timestamp, partition(shopper))


def _kind(shape: _Shape) -> Kind | None:
    if shape.type is not msgspec.UNSET and shape.time is not msgspec.UNSET:
        return Kind.EVENTS
    if shape.title is not msgspec.UNSET:
        return Kind.CATALOGUE
    return Kind.QUESTIONS if shape.text is not msgspec.UNSET else None
