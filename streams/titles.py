"""Item titles, for showing records to people."""

import msgspec
from aiokafka import AIOKafkaConsumer

from streams import follow
from streams.engine.effects import Record
from streams.topics import Topic


class _Titled(msgspec.Struct):
    title: str


_decode_title = msgspec.json.Decoder(_Titled).decode


async def titles_of(consumer: AIOKafkaConsumer, catalogue: Topic) -> dict[str, str]:
    """The titles of all items that the catalogue has now, by item id."""
    titles: dict[str, str] = {}
    async for record in follow.until_now(consumer, catalogue.name, catalogue.partitions):
        learn(titles, record)
    return titles


def learn(titles: dict[str, str], record: Record) -> None:
    """Note an item's title. A deleted item keeps its own: records of before may still name it."""
    if record.key and record.value:
        try:
            titles[record.key.decode()] = _decode_title(record.value).title
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
