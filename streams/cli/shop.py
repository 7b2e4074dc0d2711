"""The shop that a command is about: its settings, its topics, and the cluster they are on."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import click
from aiokafka import AIOKafkaConsumer

from streams import admin, broker, follow, pseudonyms, settings
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics, topics


@dataclass(frozen=True, slots=True)
class Shop:
    """Where to find everything."""

    settings: Settings
    kafka: KafkaSettings
    topics: Topics
    bootstrap: str

    @classmethod
    def from_environment(cls) -> "Shop":
        """The shop that the environment names.

        Raises:
            ConfigError: a setting is wrong.
            BrokerError: there is no broker.
        """
        configured, kafka = settings.load()
        contract = topics(configured.shop, configured.partitions)
        return cls(configured, kafka, contract, broker.connect(configured, kafka).bootstrap)

    def shopper(self, given: str) -> str:
        """The shopper whom an id or a pseudonym on the command line means, as the topics behind the edge name them.

        Raises:
            UnknownVersionError: it is a pseudonym of a version that there is no key of.
            click.UsageError: it is empty, as a variable is that was never set.
        """
        if not given:
            raise click.UsageError("the shopper's id is empty")
        return pseudonyms.of(pseudonyms.of_settings(self.settings), given)

    @contextlib.asynccontextmanager
    async def reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A connected consumer without a group, once the topics are known to be as they should.

        Raises:
            ContractError: they are not.
            BrokerError: the cluster cannot be reached.
        """
        await admin.require_topics(self.bootstrap, self.kafka, self.topics)
        async with follow.reader(self.bootstrap, self.kafka) as consumer:
            yield consumer
