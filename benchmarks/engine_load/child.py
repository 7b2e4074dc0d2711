"""A contestant's process: a job on its command line, one JSON line of usage on its output.

The standard library alone, so that contestants from other environments can use it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 600


@dataclass(frozen=True)
class Job:
    """What a contestant is to do.

    Attributes:
        bootstrap: host:port of the broker.
        topic: the recorded events.
        partitions: of that topic, and of every topic that goes with it.
        events: how many of them to process.
        work: which work, where a contestant knows several.
        name: prefix of topics and consumer groups that nobody else uses.
        directory: for state, empty; `items` of it, where the recorded vectors are.
        items: directory of the recorded items.
    """

    bootstrap: str
    topic: str
    partitions: int
    events: int
    work: str
    name: str
    directory: str
    items: str

    @classmethod
    def given(cls) -> "Job":
        """The job on this process's command line."""
        return cls(**json.loads(sys.argv[1]))


@dataclass(frozen=True)
class Usage:
    """What a job took, from its first event to the acknowledgement of the last one.

    `cpu_s` is processor time of all threads of the process, the broker's not among it.
    """

    events: int
    cpu_s: float
    wall_s: float

    @property
    def per_cpu_s(self) -> float:
        """Events per CPU-second."""
        return self.events / self.cpu_s


class Meter:
    """Measures this process from `start` to `finish`. Only the first `start` counts."""

    def __init__(self) -> None:
        self._start: tuple[float, float] | None = None

    def start(self) -> None:
        """The first event is here."""
        if self._start is None:
            self._start = time.process_time(), time.monotonic()

    def finish(self, events: int) -> Usage:
        """The last event is done."""
        cpu, wall = time.process_time(), time.monotonic()
        if self._start is None:
            raise RuntimeError("finished without a start: no event came")
        return Usage(events, cpu - self._start[0], wall - self._start[1])


def answer(usage: Usage) -> None:
    """Give the usage to the parent."""
    print(json.dumps(asdict(usage)), flush=True)


def leave(usage: Usage) -> None:
    """Give the usage to the parent and end at once: how a framework shuts down is not measured."""
    answer(usage)
    os._exit(0)


def run(module: str, job: Job, python: str = sys.executable, environment: Mapping[str, str] | None = None) -> Usage:
    """Run a contestant and wait for it.

    Raises:
        RuntimeError: it failed; the message has the end of its output.
    """
    command = [python, "-m", f"benchmarks.engine_load.{module}", json.dumps(asdict(job))]
    told = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **(environment or {})}
    done = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise RuntimeError(f"{module} {job.work} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return Usage(**json.loads(lines[-1]))
