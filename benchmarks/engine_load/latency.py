"""From event to recommendation, through a real `upwell worker` and the broker.

Without coordinated omission (Gil Tene, "How NOT to Measure Latency", 2015): each event has a time at which it is due,
and its latency runs from then to the moment a consumer holds the recommendation that knows of it, however late sender,
broker or worker were. A recommendation answers all its shopper's events up to the one that it names.
"""

import asyncio
import contextlib
import random
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.engine_load.load import catalogue, event
from benchmarks.engine_load.machine import cpu_s, disturbance
from streams.admin import create_topics
from streams.demo.child import Child, worker
from streams.demo.feed import feeding
from streams.records import Event
from streams.settings import KafkaSettings
from streams.topics import Topics, topics

ITEMS = 4_000
SHOPPERS = 5_000
_WARM_UP_S = 5.0
_PATIENCE_S = 120.0
_GRACE_S = 30.0
_NO_BACKLOG_S = 1.0
_POLL_S = 0.2

_encode = msgspec.json.Encoder().encode


class _Trigger(msgspec.Struct):
    event: str


class _Answer(msgspec.Struct):
    user: str
    trigger: _Trigger


_decode = msgspec.json.Decoder(_Answer).decode


@dataclass(frozen=True)
class Latency:
    """Latencies of the events of one rate, in milliseconds, and what the worker took for it.

    `cores` is processor time of the worker per second; `answers` the recommendations of an event, less than one where
    events of a shopper were answered together; `unanswered` the events that were still without one when we gave up.
    `others_cores` and `stall_…` say how busy others kept the machine meanwhile; see `machine.Disturbance`.
    `backlog_s` is how long after the last event was due the last answer came. A rate is sustained if that is at most
    a second: otherwise a queue grew all the time, and the latencies say only how long it had grown.
    """

    rate: int
    events: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    cores: float
    answers: float
    unanswered: int
    backlog_s: float
    sustained: bool
    others_cores: float
    stall_p99_ms: float
    stall_max_ms: float


class _Ledger:
    """Which events wait for an answer, and how long the others did."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[tuple[str, float, bool]]] = defaultdict(deque)
        self._ids: set[str] = set()
        self.latencies: list[float] = []
        self.answers = 0
        self.last_due = 0.0
        self.last_answer = 0.0

    def due(self, made: Event, at: float, counts: bool) -> None:
        """An event is due. `counts` is False while warming up."""
        self._waiting[str(made.user)].append((made.id, at, counts))
        self._ids.add(made.id)
        self.last_due = at

    def answered(self, answer: _Answer, now: float) -> None:
        """A recommendation is here. One that is sent again answers nothing."""
        if answer.trigger.event not in self._ids:
            return
        waiting = self._waiting[answer.user]
        counted = False
        name = ""
        while name != answer.trigger.event:
            name, at, counts = waiting.popleft()
            self._ids.remove(name)
            if counts:
                self.latencies.append(now - at)
                counted = True
        self.answers += counted
        self.last_answer = now

    async def settled(self, seconds: float) -> int:
        """Wait until every event is answered, but no longer than so many seconds.

        Returns:
            How many that count are not. Each is taken to be answered now, which is too early.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._ids:  # noqa: ASYNC110 - answers come from another process
                    await asyncio.sleep(_POLL_S)
        now = time.monotonic()
        late = [now - at for waiting in self._waiting.values() for _, at, counts in waiting if counts]
        self.latencies += late
        if late:
            self.last_answer = now
        return len(late)


async def prepare(bootstrap: str, shop: str, partitions: int) -> Topics:
    """A shop of its own, with a catalogue that waits for its worker."""
    contract = topics(shop, partitions)
    await create_topics(bootstrap, KafkaSettings(), contract)
    async with feeding(bootstrap, KafkaSettings(), contract) as feed:
        await feed.catalogue(catalogue(ITEMS))
    return contract


@contextlib.contextmanager
def running_worker(bootstrap: str, contract: Topics, directory: Path) -> Any:
    """`upwell worker` with the hashing encoder, all roles in one process."""
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "UPWELL_SHOP": contract.events.name.removesuffix(".events.v1"),
        "UPWELL_PARTITIONS": str(contract.events.partitions),
        "UPWELL_DATA_DIR": str(directory / "worker"),
        "UPWELL_MODEL": "hashing",
        "UPWELL_LOG_LEVEL": "WARNING",
    }
    with worker(environment, directory / "worker.log") as child:
        yield child


async def encoded(bootstrap: str, contract: Topics, child: Child) -> None:
    """Wait until the worker has published a vector of every item."""
    async with _tail(bootstrap, contract.embeddings.name, contract.embeddings.partitions) as (consumer, tps):
        async with asyncio.timeout(_PATIENCE_S):
            while sum((await consumer.end_offsets(tps)).values()) < ITEMS:
                child.check()
                await asyncio.sleep(_POLL_S)


async def measure(
    bootstrap: str, contract: Topics, child: Child, rate: int, seconds: float, number: int = 0
) -> Latency:
    """Send at a rate for some seconds after a warm-up, and see when the answers come; for the `number`th time."""
    sending = _Sending(rate, seconds, first=(10 * rate + number) * 1_000_000)
    ledger = _Ledger()
    out = contract.recommendations
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    async with _tail(bootstrap, out.name, out.partitions) as (consumer, _):
        receiving = asyncio.create_task(_receive(consumer, ledger))
        start = time.monotonic() + _POLL_S
        settling = asyncio.create_task(_worker_cpu_after(child, start + _WARM_UP_S))
        with disturbance() as others:
            count = await _send(producer, contract.events.name, ledger, sending, start)
        cpu = cpu_s(child.process.pid) - await settling
        await producer.flush()
        unanswered = await ledger.settled(_GRACE_S)
        receiving.cancel()
    await producer.stop()
    child.check()
    latencies = np.array(ledger.latencies) * 1000
    p50, p99, longest = (round(float(np.percentile(latencies, share)), 1) for share in (50, 99, 100))
    backlog = round(ledger.last_answer - ledger.last_due, 2)
    return Latency(
        rate, count, p50, p99, longest, round(cpu / seconds, 2), round(ledger.answers / count, 3), unanswered,
        backlog, sustained=not unanswered and backlog <= _NO_BACKLOG_S, **asdict(others),
    )  # fmt: skip


@dataclass(frozen=True)
class _Sending:
    """Events a second, for so many seconds after the warm-up, the `first` one's number."""

    rate: int
    seconds: float
    first: int


async def _send(producer: AIOKafkaProducer, topic: str, ledger: _Ledger, sending: _Sending, start: float) -> int:
    """Send events when they are due, late ones at once. Returns how many count."""
    rng = random.Random(sending.first)
    warming = int(sending.rate * _WARM_UP_S)
    total = warming + int(sending.rate * sending.seconds)
    for number in range(total):
        due = start + number / sending.rate
        if (early := due - time.monotonic()) > 0:
            await asyncio.sleep(early)
        made = event(sending.first + number, rng, ITEMS, SHOPPERS)
        ledger.due(made, due, number >= warming)
        await producer.send(topic, key=str(made.user).encode(), value=_encode(made))
    return total - warming


async def _receive(consumer: AIOKafkaConsumer, ledger: _Ledger) -> None:
    while True:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            now = time.monotonic()
            for record in records:
                ledger.answered(_decode(record.value), now)


@contextlib.asynccontextmanager
async def _tail(
    bootstrap: str, topic: str, partitions: int
) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    """A consumer at the end of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=500)
    await consumer.start()
    tps = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(tps)
    await consumer.seek_to_end(*tps)
    for tp in tps:  # the end is looked up when it is first asked for
        await consumer.position(tp)
    try:
        yield consumer, tps
    finally:
        await consumer.stop()


async def _worker_cpu_after(child: Child, moment: float) -> float:
    await asyncio.sleep(moment - time.monotonic())
    return cpu_s(child.process.pid)
