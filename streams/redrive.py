"""Sends dead letters back to where they came from, each of them once.

    shop.dlq.v1 ──► select ──► was it sent back before? ──► its own topic and partition, header `upwell.redriven`
                                  ▲                               │
                                  └───── the log itself knows ◄───┘

**Once.** A copy carries `upwell.redriven: TOPIC/PARTITION@OFFSET`, the place of the record that it repeats. Whether a
refused record was sent back is read from its own partition behind that place, where a copy must be: nothing else keeps
account, so nothing can disagree with the log. A record that was refused twice, for a worker crashed in between, has
two letters and one place, and goes back once.

**By one at a time.** Copies are written by a transactional producer whose id all redrives of a shop share. Whoever
starts is the only one whose writes the brokers take from then on, and looks at the log only after that; a redrive
that still ran ends with an error, and the newer one sends what is left. Readers must not skip aborted
transactions (`isolation.level=read_uncommitted`, as Upwell's own): what an interrupted redrive sent counts as sent.

**Never backwards.** On a compacted topic the newest record of a key is the truth. A letter whose key has a newer record
there is left alone: it would undo that record.

A copy that is refused again is a new letter, of a new place, with the header still on it: sending that one back adds
another, so the headers `upwell.redriven` name every earlier place, oldest first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from streams.engine.deadletters import Refused
from streams.engine.effects import Output, Record
from streams.topics import Topics

REDRIVEN = "upwell.redriven"

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""


class Fate(StrEnum):
    """What becomes of a dead letter that was selected."""

    SEND = "send"
    """It goes back."""
    REDRIVEN = "redriven"
    """It went back before, or another letter of the same record does now."""
    SUPERSEDED = "superseded"
    """Its topic is compacted and holds a newer record of its key."""
    FOREIGN = "foreign"
    """It is of no record in the events or the catalogue of this shop."""
    FORGOTTEN = "forgotten"
    """The log behind its place is not whole any more, so that nobody can say whether it was sent back."""

    LEFT_OUT = "left-out"
    """Its letter does not carry the record, which is larger than the dead-letter topic takes."""


def place(letter: Refused) -> Place:
    """Where the refused record is."""
    return letter.topic, letter.partition, letter.offset


def named(where: Place) -> str:
    """A place in words: `shop.events.v1/2@48211`."""
    topic, partition, offset = where
    return f"{topic}/{partition}@{offset}"


def copy(letter: Refused) -> Output:
    """The record that is sent: the original's bytes, key, headers and partition, and where it stood before."""
    mark = (REDRIVEN, named(place(letter)).encode())
    return Output(letter.topic, letter.key, letter.value, letter.partition, (*letter.headers, mark))


def earlier(headers: Iterable[tuple[str, bytes]]) -> list[str]:
    """The places that a record was sent back from, oldest first."""
    return [value.decode(errors="replace") for name, value in headers if name == REDRIVEN]


@dataclass(slots=True)
class Log:
    """What the source topics hold behind the places of letters. Fill it with `note`, then ask `fate`."""

    contract: Topics
    spans: dict[tuple[str, int], tuple[int, int]]
    """Topic and partition of the sources → the first offset that the broker has, and the next that it will give."""
    _copied: set[str] = field(default_factory=set)
    _newest: dict[tuple[int, bytes | None], int] = field(default_factory=dict)

    def note(self, record: Record) -> None:
        """Take notice of a record."""
        if marks := earlier(record.headers):
            self._copied.add(marks[-1])
        if record.topic == self.contract.catalogue.name:
            self._newest[record.partition, record.key] = record.offset

    def fates(self, letters: Sequence[Refused]) -> list[Fate]:
        """What becomes of each letter, if they are sent in this order."""
        sent: set[Place] = set()
        fates = []
        for letter in letters:
            fate = Fate.REDRIVEN if place(letter) in sent else self._fate(letter)
            if fate is Fate.SEND:
                sent.add(place(letter))
            fates.append(fate)
        return fates

    def _fate(self, letter: Refused) -> Fate:
        topic, partition, offset = place(letter)
        begin, end = self.spans.get((topic, partition), (0, 0))
        if not letter.whole:
            return Fate.LEFT_OUT
        if offset >= end:
            return Fate.FOREIGN
        if named(place(letter)) in self._copied:
            return Fate.REDRIVEN
        if topic == self.contract.catalogue.name:
            newest = self._newest.get((partition, letter.key), offset)
            return Fate.SUPERSEDED if newest > offset else Fate.SEND
        return Fate.FORGOTTEN if begin > offset + 1 else Fate.SEND
