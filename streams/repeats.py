"""Says once what a library says two thousand times a second.

Each of a worker's clients tries again ten times a second while a broker is away, and logs two lines each time: an hour
of that would fill a disk. Of lines that are made by one statement of a library, one in `WINDOW_S` is enough, with the
number of the others.
"""

import logging
import time
from collections.abc import Callable

WINDOW_S = 10.0
LIBRARIES = ("aiokafka",)
"""Those that try for ever; the others speak of each thing once."""


class Repeats(logging.Filter):
    """Lets through the first line of its kind, and then one in `WINDOW_S`. A kind is logger, level and template."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}
        """By kind: when one was let through, and how many were not since. There are as many as statements."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written; one that is tells how many were not."""
        if record.name.partition(".")[0] not in LIBRARIES or not isinstance(record.msg, str):
            return True
        kind, now = (record.name, record.levelno, record.msg), self._clock()
        at, held = self._seen.get(kind, (now - WINDOW_S, 0))
        if now - at < WINDOW_S:
            self._seen[kind] = at, held + 1
            return False
        self._seen[kind] = now, 0
        if held:
            record.msg, record.args = f"{record.getMessage()} (and {held:,} more like it)", ()
        return True
