"""`--rate` on a movable clock."""

import asyncio
import time

import pytest

from streams.cli.produce import Pace


async def test_records_go_out_at_the_rate_and_lost_time_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        now += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    pace = Pace(rate=4.0)
    for _ in range(3):
        await pace.turn()
    assert waits == [0.25, 0.25]
    now += 0.6  # the file was slow: the next two are due already
    for _ in range(3):
        await pace.turn()
    assert waits[2:] == [pytest.approx(0.15)]


async def test_without_a_rate_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        raise AssertionError(f"waited {seconds} s")

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(10):
        await Pace(rate=None).turn()
