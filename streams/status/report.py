"""What a look at a shop finds. Times are Unix milliseconds, ages and delays are seconds, sizes are bytes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """A worker in a consumer group, and the partitions of the group's first source that it has."""

    client: str
    host: str
    partitions: list[int]


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a group is behind on one partition of what it reads.

    Attributes:
        topic: that it reads.
        partition: its number.
        committed: the next offset to read; None where the group never committed one.
        end: the offset that the next record will have.
        records: records that wait. On a compacted topic they may be fewer: offsets are counted.
        seconds: how long the oldest of them has waited; 0 where none does.
        watermark: timestamp of the last record that was read; None for none.
    """

    topic: str
    partition: int
    committed: int | None
    end: int
    records: int
    seconds: float
    watermark: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group of the shop: one role. `sources` are the topics it reads, the one it is named after first.

    One that nobody has ever run has no `lags`: what its topics hold waits for nobody.
    """

    role: str
    name: str
    state: str
    sources: list[str]
    members: list[Member]
    lags: list[Lag]

    @property
    def started(self) -> bool:
        """Whether somebody runs it, or did."""
        return bool(self.members) or any(lag.committed is not None for lag in self.lags)

    @property
    def records(self) -> int:
        """Records that wait, over all partitions."""
        return sum(lag.records for lag in self.lags)

    @property
    def seconds(self) -> float:
        """How long the oldest waiting record has waited."""
        return max((lag.seconds for lag in self.lags), default=0.0)

    @property
    def watermark(self) -> int | None:
        """Timestamp of the newest record that was read."""
        return max((lag.watermark for lag in self.lags if lag.watermark is not None), default=None)


@dataclass(frozen=True, slots=True)
class TopicSize:
    """A topic: offsets it spans, and its bytes on the leaders' disks (None where the broker does not tell)."""

    topic: str
    exists: bool
    partitions: int
    records: int
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest saved index in a directory of this machine."""

    path: str
    age: float


@dataclass(frozen=True, slots=True)
class Status:
    """Everything at one moment. `newest` is the timestamp of the newest event on the log."""

    shop: str
    bootstrap: str
    time: int
    groups: list[Group]
    topics: list[TopicSize]
    newest: int | None
    refused: dict[str, int]
    snapshots: list[Snapshot]

    def age(self, moment: int | None) -> float | None:
        """Seconds from a moment until this status; None for None."""
        return None if moment is None else max(0.0, (self.time - moment) / 1000)
