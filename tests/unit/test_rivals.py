"""Two workers under one name are told apart from one that was away."""

import logging

import pytest
import structlog

from streams.rivals import MOST, WINDOW_S, Rivals, watched

FORGOTTEN = "Heartbeat failed: local member_id was not recognized; resetting and re-joining group"
COORDINATOR = logging.getLogger("aiokafka.consumer.group_coordinator")


def told(every_s: float, times: int, message: str = FORGOTTEN) -> int:
    """How often it is said that there is another, when the client says something so often."""
    now = 0.0
    rivals = Rivals("worker-1", lambda: now)
    with structlog.testing.capture_logs() as logs:
        for _ in range(times):
            assert rivals.filter(logging.LogRecord("aiokafka", logging.WARNING, "", 0, message, (), None))
            now += every_s
    assert all(line["instance"] == "worker-1" and "UPWELL_INSTANCE" in line["remedy"] for line in logs)
    return len(logs)


@pytest.mark.parametrize(
    ("every_s", "times", "said"),
    [(1.0, MOST, 1), (1.0, MOST - 1, 0), (1.0, 3 * MOST, 3), (WINDOW_S / (MOST - 2), 5 * MOST, 0), (0.0, 6, 0)],
)
def test_that_there_is_another_shows_by_how_often_we_are_forgotten(every_s: float, times: int, said: int) -> None:
    assert told(every_s, times) == said


def test_other_lines_mean_nothing() -> None:
    assert told(0.0, 100, "Heartbeat session expired, marking coordinator dead") == 0


def test_it_listens_to_the_client_while_there_is_a_name() -> None:
    with watched(None):
        assert not COORDINATOR.filters
    with structlog.testing.capture_logs() as logs, watched("worker-1"):
        for _ in range(MOST):
            COORDINATOR.warning(FORGOTTEN)
    assert len(logs) == 1
    assert not COORDINATOR.filters
