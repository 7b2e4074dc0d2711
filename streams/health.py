"""Is a worker alive, is it ready, and when is it beyond help: decisions only, no I/O.

ready    every part of it does its work now; what keeps a part from it is said in words
alive    its event loop turns; whoever asks over HTTP gets no answer where it does not
stalled  it consumes nothing although there is more and more to consume: it has to end and be started again
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from streams.engine.stats import Stats
from streams.items import ItemEncoder
from streams.telemetry.instruments import Telemetry

SILENT_S = 10.0
"""Without an answer of a broker for so long a worker is held up, whether or not it has found out at its own work.

Brokers are asked every 5 s (`streams.telemetry.observing`): one answer that takes as long, or one that fails, is no
silence yet.
"""


@dataclass(slots=True)
class Health:
    """What the probes of one worker look at. `parts` is filled as the parts start; `starting` ends when all have.

    `encoders` are those that run now, by role.
    """

    parts: list[Stats] = field(default_factory=list)
    encoders: dict[str, ItemEncoder] = field(default_factory=dict)
    starting: str | None = "starting"
    telemetry: Telemetry = field(default_factory=Telemetry)

    def troubles(self) -> dict[str, str]:
        """Part → what keeps it from working; empty for a worker that is ready."""
        found = {stats.role: stats.trouble for stats in self.parts if stats.trouble is not None}
        if self.telemetry.heard is not None and (silence := self.telemetry.now() - self.telemetry.heard) > SILENT_S:
            found["kafka"] = f"no broker has answered for {silence:.0f} s"
        return {**found, "worker": self.starting} if self.starting else found


class StallDetector:
    """Tells when nothing was consumed for `patience_s` seconds while the end of the log moved on.

    A quiet topic is no stall, and neither is a backlog that is not growing while the worker is held up by the disk or
    the broker: that is trouble, and passes.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._consumed = -1
        self._end = 0
        self._since = 0.0

    def stalled(self, now: float, consumed: int, end: int, behind: bool, slack: int = 0) -> bool:
        """Look once more.

        Args:
            now: monotonic seconds.
            consumed: records consumed so far, over all partitions.
            end: sum of the partitions' end offsets.
            behind: whether there is anything left to consume.
            slack: offsets that may come without a record: the end of a transaction takes one on its partition.
        """
        if consumed != self._consumed or not behind:
            self._consumed, self._end, self._since = consumed, end, now
        return end > self._end + slack and now - self._since >= self._patience_s


class LoopGuard:
    """Ends the process when its event loop has not turned for `patience_s` seconds.

    Kafka's heartbeats run in a thread of their own: a stuck loop would keep its partitions for ever.

    Args:
        patience_s: seconds.
        end: called, from a thread, when the loop is stuck; it should not return.
    """

    def __init__(self, patience_s: float, end: Callable[[], None]) -> None:
        self._patience_s = patience_s
        self._end = end
        self._turned = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop-guard", daemon=True)

    def turned(self) -> None:
        """Called from the loop, several times within `patience_s`."""
        self._turned = time.monotonic()

    def start(self) -> None:
        """Begin to watch."""
        self.turned()
        self._thread.start()

    def stop(self) -> None:
        """No longer watch."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(self._patience_s / 4):
            if time.monotonic() - self._turned > self._patience_s:
                self._end()
                return
