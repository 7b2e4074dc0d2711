"""The record that says which model serves and which one is to follow it: read, followed and written."""

from collections.abc import AsyncGenerator

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams import follow
from streams.engine.effects import Record
from streams.errors import BrokerError
from streams.records import ModelPlan, ServedModel
from streams.settings import KafkaSettings
from streams.topics import Topics

KEY = b"encoder"

_decode = msgspec.json.Decoder(ModelPlan).decode


async def current(bootstrap: str, kafka: KafkaSettings, topics: Topics) -> ModelPlan | None:
    """The plan that holds now; None in a shop that never changed its model, or was reset since.

    Raises:
        BrokerError: the cluster cannot be reached.
    """
    newest = None
    async with follow.reader(bootstrap, kafka) as consumer:
        async for record in follow.until_now(consumer, topics.models.name, topics.models.partitions):
            newest = _plan(record, newest)
    return newest


async def serving(bootstrap: str, kafka: KafkaSettings, topics: Topics) -> ServedModel | None:
    """The model that serves by the plan; None where there is none.

    Raises:
        BrokerError: the cluster cannot be reached.
    """
    plan = await current(bootstrap, kafka, topics)
    return None if plan is None else plan.serving


async def changes(bootstrap: str, kafka: KafkaSettings, topics: Topics) -> AsyncGenerator[ModelPlan | None, None]:
    """The plan that holds now, None in a shop that never changed its model; then every new one."""
    async with follow.reader(bootstrap, kafka) as consumer:
        newest = None
        spans = await follow.whole(consumer, topics.models.name, topics.models.partitions)
        async for record in follow.between(consumer, spans):
            newest = _plan(record, newest)
        yield newest
        async for record in follow.onwards(consumer, {place: span.end for place, span in spans.items()}):
            yield (newest := _plan(record, newest))


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


def _plan(record: Record, before: ModelPlan | None) -> ModelPlan | None:
    """The plan that holds after a record; None after the deletion of the one `before`."""
    if record.key != KEY:
        return before
    return _decode(record.value) if record.value else None
