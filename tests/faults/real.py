"""A shop as it is: the topics of the contract, and `upwell worker` in processes to kill."""

from typing import Any, Self

from streams.admin import create_topics
from streams.settings import KafkaSettings, Settings
from streams.topics import Topic, Topics, topics
from tests.faults.ground import Ground
from tests.faults.processes import Program, Worker
from tests.reading import whole_topic

PARTITIONS = 2
_SESSION_S = "6"


class RealShop(Ground):
    """The topics of a shop, and its workers."""

    @property
    def topics(self) -> Topics:
        """The contract of this shop."""
        return topics(self.name, PARTITIONS)

    @property
    def settings(self) -> Settings:
        """What its workers go by."""
        return Settings(shop=self.name, partitions=PARTITIONS)

    async def create(self) -> Self:
        """Create the topics."""
        await create_topics(self.bootstrap, KafkaSettings(), self.topics)
        return self

    def worker(self, name: str, roles: str) -> Worker:
        """`upwell worker --roles …` as a static member. Not started."""
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "UPWELL_SHOP": self.name,
            "UPWELL_PARTITIONS": str(PARTITIONS),
            "UPWELL_MODEL": "hashing",
            "UPWELL_INSTANCE": name,
            "UPWELL_SESSION_TIMEOUT_S": _SESSION_S,
            "UPWELL_FETCH_MAX_RECORDS": "100",
        }
        program = Program("tests.faults.upwell_worker", ("--roles", roles), "Worker runs.", environment)
        return self.run(name, program)

    async def caught_up(self, role: str, source: Topic) -> None:
        """Wait until a role has committed the end of its source."""
        await self.group_caught_up(role, source.name, source.partitions)

    async def is_caught_up(self, role: str, source: Topic) -> bool:
        """Whether a role has committed the end of its source."""
        return await self.group_is_caught_up(role, source.name, source.partitions)

    async def progress(self) -> None:
        """Wait until the last role in the row publishes something."""
        await self.growth(self.topics.neighbours.name, PARTITIONS)

    async def read(self, topic: Topic) -> list[Any]:
        """Every record of a topic."""
        return await whole_topic(self.bootstrap, topic.name, topic.partitions)
