"""What the topics have already: so that an import goes on where one stopped, and a second one applies nothing twice."""

from collections.abc import Callable
from hashlib import blake2b

import msgspec
from aiokafka import AIOKafkaConsumer

from streams import follow
from streams.importers.convert import identity
from streams.topics import Topic

Progress = Callable[[int, int], None]
"""Told how many of how many offsets have been looked at."""

_TELL_EVERY = 1_000


class _Id(msgspec.Struct):
    id: str


_decode = msgspec.json.Decoder(_Id).decode


async def events(consumer: AIOKafkaConsumer, topic: Topic, progress: Progress) -> set[int]:
    """The identities of all events on the log, whoever sent them."""
    found = set()
    spans = await follow.whole(consumer, topic.name, topic.partitions)
    total = sum(span.size for span in spans.values())
    done = 0
    async for record in follow.between(consumer, spans):
        done += 1
        if done % _TELL_EVERY == 0:
            progress(done, total)
        try:
            found.add(identity(_decode(record.value or b"").id))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue  # no event: a worker refuses it
    return found


async def items(consumer: AIOKafkaConsumer, topic: Topic, progress: Progress) -> dict[bytes, bytes]:
    """Item id → digest of its newest record."""
    found: dict[bytes, bytes] = {}
    spans = await follow.whole(consumer, topic.name, topic.partitions)
    total = sum(span.size for span in spans.values())
    done = 0
    async for record in follow.between(consumer, spans):
        done += 1
        if done % _TELL_EVERY == 0:
            progress(done, total)
        if record.key and record.value is not None:
            found[record.key] = digest(record.value)
        elif record.key:
            found.pop(record.key, None)
    return found


def digest(value: bytes) -> bytes:
    """16 bytes that stand for a record's value."""
    return blake2b(value, digest_size=16).digest()
