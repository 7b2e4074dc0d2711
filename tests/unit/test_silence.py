"""What a worker makes of brokers that answer, answer late, fail once or are silent. No broker, and our own clock."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from itertools import chain, repeat

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from streams.engine.stats import Stats
from streams.health import SILENT_S, Health
from streams.settings import KafkaSettings
from streams.telemetry import observing
from streams.telemetry.instruments import Telemetry

FAILS = -1.0
"""Instead of the seconds that an answer takes."""


class Reader:
    """A role that has a partition."""

    def __init__(self) -> None:
        self.stats = Stats("profiles")
        self.source = "shop.events.v1"

    def positions(self) -> dict[int, int]:
        return {0: 0}


class Shop:
    """A worker that is well, its clock, and brokers that take so long for each answer."""

    def __init__(self, answers: Sequence[float], seconds: float) -> None:
        self.now = 1_000.0
        self.end = self.now + seconds
        self.health = Health([Stats("profiles")], starting=None, telemetry=Telemetry(lambda: self.now))
        self.unready: list[float] = []
        self._answers = chain(answers, repeat(0.0))

    async def pause(self, seconds: float) -> None:
        """Time passes; whether it is ready is looked at on the way."""
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            if self.health.troubles():
                self.unready.append(self.now - 1_000.0)
        if self.now >= self.end:
            raise asyncio.CancelledError

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """As the client's."""
        if (seconds := next(self._answers)) == FAILS:
            raise KafkaTimeoutError
        await self.pause(seconds)
        return dict.fromkeys(partitions, 0)

    async def topics(self) -> set[str]:
        """As the client's."""
        return set()

    @contextlib.asynccontextmanager
    async def client(self, *_: object) -> AsyncIterator["Shop"]:
        """Instead of a connection."""
        yield self


async def unready(monkeypatch: pytest.MonkeyPatch, *answers: float, seconds: float = 60.0) -> list[float]:
    """The seconds at which the worker said that it is not ready."""
    shop = Shop(answers, seconds)
    monkeypatch.setattr(observing, "_client", shop.client)
    with contextlib.suppress(asyncio.CancelledError):
        await observing.watch_ends(
            shop.health.telemetry, {"profiles": Reader()}, "kafka:9092", KafkaSettings(), shop.pause
        )
    return shop.unready


@pytest.mark.parametrize("answers", [(0.0,), (0.0, 4.5, 0.0), (0.0, FAILS, 0.0, 0.0, FAILS)])
async def test_one_answer_that_is_late_or_fails_is_no_silence(
    monkeypatch: pytest.MonkeyPatch, answers: tuple[float, ...]
) -> None:
    assert await unready(monkeypatch, *answers) == []


@pytest.mark.parametrize("answers", [(0.0, *[FAILS] * 30), (0.0, 30.0)])
async def test_silence_is_told_within_ten_seconds_and_ends_with_the_first_answer(
    monkeypatch: pytest.MonkeyPatch, answers: tuple[float, ...]
) -> None:
    assert SILENT_S <= 10.0
    told = await unready(monkeypatch, *answers, seconds=120.0)
    assert SILENT_S < told[0] < SILENT_S + 0.2
    assert 34.0 <= told[-1] <= 36.0
    assert len(told) == round((told[-1] - told[0]) * 10) + 1
