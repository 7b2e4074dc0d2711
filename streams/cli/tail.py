"""`upwell tail`: watch a topic, readably."""

import asyncio
import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from streams import admin, broker, follow, pseudonyms, settings, views
from streams.edge import Limits, limits_of, shopper_of
from streams.engine.effects import Record
from streams.errors import DataError
from streams.follow import Start
from streams.settings import KafkaSettings
from streams.titles import learn, titles_of
from streams.topics import Topics, topics


@dataclass(frozen=True, slots=True)
class View:
    """How a topic is shown. `titled`: item titles are looked up; `keyed_by_user`: --user applies."""

    show: views.Show
    as_json: Callable[[Record], bytes | None] = views.as_json
    titled: bool = False
    keyed_by_user: bool = True


VIEWS = {
    "recommendations": View(views.recommendation, titled=True),
    "events": View(views.event, titled=True),
    "catalogue": View(views.catalogue_item, keyed_by_user=False),
    "questions": View(views.question),
    "answers": View(views.answer),
    "dlq": View(views.dead_letter, as_json=views.dead_letter_as_json),
}
"""By the topic's role, a field of `Topics`."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to print: how many records (None: for ever), whose (None: everyone's), from where, in which form."""

    role: str
    count: int | None
    user: str | None
    start: Start
    as_json: bool


@click.command()
@click.argument("topic", type=click.Choice(list(VIEWS)))
@click.option("--user", help="Only this shopper's records.")
@click.option(
    "--from", "start", type=click.Choice([s.value for s in Start]), default=Start.LATEST.value, show_default=True,
    help="Where to begin.",
)  # fmt: skip
@click.option("-n", "count", type=click.IntRange(min=1), help="Stop after so many records.")
@click.option("--json", "as_json", is_flag=True, help="One JSON value a line, as it is on the topic.")
def tail(topic: str, user: str | None, start: str, count: int | None, as_json: bool) -> None:
    """Watch a topic: recommendations with their reasons, events, the catalogue, questions, answers, refused records.

    Goes on until Ctrl-C. Reads beside the workers and disturbs none of them.

    \b
    Examples:
      upwell tail recommendations
      upwell tail recommendations --user u-1842 --from beginning -n 3
      upwell tail catalogue --from beginning --json > catalogue.jsonl
      upwell tail answers --user u-1842
      upwell tail dlq --from beginning
    """
    if user is not None and not VIEWS[topic].keyed_by_user:
        raise click.UsageError(f"--user does not apply to the {topic} topic: its key is the item")
    if user == "":
        raise click.UsageError("the shopper's id is empty")
    configured, kafka = settings.load()
    contract = topics(configured.shop, configured.partitions)
    limits = limits_of(configured)
    request = Request(topic, count, pseudonyms.of(limits.pseudonyms, user) if user else user, Start(start), as_json)
    try:
        asyncio.run(_tail(broker.connect(configured, kafka).bootstrap, kafka, contract, request, limits))
    except KeyboardInterrupt:
        click.echo(err=True)  # Ctrl-C is how watching ends: no error, and the shell's prompt on a line of its own
    except BrokenPipeError:
        # The reader of our output has left (`| head`). What Python still holds for it must not be written at exit.
        sys.stdout = None


async def _tail(bootstrap: str, kafka: KafkaSettings, contract: Topics, request: Request, limits: Limits) -> None:
    await admin.require_topics(bootstrap, kafka, contract)
    view, topic = VIEWS[request.role], getattr(contract, request.role)
    async with follow.reader(bootstrap, kafka) as consumer:
        offsets = await follow.offsets(consumer, topic.name, topic.partitions, request.start)
        titles: dict[str, str] = {}
        if view.titled and not request.as_json:
            # The place to go on from is taken first: what is changed meanwhile is read twice rather than not at all.
            offsets |= await follow.offsets(
                consumer, contract.catalogue.name, contract.catalogue.partitions, Start.LATEST
            )
            titles |= await titles_of(consumer, contract.catalogue)
        printed = 0
        async for record in follow.onwards(consumer, offsets):
            if record.topic != topic.name:
                learn(titles, record)
            elif request.user is None or shopper_of(record.key, limits) == request.user:
                shown = _by_pseudonym(record, limits) if topic == contract.events and not request.as_json else record
                _print(shown, view, titles, as_json=request.as_json)
                printed += 1
                if printed == request.count:
                    return


def _by_pseudonym(record: Any, limits: Limits) -> Any:
    """An event with the pseudonym of its shopper, where there are any."""
    if limits.pseudonyms is None or record.value is None:
        return record
    try:
        return dataclasses.replace(record, value=limits.pseudonyms.event(record.value, lambda shopper: 0))
    except DataError:
        return dataclasses.replace(record, value=b"")  # the view then says that it is no event


def _print(record: Record, view: View, titles: dict[str, str], *, as_json: bool) -> None:
    if not as_json:
        click.echo(view.show(record, titles))
    elif (line := view.as_json(record)) is not None:
        click.echo(line)
    else:
        click.echo(f"no JSON at {record.topic}/{record.partition} @ {record.offset}", err=True)
