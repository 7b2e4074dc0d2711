"""Texts from many coroutines, encoded together in a thread of their own.

    encode(texts) ─┐                    ┌─► cache, duplicates taken out ─► encoder ─┐
    encode(texts) ─┼─► waiting ─► window ┤                                           ├─► each caller's rows, in order
    encode(texts) ─┘   (bounded)        └────────────────────────────────────────────┘

A window closes when `window` texts wait, or `linger_s` after its first text, or at once where `linger_s` is 0: what
comes while the thread is busy makes the next window by itself. The encoder sorts a window by length and cuts it into
runs of equal length. When `bound` texts are held, callers wait; a caller that reads from Kafka then stops reading.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from encoders.base import Encoder, Vectors
from encoders.cache import VectorCache, digest

WINDOW = 64
"""Texts of a window. On a CPU more gain nothing; padding is at most 1.25 from here on."""
CACHE = 10_000


@dataclass(slots=True)
class EncodingStats:
    """What was encoded since the start; written by one thread, read by whoever shows it.

    Attributes:
        windows: windows that were encoded.
        texts: texts asked for.
        cache_hits: of them, those whose vector was at hand: encoded before, or twice in one window.
        seconds: wall time spent in the encoder.
        last_window: texts of the newest window.
        waiting: texts that are held now.
    """

    windows: int = 0
    texts: int = 0
    cache_hits: int = 0
    seconds: float = 0.0
    last_window: int = 0
    waiting: int = 0


class _Call(NamedTuple):
    texts: Sequence[str]
    vectors: "asyncio.Future[Vectors]"


class MicroBatcher:
    """An encoder behind a coroutine. For one event loop at a time.

    Args:
        encoder: what encodes; it is called from one thread only.
        window: texts that are encoded together.
        linger_s: how long a window that is not full stays open.
        bound: texts held at most, a single larger call apart.
        cache: vectors kept.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        window: int = WINDOW,
        linger_s: float = 0.0,
        bound: int | None = None,
        cache: int = CACHE,
    ) -> None:
        """See the class."""
        self.encoder = encoder
        self.stats = EncodingStats()
        self._window = window
        self._linger_s = linger_s
        self._bound = bound or 4 * window
        self._cache = VectorCache(cache)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._calls: list[_Call] = []
        self._room = asyncio.Condition()
        self._full = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None

    async def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts, in order: float32 (len(texts), dim), unit rows.

        Raises:
            Exception: what the encoder raised on these texts alone.
        """
        if not texts:
            return np.zeros((0, self.encoder.dim), np.float32)
        async with self._room:
            await self._room.wait_for(lambda: not self.stats.waiting or self._fits(len(texts)))
            self.stats.waiting += len(texts)
        try:
            call = _Call(texts, asyncio.get_running_loop().create_future())
            self._calls.append(call)
            if self._waiting_texts() >= self._window:
                self._full.set()
            if self._draining is None:
                self._draining = asyncio.create_task(self._drain())
            return await call.vectors
        finally:
            async with self._room:
                self.stats.waiting -= len(texts)
                self._room.notify_all()

    def close(self) -> None:
        """End the thread; what it is at is finished first."""
        self._thread.shutdown()

    def _fits(self, count: int) -> bool:
        return self.stats.waiting + count <= self._bound

    def _waiting_texts(self) -> int:
        return sum(len(call.texts) for call in self._calls)

    async def _drain(self) -> None:
        try:
            while self._calls:
                await self._linger()
                await self._encode_together(self._next_window())
        finally:
            self._draining = None

    async def _linger(self) -> None:
        """Keep the window open until it is full or its time is over."""
        self._full.clear()
        if self._linger_s and self._waiting_texts() < self._window:
            try:
                async with asyncio.timeout(self._linger_s):
                    await self._full.wait()
            except TimeoutError:
                return

    def _next_window(self) -> list[_Call]:
        taken: list[_Call] = []
        texts = 0
        while self._calls and (not taken or texts + len(self._calls[0].texts) <= self._window):
            taken.append(self._calls.pop(0))
            texts += len(taken[-1].texts)
        return taken

    async def _encode_together(self, calls: Sequence[_Call]) -> None:
        texts = [text for call in calls for text in call.texts]
        loop = asyncio.get_running_loop()
        try:
            vectors = await loop.run_in_executor(self._thread, self._encode, texts)
        except Exception as error:
            if len(calls) == 1:
                if not calls[0].vectors.done():
                    calls[0].vectors.set_exception(error)
                return
            for call in calls:  # one caller's text must not fail the others
                await self._encode_together([call])
            return
        start = 0
        for call in calls:
            if not call.vectors.done():  # its caller may have been cancelled
                call.vectors.set_result(vectors[start : start + len(call.texts)])
            start += len(call.texts)

    # What follows runs on the thread.

    def _encode(self, texts: Sequence[str]) -> Vectors:
        began = time.perf_counter()
        keys = [digest(text) for text in texts]
        known = self._cache.find(keys)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            for key, vector in zip(missing, self.encoder.encode(list(missing.values())), strict=True):
                known[key] = vector
                self._cache.keep(key, vector)
        self.stats.windows += 1
        self.stats.texts += len(texts)
        self.stats.cache_hits += len(texts) - len(missing)
        self.stats.last_window = len(texts)
        self.stats.seconds += time.perf_counter() - began
        return np.stack([known[key] for key in keys])
