"""Workers as processes: to be killed, frozen, robbed of its disk and started again."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientConnectionError, ClientSession

from streams.broker.probe import free_port
from streams.engine.store import RocksPartition
from tests.faults.without import VARIABLE, Protection

PATIENCE_S = 90.0

SURVIVED: Counter[str] = Counter()
"""What this run did to workers that had all their protections."""

_HOST = "127.0.0.1"
_CACHE_MB = 8
_LAST_WORDS = 3_000


class EndedError(AssertionError):
    """A worker ended by itself."""


@dataclass(frozen=True, slots=True)
class Program:
    """A module to run with arguments, which tells in its log that it listens for SIGTERM."""

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
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Worker":
        """Start it. Returns itself."""
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        self._port = free_port(_HOST)
        environment = {
            **os.environ,
            **self._program.environment,
            "UPWELL_DATA_DIR": str(self.data),
            "UPWELL_PROBE_PORT": str(self._port),
            VARIABLE: ",".join(self._without),
        }
        command = [sys.executable, "-m", self._program.module, *self._program.arguments]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        return self

    def kill(self, *, lose_disk: bool = False) -> None:
        """SIGKILL: no goodbye. With `lose_disk` its data directory is gone, too."""
        process = self._taken()
        process.kill()
        process.wait()
        self._count("SIGKILLs")
        if lose_disk:
            self.lose_disk()

    def lose_disk(self) -> None:
        """Delete the data directory of a worker that does not run."""
        shutil.rmtree(self.data, ignore_errors=True)
        self._count("lost disks")

    def freeze(self) -> None:
        """SIGSTOP."""
        self._running().send_signal(signal.SIGSTOP)
        self._count("freezes")

    def thaw(self) -> None:
        """SIGCONT."""
        self._running().send_signal(signal.SIGCONT)

    def check(self) -> None:
        """Raises EndedError for one that was started, neither killed nor stopped, and does not run."""
        if self._process is not None:
            self._running()

    async def stop(self) -> None:
        """SIGTERM, and it must end in good order. One that is only starting is given the time to."""
        process = self._running()
        async with asyncio.timeout(PATIENCE_S):
            while self._program.serving.encode() not in self._log.read_bytes()[self._log_start :]:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        self._taken().terminate()
        code = await asyncio.to_thread(process.wait, PATIENCE_S)
        if code:
            raise EndedError(self._words(f"ended with {code}"))
        self._count("graceful stops")

    async def ready(self) -> bool | None:
        """What its probe says; None where nobody answers yet."""
        self._running()
        try:
            async with ClientSession() as session, session.get(f"http://{_HOST}:{self._port}/readyz") as answer:
                return answer.status == 200
        except ClientConnectionError:
            return None

    def discard(self) -> None:
        """Leave no process behind, whatever the test did."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stored(self) -> list[tuple[bytes, bytes]]:
        """All rows in its local stores."""
        rows: list[tuple[bytes, bytes]] = []
        for path in sorted(self.data.glob("tables/*/counts-?")):
            store = RocksPartition(path, _CACHE_MB)
            rows += store.items()
            store.close()
        return rows

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        if self._process.poll() is not None:
            raise EndedError(self._words(f"is not running ({self._process.returncode})"))
        return self._process

    def _taken(self) -> subprocess.Popen[bytes]:
        """The process, whose end is nothing to wonder at from now on."""
        process = self._running()
        self._process = None
        return process

    def _words(self, what: str) -> str:
        return f"{self.name} {what}:\n{self._log.read_text()[-_LAST_WORDS:]}"

    def _count(self, what: str) -> None:
        if not self._without:
            SURVIVED[what] += 1
