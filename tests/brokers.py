"""The broker that the tests run on: one for the whole run, the first of this ladder that can be had.

KAFKA_BOOTSTRAP_SERVERS → Docker (testcontainers) → Apache Kafka as a child process → noida-db
"""

import asyncio
import contextlib
import functools
import gc
import os
import signal
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from streams.broker import Broker, BrokerKind, running
from streams.broker.base import HOST
from streams.broker.local import Where, start, stop
from streams.broker.probe import free_port
from streams.settings import KafkaSettings, Settings


@contextlib.contextmanager
def suite_broker(directory: Path) -> Iterator[Broker]:
    """The broker of a test run. `directory` is for the data of one that is started here."""
    with contextlib.ExitStack() as stack:
        kafka = KafkaSettings()
        broker = None if kafka.bootstrap_servers else _in_docker(stack)
        yield broker or stack.enter_context(running(Settings(), kafka, data_dir=directory))


class PrivateBroker:
    """A broker of a test's own, to be killed, stopped and started again: same port, same data."""

    def __init__(self, directory: Path, kind: BrokerKind | None = None) -> None:
        self._where = Where(directory, Settings().cache_dir, free_port(HOST), kind)
        self.broker = self.start()

    @property
    def bootstrap(self) -> str:
        """host:port; stays the same."""
        return f"{HOST}:{self._where.port}"

    @property
    def home(self) -> Path:
        """Its data directory."""
        return self._where.data_dir

    def start(self) -> Broker:
        """Start it, or come back with the one that runs."""
        self.broker = start(self._where, tied=True)
        return self.broker

    def stop(self) -> None:
        """Stop it in good order."""
        stop(self._where.data_dir)

    def kill(self) -> None:
        """End its process at once, as a crash does."""
        assert self.broker.process is not None
        self.broker.process.kill()

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """It takes connections and answers nothing, as on a disk that hangs."""
        assert self.broker.process is not None
        os.kill(self.broker.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.broker.process.pid, signal.SIGCONT)


def _in_docker(stack: contextlib.ExitStack) -> Broker | None:
    """Kafka in a container, None where no Docker engine answers or the image cannot be had."""
    if not engine_answers():
        return None
    from testcontainers.kafka import KafkaContainer

    try:
        container = stack.enter_context(
            KafkaContainer().with_kraft().with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
        )
    except Exception as error:  # whatever keeps the container from running, the next rung serves as well
        print(f"No Kafka in Docker ({type(error).__name__}): using one without it.", file=sys.stderr)
        return None
    return Broker(container.get_bootstrap_server(), BrokerKind.CLUSTER, owned=True)


@functools.cache
def engine_answers() -> bool:
    """Whether there is a Docker engine for this user."""
    import docker  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        # Where nobody answers, the client leaves its socket to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with contextlib.closing(docker.from_env(timeout=3)) as client:
                return bool(client.ping())
        except docker.errors.DockerException:
            return False
        finally:
            gc.collect()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Wait for something that another process does; a TimeoutError where it does not come about."""
    async with asyncio.timeout(seconds):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.05)
