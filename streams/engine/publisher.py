"""Records to Kafka in batches per partition. Coming back means: every one of them is acknowledged by all replicas.

The producer is not idempotent. Duplicates do no harm (rows are ordered by their source offset, outputs carry an id),
and an idempotent producer that falls out of sequence is broken for good.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from streams.clock import now_ms
from streams.engine.effects import Output
from streams.errors import UpwellError
from streams.partitioning import Partitioner, chooser

_BATCH_BYTES = 512 * 1024
_REQUEST_BYTES = 4 * _BATCH_BYTES
_REQUEST_MS = 20_000
_STOP_S = 5.0

TopicPartition = tuple[str, int]


class PublishError(UpwellError):
    """Kafka did not acknowledge. Not the record's fault: try again."""


class TooLargeError(UpwellError):
    """A record is larger than its topic takes. Trying again does not help."""


class Publish(Protocol):
    """`Publisher.publish`."""

    def __call__(self, records: Sequence[Output], /) -> Awaitable[dict[TopicPartition, int]]: ...


@dataclass(frozen=True, slots=True)
class _Sent:
    topic_partition: TopicPartition
    count: int
    acknowledged: "asyncio.Future[Any]"


class Publisher:
    """One producer, started on first use and made anew after an error.

    Args:
        options: keyword arguments for aiokafka clients, `bootstrap_servers` among them.
        partitioner: chooses for records that do not name their partition.
    """

    def __init__(self, options: dict[str, Any], partitioner: Partitioner = Partitioner.MURMUR2) -> None:
        self._options = options
        self._producer: AIOKafkaProducer | None = None
        self._choose = chooser(partitioner)
        self._lock = asyncio.Lock()

    async def publish(self, records: Iterable[Output]) -> dict[TopicPartition, int]:
        """Send records, in order within a partition, and wait for all acknowledgements.

        Returns:
            The offset of the last record on each partition.

        Raises:
            TooLargeError: a topic does not take a record of this size, or it is larger than a request may be.
            PublishError: anything else. Some of the records may be on their topics.
        """
        producer = None
        try:
            producer = await self._started()
            sent = await self._send(producer, records)
            done = await asyncio.gather(*(part.acknowledged for part in sent), return_exceptions=True)
            offsets = {}
            for part, outcome in zip(sent, done, strict=True):
                if isinstance(outcome, BaseException):
                    raise outcome
                offsets[part.topic_partition] = outcome.offset + part.count - 1
        except MessageSizeTooLargeError:
            raise TooLargeError("a record is larger than `max.message.bytes` of its topic") from None
        except (KafkaError, OSError) as error:
            await self._give_up(producer)
            raise PublishError(f"Kafka did not acknowledge ({type(error).__name__})") from error
        return offsets

    async def stop(self) -> None:
        """Let go of the producer. What is not acknowledged yet may be lost."""
        await self._give_up(self._producer)

    async def _give_up(self, producer: AIOKafkaProducer | None) -> None:
        """Stop a producer, unless another publication has given it up already: the next one may be in use by now."""
        if self._producer is not producer or producer is None:
            return
        self._producer = None
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            await asyncio.wait_for(producer.stop(), _STOP_S)

    async def _started(self) -> AIOKafkaProducer:
        async with self._lock:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    acks="all", linger_ms=0, max_batch_size=_BATCH_BYTES, max_request_size=_REQUEST_BYTES,
                    request_timeout_ms=_REQUEST_MS, **self._options,
                )  # fmt: skip
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
        return self._producer

    async def _send(self, producer: AIOKafkaProducer, records: Iterable[Output]) -> list[_Sent]:
        by_partition: dict[TopicPartition, list[Output]] = {}
        for record in records:
            partition = record.partition
            if partition is None:
                partition = await self._partition(producer, record)
            by_partition.setdefault((record.topic, partition), []).append(record)
        # Nothing is sent before all of it is built: a record that is no bytes leaves nothing behind.
        built = [(target, batch) for target, group in by_partition.items() for batch in self._built(producer, group)]
        return [await self._submit(producer, batch, target) for target, batch in built]

    @classmethod
    def _built(cls, producer: AIOKafkaProducer, records: Sequence[Output]) -> list[Any]:
        """Records in as few batches as hold them. Raises TooLargeError."""
        now = now_ms()
        batches = [producer.create_batch()]
        for record in records:
            if not cls._appended(batches[-1], record, now):
                batches.append(producer.create_batch())
                cls._appended(batches[-1], record, now)
        # A record is in a batch however large it is. A broker hangs up on a request that is far too large, which looks
        # like trouble that passes: a packed record of 100 KB may have unpacked to 100 MB.
        if any(batch.size() > _REQUEST_BYTES for batch in batches):
            raise TooLargeError("a record is larger than a request may be")
        return batches

    @staticmethod
    def _appended(batch: Any, record: Output, now: int) -> bool:
        """Append a record, unless the batch is full."""
        headers = list(record.headers)
        return batch.append(timestamp=now, key=record.key, value=record.value, headers=headers) is not None

    @staticmethod
    async def _submit(producer: AIOKafkaProducer, batch: Any, target: TopicPartition) -> _Sent:
        batch.close()
        topic, partition = target
        return _Sent(target, batch.record_count(), await producer.send_batch(batch, topic, partition=partition))

    async def _partition(self, producer: AIOKafkaProducer, record: Output) -> int:
        partitions = sorted(await producer.partitions_for(record.topic))
        return self._choose(record.key, partitions, partitions)
