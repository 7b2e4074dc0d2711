"""A log from the topics of a running shop instead of files."""

import contextlib
from collections.abc import Iterable

import msgspec
from aiokafka import AIOKafkaConsumer

from streams import follow, history
from streams.core.erasure import Erasure
from streams.edge import AcceptedEvent, Limits, accept_event, accept_item, erasure_of
from streams.engine.effects import Record, Rejection
from streams.evaluation.log import Log, assemble
from streams.formats.reading import Subject
from streams.history import Place
from streams.jsonl import Kind, Outgoing
from streams.records import Recommendation
from streams.topics import Topics

_decode = msgspec.json.Decoder(Recommendation).decode


async def recommendations(consumer: AIOKafkaConsumer, contract: Topics) -> list[Recommendation]:
    """All recommendations that the shop's topic still has."""
    topic = contract.recommendations
    found = []
    async for record in follow.until_now(consumer, topic.name, topic.partitions):
        if record.value is not None:
            with contextlib.suppress(msgspec.DecodeError):
                found.append(_decode(record.value))
    return found


def before(sent: Iterable[Recommendation], until: Place) -> list[Recommendation]:
    """Those that came of events before a place: of what became of later ones a log up to there knows nothing."""
    return [
        one
        for one in sent
        if (until.offset is None or one.trigger.offset < until.offset)
        and (until.time is None or one.trigger.timestamp < until.time)
    ]


async def read(
    consumer: AIOKafkaConsumer, contract: Topics, until: Place, limits: Limits, names: tuple[str, str]
) -> Log:
    """The events and the catalogue of a shop, up to a place.

    What a worker refuses is left out, as it was then, and so is what a shopper did before they asked to be forgotten.

    Args:
        consumer: a connected one without a group.
        contract: the topics.
        until: where the log ends; nowhere in particular for now.
        limits: what workers let through.
        names: of the catalogue and the events topic, as the log's records shall carry them.
    """
    plan = await history.plan(consumer, contract, Place(), until)
    found: list[Outgoing] = []
    events: list[tuple[Record, AcceptedEvent]] = []
    erased: dict[tuple[int, str], Erasure] = {}
    async for record in follow.between(consumer, plan.spans):
        await limits.formats.learn_patiently([record])
        if record.topic == contract.catalogue.name:
            item = accept_item(record, limits)
            if not isinstance(item, Rejection):
                value = None if item[1] is None else limits.formats.json(record, Subject.CATALOGUE)
                found.append(Outgoing(Kind.CATALOGUE, item[0].encode(), value, record.timestamp))
        elif asked := erasure_of(record, limits):
            erased[record.partition, asked[0]] = asked[1]
        else:
            event = accept_event(record, limits)
            if not isinstance(event, Rejection):
                events.append((record, event))
    found += (
        Outgoing(Kind.EVENTS, record.key or b"", limits.formats.json(record, Subject.EVENTS), record.timestamp)
        for record, event in events
        if not event.erased_by(erased.get((record.partition, event.shopper), Erasure()))
    )
    return assemble(found, limits, names)
