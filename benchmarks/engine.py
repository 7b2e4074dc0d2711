"""How fast the engine is, and how soon a recommendation comes: beside plain Faust, Quix Streams and bare aiokafka.

    python benchmarks/engine.py [--json FILE] [--quick] [--with-quix | --quix-python PATH]
    python benchmarks/engine.py --latency [--rounds N]

Every contestant is a process of its own and reads the same recorded events (about 200 bytes of JSON, 5,000 shoppers,
4 partitions) from one Apache Kafka, started for this. Figures are events per second of processor time of that process,
all its threads together and the broker apart, from the first event to the acknowledgement of the last; the median of
some rounds in which the contestants take turns. Latencies are of the round in which others kept the machine least busy.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import uuid
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

# As a script this has its own folder first on the path: its parent is where `benchmarks` is found from.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.console import Console

from benchmarks.engine_load import latency, load, product, quix, recovery
from benchmarks.engine_load.child import Job, Usage, run
from benchmarks.engine_load.report import Report, Row, machine
from streams.broker import Broker, BrokerKind, running
from streams.settings import KafkaSettings, Settings

PARTITIONS = 4
RATES = (200, 2_000)


@dataclass(frozen=True)
class Contestant:
    """A line of the table. `events` is how many it is given; slower ones get fewer."""

    key: str
    label: str
    module: str
    work: str
    events: int
    against: str | None = None


CONTESTANTS = (
    Contestant("aiokafka_per_cpu_s", "aiokafka, raw", "floor", "raw", 400_000),
    Contestant("aiokafka_decode_per_cpu_s", "aiokafka + msgspec", "floor", "decode", 400_000),
    Contestant(
        "decode_per_cpu_s", "Upwell, decode", "engine", "decode", 400_000, "aiokafka_decode_per_cpu_s"
    ),
    Contestant("quix_count_per_cpu_s", "Quix Streams, count", "quix_app", "count", 100_000),
    Contestant("faust_count_per_cpu_s", "Faust, count", "faust_app", "count", 20_000),
    Contestant("count_per_cpu_s", "Upwell, count", "engine", "count", 400_000, "quix_count_per_cpu_s"),
    Contestant("plain_faust_per_cpu_s", "Faust, profiles", "faust_app", "profile", 15_000),
    Contestant(
        "profile_updates_per_cpu_s", "Upwell, profiles", "engine", "profile", 400_000, "plain_faust_per_cpu_s"
    ),
    Contestant("end_to_end_per_cpu_s", "Upwell, profiles + HNSW + output", "engine", "retrieval", 60_000),
    Contestant("product_per_cpu_s", "Upwell, the product's handler", "product", "product", 15_000),
    Contestant("recovery_rows_per_cpu_s", "Upwell, recovery of 1 KB rows", "recovery", "recovery", 200_000),
)  # fmt: skip


class Stage:
    """The broker with the load on it, and where contestants keep their state."""

    def __init__(self, broker: Broker, home: Path, quix_python: str | None, scale: float) -> None:
        self._bootstrap = broker.bootstrap
        self._home = home
        self._quix_python = quix_python
        self._scale = scale
        self._events = load.topic(f"bench-events-{_unique()}", PARTITIONS)
        self._changelog = load.topic(f"bench-changelog-{_unique()}", PARTITIONS, table="rows")

    async def set(self) -> None:
        """Record the load of the contestants."""
        load.save_items(self._home / "items")
        await load.publish(self._bootstrap, self._events, load.events(self.size(400_000)))
        await load.publish(self._bootstrap, self._changelog, recovery.rows(self.size(200_000)))
        await product.publish_items(self._bootstrap, PARTITIONS)

    def size(self, events: int) -> int:
        """So many events, in a quick run fewer."""
        return int(events * self._scale)

    def measure(self, contestant: Contestant) -> Usage:
        """Run a contestant once."""
        name = f"bench-{_unique()}"
        topic = self._changelog if contestant.module == "recovery" else self._events
        directory = self._home / name
        directory.mkdir()
        job = Job(
            self._bootstrap, topic.name, PARTITIONS, self.size(contestant.events), contestant.work, name,
            str(directory), str(self._home / "items"),
        )  # fmt: skip
        python = self._quix_python if contestant.module == "quix_app" else None
        return run(contestant.module, job, python or sys.executable)

    def latencies(self, rounds: int, console: Console, seconds: float) -> list[latency.Latency]:
        """Run a worker and measure each rate: of some rounds the one that others disturbed least."""
        directory = self._home / "latency"
        directory.mkdir()
        contract = asyncio.run(latency.prepare(self._bootstrap, f"bench-{_unique()}", PARTITIONS))
        quietest = []
        with latency.running_worker(self._bootstrap, contract, directory) as child:
            asyncio.run(latency.encoded(self._bootstrap, contract, child))
            for rate in RATES:
                found = []
                for number in range(rounds):
                    measuring = latency.measure(self._bootstrap, contract, child, rate, seconds, number)
                    found.append(asyncio.run(measuring))
                    console.print(_told(found[-1]))
                quietest.append(min(found, key=lambda one: one.others_cores))
        return quietest


def _told(one: latency.Latency) -> str:
    """A measurement in words."""
    kept = "" if one.sustained else ", not sustained: a queue grew all the time"
    others = f"others took {one.others_cores} cores and stalled the machine for {one.stall_max_ms} ms at most"
    return f"latency at {one.rate} events/s: p50 {one.p50_ms} ms, p99 {one.p99_ms} ms{kept}; {others}"


def _unique() -> str:
    return uuid.uuid4().hex[:8]


def _rounds(stage: Stage, contestants: list[Contestant], rounds: int, console: Console) -> list[Row]:
    usages: dict[str, list[Usage]] = defaultdict(list)
    for number in range(rounds):
        for contestant in contestants:
            usage = stage.measure(contestant)
            usages[contestant.key].append(usage)
            console.print(f"round {number + 1}, {contestant.label}: {usage.per_cpu_s:,.0f} per CPU-second")
    return [Row(c.key, c.label, usages[c.key], c.against) for c in contestants]


def main() -> None:
    """Measure everything and print it."""
    options = _options()
    console, out = Console(stderr=True, highlight=False), Console(width=None if os.isatty(1) else 130, highlight=False)
    settings = Settings()
    python = options.quix_python or quix.environment(settings.cache_dir, install=options.with_quix)
    if python is None:
        console.print("Quix Streams is left out: --with-quix installs it into an environment of its own.")
    contestants = [c for c in CONTESTANTS if python or c.module != "quix_app"]
    report = Report(machine({"quixstreams": quix.installed(python)} if python else {}))
    with tempfile.TemporaryDirectory(prefix="upwell-bench-") as temporary:
        home = Path(temporary)
        kafka = KafkaSettings()
        kind = None if kafka.bootstrap_servers else BrokerKind.APACHE_KAFKA
        with running(settings, kafka, data_dir=home / "broker", kind=kind) as broker:
            stage = Stage(broker, home, python, 0.1 if options.quick else 1.0)
            rounds = 1 if options.quick else options.rounds
            if not options.latency:
                console.print("recording the load …")
                asyncio.run(stage.set())
                report.rows += _rounds(stage, contestants, rounds, console)
            report.latencies += stage.latencies(rounds, console, 5.0 if options.quick else 30.0)
    if options.json:
        report.save(options.json)
    report.print(out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--quick", action="store_true", help="one round of a tenth of the load: does it run at all?")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (default: 3)")
    parser.add_argument("--latency", action="store_true", help="measure nothing but latencies")
    parser.add_argument("--with-quix", action="store_true", help="install Quix Streams under the user's cache first")
    parser.add_argument("--quix-python", metavar="PATH", help="a Python that has Quix Streams")
    return parser.parse_args()


if __name__ == "__main__":
    main()
