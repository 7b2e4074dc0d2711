"""The table for people, the JSON for machines, and what they were measured on."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.engine_load.child import Usage
from benchmarks.engine_load.latency import Latency

_PACKAGES = ("upwell", "faust-streaming", "aiokafka", "rocksdict", "hnswlib", "numpy", "msgspec", "uvloop")


@dataclass(frozen=True)
class Row:
    """A line of the table: one contestant, its runs, and what it is compared with.

    Attributes:
        key: its name in the JSON.
        label: its name in the table.
        runs: one usage a round.
        against: key of the row it is compared with, None for none.
    """

    key: str
    label: str
    runs: Sequence[Usage]
    against: str | None = None

    @property
    def per_cpu_s(self) -> float:
        """Median over the rounds, events per CPU-second."""
        return median(run.per_cpu_s for run in self.runs)

    @property
    def per_s(self) -> float:
        """Median over the rounds, events per second by the clock."""
        return median(run.events / run.wall_s for run in self.runs)


@dataclass
class Report:
    """Everything of one run."""

    machine: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)

    def print(self, console: Console) -> None:
        """The table, last of all."""
        if self.rows:
            console.print(_throughput_table(self.rows))
        if self.latencies:
            console.print(_latency_table(self.latencies))
        console.print(", ".join(f"{name}: {value}" for name, value in self.machine.items() if name != "versions"))
        console.print(", ".join(f"{name} {number}" for name, number in self.machine["versions"].items()))

    def save(self, path: Path) -> None:
        """Write the JSON."""
        figures: dict[str, Any] = {row.key: round(row.per_cpu_s) for row in self.rows}
        figures |= {f"{row.key}_runs": [asdict(run) for run in row.runs] for row in self.rows}
        for latency in self.latencies:
            suffix = "" if latency.rate == self.latencies[0].rate else f"_at_{latency.rate}"
            figures[f"latency_p50_ms{suffix}"] = latency.p50_ms
            figures[f"latency_p99_ms{suffix}"] = latency.p99_ms
            figures[f"latency_sustained{suffix}"] = latency.sustained
        figures["latencies"] = [asdict(latency) for latency in self.latencies]
        figures.setdefault("quix_count_per_cpu_s", None)
        path.write_text(json.dumps({**figures, "machine": self.machine}, indent=1) + "\n")


def _throughput_table(rows: Sequence[Row]) -> Table:
    by_key = {row.key: row for row in rows}
    table = Table("Events per second of", "a core", "lowest", "highest", "by the clock", "ratio")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        single = [run.per_cpu_s for run in row.runs]
        other = by_key.get(row.against or "")
        ratio = f"{row.per_cpu_s / other.per_cpu_s:.1f} x {other.label}" if other else ""
        table.add_row(
            row.label, f"{row.per_cpu_s:,.0f}", f"{min(single):,.0f}", f"{max(single):,.0f}",
            f"{row.per_s:,.0f}", ratio,
        )  # fmt: skip
    return table


def _latency_table(latencies: Sequence[Latency]) -> Table:
    table = Table(
        "Event to recommendation", "sustained", "p50 ms", "p99 ms", "max ms", "cores", "answers", "backlog s",
        "others' cores", "stalls p99 ms", "max ms",
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    for latency in latencies:
        table.add_row(
            f"{latency.rate:,} events/s", "yes" if latency.sustained else "NO",
            f"{latency.p50_ms:,.1f}", f"{latency.p99_ms:,.1f}", f"{latency.max_ms:,.1f}", f"{latency.cores:.2f}",
            f"{latency.answers:.2f}", f"{latency.backlog_s:,.1f}", f"{latency.others_cores:.2f}",
            f"{latency.stall_p99_ms:.1f}", f"{latency.stall_max_ms:.1f}",
        )  # fmt: skip
    return table


def machine(more: Mapping[str, str]) -> dict[str, Any]:
    """What this runs on: processor, cores, how busy they are, versions."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES} | dict(more),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
