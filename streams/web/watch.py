"""What the live page is told of, read from Kafka while somebody looks: what passes by, and how the workers are."""

import asyncio
import re
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams import follow
from streams.admin import admin_client
from streams.engine.effects import Record
from streams.errors import BrokerError
from streams.follow import Start
from streams.profile_replica import ProfileReplication
from streams.settings import KafkaSettings
from streams.topics import Topic, Topics
from streams.web.live import RoleState

RETRY_S = 2.0

_STATE, _MEMBERS = 2, 5  # of a description: (error code, group, state, protocol type, protocol, members, …)

_LOWER_UPPER = re.compile(r"(?<=[a-z])(?=[A-Z])")
"""Where the words of a state such as `PreparingRebalance` meet."""

NOBODY = "nobody"
"""State of a role without workers."""


def watched(shop: str, topics: Topics) -> dict[str, tuple[str, Topic]]:
    """Consumer group → role, and what it consumes."""
    consumed = {
        "encoder": topics.catalogue,
        "profiles": topics.events,
        "neighbours": topics.pairs,
        "head": topics.pairs,
        "ranker": topics.examples,
        "answers": topics.questions,
    }
    return {f"{shop}.upwell.{role}": (role, topic) for role, topic in consumed.items()}


class Watch:
    """Reads for `streams.web.live.Live`."""

    def __init__(
        self, bootstrap: str, kafka: KafkaSettings, shop: str, topics: Topics, profiles: ProfileReplication
    ) -> None:
        self._bootstrap = bootstrap
        self._kafka = kafka
        self._topics = topics
        self._profiles = profiles
        self._roles = watched(shop, topics)

    async def read(self) -> AsyncIterator[Record]:
        """Events and recommendations from now on. A broker that goes away is waited for."""
        while True:
            try:
                async with follow.reader(self._bootstrap, self._kafka) as consumer:
                    begins: dict[TopicPartition, int] = {}
                    for topic in (self._topics.events, self._topics.recommendations):
                        begins |= await follow.offsets(consumer, topic.name, topic.partitions, Start.LATEST)
                    async for record in follow.onwards(consumer, begins):
                        yield record
            except BrokerError:
                await asyncio.sleep(RETRY_S)

    async def look(self) -> tuple[list[RoleState], int | None]:
        """How the workers are, and how far behind the copy of the profiles is, as far as Kafka tells."""
        states = []
        try:
            async with (
                admin_client(self._bootstrap, self._kafka) as client,
                follow.reader(self._bootstrap, self._kafka) as consumer,
            ):
                for group, (role, topic) in self._roles.items():
                    states.append(await _state(client, consumer, group, role, topic))
        except BrokerError:
            return states, None
        return states, await self._profiles.lag()


async def _state(
    client: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, group: str, role: str, topic: Topic
) -> RoleState:
    (answer,) = await client.describe_consumer_groups([group])  # one at a time: it misreads an answer about several
    (description,) = answer.groups
    workers = len(description[_MEMBERS])
    state = _LOWER_UPPER.sub(" ", str(description[_STATE])).lower() if workers else NOBODY
    try:
        return RoleState(role, state, workers, await _behind(client, consumer, group, topic))
    except KafkaError:
        return RoleState(role, state, workers, None)


async def _behind(client: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, group: str, topic: Topic) -> int:
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    committed = await client.list_consumer_group_offsets(group, partitions=partitions)
    begins = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    return sum(
        max(0, int(ends[p]) - max(int(begins[p]), int(committed[p].offset) if p in committed else 0))
        for p in partitions
    )
