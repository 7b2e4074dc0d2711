"""`upwell replay`: state and recommendations once more, from the topics, beside everything that runs."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streams import admin, changelogs, codecs, history, modelplan, policies
from streams.cli.shop import Shop
from streams.edge import limits_of
from streams.engine.effects import Output
from streams.engine.publisher import Publisher
from streams.errors import ConfigError, ContractError, DataError
from streams.history import Place, Plan
from streams.items import load_item_encoder
from streams.records import ServedModel
from streams.replay import Replay, Sink, Unit
from streams.topics import Topic, Topics

_CHECKED = ("profiles", "trending")
"""Tables whose rows are the same bytes wherever they are made. Neighbours are sums over partitions, in any order.

So is what logins bring to users from other partitions: it is left out."""


class PlaceParam(click.ParamType):
    """An offset, or a time in ISO 8601; without a zone it is UTC."""

    name = "OFFSET|TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """See click."""
        if isinstance(value, Place):
            return value
        if str(value).isdecimal():
            return Place(offset=int(value))
        return Place(time=_millis(value, lambda: self.fail(f"{value!r} is neither an offset nor a time", param, ctx)))


class TimeParam(click.ParamType):
    """A time in ISO 8601; without a zone it is UTC."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See click."""
        if isinstance(value, int):
            return value
        return _millis(value, lambda: self.fail(f"{value!r} is no time as 2026-01-05T10:00:00Z", param, ctx))


def _millis(text: str, fail: Callable[[], Any]) -> int:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        fail()
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options, as they were given."""

    from_offset: int | None
    from_time: int | None
    until: Place | None
    every_event: bool
    encode: bool
    to_topic: str | None
    output: Path | None
    check: bool
    dry_run: bool
    as_json: bool

    @property
    def start(self) -> Place:
        """Where recommendations begin."""
        return Place(self.from_offset, self.from_time)


@click.command()
@click.option("--from-offset", type=click.IntRange(min=0), help="Recommend from this offset of the events on.")
@click.option("--from-time", type=TimeParam(), help="Recommend for events that were recorded then or later.")
@click.option("--until", type=PlaceParam(), help="End before it: an offset of the events, or a time.  [default: now]")
@click.option("--every-event", is_flag=True, help="Recommend after every event, not once a basket.")
@click.option(
    "--encode", is_flag=True, help="Encode the catalogue with UPWELL_MODEL; leave the embeddings topics alone."
)
@click.option("--to-topic", metavar="TOPIC", help="Send recommendations to this topic; it is created if missing.")
@click.option(
    "--output", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), metavar="FILE.jsonl",
    help='Write recommendations to this file ("-": standard output).',
)  # fmt: skip
@click.option(
    "--check", is_flag=True, help="Compare profiles and popularity with those on the topics; exit code 4 if unlike."
)
@click.option("--dry-run", is_flag=True, help="Say what would be read and written, and do neither.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def replay(**options: Any) -> None:
    """Rebuild profiles, popularity, neighbours and recommendations from the topics, in this process.

    Nothing that runs is disturbed: no consumer group is joined, nothing is committed, no topic of the shop is
    written. State is folded from the first event on, whatever --from says: a profile is a function of all its events.
    --from says where recommendations begin. Neighbouring events of one shopper at one event time are a basket and
    bring one recommendation.

    Twice gives the same profile rows and the same recommendations: records of all topics are taken in the order of
    their Kafka timestamps, and the nearest items are searched exactly. Digests of what came out are printed, for
    comparing. What a compacted topic no longer has is not there: an item appears with its newest record and its newest
    vector, so compare replays that were made before and after a change of the catalogue by their profiles, not by
    their items. Vectors are those of the model that serves now (`upwell model swap`), for all of the log.

    \b
    Examples:
      upwell replay
      upwell replay --check
      upwell replay --from-offset 48000 --output recommendations.jsonl
      upwell replay --from-time 2026-01-05 --until 2026-01-06T12:00:00Z --dry-run
      UPWELL_POLICY=bold upwell replay --to-topic shop.experiment.v1
    """
    asked = Asked(**options)
    if asked.from_offset is not None and asked.from_time is not None:
        raise click.UsageError("--from-offset and --from-time say the same thing: give one of them")
    asyncio.run(_replay(asked, Shop.from_environment()))


async def _replay(asked: Asked, shop: Shop) -> None:
    target = _target(shop.topics, asked.to_topic)
    async with shop.reader() as consumer:
        serving = None if asked.encode else await modelplan.serving(shop.bootstrap, shop.kafka, shop.topics)
        made = [shop.topics.head, *([] if asked.encode else [_vectors(shop.topics, serving)])]
        plan = await history.plan(consumer, shop.topics, asked.start, asked.until or Place(), made)
        if asked.dry_run:
            _show_plan(asked, plan)
            return
        started = time.monotonic()
        encoder = await asyncio.to_thread(load_item_encoder, shop.settings) if asked.encode else None
        policy = policies.of(shop.settings)
        async with _sink(asked, shop, target) as sink:
            ledger = await changelogs.rows_of(consumer, shop.topics.erasures)
            run = Replay(target, policy, limits_of(shop.settings), sink, encoder, ledger, serving)
            await run.run(_shown(history.units(consumer, plan, every_event=asked.every_event), plan), plan.speaks)
        summary = _summary(run, plan) | {"seconds": round(time.monotonic() - started, 3)}
        if asked.check:
            summary["check"] = {
                name: _unlike(
                    _checked(name, run.tables[name].rows()),
                    _checked(name, await changelogs.rows_of(consumer, shop.topics.by_table(name))),
                )
                for name in _CHECKED
            }
    _show(summary, as_json=asked.as_json, err=asked.output == Path("-"))
    if asked.check and any(unlike["unlike"] for unlike in summary["check"].values()):
        raise ContractError(
            "the rows on the topics are not what the events say. If workers are still behind, wait for them; if a "
            "version or a setting (UPWELL_EVENT_WEIGHTS, limits) changed since, `upwell reset` rebuilds the rows"
        )


def _vectors(contract: Topics, serving: ServedModel | None) -> Topic:
    """The topic that the vectors of the model that serves are on."""
    return contract.embeddings if serving is None else contract.slots[serving.slot]


def _target(contract: Topics, to_topic: str | None) -> Topics:
    """The contract, with recommendations going elsewhere."""
    if to_topic in {topic.name for topic in contract}:
        raise ConfigError(f"--to-topic {to_topic} is a topic of the live shop: a replay writes to one of its own")
    return contract if to_topic is None else replace(
        contract, recommendations=replace(contract.recommendations, name=to_topic)
    )  # fmt: skip


@contextlib.asynccontextmanager
async def _sink(asked: Asked, shop: Shop, target: Topics) -> AsyncIterator[Sink]:
    """Where recommendations go to: a file, a topic, both, or nowhere."""
    publisher = Publisher({"bootstrap_servers": shop.bootstrap.split(","), **shop.kafka.client_options()})
    if asked.to_topic:
        await admin.create_topics(shop.bootstrap, shop.kafka, target, shop.settings.replication)
        await admin.require_topics(shop.bootstrap, shop.kafka, target)
    with _opened(asked.output) as file:

        async def sink(record: Output) -> None:
            if file is not None:
                file.write((record.value or b"") + b"\n")
            if asked.to_topic:
                await publisher.publish([record])

        try:
            yield sink
        finally:
            await publisher.stop()


def _opened(path: Path | None) -> contextlib.AbstractContextManager[BinaryIO | None]:
    if path is None:
        return contextlib.nullcontext()
    if path == Path("-"):
        return contextlib.nullcontext(sys.stdout.buffer)
    try:
        return path.open("wb")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from None


async def _shown(units: AsyncIterator[Unit], plan: Plan) -> AsyncIterator[Unit]:
    """The units, with a bar on the terminal."""
    console = Console(stderr=True)
    columns = TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("", total=sum(span.size for span in plan.spans.values()))
        async for unit in units:
            yield unit
            bars.update(bar, advance=len(unit))


def _summary(run: Replay, plan: Plan) -> dict[str, Any]:
    digests = run.digests()
    return {
        "records": run.records,
        "refused": run.refused,
        "recommendations": run.recommendations,
        "rows": {name: len(table.rows()) for name, table in run.tables.items()},
        "digests": digests,
        "until": {str(at.partition): span.end for at, span in plan.spans.items() if _is_event(at.topic, plan)},
    }


def _is_event(topic: str, plan: Plan) -> bool:
    return topic == plan.contract.events.name


def _checked(table: str, rows: changelogs.Rows) -> changelogs.Rows:
    return {at: row for at, row in rows.items() if table != "profiles" or not codecs.is_joined(at[1])}


def _unlike(rebuilt: changelogs.Rows, live: changelogs.Rows) -> dict[str, int]:
    """How rebuilt rows compare with those of a topic."""
    alike = sum(live.get(key) == row for key, row in rebuilt.items())
    return {"alike": alike, "unlike": len(rebuilt.keys() | live.keys()) - alike}


def _show_plan(asked: Asked, plan: Plan) -> None:
    contract = plan.contract
    read = {topic.name: plan.size(topic) for topic in contract if plan.size(topic)}
    writes = [str(where) for where in (asked.output, asked.to_topic) if where]
    if asked.as_json:
        described = {"read": read, "speaking_events": plan.speaking, "write": writes}
        click.echo(json.dumps(described))
        return
    click.echo("Would read, without a consumer group:")
    for name, count in read.items():
        click.echo(f"  {name}: {count:,} records at most")
    click.echo(f"Would recommend for the last {plan.speaking:,} events, after folding those before in silence.")
    click.echo(f"Would write: {', '.join(writes)}" if writes else "Would write nothing but a summary.")


def _show(summary: dict[str, Any], *, as_json: bool, err: bool) -> None:
    if as_json:
        click.echo(json.dumps(summary), err=err)
        return
    click.echo("Replayed {records:,} records ({refused:,} refused) in {seconds:.1f} s.".format(**summary), err=err)
    for name, count in (summary["rows"] | {"recommendations": summary["recommendations"]}).items():
        click.echo(f"  {count:>9,} {name:<16} digest {summary['digests'][name]}", err=err)
    for name, found in summary.get("check", {}).items():
        click.echo(f"  {name}: {found['alike']:,} rows as on the topic, {found['unlike']:,} unlike", err=err)
