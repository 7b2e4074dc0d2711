"""Forgetting a shopper: what the ledger knows of whom, and what an erasure lets through afterwards."""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple


class Erasure(NamedTuple):
    """That a shopper asked to be forgotten: the offset of the request in the log, and its Kafka timestamp (Unix ms)."""

    offset: int = -1
    time: int = -1

    def covers(self, offset: int, event_time: int, timestamp: int) -> bool:
        """Whether an event is from before it: by its place in the log, or by either of its times.

        So neither a replay brings the shopper back, nor an event that was on its way.
        """
        return offset <= self.offset or self.before(event_time, timestamp)

    def before(self, event_time: int, timestamp: int) -> bool:
        """Whether an event of another partition of the log is from before it."""
        return min(event_time, timestamp) <= self.time

    def joined(self, other: "Erasure") -> "Erasure":
        """Two erasures of one shopper as one."""
        return Erasure(max(self.offset, other.offset), max(self.time, other.time))


@dataclass(frozen=True, slots=True)
class Ledger:
    """Knows shoppers by a keyed hash alone. With another secret, what was entered before is not recognised."""

    secret: bytes = field(default=b"", repr=False)

    def key(self, shopper: str) -> bytes:
        """A shopper's key in the ledger, 32 bytes: HMAC-SHA256."""
        return hmac.digest(self.secret, shopper.encode("utf-8", "surrogatepass"), sha256)
