"""Signals: the first one ends the run, the others change nothing."""

import os
import signal
import threading

import pytest

from streams.demo.stop import Stop, Stopped


def signalled(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)
    threading.Event().wait(0.01)  # the handler runs between two steps of the main thread


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_leaves_blocking_code_and_the_second_is_passed_over(number: int) -> None:
    with Stop() as stop:
        with pytest.raises(Stopped):
            signalled(number)
        signalled(signal.SIGINT)
        signalled(signal.SIGTERM)
        assert stop.signal == number


def test_within_a_loop_the_signal_is_a_call() -> None:
    calls: list[str] = []
    with Stop() as stop, stop.calling(lambda: calls.append("woken")):
        signalled()
        signalled()
    assert calls == ["woken"]


def test_a_signal_from_before_is_not_lost() -> None:
    calls: list[str] = []
    with Stop() as stop:
        with pytest.raises(Stopped):
            signalled()
        with stop.calling(lambda: calls.append("woken")):
            pass
    assert calls == ["woken"]


def test_the_handlers_from_before_come_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Stop():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
