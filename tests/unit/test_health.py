"""When a worker is ready, stalled or stuck, and what its probes say."""

import threading
import time

import pytest
from aiohttp import ClientSession

from streams.engine.effects import RejectReason
from streams.engine.stats import Stats
from streams.errors import ConfigError
from streams.health import SILENT_S, Health, LoopGuard, StallDetector
from streams.telemetry.instruments import Telemetry
from streams.web.probes import COUNTERS, probes


def looks(detector: StallDetector, *seen: tuple[float, int, int, bool]) -> list[bool]:
    return [detector.stalled(*look) for look in seen]


def test_a_worker_that_consumes_is_not_stalled() -> None:
    assert not any(looks(StallDetector(10), *((float(t), t, 2 * t, True) for t in range(0, 100, 5))))


def test_a_quiet_topic_is_no_stall() -> None:
    assert not any(looks(StallDetector(10), *((float(t), 7, 7, False) for t in range(0, 100, 5))))


def test_a_backlog_that_does_not_grow_is_no_stall() -> None:
    assert not any(looks(StallDetector(10), *((float(t), 7, 50, True) for t in range(0, 100, 5))))


def test_nothing_consumed_while_the_log_grows_is_a_stall_after_the_patience() -> None:
    seen = looks(StallDetector(10), (0, 7, 50, True), (5, 7, 51, True), (9, 7, 52, True), (10, 7, 53, True))
    assert seen == [False, False, False, True]


def test_the_end_of_a_transaction_is_no_record() -> None:
    detector = StallDetector(10)
    assert not any(detector.stalled(t, 7, end, True, 2) for t, end in ((0.0, 50), (5.0, 51), (20.0, 52)))
    assert detector.stalled(30.0, 7, 53, True, 2)


def test_progress_starts_the_patience_anew() -> None:
    seen = looks(StallDetector(10), (0, 7, 50, True), (9, 8, 52, True), (18, 8, 60, True), (19, 8, 61, True))
    assert seen == [False, False, False, True]


def test_a_worker_whose_brokers_are_silent_is_not_ready_though_it_has_nothing_to_do() -> None:
    now = 1_000.0
    health = Health([Stats("profiles")], starting=None, telemetry=Telemetry(lambda: now))
    assert health.troubles() == {}  # nobody has been asked yet
    health.telemetry.heard = now
    now += SILENT_S
    assert health.troubles() == {}
    now += 5
    assert health.troubles() == {"kafka": "no broker has answered for 15 s"}
    health.telemetry.heard = now
    assert health.troubles() == {}


def test_a_stuck_loop_ends_the_process() -> None:
    ended = threading.Event()
    guard = LoopGuard(0.2, ended.set)
    guard.start()
    assert ended.wait(10)


def test_a_turning_loop_is_left_alone() -> None:
    ended = threading.Event()
    guard = LoopGuard(1.0, ended.set)
    guard.start()
    for _ in range(30):
        guard.turned()
        time.sleep(0.05)
    guard.stop()
    assert not ended.is_set()


async def get(port: int, path: str) -> tuple[int, str]:
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


async def test_the_probes_say_how_it_is() -> None:
    health = Health()
    async with probes(health, 0) as port:
        assert await get(port, "/livez") == (200, '{"alive": true}')
        assert await get(port, "/readyz") == (503, '{"ready": false, "troubles": {"worker": "starting"}}')
        health.starting = None
        stats = Stats("profiles", records=12)
        stats.rejected[RejectReason.INVALID] = 3
        health.parts.append(stats)
        assert await get(port, "/readyz") == (200, '{"ready": true, "troubles": {}}')
        stats.tell("somewhere", "Kafka did not acknowledge")
        status, text = await get(port, "/readyz")
        assert (status, "Kafka did not acknowledge" in text) == (503, True)
        _, metrics = await get(port, "/metrics")
        assert 'upwell_records_total{role="profiles"} 12.0' in metrics
        assert 'upwell_rejected_total{reason="invalid",role="profiles"} 3.0' in metrics
        assert 'upwell_healthy{role="profiles"} 0.0' in metrics


def test_every_counter_exists() -> None:
    assert all(isinstance(getattr(Stats("any"), name), int | float) for name in COUNTERS)


async def test_a_taken_port_is_said() -> None:
    async with probes(Health(), 0) as port:
        with pytest.raises(ConfigError, match=f"port {port} on 127.0.0.1 cannot be used"):
            async with probes(Health(), port):
                raise AssertionError("it was served twice")
