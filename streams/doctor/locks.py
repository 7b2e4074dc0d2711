"""The locks of stores under a data directory: who has a store open, and what a crash left behind.

RocksDB takes an `fcntl` lock on the file LOCK in a store's directory. The file stays when the store is closed, and
the lock goes with its process, so a file alone means nothing; whether somebody holds it is asked of the kernel.
"""

from collections.abc import Iterator
from pathlib import Path

from streams.doctor.finding import Finding, ok, warn
from streams.locking import holder

LOCK = "LOCK"
CONDEMNED = "CONDEMNED"
"""A file of this name says that a store was found damaged (`streams.engine.store`)."""

_STOPPED = {"T": "is stopped", "t": "is being traced", "Z": "has ended, its parent did not notice"}


def examine_locks(data_dir: Path) -> Iterator[Finding]:
    """Stores that are open, those whose holder hangs, and those that were found damaged."""
    locks = sorted(data_dir.rglob(LOCK)) if data_dir.is_dir() else []
    holders: dict[int, int] = {}
    for lock in locks:
        if (pid := holder(lock)) is not None:
            holders[pid] = holders.get(pid, 0) + 1
    hanging = {pid: state for pid in holders if (state := _STOPPED.get(_state(pid), ""))}
    for pid, state in hanging.items():
        yield warn(
            "locks",
            f"{holders[pid]} stores are held by process {pid}, which {state}",
            f"let it go on (kill -CONT {pid}) or end it (kill -KILL {pid}); no other worker can open them",
        )
    if foreign := holders.get(-1, 0):
        yield warn(
            "locks",
            f"{foreign} stores are held from another machine",
            "give each machine a data directory of its own",
        )
    if not hanging and not foreign:
        used = ", ".join(f"{count} in use by process {pid}" for pid, count in holders.items())
        left = len(locks) - sum(holders.values())
        rest = f"{left} left by processes that ended, which hinder nobody" if left else ""
        yield ok("locks", "; ".join(filter(None, (used, rest))) or "no store has been made yet")
    if damaged := [path.parent for path in sorted(data_dir.rglob(CONDEMNED))] if data_dir.is_dir() else []:
        yield warn(
            "stores",
            f"{len(damaged)} damaged: {', '.join(map(str, damaged))}",
            "start a worker: it rebuilds them from the topics. If it happens again, look at the disk",
        )


def _state(pid: int) -> str:
    """The kernel's letter for what a process does; empty for one that is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
