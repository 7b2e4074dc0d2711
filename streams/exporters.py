"""Profiles, vectors and recommendations as Parquet files, for notebooks and warehouses.

    topic ──► rows of plain values ──► pyarrow, a batch at a time ──► FILE.part ──► FILE

A file appears whole or not at all. Shoppers are named as on the topics: by pseudonyms, where there are any.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer

from streams import changelogs, codecs, follow, portrait
from streams.core.halflives import HalfLives
from streams.errors import ConfigError, DataError
from streams.follow import Progress
from streams.records import Recommendation
from streams.topics import Topic, Topics

Row = dict[str, Any]

_BATCH = 2_000
_JOINED = b"\xff"
"""The first byte of the keys of what has moved to a user (`streams.codecs`)."""


class What(StrEnum):
    """What there is to export."""

    PROFILES = "profiles"
    VECTORS = "vectors"
    RECOMMENDATIONS = "recommendations"


def rows(
    consumer: AIOKafkaConsumer, contract: Topics, what: What, slot: str, progress: Progress, half_lives: HalfLives
) -> AsyncIterator[Row]:
    """The rows of an export.

    Args:
        consumer: connected, without a group.
        contract: the topics.
        what: to export.
        slot: the table of embeddings whose model serves.
        progress: told how far it is.
        half_lives: those of the shop.

    Raises:
        ContractError: a row is of another version.
    """
    match what:
        case What.PROFILES:
            return _profiles(consumer, contract.profiles, progress, half_lives)
        case What.VECTORS:
            return _vectors(consumer, contract.slots[slot], progress)
    return _recommendations(consumer, contract.recommendations, progress)


class Writer:
    """Writes rows a batch at a time. Made by `opened`."""

    def __init__(self, file: Any, shape: Any) -> None:
        self._file = file
        self._shape = shape
        self._batch: list[Row] = []
        self.count = 0

    def add(self, row: Row) -> None:
        """Take a row."""
        self._batch.append(row)
        self.count += 1
        if len(self._batch) == _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what there is."""
        self._file.write_table(_pyarrow().Table.from_pylist(self._batch, self._shape))
        self._batch = []


@contextlib.contextmanager
def opened(path: Path, what: What) -> Iterator[Writer]:
    """A file to write to; it is there when the block has ended well, and not before.

    Raises:
        ConfigError: the extra `parquet` is not installed.
        DataError: the file cannot be written.
    """
    shape = schema(what)
    with _appearing(path) as part, _pyarrow().parquet.ParquetWriter(part, shape, compression="zstd") as file:
        writer = Writer(file, shape)
        yield writer
        writer.flush()


def schema(what: What) -> Any:
    """The columns of an export, a `pyarrow.Schema`. Times are UTC, to the millisecond.

    Raises:
        ConfigError: the extra `parquet` is not installed.
    """
    pa = _pyarrow()
    text, real, whole, time = pa.string(), pa.float64(), pa.int64(), pa.timestamp("ms", "UTC")
    match what:
        case What.PROFILES:
            weighted = pa.list_(pa.struct({"item": text, "weight": real}))
            return pa.schema({
                "user": text,
                "partition": pa.int32(),
                "offset": whole,
                "time": time,
                "stage": text,
                "recent": pa.list_(pa.struct({"item": text, "type": text, "weight": real, "time": time})),
                "habits": pa.list_(
                    pa.struct({"item": text, "purchases": whole, "first": time, "last": time, "strength": real})
                ),
                "interests": pa.map_(text, weighted),
                "attributes": pa.map_(text, text),
                "turned_down": pa.list_(text),
                "in_cart": pa.list_(text),
            })  # fmt: skip
        case What.VECTORS:
            vector = pa.list_(pa.float32())
            return pa.schema({"item": text, "model": text, "text_digest": text, "offset": whole, "vector": vector})
    reason = pa.struct({"channel": text, "share": real, "text": text})
    item = {"rank": pa.int32(), "item": text, "score": real, "channel": text, "propensity": real}
    return pa.schema({
        "id": text,
        "user": text,
        "time": time,
        "partition": pa.int32(),
        "offset": whole,
        "trigger": pa.struct({
            "event": text, "type": text, "item": text, "partition": pa.int32(), "offset": whole, "timestamp": time,
        }),
        "items": pa.list_(pa.struct({**item, "reasons": pa.list_(reason)})),
        "model": text,
        "policy": text,
        "stage": text,
    })  # fmt: skip


async def _profiles(
    consumer: AIOKafkaConsumer, topic: Topic, progress: Progress, half_lives: HalfLives
) -> AsyncIterator[Row]:
    """One row a shopper, with what has moved to them from their anonymous ids."""
    async for part in changelogs.parts_of(consumer, topic, progress=progress):
        for user in sorted({key.removeprefix(_JOINED).decode() for _, key in part}):
            for partition, profile in codecs.wholes(part, user).items():
                told = portrait.as_json(profile, {}, half_lives)
                yield told | {
                    "user": user,
                    "partition": partition,
                    "time": told["time"] or None,
                    "interests": list(told["interests"].items()),
                    "attributes": [(name, known["value"]) for name, known in told["attributes"].items()],
                }


async def _vectors(consumer: AIOKafkaConsumer, topic: Topic, progress: Progress) -> AsyncIterator[Row]:
    """One row an item."""
    async for part in changelogs.parts_of(consumer, topic, progress=progress):
        for (_, key), row in sorted(part.items()):
            embedding = codecs.decode_embedding(row)
            yield {
                "item": key.decode(),
                "model": embedding.model,
                "text_digest": embedding.digest.hex(),
                "offset": embedding.offset,
                "vector": embedding.vector.astype("<f4"),
            }


async def _recommendations(consumer: AIOKafkaConsumer, topic: Topic, progress: Progress) -> AsyncIterator[Row]:
    """One row a recommendation that is on the topic; what is none is passed over, as any reader should."""
    decode = msgspec.json.Decoder(Recommendation).decode
    async for record in follow.until_now(consumer, topic.name, topic.partitions, progress):
        try:
            found = decode(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        yield msgspec.to_builtins(found) | {"partition": record.partition, "offset": record.offset}


@contextlib.contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A path beside the file, which takes the file's place at the end, or is gone if it comes to none."""
    part = path.with_name(path.name + ".part")
    try:
        part.touch(mode=0o600)  # it may tell of people; who may read it is for its owner to say
        yield part
        part.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or type(error).__name__}") from None
    finally:
        part.unlink(missing_ok=True)


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise ConfigError("Parquet takes pyarrow: pip install 'upwell[parquet]'") from None
    return pa
