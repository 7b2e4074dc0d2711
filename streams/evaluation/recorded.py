"""A log from the topics of a running shop instead of files."""

from aiokafka import AIOKafkaConsumer

from streams import follow, history
from streams.edge import Limits, accept_event, accept_item
from streams.engine.effects import Record, Rejection
from streams.evaluation.log import Log, assemble
from streams.history import Place
from streams.jsonl import Kind, Outgoing
from streams.topics import Topics


async def read(
    consumer: AIOKafkaConsumer, contract: Topics, until: Place, limits: Limits, names: tuple[str, str]
) -> Log:
    """The events and the catalogue of a shop, up to a place; what a worker refuses is left out, as it was then.

    Args:
        consumer: a connected one without a group.
        contract: the topics.
        until: where the log ends; nowhere in particular for now.
        limits: what workers let through.
        names: of the catalogue and the events topic, as the log's records shall carry them.
    """
    plan = await history.plan(consumer, contract, Place(), until, encode=True)
    found = [
        outgoing
        async for record in follow.between(consumer, plan.spans)
        if (outgoing := _accepted(record, contract, limits)) is not None
    ]
    return assemble(found, limits, names)


def _accepted(record: Record, contract: Topics, limits: Limits) -> Outgoing | None:
    is_event = record.topic == contract.events.name
    verdict = accept_event(record, limits) if is_event else accept_item(record, limits)
    if isinstance(verdict, Rejection) or record.key is None:
        return None
    return Outgoing(Kind.EVENTS if is_event else Kind.CATALOGUE, record.key, record.value, record.timestamp)
