"""Ctrl-C and SIGTERM, at any moment.

The first signal ends the run: blocking set-up is left by an exception, the event loop by a call. Any further one is
passed over, so that an impatient second Ctrl-C does not break the clean-up that the first one began.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """Raised in blocking code by the first signal. No Exception, so that nothing handles it by accident."""


class Stop:
    """Whether to stop. Enter it in the main thread, around everything."""

    def __init__(self) -> None:
        self.signal: int | None = None
        """The first signal that came."""
        self._wake: Callable[[], object] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None

    @contextmanager
    def calling(self, wake: Callable[[], object]) -> Iterator[None]:
        """Within the block a signal calls `wake` instead of raising; a signal that came before calls it at once."""
        self._wake = wake
        try:
            if self.requested:
                wake()
            yield
        finally:
            self._wake = None

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.requested:
            return
        self.signal = number
        if self._wake is None:
            raise Stopped
        self._wake()
