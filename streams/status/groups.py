"""Consumer groups: who is in them, and how far behind they are."""

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError

from streams import follow
from streams.admin import patiently
from streams.follow import Span, Spans
from streams.status.report import Group, Lag, Member

_NOTHING = "Dead"
"""What Kafka calls a group that it does not know."""


async def names(client: AIOKafkaAdminClient, prefix: str, expected: Iterable[str]) -> dict[str, str]:
    """Groups by role: those expected, and what else has a name with this prefix (a model that is being swapped in)."""
    try:
        listed = [name for name, _ in await client.list_consumer_groups()]
    except KafkaError:  # listing takes a right that describing one's own groups does not
        listed = []
    others = {name.removeprefix(prefix): name for name in sorted(listed) if name.startswith(prefix)}
    return {role: prefix + role for role in expected} | others


async def group(
    client: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, name: str, role: str, sources: Sequence[str], spans: Spans
) -> Group:
    """One group.

    Args:
        client: connected.
        consumer: connected, without a group; it is assigned anew.
        name: of the group.
        role: what it does.
        sources: the topics that such a role reads; those it has committed offsets of are added.
        spans: what the topics of the shop hold now.
    """
    state, members = await _members(client, name)
    offsets = await patiently(partial(client.list_consumer_group_offsets, name))
    committed = {place: at.offset for place, at in offsets.items() if at.offset >= 0}
    read = list(dict.fromkeys([*sources, *sorted({place.topic for place in committed})]))
    own = {place: span for place, span in spans.items() if place.topic in read}
    lags = await _lags(consumer, own, committed) if members or committed else []
    return Group(
        role,
        name,
        "Empty" if state == _NOTHING else state,
        read,
        [Member(client, host, sorted(parts.get(read[0], ())) if read else []) for client, host, parts in members],
        lags,
    )


async def _members(client: AIOKafkaAdminClient, name: str) -> tuple[str, list[tuple[str, str, dict[str, list[int]]]]]:
    """State, and client id, host and partitions by topic of each member."""
    # One group at a time: the client misreads an answer about several.
    for answer in await patiently(partial(client.describe_consumer_groups, [name])):
        for _, _, state, _, _, members, *_ in answer.groups:
            rows = [(row[-4], row[-3], _assigned(row[-1])) for row in members]
            return state, sorted(rows, key=lambda row: row[:2])
    return _NOTHING, []


def _assigned(raw: bytes) -> dict[str, list[int]]:
    """Partitions by topic; nothing for a member that has not been given any yet."""
    if not raw:
        return {}
    return {topic: list(numbers) for topic, numbers in ConsumerProtocolMemberAssignment.decode(raw).assignment}


async def _lags(consumer: AIOKafkaConsumer, spans: Spans, committed: Mapping[TopicPartition, int]) -> list[Lag]:
    at = {place: min(max(span.begin, committed.get(place, span.begin)), span.end) for place, span in spans.items()}
    waiting = await follow.first(consumer, {place: Span(at[place], span.end) for place, span in spans.items()})
    read = await follow.last(consumer, {place: Span(span.begin, at[place]) for place, span in spans.items()})
    return [
        Lag(
            topic=place.topic,
            partition=place.partition,
            committed=committed.get(place),
            end=span.end,
            # Behind the last record there may be offsets without one, which nobody ever commits.
            records=span.end - at[place] if place in waiting else 0,
            seconds=max(0.0, time.time() - waiting[place].timestamp / 1000) if place in waiting else 0.0,
            watermark=read[place].timestamp if place in read and place in committed else None,
        )
        for place, span in sorted(spans.items())
    ]
