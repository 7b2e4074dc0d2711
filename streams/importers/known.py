"""What the topics have already: so that an import goes on where one stopped, and a second one applies nothing twice."""

from collections.abc import AsyncIterator
from hashlib import blake2b

import msgspec
from aiokafka import AIOKafkaConsumer

from streams import follow
from streams.follow import Progress
from streams.formats.base import FormatError
from streams.formats.reading import Formats, Subject
from streams.importers.convert import identity
from streams.topics import Topic


class _Id(msgspec.Struct):
    id: str


_decode = msgspec.json.Decoder(_Id).decode


async def events(consumer: AIOKafkaConsumer, topic: Topic, formats: Formats, progress: Progress) -> set[int]:
    """The identities of all events on the log, whoever sent them and in whichever format."""
    found = set()
    async for _, value in _values(consumer, topic, formats, Subject.EVENTS, progress):
        try:
            found.add(identity(_decode(value or b"").id))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue  # no event: a worker refuses it
    return found


async def items(consumer: AIOKafkaConsumer, topic: Topic, formats: Formats, progress: Progress) -> dict[bytes, bytes]:
    """Item id → digest of what its newest record says, as JSON."""
    found: dict[bytes, bytes] = {}
    async for key, value in _values(consumer, topic, formats, Subject.CATALOGUE, progress):
        if value is not None:
            found[key] = digest(value)
        else:
            found.pop(key, None)
    return found


async def _values(
    consumer: AIOKafkaConsumer, topic: Topic, formats: Formats, subject: Subject, progress: Progress
) -> AsyncIterator[tuple[bytes, bytes | None]]:
    """Key and value of every record of a topic that has a key, the value as JSON; what is in no format is left out."""
    async for record in follow.until_now(consumer, topic.name, topic.partitions, progress):
        if record.key and record.value is None:
            yield record.key, None
        elif record.key:
            await formats.learn_patiently([record])
            try:
                value = formats.json(record, subject)
            except (FormatError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            yield record.key, value


def digest(value: bytes) -> bytes:
    """16 bytes that stand for a record's value."""
    return blake2b(value, digest_size=16).digest()
