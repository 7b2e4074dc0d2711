"""What time it is. Nothing that becomes state asks: that goes by the times in the records alone."""

import time


def now_ms() -> int:
    """Unix milliseconds, as in Kafka's timestamps and in events."""
    return time.time_ns() // 1_000_000
