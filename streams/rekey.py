"""Moves the state of a shop to the current pseudonyms: rows by id, or by an older version, go over to the newest one.

    profiles topic:  old key ─► row ─► new key, and a tombstone behind it, in one record batch
    erasures topic:  what was entered under an older name of a shopper of whom the log knows is entered under the new

Kafka appends a record batch whole or not at all, so a crash leaves no shopper twice; run it again and it goes on. The
partitions stay, because the events stay where they are. No ids are needed: a version is made from the one before it.

What it cannot do: the ledger of erasures knows nobody, so an entry moves only if the events topic still has a record of
the shopper. Without one there is nothing that a replay could bring back; only an event that a producer sends late, and
under the new version, would not be recognised.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer

from streams import changelogs, codecs, follow
from streams.changelogs import Rows
from streams.core.erasure import Ledger
from streams.engine.effects import Output, Record
from streams.engine.publisher import Publish
from streams.pseudonyms import Pseudonyms, UnknownVersionError
from streams.topics import Topic, Topics

_TOGETHER_BYTES = 1 << 17
"""Rows that are sent at once: so few that they are one record batch on each partition."""

_APART = b"\xff"
"""Starts a second key of a shopper, which no name does (see `streams.codecs`)."""


@dataclass(frozen=True, slots=True)
class Move:
    """A row that goes over to another key of its partition."""

    partition: int
    old: bytes
    new: bytes
    row: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to do. `taken`: rows whose new key has a row already; they are left alone."""

    moves: list[Move]
    erasures: list[Output]
    taken: int
    current: int
    """Rows that are where they belong."""

    @property
    def empty(self) -> bool:
        """There is nothing to do."""
        return not (self.moves or self.erasures)


async def plan(consumer: AIOKafkaConsumer, contract: Topics, pseudonyms: Pseudonyms, ledger: Ledger) -> Plan:
    """Look up what there is to do.

    Raises:
        UnknownVersionError: there are rows of a version that there is no key of.
    """
    rows = await changelogs.rows_of(consumer, contract.profiles)
    moves, taken = moves_of(rows, pseudonyms)
    entered = await changelogs.rows_of(consumer, contract.erasures)
    erasures: dict[tuple[int, bytes], bytes] = {}
    if entered:
        events = contract.events
        seen: set[tuple[int, bytes]] = set()
        async for record in follow.until_now(consumer, events.name, events.partitions):
            if record.key and (place := (record.partition, record.key)) not in seen:
                seen.add(place)
                erasures |= _entry(record, entered, pseudonyms, ledger)
    outputs = [Output(contract.erasures.name, key, row, partition) for (partition, key), row in erasures.items()]
    return Plan(moves, outputs, taken, len(rows) - len(moves) - taken)


def moves_of(rows: Mapping[tuple[int, bytes], bytes], pseudonyms: Pseudonyms) -> tuple[list[Move], int]:
    """The rows that have to move, and how many cannot, because there is a row already where they would go.

    Raises:
        UnknownVersionError: a row is of a version that there is no key of.
    """
    moves, taken = [], 0
    for (partition, key), row in rows.items():
        name = key.removeprefix(_APART)
        new = key.removesuffix(name) + pseudonyms.of(name.decode()).encode()
        if new == key:
            continue
        if (partition, new) in rows:
            taken += 1
        else:
            moves.append(Move(partition, key, new, row))
    return moves, taken


def _entry(record: Record, entered: Rows, pseudonyms: Pseudonyms, ledger: Ledger) -> Rows:
    """The ledger's row for the current name of a shopper who was entered under an older one."""
    try:
        *older, current = pseudonyms.all_of((record.key or b"").decode())
    except (UnicodeDecodeError, UnknownVersionError):  # nobody's: no worker takes such a record
        return {}
    place = record.partition, ledger.key(current)
    there = codecs.decode_erasure(entered.get(place))
    joined = there
    for name in older:
        joined = joined.joined(codecs.decode_erasure(entered.get((record.partition, ledger.key(name)))))
    return {} if joined == there else {place: codecs.encode_erasure(joined)}


async def carry_out(
    work: Plan, contract: Topics, publish: Publish, progress: Callable[[int], None] = lambda done: None
) -> None:
    """Do it: the ledger first, so that nobody is without their entry.

    Recommendations and sessions under the old keys are declared void, as those of a shopper who is erased; a session
    comes under the new key with the next event.

    Args:
        work: what `plan` found.
        contract: the topics.
        publish: writes records and waits for their acknowledgement.
        progress: told how many rows have moved.

    Raises:
        PublishError: Kafka did not acknowledge; run it again.
    """
    for start in range(0, len(work.erasures), 1_000):
        await publish(work.erasures[start : start + 1_000])
    done = 0
    for moves in _together(work.moves):
        await publish([output for move in moves for output in _records(move, contract.profiles)])
        void = contract.recommendations.name, contract.sessions.name
        await publish([Output(topic, move.old, None, move.partition) for topic in void for move in moves])
        done += len(moves)
        progress(done)


def _records(move: Move, topic: Topic) -> tuple[Output, Output]:
    """The row under its new key; a tombstone of an operator, which deletes whatever the age of the row."""
    return (
        Output(topic.name, move.new, move.row, move.partition),
        Output(topic.name, move.old, None, move.partition),
    )


def _together(moves: Sequence[Move]) -> Iterator[list[Move]]:
    """Moves in groups that fit one record batch."""
    group: list[Move] = []
    size = 0
    for move in moves:
        if group and size + len(move.row) > _TOGETHER_BYTES:
            yield group
            group, size = [], 0
        group.append(move)
        size += len(move.row) + 1_000  # keys and headers
    if group:
        yield group
