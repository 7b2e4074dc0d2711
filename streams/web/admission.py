"""Who may come in now: a bounded number of requests at work, a bounded queue before them, a bucket for each key.

Past capacity the answer is a quick 503 or 429, never a slow one: a client that hears at once can go elsewhere, one that
waits holds a place.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from streams.web.problems import Kind, retry_after


class Admission:
    """Places for requests.

    Args:
        working: requests worked on at a time.
        waiting: requests that wait for a place.
        deadline_s: seconds from arrival in which a request has to be done.
    """

    def __init__(self, working: int, waiting: int, deadline_s: float) -> None:
        self._places = asyncio.Semaphore(working)
        self._most_waiting = waiting
        self._deadline_s = deadline_s
        self.waiting = 0

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place, until the deadline.

        Raises:
            Problem: the queue is full; or the deadline passed, before (503) or after (504) there was a place.
        """
        if self._places.locked() and self.waiting >= self._most_waiting:
            raise retry_after(Kind.BUSY, "more requests wait than can be answered soon: try again")
        admitted = False
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._wait()
                admitted = True
                try:
                    yield
                finally:
                    self._places.release()
        except TimeoutError:
            if admitted:
                raise retry_after(Kind.DEADLINE, f"not done within {self._deadline_s:g} s: try again") from None
            raise retry_after(Kind.BUSY, f"no place within {self._deadline_s:g} s: try again") from None

    async def _wait(self) -> None:
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1


_TIDY_AT = 10_000
"""So many buckets are kept before any are let go."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: float


class Buckets:
    """A token bucket for each key (Turner, "New directions in communications", IEEE Communications 1986).

    Buckets that are full again are let go, so that names that come once do not add up.

    Args:
        rate: tokens a second.
        burst: tokens a bucket holds; a new one is full.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, _Bucket] = {}
        self._tidy_at = _TIDY_AT

    def take(self, key: str, now: float) -> float:
        """Take a token at `now` (monotonic seconds): 0 where there was one, else the seconds until there is."""
        if key not in self._buckets and len(self._buckets) >= self._tidy_at:
            self._tidy(now)
        bucket = self._buckets.setdefault(key, _Bucket(self._burst, now))
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.filled) * self._rate)
        bucket.filled = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return 0.0
        return (1 - bucket.tokens) / self._rate

    def __len__(self) -> int:
        """How many buckets are kept."""
        return len(self._buckets)

    def _tidy(self, now: float) -> None:
        self._buckets = {
            key: one for key, one in self._buckets.items() if one.tokens + (now - one.filled) * self._rate < self._burst
        }
        self._tidy_at = max(_TIDY_AT, 2 * len(self._buckets))
