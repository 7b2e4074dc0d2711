"""The record that says which model serves and which one is to follow it: read, followed and written."""

from collections.abc import AsyncGenerator

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams import follow
from streams.codecs import decode_embedding, decode_plan
from streams.engine.effects import Record
from streams.errors import BrokerError, ConfigError, ContractError
from streams.records import ModelPlan, ServedModel
from streams.settings import KafkaSettings
from streams.topics import Topics

KEY = b"encoder"


async def current(bootstrap: str, kafka: KafkaSettings, topics: Topics) -> ModelPlan | None:
    """The plan that holds now; None in a shop that never changed its model, or was reset since.

    Raises:
        BrokerError: the cluster cannot be reached.
        ContractError: it cannot be read.
    """
    newest = None
    async with follow.reader(bootstrap, kafka) as consumer:
        async for record in follow.until_now(consumer, topics.models.name, topics.models.partitions):
            newest = _plan(topics.models.name, record, newest)
    return newest


async def serving(bootstrap: str, kafka: KafkaSettings, topics: Topics) -> ServedModel | None:
    """The model that serves by the plan; None where there is none.

    Raises:
        BrokerError: the cluster cannot be reached.
        ContractError: the plan cannot be read.
    """
    plan = await current(bootstrap, kafka, topics)
    return None if plan is None else plan.serving


async def stamped(bootstrap: str, kafka: KafkaSettings, topics: Topics) -> str | None:
    """Id of the model that the newest vectors are of, in a shop that has no plan; None where there are none.

    Raises:
        BrokerError: the cluster cannot be reached.
        ContractError: they were written by another version.
    """
    topic = topics.embeddings
    async with follow.reader(bootstrap, kafka) as consumer:
        newest = await follow.last(consumer, await follow.whole(consumer, topic.name, topic.partitions))
    rows = [record for record in newest.values() if record.value]
    row = max(rows, key=lambda record: record.timestamp, default=None)
    return None if row is None else decode_embedding(row.value or b"").model


def same_model(there: str | None, here: str, name: str) -> None:
    """Refuse a model that is not the one of a shop's vectors: they would never meet, and new items not be found.

    Args:
        there: id of the model of the vectors, None where there are none.
        here: id of the model that the settings give.
        name: what the settings call it.

    Raises:
        ConfigError: they differ.
    """
    if there not in (None, here):
        raise ConfigError(
            f"the shop's items have vectors of {there}, and UPWELL_MODEL={name} gives {here} here. "
            "Set UPWELL_MODEL, UPWELL_ITEM_TEXT and UPWELL_ITEM_WEIGHTS as they were: another model comes by "
            "`upwell model swap`, another text or other weights after `upwell reset`"
        )


async def changes(bootstrap: str, kafka: KafkaSettings, topics: Topics) -> AsyncGenerator[ModelPlan | None, None]:
    """The plan that holds now, None in a shop that never changed its model; then every new one.

    Raises:
        ContractError: one cannot be read.
    """
    async with follow.reader(bootstrap, kafka) as consumer:
        newest = None
        spans = await follow.whole(consumer, topics.models.name, topics.models.partitions)
        async for record in follow.between(consumer, spans):
            newest = _plan(topics.models.name, record, newest)
        yield newest
        async for record in follow.onwards(consumer, {place: span.end for place, span in spans.items()}):
            yield (newest := _plan(topics.models.name, record, newest))


async def publish(bootstrap: str, kafka: KafkaSettings, topics: Topics, plan: ModelPlan) -> None:
    """Let a plan hold from now on.

    Raises:
        BrokerError: it could not be written.
    """
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", **kafka.client_options())
    try:
        await producer.start()
        await producer.send_and_wait(topics.models.name, key=KEY, value=msgspec.json.encode(plan))
    except (KafkaError, OSError) as error:
        raise BrokerError(f"the plan could not be written to {topics.models.name} ({type(error).__name__})") from error
    finally:
        await producer.stop()


def _plan(topic: str, record: Record, before: ModelPlan | None) -> ModelPlan | None:
    """The plan that holds after a record; None after the deletion of the one `before`.

    Raises:
        ContractError: it is no plan.
    """
    if record.key != KEY:
        return before
    try:
        return decode_plan(record.value)
    except ContractError as error:
        raise ContractError(f"{topic} holds {error}") from None
