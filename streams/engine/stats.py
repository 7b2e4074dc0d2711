"""What an engine has done and how it is: plain numbers that metrics and probes read. Written by one event loop."""

import time
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

from streams.engine.effects import RejectReason


@dataclass(slots=True)
class Stats:
    """Counters of one role since it started.

    `last_progress` is the monotonic time of the newest acknowledged batch, or of the start.
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
    last_progress: float = field(default_factory=time.monotonic)
    _troubles: dict[Hashable, str] = field(default_factory=dict)
    _under_way: int = 0
    _busy_seconds: float = 0.0
    _busy_since: float = 0.0

    def begin(self) -> None:
        """A batch is under way."""
        if not self._under_way:
            self._busy_since = time.monotonic()
        self._under_way += 1

    def end(self) -> None:
        """A batch is no longer under way."""
        self._under_way -= 1
        if not self._under_way:
            self._busy_seconds += time.monotonic() - self._busy_since

    @property
    def busy_seconds(self) -> float:
        """Wall time in which at least one batch was under way, waiting for acknowledgements included."""
        return self._busy_seconds + (time.monotonic() - self._busy_since if self._under_way else 0.0)

    def tell(self, where: Hashable, trouble: str | None) -> None:
        """What keeps a part of the engine from going on, None for nothing any more."""
        if trouble is None:
            self._troubles.pop(where, None)
        else:
            self._troubles[where] = trouble

    @property
    def trouble(self) -> str | None:
        """What keeps the engine from going on, in a few words; None while nothing does."""
        return "; ".join(dict.fromkeys(self._troubles.values())) or None

    @property
    def healthy(self) -> bool:
        """Nothing keeps the engine from going on."""
        return not self._troubles
