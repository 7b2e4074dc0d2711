"""Rates and latencies as they come in. Times are seconds of any one clock that does not go back."""

import math
from array import array
from collections import deque

import numpy as np

WINDOW_S = 5.0
"""What the live figures look back over."""


class Rate:
    """How many a second: over the last `WINDOW_S` seconds, or since `start` where that is less."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._recent: deque[tuple[float, int]] = deque()
        self.total = 0

    def add(self, now: float, count: int = 1) -> None:
        """Count some."""
        self.total += count
        self._recent.append((now, count))

    def per_second(self, now: float) -> float:
        """The rate now; 0.0 at the very start."""
        while self._recent and self._recent[0][0] <= now - WINDOW_S:
            self._recent.popleft()
        seconds = min(WINDOW_S, now - self._start)
        return sum(count for _, count in self._recent) / seconds if seconds > 0 else 0.0


class Latency:
    """Durations in milliseconds, all of them and the recent ones."""

    def __init__(self) -> None:
        self._all = array("d")
        self._recent: deque[tuple[float, float]] = deque()

    def add(self, now: float, millis: float) -> None:
        """Note a duration that ended now."""
        self._all.append(millis)
        self._recent.append((now, millis))

    def recent(self, now: float, share: float) -> float | None:
        """A percentile of what ended within the last `WINDOW_S` seconds."""
        while self._recent and self._recent[0][0] <= now - WINDOW_S:
            self._recent.popleft()
        return percentile([millis for _, millis in self._recent], share)

    def overall(self, share: float) -> float | None:
        """A percentile of everything."""
        return percentile(self._all, share)


def percentile(values: "array[float] | list[float]", share: float) -> float | None:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed; None where there are none."""
    if not len(values):
        return None
    place = max(0, math.ceil(share * len(values)) - 1)
    return float(np.partition(np.asarray(values, np.float64), place)[place])
