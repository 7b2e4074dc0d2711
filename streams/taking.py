"""Reads a topic for a program that takes records one by one: `async for record in reader`."""

import contextlib
from abc import ABC, abstractmethod
from collections import deque
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError

from streams.errors import ContractError

FETCH_MS = 200
TOGETHER = 1_000

Taken = TypeVar("Taken", bound=msgspec.Struct)


class TopicReader(ABC, Generic[Taken]):
    """Iterates over the new records of a topic, between `async with`.

    A record is done when the next one is asked for, or when the block ends without an error. What is done is committed
    for the group, so a program that ends in the middle gets the record again that it was busy with, and loses none.

    Args:
        topic: its name.
        record: what its values are, in JSON.
        bootstrap: host:port[,host:port…].
        group: consumer group, which begins with what there is; None to read from now on and commit nothing.
        options: of aiokafka's consumer.
    """

    def __init__(
        self, topic: str, record: type[Taken], bootstrap: str, group: str | None, options: dict[str, Any]
    ) -> None:
        self._topic = topic
        self._group = group
        self._decoder: msgspec.json.Decoder[Taken] = msgspec.json.Decoder(record)
        self._options = {
            "bootstrap_servers": bootstrap,
            "group_id": group,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest" if group else "latest",
            **options,
        }
        self._consumer: AIOKafkaConsumer | None = None
        self._fetched: deque[tuple[TopicPartition, ConsumerRecord[bytes, bytes]]] = deque()
        self._busy_with: tuple[TopicPartition, int] | None = None
        self._done: dict[TopicPartition, int] = {}

    @abstractmethod
    def is_new(self, record: Taken) -> bool:
        """Whether a record is to be handed out."""

    def gone(self, key: str) -> None:
        """A record without value: whoever has this key is erased."""

    async def __aenter__(self) -> Self:
        """Connect. Raises aiokafka.errors.KafkaError."""
        self._consumer = AIOKafkaConsumer(self._topic, **self._options)
        try:
            await self._consumer.start()
            if not self._group:
                # Where "from now on" is, is found out when it is first asked for.
                for partition in self._consumer.assignment():
                    await self._consumer.position(partition)
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what is done, and disconnect."""
        if error is None:
            self._finish()
        if self._consumer is not None:
            with contextlib.suppress(Exception):  # it comes again, and what the program ends with is not hidden
                await self._commit()
            await self._consumer.stop()

    def __aiter__(self) -> Self:
        """New records, each once."""
        return self

    async def __anext__(self) -> Taken:
        """The next record; waits for one.

        Raises:
            ContractError: a record is none of this topic's.
            aiokafka.errors.KafkaError: the brokers cannot be read.
        """
        if self._consumer is None:
            raise RuntimeError("use it in `async with`")
        self._finish()
        while True:
            while self._fetched:
                partition, record = self._fetched.popleft()
                taken = self._read(record)
                self._busy_with = partition, record.offset + 1
                if taken is not None:
                    return taken
                self._finish()
            await self._commit()
            fetched = await self._consumer.getmany(timeout_ms=FETCH_MS, max_records=TOGETHER)
            self._fetched.extend((partition, record) for partition, records in fetched.items() for record in records)

    def _finish(self) -> None:
        if self._busy_with is not None:
            partition, offset = self._busy_with
            self._done[partition] = offset
            self._busy_with = None

    async def _commit(self) -> None:
        if self._consumer is None or not (self._group and self._done):
            return
        ours = self._consumer.assignment()
        done = {partition: offset for partition, offset in self._done.items() if partition in ours}
        self._done = {}
        with contextlib.suppress(CommitFailedError):  # another member has them now, and reads them again
            await self._consumer.commit(done)

    def _read(self, record: "ConsumerRecord[bytes, bytes]") -> Taken | None:
        if record.value is None:
            self.gone((record.key or b"").decode(errors="replace"))
            return None
        try:
            found = self._decoder.decode(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            place = f"{record.topic}/{record.partition} @ {record.offset}"
            raise ContractError(f"the record at {place} is not what this version reads") from None
        return found if self.is_new(found) else None
