"""`upwell status`: how a shop is doing, once or live."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from typing import Any

import click
import msgspec
from aiokafka.errors import KafkaError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from streams.cli.shop import Shop
from streams.cli.waiting import waiting
from streams.status import Look, Status


@click.command()
@click.option(
    "--watch", type=click.FloatRange(min=0.2), is_flag=False, flag_value=2.0, metavar="[SECONDS]",
    help="Go on until Ctrl-C, every so many seconds.  [2 where no number is given]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object, or one a line with --watch.")
def status(watch: float | None, as_json: bool) -> None:
    """Show who works, how far behind they are, how much there is, and what was refused.

    Lag is counted in records and in seconds: how long the oldest record that waits has waited. A role that nobody has
    ever run has none. The watermark is the timestamp of the newest record that a role has read. Bytes are those of one
    copy of a topic; a broker may not tell. Snapshots are those of this machine. Nobody is disturbed. With --watch, an
    outage of the cluster is told and waited out.

    \b
    Examples:
      upwell status
      upwell status --watch
      upwell status --watch 10 --json
      upwell status --json | jq '.groups[] | {role, records, seconds}'
    """
    shop = Shop.from_environment()
    try:
        asyncio.run(_status(shop, watch, as_json=as_json))
    except KeyboardInterrupt:
        click.echo(err=True)  # Ctrl-C is how watching ends
    except BrokenPipeError:
        sys.stdout = None  # the reader of our output has left (`| head`)


async def _status(shop: Shop, every: float | None, *, as_json: bool) -> None:
    async with Look.at(shop.settings, shop.kafka, shop.topics, shop.bootstrap) as look:
        if every is None:
            with waiting("looking"):
                found = await look.now()
            if as_json:
                click.echo(to_json(found))
            else:
                Console().print(shown(found))
            return
        if as_json:
            async for seen in watched(look.now, every):
                click.echo(msgspec.json.encode({"error": seen}) if isinstance(seen, str) else to_json(seen))
            return
        with Live(console=Console(), auto_refresh=False) as live:
            last: RenderableType = ""
            async for seen in watched(look.now, every):
                last = last if isinstance(seen, str) else shown(seen)
                live.update(Group(last, Text(seen, style="bold red")) if isinstance(seen, str) else last, refresh=True)


async def watched(now: Callable[[], Awaitable[Status]], every: float) -> AsyncIterator[Status | str]:
    """One status after the other; while the cluster tells none, why. An outage is what one watches for.

    Raises:
        KafkaError, OSError: there was not even a first one.
    """
    yield await now()
    while True:
        await asyncio.sleep(every)
        try:
            yield await now()
        except (KafkaError, OSError) as error:
            yield f"the cluster does not answer ({type(error).__name__}); trying again"


def to_json(found: Status) -> bytes:
    """A status as one JSON object; what is derived from other fields is in it."""
    told: dict[str, Any] = asdict(found) | {
        "newest_event_age": found.age(found.newest),
        "groups": [
            asdict(group)
            | {
                "started": group.started,
                "records": group.records,
                "seconds": round(group.seconds, 3),
                "watermark": group.watermark,
                "watermark_age": found.age(group.watermark),
            }
            for group in found.groups
        ],
    }
    return msgspec.json.encode(told)


def shown(found: Status) -> Group:
    """A status for people."""
    groups = Table(
        "role", Column("members", justify="right"), Column("lag", justify="right"), Column("behind", justify="right"),
        Column("watermark", justify="right"), "partitions on", title=f"Shop {found.shop} on {found.bootstrap}",
    )  # fmt: skip
    for group in found.groups:
        if not group.started:  # it may not be wanted; one that ran, and has nobody now, is missed
            groups.add_row(group.role, "0", "–", "–", "–", "not running")
            continue
        behind = f"{group.seconds:,.1f} s" if group.records else "–"
        groups.add_row(
            group.role,
            Text(str(len(group.members)), style="" if group.members else "bold red"),
            f"{group.records:,}",
            behind,
            ago(found.age(group.watermark)),
            "; ".join(f"{m.host.lstrip('/')}: {' '.join(map(str, m.partitions)) or '–'}" for m in group.members) or "–",
        )
    topics = Table("topic", Column("partitions", justify="right"), Column("records", justify="right"),
                   Column("MB", justify="right"))  # fmt: skip
    for topic in found.topics:
        size = "" if topic.bytes is None else f"{topic.bytes / 1e6:,.1f}"
        topics.add_row(topic.topic, str(topic.partitions) if topic.exists else "missing", f"{topic.records:,}", size)
    refused = ", ".join(f"{reason} {count:,}" for reason, count in found.refused.items())
    lines = [
        f"newest event: {ago(found.age(found.newest))}",
        f"refused: {refused or 'none'}",
        *(f"snapshot {one.path}: {ago(one.age)}" for one in found.snapshots),
    ]
    return Group(groups, topics, Text("\n".join(lines)))


def ago(seconds: float | None) -> str:
    """An age in words."""
    if seconds is None:
        return "–"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit} ago"
    return f"{seconds:,.1f} s ago"
