"""What events, items and shoppers cost, for `upwell plan`: processor time, memory and bytes, role by role.

    python -m benchmarks.capacity [--items 2000,20000] [--json FILE]
    python -m benchmarks.capacity --live 1,25,50,100

The workers' own handlers run without Kafka on one partition, on processor time of this process (the quickest of some
rounds, so that a busy machine matters less); what Kafka and RocksDB cost beside them is measured by
benchmarks/engine.py. Batches are of several sizes: with the figures a cost a batch, an event and an answer is fitted,
as `streams.costs` has it, and what is left between the fit and the figures is shown. `--live` runs a whole `upwell
worker` on Apache Kafka instead, at some rates, and shows its cores beside the model's.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
import gc
import json
import random
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.engine_load import latency
from benchmarks.engine_load.load import catalogue, event, item_name, shopper_name
from benchmarks.engine_load.report import machine
from encoders.base import Vectors
from index.hnsw import HnswIndex
from streams import codecs
from streams.agents.neighbours import NeighboursHandler
from streams.agents.profiles import ProfilesHandler
from streams.agents.ranker import Learning, RankerHandler
from streams.broker import BrokerKind, running
from streams.capacity import Workload, following_us, working_us
from streams.codecs import DIGEST_SIZE, Embedding
from streams.core.cooccurrence import MOST, Neighbours
from streams.core.policy import Policy
from streams.core.trending import Popularity
from streams.costs import MEASURED, Handling
from streams.edge import limits_of
from streams.engine.effects import Batch, Effects, Handler
from streams.inprocess import MemoryTable
from streams.replicas import Immediate, Replica
from streams.settings import KafkaSettings, Settings
from streams.shelves import ReplicaIndex
from streams.topics import topics

DIM = 384
LIVE_PARTITIONS = 4
SHOPPERS = 600
HISTORY = 60
BATCHES = ((1, 1), (16, 16), (64, 16), (64, 64), (256, 64), (256, 256))
"""(events, shoppers) of a batch."""

_NOW = 1_767_607_200_000
_SLICE = 500
_encode = msgspec.json.Encoder().encode

T = TypeVar("T")


@dataclass(frozen=True)
class Rec:
    """A record made by hand."""

    key: bytes | None
    value: bytes | None
    offset: int
    topic: str
    partition: int = 0
    timestamp: int = _NOW + 10**9
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Figures:
    """What was measured with so many items; microseconds and bytes."""

    items: int
    apply_us: dict[str, float] = field(default_factory=dict)
    bytes_an_item: dict[str, float] = field(default_factory=dict)
    index_bytes_an_item: float = 0.0
    batches: list[tuple[int, int, float]] = field(default_factory=list)
    neighbours_us_an_event: float = 0.0
    neighbour_rows_an_event: float = 0.0
    ranker_us_an_event: float = 0.0
    ranks: str = ""
    sizes: dict[str, float] = field(default_factory=dict)


def vectors(count: int, seed: int = 0) -> Vectors:
    """Unit vectors around two hundred centres, float32 (count, DIM)."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(200, DIM))
    made = centres[np.arange(count) % 200] + 0.6 * rng.normal(size=(count, DIM))
    unit: npt.NDArray[np.float32] = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return unit


class Bench:
    """A shop of one partition in this process."""

    def __init__(self, items: int) -> None:
        self.contract = topics("bench", 1)
        self.items = items
        self.figures = Figures(items)
        self.index: HnswIndex | None = None
        limits = limits_of(Settings())
        self.replica = Replica(self.contract, self._make, limits)
        self.profiles = ProfilesHandler(self.contract, self.replica, Policy(), limits, Learning())
        self.ranker = RankerHandler(Learning().rate)
        self.examples: list[Rec] = []
        self.neighbours = NeighboursHandler(self.contract.pairs)
        self.tables = {str(topic.table): MemoryTable(topic) for topic in self.contract if topic.table}
        self.pairs: list[Rec] = []
        self.rng = random.Random(1)
        self.number = 0

    async def _make(self, dim: int) -> ReplicaIndex:
        self.index = HnswIndex(dim)
        return Immediate(self.index)

    async def fill(self) -> None:
        """Everything that a replica reads of so many items; what it costs is noted."""
        contract = self.contract
        rng = np.random.default_rng(2)
        made = vectors(self.items).astype(np.float16)
        rows = {
            contract.catalogue: lambda n, item: _encode(item),
            contract.embeddings: lambda n, item: codecs.encode_embedding(
                Embedding(n, bytes(DIGEST_SIZE), "bench", made[n])
            ),
            contract.trending: lambda n, item: codecs.encode_popularity(Popularity(n, 30_000.0 + n % 97)),
            contract.neighbours: lambda n, item: codecs.encode_neighbours(
                Neighbours(
                    n, 30_000.0, {0: n}, {item_name(int(p)): 29_990.0 for p in rng.integers(0, self.items, MOST)}
                )
            ),
        }
        for topic, row in rows.items():
            gc.collect()
            before, took, sizes = _resident(), 0.0, []
            for some in batched(enumerate(catalogue(self.items)), _SLICE):
                records = [Rec(item.id.encode(), row(number, item), number, topic.name) for number, item in some]
                began = time.process_time()
                await self.replica.apply(topic.name, 0, records)
                took += time.process_time() - began
                sizes += [len(record.value or b"") for record in records]
            name = topic.name.split(".")[1]
            self.figures.apply_us[name] = took * 1e6 / self.items
            self.figures.sizes[f"{name} row"] = float(np.mean(sizes))
            gc.collect()
            self.figures.bytes_an_item[name] = max(0.0, _resident() - before) / self.items
        if self.index is not None:
            self.figures.index_bytes_an_item = self.index.nbytes / self.items

    def events(self, count: int, shoppers: Sequence[int]) -> list[Rec]:
        """Events of some shoppers in turn."""
        made = []
        for number in range(count):
            one = msgspec.structs.replace(
                event(self.number, self.rng, self.items), user=shopper_name(shoppers[number % len(shoppers)])
            )
            made.append(Rec(str(one.user).encode(), _encode(one), self.number, self.contract.events.name))
            self.number += 1
        return made

    async def handle(self, handler: Handler, records: Sequence[Rec]) -> tuple[Effects, float]:
        """Let a handler do a batch; its rows are written. Seconds of processor time of the handler alone."""
        batch = Batch(records[0].topic, 0, records)
        began = time.process_time()
        effects = await handler(batch, lambda table, keys: self.tables[table].get(0, keys))
        took = time.process_time() - began
        for table, rows in effects.rows.items():
            self.tables[table].write(0, rows, 0)
        for delta in effects.deltas:
            taught = self.examples if delta.topic == self.contract.examples.name else self.pairs
            taught.append(Rec(None, delta.value, len(taught), delta.topic))
        return effects, took

    async def learn(self) -> None:
        """The ranker learns from what was done so far, and serves."""
        before = self.number
        effects, took = await self.handle(self.ranker, self.examples)
        self.figures.ranker_us_an_event = took * 1e6 / before
        rows = [Rec(key, value, 0, self.contract.ranker.name) for key, value in effects.rows["ranker"]]
        await self.replica.apply(self.contract.ranker.name, 0, rows)
        self.figures.ranks = self.replica.ranker.leader().name.lower()

    async def measure(self, rounds: int) -> Figures:
        """Shoppers with a history, then batches of every size in turn."""
        everybody = list(range(SHOPPERS))
        for _ in range(HISTORY // 10):
            await self.handle(self.profiles, self.events(10 * SHOPPERS, everybody))
        await self.learn()
        taken: dict[tuple[int, int], list[float]] = {size: [] for size in BATCHES}
        answers: list[int] = []
        self.pairs.clear()
        sent = 0
        for _ in range(rounds):
            for count, shoppers in BATCHES:
                records = self.events(count, self.rng.sample(everybody, shoppers))
                effects, took = await self.handle(self.profiles, records)
                taken[count, shoppers].append(took)
                said = [output for output in effects.outputs if output.topic == self.contract.recommendations.name]
                answers += [len(output.value or b"") for output in said]
                sent += count
                if self.rng.random() < 0.5:  # popularity changes under way, as it does
                    trending = self.contract.trending.name
                    rows = [Rec(key, value, 0, trending) for key, value in effects.rows["trending"]]
                    await self.replica.apply(trending, 0, rows)
        figures = self.figures
        figures.batches = [(*size, min(times) * 1e6) for size, times in taken.items()]
        pairs, spent, rows_written = self.pairs, 0.0, 0
        for start in range(0, len(pairs), 8):
            effects, took = await self.handle(self.neighbours, pairs[start : start + 8])
            spent += took
            rows_written += sum(map(len, effects.rows.values()))
        figures.neighbours_us_an_event = spent * 1e6 / sent
        figures.neighbour_rows_an_event = rows_written / sent
        profiles = list(self.tables["profiles"].rows().values())
        figures.sizes |= {
            "event": float(np.mean([len(one.value or b"") for one in self.events(200, everybody)])),
            "profiles row": float(np.mean([len(row) for row in profiles])),
            "recommendation": float(np.mean(answers)),
            "examples an event": sum(len(one.value or b"") for one in self.examples) / self.number,
            "pairs an event": sum(len(one.value or b"") for one in pairs) / sent,
        }
        return figures


def fitted(points: Sequence[tuple[int, int, float, int]]) -> Handling:
    """Least squares of relative errors, no cost below zero.

    Args:
        points: events, answers, microseconds and items of batches.
    """
    costs = np.array([Handling.terms(events, answers, items) for events, answers, _, items in points])
    costs /= np.array([[us] for *_, us, _ in points])
    kept = list(range(costs.shape[1]))
    while True:
        found, *_ = np.linalg.lstsq(costs[:, kept], np.ones(len(points)), rcond=None)
        if found.min() >= 0:
            break
        kept.pop(int(found.argmin()))
    values = np.zeros(costs.shape[1])
    values[kept] = found
    return Handling(*values.round(4).tolist())


def batched(values: Iterable[T], count: int) -> Iterator[list[T]]:
    """Values in lists of so many."""
    left = iter(values)
    while some := list(islice(left, count)):
        yield some


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _run(items: int, rounds: int) -> Figures:
    bench = Bench(items)
    await bench.fill()
    return await bench.measure(rounds)


def _apart(items: int, rounds: int) -> Figures:
    """In a process of its own, so that one shop's memory is not another's."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as out:
            json.dump(msgspec.to_builtins(asyncio.run(_run(items, rounds))), out)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        figures = msgspec.convert(json.load(told), Figures)
    os.waitpid(child, 0)
    return figures


def _lines(figures: Sequence[Figures], fit: Handling) -> Iterator[str]:
    for one in figures:
        yield f"{one.items:,} items"
        yield "  applying, us a record:  " + ", ".join(f"{name} {us:.1f}" for name, us in one.apply_us.items())
        yield "  memory, bytes an item:  " + ", ".join(f"{name} {b:,.0f}" for name, b in one.bytes_an_item.items())
        yield f"  of that the index:      {one.index_bytes_an_item:,.0f}"
        yield "  sizes, bytes:           " + ", ".join(f"{name} {size:,.0f}" for name, size in one.sizes.items())
        yield f"  ranker:                 {one.ranker_us_an_event:.0f} us an event; what ranks: {one.ranks}"
        rows = one.neighbour_rows_an_event
        yield f"  neighbours:             {one.neighbours_us_an_event:.0f} us, {rows:.1f} rows an event"
        for count, shoppers, us in one.batches:
            told = fit.batch_us(count, shoppers, one.items)
            off = f"{told / us - 1:+.0%}"
            yield f"  batch of {count:4} events, {shoppers:4} answers: {us:9,.0f} us, fitted {told:9,.0f} ({off})"


def _live(rates: Sequence[int], seconds: float) -> Iterator[str]:
    """A worker with all roles at some rates: the cores it took, and what the model says."""
    settings, kafka = Settings(), KafkaSettings()
    with tempfile.TemporaryDirectory(prefix="upwell-capacity-") as home:
        where = Path(home)
        with running(settings, kafka, data_dir=where / "broker", kind=BrokerKind.APACHE_KAFKA) as broker:
            shop = f"capacity-{uuid.uuid4().hex[:8]}"
            contract = asyncio.run(latency.prepare(broker.bootstrap, shop, LIVE_PARTITIONS))
            with latency.running_worker(broker.bootstrap, contract, where) as child:
                asyncio.run(latency.encoded(broker.bootstrap, contract, child))
                for rate in rates:
                    told = asyncio.run(latency.measure(broker.bootstrap, contract, child, rate, seconds))
                    load = Workload(rate, latency.SHOPPERS, latency.ITEMS, answers_per_event=min(1.0, told.answers))
                    # How often batches come is how long one takes to come round, which others decide as well.
                    costs = replace(MEASURED, wait_s=told.p50_ms / 1000)
                    cores = (working_us(load, costs, LIVE_PARTITIONS) + following_us(load, costs)) / 1e6
                    yield (
                        f"| {rate} | {latency.ITEMS:,} | {LIVE_PARTITIONS} | {told.answers:.2f} | {told.p50_ms:.0f} | "
                        f"{told.cores:.2f} | {cores:.2f} |   sustained: {told.sustained}, "
                        f"others took {told.others_cores:.1f} cores"
                    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", default="2000,20000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--live", help="rates, events a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    told = parser.parse_args()
    print(machine({}))
    if told.live:
        for line in _live([int(rate) for rate in told.live.split(",")], told.seconds):
            print(line, flush=True)
        return
    figures = [_apart(int(items), told.rounds) for items in told.items.split(",")]
    fit = fitted([(*batch, one.items) for one in figures for batch in one.batches])
    print(*_lines(figures, fit), sep="\n")
    print(f"\nfitted: {fit}")
    if told.json:
        told.json.write_text(json.dumps([msgspec.to_builtins(one) for one in figures], indent=2))


if __name__ == "__main__":
    main()
