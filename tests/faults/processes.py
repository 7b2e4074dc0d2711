"""Workers as processes: to be killed, frozen, robbed of their disks and started again.

They are forked from a process that has imported everything already (multiprocessing's fork server), for importing takes
longer than everything else that a worker does to start.
"""

import asyncio
import importlib
import multiprocessing
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from aiohttp import ClientConnectionError, ClientSession

from streams.broker.probe import free_port
from streams.engine.store import RocksPartition
from tests.faults.without import VARIABLE, Protection

PATIENCE_S = 90.0

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["pytest", "streams.cli.worker", "streams.worker", "tests.faults.counting_worker"])

SURVIVED: Counter[str] = Counter()
"""What this run did to workers that had all their protections."""

_HOST = "127.0.0.1"
_CACHE_MB = 8
_LAST_WORDS = 3_000


class EndedError(AssertionError):
    """A worker ended by itself."""


class StuckError(AssertionError):
    """What was waited for did not come."""


@dataclass(frozen=True, slots=True)
class Program:
    """A module whose `main` is run with arguments, and which tells in its log that it listens for SIGTERM."""

    module: str
    arguments: tuple[str, ...]
    serving: str
    environment: Mapping[str, str] = field(default_factory=dict)


class Worker:
    """A worker process with a data directory and a log of its own. Not started."""

    def __init__(self, program: Program, name: str, directory: Path, without: Sequence[Protection]) -> None:
        self.name = name
        self.data = directory / name
        self._program = program
        self._without = without
        self._log = directory / f"{name}.log"
        self._log_start = 0
        self._port = 0
        self._process: ForkServerProcess | None = None

    def start(self) -> "Worker":
        """Start it. Returns itself."""
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        self._port = free_port(_HOST)
        environment = {
            **self._program.environment,
            "UPWELL_DATA_DIR": str(self.data),
            "UPWELL_PROBE_PORT": str(self._port),
            VARIABLE: ",".join(self._without),
        }
        self._process = _FORKS.Process(target=_become, args=(self._program, environment, self._log))
        self._process.start()
        return self

    def kill(self, *, lose_disk: bool = False) -> None:
        """SIGKILL: no goodbye. With `lose_disk` its data directory is gone, too."""
        process = self._taken()
        process.kill()
        process.join()
        self._count("SIGKILLs")
        if lose_disk:
            self.lose_disk()

    def lose_disk(self) -> None:
        """Delete the data directory of a worker that does not run."""
        shutil.rmtree(self.data, ignore_errors=True)
        self._count("lost disks")

    def freeze(self) -> None:
        """SIGSTOP."""
        self._send(signal.SIGSTOP)
        self._count("freezes")

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def check(self) -> None:
        """Raises EndedError for one that was started, neither killed nor stopped, and does not run."""
        if self._process is not None:
            self._running()

    async def stop(self) -> None:
        """SIGTERM, and it must end in good order. One that is only starting is given the time to."""
        process = self._running()
        async with asyncio.timeout(PATIENCE_S):
            while self._program.serving not in self._words():
                await asyncio.sleep(0.05)
                self._running()
        self._taken().terminate()
        await asyncio.to_thread(process.join, PATIENCE_S)
        if process.exitcode:
            raise self._ended(f"ended with {process.exitcode}")
        assert process.exitcode == 0, "it did not end"
        self._count("graceful stops")

    async def is_ready(self) -> bool:
        """Whether its probe says so."""
        return await self._probed() == HTTPStatus.OK

    async def is_troubled(self) -> bool:
        """Whether its probe says that it is not ready. While nobody answers yet, it is neither."""
        return await self._probed() == HTTPStatus.SERVICE_UNAVAILABLE

    def discard(self) -> None:
        """Leave no process behind, whatever the test did."""
        if self._process is not None and self._process.exitcode is None:
            self._process.kill()
            self._process.join()

    def stored(self) -> list[tuple[bytes, bytes]]:
        """All rows in its local stores."""
        rows: list[tuple[bytes, bytes]] = []
        for path in sorted(self.data.glob("tables/*/counts-?")):
            store = RocksPartition(path, _CACHE_MB)
            rows += store.items()
            store.close()
        return rows

    async def _probed(self) -> int | None:
        self._running()
        try:
            async with ClientSession() as session, session.get(f"http://{_HOST}:{self._port}/readyz") as answer:
                return answer.status
        except ClientConnectionError:
            return None

    def _running(self) -> ForkServerProcess:
        assert self._process is not None
        if self._process.exitcode is not None:
            raise self._ended(f"is not running ({self._process.exitcode})")
        return self._process

    def _taken(self) -> ForkServerProcess:
        """The process, whose end is nothing to wonder at from now on."""
        process = self._running()
        self._process = None
        return process

    def _send(self, number: signal.Signals) -> None:
        pid = self._running().pid
        assert pid is not None
        os.kill(pid, number)

    def _words(self) -> str:
        """What it said since it was started."""
        return self._log.read_bytes()[self._log_start :].decode(errors="replace") if self._log.exists() else ""

    def _ended(self, how: str) -> EndedError:
        return EndedError(f"{self.name} {how}:\n{self._words()[-_LAST_WORDS:]}")

    def _count(self, what: str) -> None:
        if not self._without:
            SURVIVED[what] += 1


def _become(program: Program, environment: Mapping[str, str], log: Path) -> None:
    """What a forked process does: it is the program from now on."""
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(environment)
    sys.argv[1:] = program.arguments
    importlib.import_module(program.module).main()
