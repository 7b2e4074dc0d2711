"""What a handler gets and what it gives back. No Kafka in here: a handler is tested with plain objects.

    records of one partition ──► handler(batch, read) ──► Effects ──► the engine commits them, in this order:
        rejections to the DLQ → deltas, all tables but the last → the last table, outputs → RocksDB → ack

Everything in `Effects` is data. Only `streams.engine` turns it into I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

Row = tuple[bytes, bytes | None]
"""Key and value of a table row; None deletes it."""


class Record(Protocol):
    """A Kafka record as it came: raw bytes. aiokafka's ConsumerRecord is one."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch, as the broker recorded it."""
        ...

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one partition, in offset order; never empty."""

    topic: str
    partition: int
    records: Sequence[Record]


class RejectReason(StrEnum):
    """Why a record went to the dead-letter topic. Stable names: people alert on them."""

    UNDECODABLE = "undecodable"
    INVALID = "invalid"
    OVERSIZE = "oversize"
    WRONG_KEY = "wrong-key"
    TIME_TRAVEL = "time-travel"
    UNKNOWN_SCHEMA = "unknown-schema"
    HANDLER_ERROR = "handler-error"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that is refused. `detail` is for the DLQ only; logs and metrics carry `reason` alone."""

    record: Record
    reason: RejectReason
    detail: str


@dataclass(frozen=True, slots=True)
class Output:
    """A record to publish. `partition` None lets the producer choose by key."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Effects:
    """All that a batch changes.

    Attributes:
        deltas: records for other roles to add up. They are out before the rows that say they were sent, so after a
            crash they are made again from the rows as they were: whoever adds them up skips what it has by its origin.
        rows: by table name; a key appears at most once in a table. The last table is the one by whose rows the handler
            tells what is a duplicate: those of the others are on their changelogs before.
        outputs: records that rest on the rows. An id made of a row's offset lets readers drop what is sent again.
        rejections: records that are refused.
    """

    deltas: list[Output] = field(default_factory=list)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


class Reader(Protocol):
    """Reads rows of this batch's partition."""

    def __call__(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of `keys`, in order; None where there is no row."""
        ...


class Handler(Protocol):
    """An agent's logic. Awaits nothing but its own computation; never writes; raises only on a defect."""

    async def __call__(self, batch: Batch, read: Reader) -> Effects: ...
