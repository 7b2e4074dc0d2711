"""What else the machine does while something is measured on it: a latency says little without that."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_TICKS = os.sysconf("SC_CLK_TCK")
_NAP_S = 0.002
_IDLE = slice(3, 5)
"""Fields `idle` and `iowait` of the first line of /proc/stat; see proc_stat(5). `guest` is in `user` already."""
_COUNTED = slice(0, 8)


@dataclass
class Disturbance:
    """What others did on the machine meanwhile.

    Attributes:
        others_cores: processor time per second that went to none of our processes.
        stall_p99_ms, stall_max_ms: how much later than asked for a thread that sleeps all the time woke up.
    """

    others_cores: float = 0.0
    stall_p99_ms: float = 0.0
    stall_max_ms: float = 0.0


@contextlib.contextmanager
def disturbance() -> Iterator[Disturbance]:
    """Watch the machine for as long as the block lasts; the result is filled at its end."""
    found, over, stalls = Disturbance(), threading.Event(), []

    def nap() -> None:
        while not over.is_set():
            start = time.perf_counter()
            time.sleep(_NAP_S)
            stalls.append(time.perf_counter() - start - _NAP_S)

    napping = threading.Thread(target=nap)
    start, busy, ours = time.monotonic(), _busy_s(), _ours_s()
    napping.start()
    try:
        yield found
    finally:
        seconds = time.monotonic() - start
        found.others_cores = round(max(0.0, _busy_s() - busy - (_ours_s() - ours)) / seconds, 2)
        over.set()
        napping.join()
        found.stall_p99_ms, found.stall_max_ms = (round(float(np.percentile(stalls, p)) * 1000, 1) for p in (99, 100))


def cpu_s(pid: int) -> float:
    """Processor time of a process, user and system; see proc_pid_stat(5)."""
    return _ticks(_fields(pid)) / _TICKS


def _ours_s() -> float:
    """Processor time of this process and of all that descend from it and live."""
    fields = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields[int(path.name)] = _fields(int(path.name))
    ours, found = {os.getpid()}, 0
    while len(ours) > found:
        found = len(ours)
        ours |= {pid for pid, mine in fields.items() if int(mine[1]) in ours}
    return sum(_ticks(fields[pid]) for pid in ours) / _TICKS


def _busy_s() -> float:
    """Processor time of everything, that which the host took away among it."""
    times = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(times[_COUNTED]) - sum(times[_IDLE])) / _TICKS


def _fields(pid: int) -> list[str]:
    """What stands behind the name, which may hold anything: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _ticks(fields: list[str]) -> int:
    return int(fields[11]) + int(fields[12])
