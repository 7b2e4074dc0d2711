"""`upwell reset`: let the state go, and have it rebuilt from the events and the catalogue."""

import asyncio
import json

import click
from rich.console import Console
from rich.progress import Progress

from streams import admin
from streams.cli.shop import Shop
from streams.cli.waiting import waiting
from streams.follow import Start
from streams.reset import Holdings, Reset

_AWAY = {Start.BEGINNING: "committed offsets of", Start.LATEST: "unread by"}


@click.command()
@click.option("--yes", is_flag=True, help="Do it. Without this it only says what it would do.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def reset(yes: bool, as_json: bool) -> None:
    """Let all state of the shop go; workers rebuild it from the events and the catalogue.

    Deleted are the rows on the state topics (profiles, trending, neighbours, ranker, embeddings), the plan of the
    models (`upwell model swap`: UPWELL_MODEL serves again), the consumer groups' committed offsets, and this machine's
    tables and saved index under UPWELL_DATA_DIR. Events, catalogue, recommendations and refused records stay; pairs
    and examples are passed over, for they are made anew. Workers must be stopped. A worker on another machine loses
    its rows when it starts; its saved index (`index` in its data directory) is better removed by hand where the model
    has changed.

    What follows: the next workers read everything from its beginning, encode the whole catalogue, come to the same
    profiles, recommend once more to everyone (under the ids of before, where the batches end alike), and refuse once
    more what is refused.

    \b
    Examples:
      upwell reset                 (says what it would do)
      upwell reset --yes
      upwell reset --yes && upwell worker && upwell replay --check
    """
    shop = Shop.from_environment()
    asyncio.run(_reset(shop, yes=yes, as_json=as_json))


async def _reset(shop: Shop, *, yes: bool, as_json: bool) -> None:
    await admin.require_topics(shop.bootstrap, shop.kafka, shop.topics)
    work = Reset(shop.settings, shop.kafka, shop.topics, shop.bootstrap)
    await work.insist_on_rest()
    with waiting("looking at all state"):
        holdings = await work.look()
    if not as_json:
        click.echo(f"State of the shop {shop.settings.shop!r} on {shop.bootstrap}:")
        click.echo("\n".join(f"  {line}" for line in _lines(holdings)) or "  none")
    if yes and not holdings.empty:
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
            bar = bars.add_task("deleting rows", total=sum(map(len, holdings.rows.values())))
            await work.let_go(holdings, lambda done: bars.update(bar, completed=done))
    if as_json:
        click.echo(json.dumps({"done": yes} | _described(holdings)))
    elif not holdings.empty:
        click.echo("All of this is gone." if yes else "Nothing was done. `upwell reset --yes` lets all of this go.")


def _lines(holdings: Holdings) -> list[str]:
    return [
        *(
            f"{_AWAY[group.start]} {group.name}: {sum(group.away.values()):,} records of {group.source.name}"
            for group in holdings.groups
            if group.away
        ),
        *(f"rows on {topic}: {len(keys):,}" for topic, keys in holdings.rows.items() if keys),
        *(f"{found.path}: {found.size / 1e6:,.1f} MB" for found in holdings.directories),
    ]


def _described(holdings: Holdings) -> dict[str, object]:
    return {
        "groups": {f"{group.name} {group.source.name}": group.away for group in holdings.groups},
        "rows": {topic: len(keys) for topic, keys in holdings.rows.items()},
        "directories": {str(found.path): found.size for found in holdings.directories},
    }
