"""The processes of a run: the worker, a child with an environment of its own and its output in a file; the broker."""

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from streams.broker import Broker
from streams.broker.base import HOST
from streams.broker.probe import free_port
from streams.broker.process import ProcessId, spawn
from streams.errors import BrokerError, UpwellError

LAST_LINES = 12

_GRACE_S = 5.0
"""The state of a demo's worker is thrown away: it need not finish what it is at."""
_PROBE_PORT, _PROBE_HOST = "UPWELL_PROBE_PORT", "UPWELL_PROBE_HOST"
_MAIN = "from streams.cli import main; main(prog_name='upwell')"


@dataclass(frozen=True, slots=True)
class Child:
    """A worker that was started, where its output goes, and where it says whether it is ready."""

    process: ProcessId
    log: Path
    readyz: str

    def check(self) -> None:
        """Insist that it still runs.

        Raises:
            UpwellError: it has ended; the message has its last words.
        """
        if not self.process.alive():
            raise UpwellError(f"the worker ended by itself; its last words:\n{last_words(self.log)}")


@contextlib.contextmanager
def worker(environment: Mapping[str, str], log: Path) -> Iterator[Child]:
    """`upwell worker` for as long as the block lasts. It ends with this process, however that ends.

    Args:
        environment: what the worker is told beside our own environment. No secrets: other users can see it. A port of
            its probes that is not named is one that is free.
        log: the file for its output.
    """
    # env(1) sets the variables and becomes the command, so the process that is tied to us is the worker itself.
    port = environment.get(_PROBE_PORT) or str(free_port(HOST))
    told = [f"{name}={value}" for name, value in {**environment, _PROBE_PORT: port, _PROBE_HOST: HOST}.items()]
    command = [shutil.which("env") or "/usr/bin/env", *told, sys.executable, "-c", _MAIN, "worker"]
    child = Child(spawn(command, log, tied=True), log, f"http://{HOST}:{port}/readyz")
    try:
        yield child
    finally:
        child.process.stop(_GRACE_S)


def check_broker(broker: Broker) -> None:
    """Insist that a broker that was started here still runs. Clients alone would go on trying for a minute.

    Raises:
        BrokerError: it has ended; the message has its last words.
    """
    if broker.process is not None and broker.log is not None and not broker.process.alive():
        raise BrokerError(f"{broker.kind.value} ended by itself; its last words:\n{last_words(broker.log)}")


def last_words(log: Path) -> str:
    """The end of a log, indented, with the path of all of it."""
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:] if log.exists() else []
    return "\n".join(f"  {line}" for line in [*(lines or ["(nothing)"]), f"(all of it: {log})"])
