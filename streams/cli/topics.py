"""`upwell topics`: the contract's topics on the live cluster."""

import asyncio
import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from streams import admin, settings
from streams.broker import connect
from streams.cli.waiting import waiting
from streams.errors import ContractError
from streams.settings import KafkaSettings, Settings
from streams.topics import FOREVER, Topic, Topics
from streams.topics import topics as contract

_DAY_MS = 86_400_000
_json = click.option("--json", "as_json", is_flag=True, help="One JSON array.")


@click.group()
def topics() -> None:
    """Create the topics, list them, compare them with the contract.

    Names start with UPWELL_SHOP (default: shop); UPWELL_PARTITIONS and UPWELL_REPLICATION say how they are created.

    \b
    Examples:
      upwell topics create
      UPWELL_SHOP=books UPWELL_PARTITIONS=8 upwell topics create
      upwell topics list --json
      upwell topics check        (exit code 4 where a topic is not as it should be)
    """


@topics.command()
@_json
def create(as_json: bool) -> None:
    """Create the topics that are missing; those that exist stay as they are.

    \b
    Examples:
      upwell topics create
      UPWELL_PARTITIONS=16 UPWELL_REPLICATION=3 upwell topics create
    """
    configured, kafka, wanted, bootstrap = _context()
    with waiting("creating topics"):
        done = asyncio.run(admin.create_topics(bootstrap, kafka, wanted, configured.replication))
    if as_json:
        click.echo(json.dumps([{"topic": outcome.topic, "created": outcome.new} for outcome in done]))
    else:
        for topic, outcome in zip(wanted, done, strict=True):
            click.echo(f"{outcome.topic}: {_created(topic) if outcome.new else 'was there already'}")
    asyncio.run(admin.require_topics(bootstrap, kafka, wanted))


@topics.command("list")
@_json
def list_(as_json: bool) -> None:
    """Show the contract's topics and whether they are there.

    \b
    Examples:
      upwell topics list
      upwell topics list --json | jq -r '.[] | select(.exists | not) | .topic'
    """
    _, kafka, wanted, bootstrap = _context()
    live = asyncio.run(admin.live_topics(bootstrap, kafka, (topic.name for topic in wanted)))
    if as_json:
        click.echo(json.dumps([_row(topic, live.get(topic.name)) for topic in wanted], ensure_ascii=False, indent=2))
        return
    table = Table(title=f"Topics on {bootstrap}")
    table.add_column("topic", no_wrap=True)
    table.add_column("partitions", justify="right", no_wrap=True)
    table.add_column("keeps", no_wrap=True)
    table.add_column("what")
    for topic in wanted:
        there = live.get(topic.name)
        table.add_row(topic.name, str(there.partitions) if there else "missing", kept(topic), topic.about)
    Console().print(table)


@topics.command()
@_json
def check(as_json: bool) -> None:
    """Compare the live topics with the contract; exit code 4 where they differ.

    \b
    Examples:
      upwell topics check
      upwell topics check --json | jq -r '.[].topic'
    """
    _, kafka, wanted, bootstrap = _context()
    differences = asyncio.run(admin.check_topics(bootstrap, kafka, wanted))
    if as_json:
        click.echo(json.dumps([asdict(difference) for difference in differences]))
    if differences:
        raise ContractError(admin.explain(differences))
    if not as_json:
        click.echo(f"All {len(list(wanted))} topics are as they should be.")


def kept(topic: Topic) -> str:
    """How long a topic keeps its records, in words."""
    days = "forever" if topic.retention_ms == FOREVER else f"{topic.retention_ms / _DAY_MS:g} days"
    if topic.compacted:
        return "newest of each key" + f", {days}" * (topic.retention_ms != FOREVER)
    return days


def _created(topic: Topic) -> str:
    return f"created, {topic.partitions} partition{'s' * (topic.partitions != 1)}, keeps {kept(topic)}"


def _row(topic: Topic, live: admin.LiveTopic | None) -> dict[str, object]:
    return {
        "topic": topic.name,
        "exists": live is not None,
        "partitions": live.partitions if live else None,
        "replicas": live.replicas if live else None,
        "compacted": topic.compacted,
        "retention_ms": None if topic.compacted and topic.retention_ms == FOREVER else topic.retention_ms,
        "key": topic.key,
        "value": topic.value,
        "about": topic.about,
        "differences": [str(difference) for difference in admin.compare(topic, live)],
    }


def _context() -> tuple[Settings, KafkaSettings, Topics, str]:
    configured, kafka = settings.load()
    wanted = contract(configured.shop, configured.partitions)
    return configured, kafka, wanted, connect(configured, kafka).bootstrap
