"""Reads the dead-letter topic, and sends letters back by the rules of `streams.redrive`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from streams import follow, redrive
from streams.engine.deadletters import Refused, refused
from streams.engine.effects import Record
from streams.errors import BrokerError, UpwellError
from streams.follow import Span
from streams.redrive import Fate
from streams.settings import KafkaSettings
from streams.topics import Topics

_TOGETHER = 500
"""Records of one transaction."""

_BATCH_BYTES = 512 * 1024


class FencedError(UpwellError):
    """Another redrive of the same shop was started, and took over."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A record of the dead-letter topic; `about` is None for one that the engine did not write."""

    record: Record
    about: Refused | None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters to send back: of these reasons (None: of all), at offsets from `begin` up to `end` (None: all)."""

    reasons: Collection[str] | None = None
    begin: int | None = None
    end: int | None = None

    def wants(self, letter: Letter) -> bool:
        """Whether a letter is selected."""
        return (
            letter.about is not None
            and (self.reasons is None or letter.about.reason in self.reasons)
            and (self.begin is None or letter.record.offset >= self.begin)
            and (self.end is None or letter.record.offset < self.end)
        )


@dataclass(frozen=True, slots=True)
class Decided:
    """A selected letter, and what becomes of it."""

    letter: Letter
    about: Refused
    fate: Fate


def transactional_id(shop: str) -> str:
    """What all redrives of a shop write under; the cluster must allow it."""
    return f"{shop}.upwell.redrive"


async def letters(consumer: AIOKafkaConsumer, contract: Topics) -> AsyncIterator[Letter]:
    """All letters that there are now."""
    async for record in follow.until_now(consumer, contract.dlq.name, contract.dlq.partitions):
        yield Letter(record, refused(record))


async def letter_at(consumer: AIOKafkaConsumer, contract: Topics, partition: int, offset: int) -> Letter | None:
    """The letter at an offset, None where there is none."""
    where = TopicPartition(contract.dlq.name, partition)
    there = (await follow.whole(consumer, contract.dlq.name, contract.dlq.partitions)).get(where, Span(0, 0))
    if not there.begin <= offset < there.end:
        return None
    async for record in follow.between(consumer, {where: Span(offset, offset + 1)}):
        return Letter(record, refused(record))
    return None


async def decide(consumer: AIOKafkaConsumer, contract: Topics, selection: Selection) -> list[Decided]:
    """The selected letters in the order of the records that they are of, and what should become of each."""
    chosen = [
        (letter, letter.about)
        async for letter in letters(consumer, contract)
        if letter.about is not None and selection.wants(letter)
    ]
    chosen.sort(key=lambda pair: redrive.place(pair[1]))
    spans: follow.Spans = {}
    for topic in (contract.events, contract.catalogue):
        spans |= await follow.whole(consumer, topic.name, topic.partitions)
    log = redrive.Log(contract, {(where.topic, where.partition): span for where, span in spans.items()})
    behind: follow.Spans = {}
    for _, about in chosen:  # the first of a partition is the oldest
        where = TopicPartition(about.topic, about.partition)
        if where in spans and where not in behind:
            behind[where] = Span(max(spans[where].begin, about.offset + 1), spans[where].end)
    async for record in follow.between(consumer, behind):
        log.note(record)
    fates = log.fates([about for _, about in chosen])
    return [Decided(letter, about, fate) for (letter, about), fate in zip(chosen, fates, strict=True)]


async def send_back(
    bootstrap: str,
    kafka: KafkaSettings,
    contract: Topics,
    writer: str,
    selection: Selection,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Decided]:
    """Send selected letters back, those with the fate `SEND`.

    Args:
        bootstrap: host:port of the cluster.
        kafka: how to talk to it.
        contract: the shop's topics.
        writer: `transactional_id` of the shop.
        selection: which letters.
        progress: told how many of how many are sent.

    Raises:
        FencedError: another redrive took over.
        BrokerError: the cluster cannot be reached, or refuses. What was sent is not sent again.
    """
    async with _only_writer(bootstrap, kafka, writer) as producer:
        # Not before the producer: from its start on, nobody else adds copies to what is read here.
        async with follow.reader(bootstrap, kafka) as consumer:
            decided = await decide(consumer, contract, selection)
        sending = [one.about for one in decided if one.fate is Fate.SEND]
        for start in range(0, len(sending), _TOGETHER):
            async with producer.transaction():
                await _send(producer, sending[start : start + _TOGETHER])
            progress(min(start + _TOGETHER, len(sending)), len(sending))
    return decided


@contextlib.asynccontextmanager
async def _only_writer(bootstrap: str, kafka: KafkaSettings, writer: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id=writer, acks="all", max_batch_size=_BATCH_BYTES,
        max_request_size=4 * _BATCH_BYTES, **kafka.client_options(),
    )  # fmt: skip
    try:
        await producer.start()
        yield producer
    except ProducerFenced as error:
        raise FencedError(
            "another redrive of this shop was started and took over: what this one had sent is not sent again, and "
            "the other one sends what it was asked for. Run this again when it is done, if it was asked for less"
        ) from error
    except (KafkaError, OSError) as error:
        raise BrokerError(
            f"the Kafka at {bootstrap} did not take the records ({type(error).__name__}); the transactional id "
            f"{writer} must be allowed to write. Run it again: what was sent is not sent again"
        ) from error
    finally:
        with contextlib.suppress(KafkaError, OSError):
            await producer.stop()


async def _send(producer: AIOKafkaProducer, sending: Sequence[Refused]) -> None:
    """Send copies and wait for all acknowledgements. In batches made by hand: `send` refuses a record of nothing."""
    by_partition = groupby(sending, key=lambda about: (about.topic, about.partition))
    under_way = [
        await producer.send_batch(batch, topic, partition=partition)
        for (topic, partition), group in by_partition
        for batch in _batches(producer, group)
    ]
    await asyncio.gather(*under_way)


def _batches(producer: AIOKafkaProducer, group: Iterator[Refused]) -> Iterator[object]:
    batch = producer.create_batch()
    for about in group:
        output = redrive.copy(about)
        content = {"key": output.key, "value": output.value, "headers": list(output.headers), "timestamp": None}
        if batch.append(**content) is None:
            batch.close()
            yield batch
            batch = producer.create_batch()
            batch.append(**content)
    batch.close()
    yield batch
