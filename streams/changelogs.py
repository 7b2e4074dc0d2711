"""A table as its changelog topic tells it: the newest row of every key, read whole."""

from collections.abc import AsyncIterator, Callable, Sequence

from aiokafka import AIOKafkaConsumer

from streams import follow
from streams.engine.effects import Record
from streams.engine.rows import newest
from streams.topics import Topic

Rows = dict[tuple[int, bytes], bytes]
"""Partition and key → row."""

_TOGETHER = 1_000


async def rows_of(
    consumer: AIOKafkaConsumer, changelog: Topic, wanted: Callable[[bytes], bool] = lambda key: True
) -> Rows:
    """The rows that a worker would recover from a changelog now, those with keys that are wanted.

    Of two rows of a key the one with the higher source offset counts, as in recovery.
    """
    rows: Rows = {}
    async for part in parts_of(consumer, changelog, wanted):
        rows |= part
    return rows


async def parts_of(
    consumer: AIOKafkaConsumer,
    changelog: Topic,
    wanted: Callable[[bytes], bool] = lambda key: True,
    progress: follow.Progress = lambda done, total: None,
) -> AsyncIterator[Rows]:
    """The same, one partition after the other, so that no more than one is in memory.

    Args:
        consumer: without a group.
        changelog: the topic.
        wanted: whether rows under a key are.
        progress: told how many of how many offsets have been read.
    """
    spans = await follow.whole(consumer, changelog.name, changelog.partitions)
    done, total = 0, sum(span.size for span in spans.values())
    for partition, span in spans.items():
        rows: Rows = {}
        pending: list[Record] = []
        async for record in follow.between(consumer, {partition: span}):
            if record.key and wanted(record.key):
                pending.append(record)
                if len(pending) == _TOGETHER:
                    _apply(rows, partition.partition, pending)
                    pending = []
                    progress(done + record.offset - span.begin, total)
        _apply(rows, partition.partition, pending)
        done += span.size
        progress(done, total)
        yield rows


def _apply(rows: Rows, partition: int, records: Sequence[Record]) -> None:
    changes, _ = newest(records, lambda keys: [rows.get((partition, key)) for key in keys])
    for key, row in changes.items():
        if row is None:
            rows.pop((partition, key), None)
        else:
            rows[partition, key] = row
