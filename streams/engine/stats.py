"""What an engine has done and how it is: plain numbers that metrics and probes read. Written by one event loop."""

import time
from collections import Counter
from dataclasses import dataclass, field

from streams.engine.effects import RejectReason


@dataclass(slots=True)
class Stats:
    """Counters of one role since it started.

    `busy_seconds` is wall time spent on batches, waiting for acknowledgements included. `last_progress` is the
    monotonic time of the newest acknowledged batch, or of the start. `trouble` says in a few words what keeps the
    engine from going on, None while nothing does.
    """

    role: str
    batches: int = 0
    records: int = 0
    rows: int = 0
    outputs: int = 0
    rejected: Counter[RejectReason] = field(default_factory=Counter)
    recovered: int = 0
    ignored_old_rows: int = 0
    abandoned: int = 0
    retries: int = 0
    busy_seconds: float = 0.0
    last_progress: float = field(default_factory=time.monotonic)
    trouble: str | None = None

    @property
    def healthy(self) -> bool:
        """Nothing keeps the engine from going on."""
        return self.trouble is None
