"""What is asked of a log: which sets are predicted, and what is in them. Answers nothing, so it may see all of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from streams.core.events import EventType
from streams.evaluation.log import Log, LogEvent

COLD_ITEM = 10
"""An item with fewer interactions is cold."""

COLD_USER = 3
"""A user with fewer events is cold."""


class Targets(StrEnum):
    """Which items of a set are to be found."""

    ALL = "all"
    """Everything in it, had before or not."""
    FIRST_TIME = "first-time"
    """What the user never had to do with before; what they had is left out of every list."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a log is read.

    Attributes:
        targets: which items of a set are to be found.
        types: an item counts by events of these types; None: by every event of positive weight.
        start: share of the events before the first prediction, 0 to 1.
        since: event time before which nothing is predicted, Unix milliseconds.
        limit: predict so many sets at most, drawn at random by `seed`; None for all.
        seed: of that draw.
    """

    targets: Targets = Targets.ALL
    types: frozenset[EventType] | None = None
    start: float = 0.5
    since: int = 0
    limit: int | None = None
    seed: int = 0

    def counts(self, event: LogEvent) -> bool:
        """Whether an event makes its item a target."""
        return event.item is not None and (event.weight > 0 if self.types is None else event.type in self.types)


class Question(NamedTuple):
    """A set to predict.

    Attributes:
        number: its place among all sets of the log.
        user: whose it is.
        time: when, Unix milliseconds.
        targets: its distinct items of the catalogue, in the order of the log; never empty.
        ages: interactions that each target had before this moment, in the same order.
        history: events of the user before it.
    """

    number: int
    user: str
    time: int
    targets: tuple[str, ...]
    ages: tuple[int, ...]
    history: int


def ask(log: Log, catalogue: frozenset[str], reading: Reading) -> list[Question]:
    """The questions of a log, in its order."""
    first = int(reading.start * len(log.events))
    found = [
        question
        for question, offset in _all(log, catalogue, reading)
        if offset >= first and question.time >= reading.since
    ]
    if reading.limit is None or len(found) <= reading.limit:
        return found
    drawn = np.random.default_rng(reading.seed).choice(len(found), reading.limit, replace=False)
    return [found[place] for place in np.sort(drawn)]


def _all(log: Log, catalogue: frozenset[str], reading: Reading) -> Iterator[tuple[Question, int]]:
    """Every set that has targets, with the offset of its first event."""
    had: dict[str, set[str]] = {}
    events: Counter[str] = Counter()
    interactions: Counter[str] = Counter()
    number = 0
    for moment in log.moments():
        for user, time, happened in moment:
            known = had.get(user, set()) if reading.targets is Targets.FIRST_TIME else set()
            items = dict.fromkeys(event.item for event in happened if event.item and reading.counts(event))
            targets = tuple(item for item in items if item in catalogue and item not in known)
            if targets:
                ages = tuple(interactions[item] for item in targets)
                yield Question(number, user, time, targets, ages, events[user]), happened[0].record.offset
            number += 1
        for user, _, happened in moment:
            events[user] += len(happened)
            items_now = [event.item for event in happened if event.item is not None]
            had.setdefault(user, set()).update(items_now)
            interactions.update(items_now)
