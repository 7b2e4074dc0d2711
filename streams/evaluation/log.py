"""A recorded log: JSON lines of events and catalogue items, read as `upwell produce` reads them, in time order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

from streams import files
from streams.core.events import EventType
from streams.edge import Limits, accept_event
from streams.engine.effects import Rejection
from streams.errors import DataError
from streams.jsonl import BadLine, Kind, Outgoing


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record as a worker would get it. An event's `timestamp` is its own time, its `offset` its place in time."""

    key: bytes
    value: bytes | None
    timestamp: int
    topic: str = ""
    partition: int = 0
    offset: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


class LogEvent(NamedTuple):
    """An event with the record that carries it. `item` is None where it speaks of no item; `time` in Unix ms."""

    record: LogRecord
    user: str
    time: int
    item: str | None
    type: EventType
    weight: float
    session: str | None


class EventSet(NamedTuple):
    """What one user did at one time: one thing, in no order. Predicted whole, from the state before it."""

    user: str
    time: int
    events: tuple[LogEvent, ...]


@dataclass(frozen=True, slots=True)
class Log:
    """A shop's past.

    Attributes:
        catalogue: the newest record of every item that was not deleted. Items carry no time: they hold throughout.
        events: by time; those of one time in the order of the file. Their offsets count up from 0.
        bad: how many lines were refused.
    """

    catalogue: list[LogRecord]
    events: list[LogEvent]
    bad: int = 0

    def moments(self) -> Iterator[list[EventSet]]:
        """The sets, those of one time together: nobody's may be learnt from before all of them are predicted."""
        for time, group in groupby(self.events, key=lambda event: event.time):
            by_user: dict[str, list[LogEvent]] = {}
            for event in group:
                by_user.setdefault(event.user, []).append(event)
            yield [EventSet(user, time, tuple(events)) for user, events in by_user.items()]


def assemble(records: Sequence[Outgoing], limits: Limits, topics: tuple[str, str], bad: int = 0) -> Log:
    """A log of checked records. `topics` are the names of the catalogue and the events topic."""
    catalogue_topic, events_topic = topics
    catalogue: dict[bytes, LogRecord] = {}
    events = []
    for outgoing in records:
        record = LogRecord(outgoing.key, outgoing.value, outgoing.timestamp)
        if outgoing.kind is Kind.CATALOGUE:
            catalogue.pop(outgoing.key, None)
            if outgoing.value is not None:
                catalogue[outgoing.key] = replace(record, topic=catalogue_topic)
        elif outgoing.kind is Kind.EVENTS:
            events.append(_event(record, limits))
    events.sort(key=lambda event: event.time)
    return Log(
        [replace(record, offset=offset) for offset, record in enumerate(catalogue.values())],
        [
            event._replace(record=replace(event.record, topic=events_topic, offset=offset, timestamp=event.time))
            for offset, event in enumerate(events)
        ],
        bad,
    )


def _event(record: LogRecord, limits: Limits) -> LogEvent:
    accepted = accept_event(record, limits)
    if isinstance(accepted, Rejection):
        raise DataError(f"an event that was accepted once is refused now: {accepted.detail}")
    event, interaction = accepted.event, accepted.arrival.interaction
    weight = interaction.weight if interaction is not None else 0.0
    item = interaction.item if interaction is not None else None
    return LogEvent(record, accepted.shopper, event.time, item, event.type, weight, event.session)


async def read(
    paths: Sequence[str], limits: Limits, topics: tuple[str, str], complain: Callable[[BadLine], None]
) -> Log:
    """Read files ("-": standard input); `complain` hears of every line that is refused and left out.

    Raises:
        DataError: a file cannot be read.
    """
    reader = files.Reader(limits)
    records: list[Outgoing] = []
    bad = 0
    for path in paths:
        with files.opened(path) as source:
            async for lines, _ in reader.read(source):
                for line in lines:
                    if isinstance(line, BadLine):
                        bad += 1
                        complain(line)
                    else:
                        records.append(line)
    return assemble(records, limits, topics, bad)
