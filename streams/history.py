"""What a replay reads: the recorded topics of a shop, from their beginnings to a chosen place, as units in order."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer

from streams import follow
from streams.engine.effects import Record
from streams.follow import Span, Spans
from streams.replay import Unit, baskets, in_order, singly
from streams.topics import Topic, Topics


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the log: an offset of every partition of the events, or a Kafka timestamp in Unix milliseconds."""

    offset: int | None = None
    time: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read, and from which offset of a partition of the events on there are recommendations."""

    contract: Topics
    spans: Spans
    speaks_from: dict[int, int]

    def speaks(self, record: Record) -> bool:
        """Whether a recommendation is due for an event."""
        return record.offset >= self.speaks_from[record.partition]

    def size(self, topic: Topic) -> int:
        """How many offsets of a topic are read; with compaction, at least as many as there are records."""
        return sum(span.size for partition, span in self.spans.items() if partition.topic == topic.name)

    @property
    def speaking(self) -> int:
        """How many events there are from where recommendations begin."""
        return sum(
            Span(max(span.begin, self.speaks_from[partition.partition]), span.end).size
            for partition, span in self.spans.items()
            if partition.topic == self.contract.events.name
        )


async def plan(
    consumer: AIOKafkaConsumer, contract: Topics, start: Place, until: Place, made: Sequence[Topic] = ()
) -> Plan:
    """Look up what there is to read.

    Args:
        consumer: a connected one without a group.
        contract: the topics.
        start: where recommendations begin; nowhere in particular for the beginning.
        until: where the log ends for the replay; nowhere in particular for now.
        made: topics of what workers made that are read, too, whole.
    """
    wanted = [contract.events, contract.catalogue, *made]
    spans: Spans = {}
    for topic in wanted:
        spans |= await follow.whole(consumer, topic.name, topic.partitions)
    if until.time is not None:
        later = await follow.since(consumer, spans, until.time)
        spans = {partition: Span(span.begin, later[partition].begin) for partition, span in spans.items()}
    events = {partition: span for partition, span in spans.items() if partition.topic == contract.events.name}
    if until.offset is not None:
        events = {partition: Span(span.begin, min(span.end, until.offset)) for partition, span in events.items()}
    begins = events if start.time is None else await follow.since(consumer, events, start.time)
    first = start.offset or 0
    return Plan(
        contract, spans | events, {partition.partition: max(first, span.begin) for partition, span in begins.items()}
    )


def units(consumer: AIOKafkaConsumer, plan: Plan, *, every_event: bool) -> AsyncIterator[Unit]:
    """The records of a plan, cut and in order."""
    streams = []
    for partition, records in zip(plan.spans, follow.streams(consumer, plan.spans), strict=True):
        is_event = partition.topic == plan.contract.events.name
        streams.append(baskets(records, every_event=every_event) if is_event else singly(records))
    return in_order(streams)
