"""`upwell produce`: send your own events, catalogue and questions from JSONL files."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import click
import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streams import admin, broker, files, settings
from streams.edge import limits_of
from streams.errors import BrokerError, DataError
from streams.files import Source
from streams.jsonl import BadLine, Kind, Outgoing
from streams.partitioning import Partitioner, chooser
from streams.settings import KafkaSettings
from streams.topics import Topics, topics

UNACKNOWLEDGED = 5_000
"""Records under way at most."""


@dataclass(slots=True)
class Summary:
    """What became of the lines. A record counts as sent once the broker has acknowledged it."""

    sent: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    started: float = field(default_factory=time.monotonic)

    def counts(self) -> dict[str, Any]:
        """`events`, `items`, `deletions`, `questions`, `bad`, `seconds`."""
        sent = {what: self.sent[what] for what in ("events", "items", "deletions", "questions")}
        return {**sent, "bad": self.bad, "seconds": round(time.monotonic() - self.started, 3)}

    def __str__(self) -> str:
        counts = self.counts()
        asked = "{questions} questions, ".format(**counts) if counts["questions"] else ""
        return f"Sent {asked}" + "{events} events, {items} items and {deletions} deletions in {seconds:.1f} s.".format(
            **counts
        )


@click.command()
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--as", "kind", type=click.Choice([k.value for k in Kind]), help="What the lines are, instead of telling."
)
@click.option("--strict", is_flag=True, help="Check everything first; send nothing if a line is bad.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Records a second at most.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.pass_context
def produce(
    ctx: click.Context, paths: Sequence[str], kind: str | None, strict: bool, rate: float | None, as_json: bool
) -> None:
    """Send events, catalogue items and questions from JSON Lines files ("-" is standard input).

    A line with `type` and `time` is an event, one with `title` a catalogue item, {"id": "...", "deleted": true}
    deletes an item, and one with `text` is a question, which workers with the role `answers` answer. Every line is
    checked as a worker does it; bad ones are reported as FILE:LINE and left out, and the exit code is 5 if there were
    any.

    \b
    Examples:
      upwell produce catalogue.jsonl events.jsonl
      upwell produce --strict --rate 200 events.jsonl
      zcat events.jsonl.gz | upwell produce --as events -
      echo '{"id": "q-1", "text": "red mugs", "time": 1767607200000}' | upwell produce --as questions -
    """
    configured, kafka = settings.load()
    reader = files.Reader(limits_of(configured), Kind(kind) if kind else None)
    summary = Summary()
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(files.opened(path, twice=strict)) for path in paths]
        if strict:
            for source in sources:
                reader.insist(source)
        contract = topics(configured.shop, configured.partitions)
        target = Target(broker.connect(configured, kafka).bootstrap, kafka, contract, configured.partitioner)
        try:
            asyncio.run(_produce(target, reader, sources, Pace(rate), summary))
        except KeyboardInterrupt:
            click.echo(f"Interrupted. {summary}", err=True)
            ctx.exit(130)
    click.echo(msgspec.json.encode(summary.counts()) if as_json else str(summary))
    if summary.bad:
        raise DataError(f"{summary.bad} bad lines, listed above, were left out")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send to."""

    bootstrap: str
    kafka: KafkaSettings
    topics: Topics
    partitioner: Partitioner


class Pace:
    """Holds back to `rate` records a second (None: as fast as it goes), by the time since the first."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._started: float | None = None
        self._count = 0

    async def turn(self) -> None:
        """Wait until the next record is due."""
        if self._rate is None:
            return
        now = time.monotonic()
        if self._started is None:
            self._started = now
        if (early := self._started + self._count / self._rate - now) > 0:
            await asyncio.sleep(early)
        self._count += 1


async def _produce(
    target: Target, reader: files.Reader, sources: Sequence[Source], pace: Pace, summary: Summary
) -> None:
    await admin.require_topics(target.bootstrap, target.kafka, target.topics)
    # Idempotent: a retry neither doubles a record nor changes the order of a key's records.
    producer = AIOKafkaProducer(
        bootstrap_servers=target.bootstrap,
        enable_idempotence=True,
        acks="all",
        linger_ms=5,
        max_batch_size=1 << 18,
        partitioner=chooser(target.partitioner),
        **target.kafka.client_options(),
    )
    try:
        await producer.start()
        try:
            await _send_all(Sender(producer, target.topics, summary), reader, sources, pace)
        finally:
            await producer.stop()  # sends what it holds
    except MessageSizeTooLargeError:
        raise DataError(
            "a record is larger than its topic takes (max.message.bytes), though not than UPWELL_MAX_EVENT_BYTES or "
            f"UPWELL_MAX_ITEM_BYTES. {summary}"
        ) from None
    except (KafkaError, OSError) as error:
        raise BrokerError(
            f"the Kafka at {target.bootstrap} took no more records ({type(error).__name__}). {summary} "
            "Sending all of it again soon does no harm: events are recognised by their ids."
        ) from error


async def _send_all(sender: "Sender", reader: files.Reader, sources: Sequence[Source], pace: Pace) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[sent]} sent"), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        for source in sources:
            bar = progress.add_task(source.name, total=source.size, sent=0)
            async for lines, size in reader.read(source):
                for line in lines:
                    if isinstance(line, BadLine):
                        sender.summary.bad += 1
                        console.print(str(line), markup=False)
                    else:
                        await pace.turn()
                        await sender.send(line)
                progress.update(bar, advance=size, sent=sender.summary.sent.total())
        await sender.acknowledged()


class Sender:
    """Sends records, and counts those that the broker has acknowledged."""

    def __init__(self, producer: AIOKafkaProducer, topics: Topics, summary: Summary) -> None:
        self._producer = producer
        self._addresses = {
            Kind.EVENTS: topics.events,
            Kind.CATALOGUE: topics.catalogue,
            Kind.QUESTIONS: topics.questions,
        }
        self._under_way: list[asyncio.Future[Any]] = []
        self.summary = summary

    async def send(self, record: Outgoing) -> None:
        """Hand a record to the producer; waits when too many are under way.

        Raises:
            KafkaError: a record could not be delivered.
        """
        topic = self._addresses[record.kind]
        future = await self._producer.send(
            topic.name,
            key=record.key,
            value=record.value,
            partition=record.partition,
            timestamp_ms=record.timestamp,
        )
        items = "deletions" if record.value is None else "items"
        what = items if record.kind is Kind.CATALOGUE else record.kind.value
        future.add_done_callback(lambda done: self._count(done, what))
        self._under_way.append(future)
        if len(self._under_way) >= UNACKNOWLEDGED:
            await self.acknowledged()

    async def acknowledged(self) -> None:
        """Wait for the acknowledgement of all that was sent."""
        under_way, self._under_way = self._under_way, []
        await asyncio.gather(*under_way)

    def _count(self, done: "asyncio.Future[Any]", what: str) -> None:
        if not done.cancelled() and done.exception() is None:
            self.summary.sent[what] += 1
