"""The broker that Upwell started under a data directory, written down for the commands that come later.

data_dir/broker/state.json   which process, where it listens; removed when it is stopped
data_dir/broker/lock         held while a broker is being started or stopped
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from streams.broker.base import Broker, BrokerKind
from streams.broker.process import ProcessId
from streams.private import private


def folder(data_dir: Path) -> Path:
    """Where a data directory keeps its broker."""
    return data_dir / "broker"


def read(data_dir: Path) -> Broker | None:
    """The broker that was started last and not stopped since. Its process may be gone: ask `process.alive()`."""
    try:
        row = json.loads(_path(data_dir).read_text())
        return Broker(
            bootstrap=row["bootstrap"],
            kind=BrokerKind(row["kind"]),
            owned=False,
            process=ProcessId(int(row["pid"]), row["born"]),
            log=Path(row["log"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # A file that cannot be read names no process that could be stopped: as good as none.
        return None


def write(data_dir: Path, broker: Broker) -> None:
    """Write a broker down, whole or not at all."""
    if broker.process is None:
        raise ValueError("a broker without a process cannot be written down")
    row = {
        "kind": broker.kind.value,
        "bootstrap": broker.bootstrap,
        "pid": broker.process.pid,
        "born": broker.process.born,
        "log": str(broker.log),
    }
    path = _path(data_dir)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(row, indent=2) + "\n")
    draft.replace(path)


def remove(data_dir: Path) -> None:
    """Forget the broker."""
    _path(data_dir).unlink(missing_ok=True)


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Keep other processes from starting or stopping this directory's broker meanwhile."""
    home = folder(data_dir)
    private(home)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _path(data_dir: Path) -> Path:
    return folder(data_dir) / "state.json"
