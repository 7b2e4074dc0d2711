"""Two workers under one name: each takes the other's membership away, for ever, and neither is told why.

Static membership (UPWELL_INSTANCE) lets a worker come back as the member that it was. A second one with the same name
comes back as it, too; the group forgets the first, which joins anew, and so on. What shows of it is a line of the
client's for each time; from how many there are one can tell.
"""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator

import structlog

_COORDINATOR = logging.getLogger("aiokafka.consumer.group_coordinator")
_FORGOTTEN = "member_id was not recognized"

MOST = 10
"""Times in `WINDOW_S` that a group may forget us: a worker that was stopped for a while is forgotten once by each."""
WINDOW_S = 60.0

_log = structlog.get_logger(__name__)


class Rivals(logging.Filter):
    """Counts how often groups forget us, and says what that means. It takes nothing out of the log."""

    def __init__(self, instance: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._instance = instance
        self._clock = clock
        self._times: deque[float] = deque()

    def filter(self, record: logging.LogRecord) -> bool:
        """Look at a line of the client's."""
        if _FORGOTTEN in record.getMessage():
            now = self._clock()
            self._times.append(now)
            while self._times[0] < now - WINDOW_S:
                self._times.popleft()
            if len(self._times) >= MOST:
                self._times.clear()
                _log.error(
                    "another worker runs under this name, and each ends the other's membership",
                    instance=self._instance,
                    remedy="give every worker an UPWELL_INSTANCE of its own, or none",
                )
        return True


@contextlib.contextmanager
def watched(instance: str | None) -> Iterator[None]:
    """Look out for another worker of this name; without a name there can be none."""
    if instance is None:
        yield
        return
    rivals = Rivals(instance)
    _COORDINATOR.addFilter(rivals)
    try:
        yield
    finally:
        _COORDINATOR.removeFilter(rivals)
