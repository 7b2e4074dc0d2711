"""How far behind a consumer is, in records and in seconds. Pure: times and offsets come in as arguments."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

_MOST_SAMPLES = 256


class LagClock:
    """Tells how old the oldest record is that a partition's consumer has not done.

    The end of the log is sampled now and then; the record at an offset came no later than the first sample whose end is
    above it. A record that was there before the first sample is as old as the newest record that was done before it, at
    most, which is then the answer.

    Samples are thinned out while a backlog lasts: an answer is too small by their distance at most, which is a
    hundredth of the backlog's age or so.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()
        self._apart = 0.0
        self._first_end: int | None = None

    def sample(self, now: float, end: int) -> None:
        """The log ends at `end` (offset of the next record to come) at `now`, seconds."""
        if self._first_end is None:
            self._first_end = end
        if self._samples and self._samples[-1][1] >= end:
            return
        if len(self._samples) > 1 and now - self._samples[-2][0] < self._apart:
            self._samples.pop()
        self._samples.append((now, end))
        if len(self._samples) > _MOST_SAMPLES:
            self._apart = 2 * (now - self._samples[0][0]) / _MOST_SAMPLES
            newest = self._samples.pop()
            self._samples = deque([*list(self._samples)[::2], newest])

    def seconds(self, now: float, position: int, newest_done: float | None) -> float:
        """Age of the record at `position`; 0 where there is none.

        Args:
            now: seconds, on the clock of `sample`.
            position: offset of the next record to do.
            newest_done: time of the newest record done, on the same clock; None for none.
        """
        while self._samples and self._samples[0][1] <= position:
            self._samples.popleft()
        if not self._samples:
            self._apart = 0.0
            return 0.0
        age = max(0.0, now - self._samples[0][0])
        if self._first_end is not None and position < self._first_end and newest_done is not None:
            return max(age, now - newest_done)
        return age


@dataclass(slots=True)
class PartitionProgress:
    """One assigned partition: where its log ends and how much of it is done."""

    end: int = 0
    done: int | None = None
    newest: float | None = None
    clock: LagClock = field(default_factory=LagClock)


class Progress:
    """How far a role is on the partitions that are assigned to it. Times are Unix seconds."""

    def __init__(self) -> None:
        self._partitions: dict[int, PartitionProgress] = {}
        self._positions: Mapping[int, int] = {}

    def committed(self, partition: int, offset: int, timestamp: float) -> None:
        """Everything up to the record at `offset`, which Kafka has of `timestamp`, is done."""
        progress = self._partitions.setdefault(partition, PartitionProgress())
        progress.done = offset + 1
        progress.newest = timestamp

    def looked(self, now: float, positions: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """The log was looked at.

        Args:
            now: when.
            positions: assigned partitions → offset of the next record to fetch.
            ends: assigned partitions → offset of the next record to come.
        """
        self._partitions = {
            number: self._partitions.get(number, PartitionProgress()) for number in positions if number in ends
        }
        self._positions = positions
        for number, progress in self._partitions.items():
            progress.end = ends[number]
            progress.clock.sample(now, ends[number])

    def lag(self, now: float) -> dict[int, tuple[int, float]]:
        """Assigned partition → records behind, and the age of the oldest of them in seconds."""
        found = {}
        for number, progress in self._partitions.items():
            if number not in self._positions:  # committed before anybody looked
                continue
            position = self._positions[number] if progress.done is None else progress.done
            behind = max(0, progress.end - position)
            found[number] = (behind, progress.clock.seconds(now, position, progress.newest) if behind else 0.0)
        return found

    def watermark(self) -> float | None:
        """Time of the newest record done, over all partitions; None before the first one."""
        return max((one.newest for one in self._partitions.values() if one.newest is not None), default=None)
