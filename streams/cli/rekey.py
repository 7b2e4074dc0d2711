"""`upwell rekey`: move the state of a shop to the current pseudonyms."""

import asyncio
import json

import click
from rich.console import Console
from rich.progress import Progress

from streams import admin
from streams import rekey as moving
from streams.cli.shop import Shop
from streams.edge import limits_of
from streams.engine.publisher import Publisher
from streams.errors import ConfigError, UpwellError
from streams.rekey import Plan
from streams.reset import Reset


class TakenError(UpwellError):
    """Some shoppers have a row under both names."""


@click.command()
@click.option("--yes", is_flag=True, help="Do it. Without this it only says what it would do.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def rekey(yes: bool, as_json: bool) -> None:
    """Move profiles and erasures to the current pseudonyms, after a key was added or pseudonyms were turned on.

    Rows by id or by an older version go over to the newest version of UPWELL_PSEUDONYM_KEYS_FILE. No ids are needed.
    Stop the workers, add the key to the file wherever Upwell runs, run this, start the workers. It may be interrupted
    and run again. Older keys stay in the file: newer pseudonyms are made from older ones.

    \b
    Examples:
      upwell keys pseudonyms pseudonyms.keys >> pseudonyms.keys
      upwell rekey                 (says what it would do)
      upwell rekey --yes
    """
    shop = Shop.from_environment()
    work = asyncio.run(_rekey(shop, yes=yes, as_json=as_json))
    if work.taken:
        raise TakenError(
            f"{work.taken:,} shoppers have a row under their current pseudonym as well: a worker ran with the new key "
            "before this did. Their older rows are left alone; `upwell reset --yes` has all rebuilt from the events"
        )


async def _rekey(shop: Shop, *, yes: bool, as_json: bool) -> Plan:
    limits = limits_of(shop.settings)
    if limits.pseudonyms is None:
        raise ConfigError("there are no pseudonyms here: set UPWELL_PSEUDONYM_KEYS_FILE (`upwell keys pseudonyms`)")
    await admin.require_topics(shop.bootstrap, shop.kafka, shop.topics)
    at_rest = Reset(shop.settings, shop.kafka, shop.topics, shop.bootstrap).insist_on_rest
    await at_rest()
    async with shop.reader() as consumer:
        work = await moving.plan(consumer, shop.topics, limits.pseudonyms, limits.ledger)
    if yes and not work.empty:
        console = Console(stderr=True)
        publisher = Publisher({"bootstrap_servers": shop.bootstrap.split(","), **shop.kafka.client_options()})
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
            bar = bars.add_task("moving rows", total=len(work.moves))
            try:
                await moving.carry_out(
                    work, shop.topics, publisher.publish, lambda done: bars.update(bar, completed=done)
                )
            finally:
                await publisher.stop()
        await at_rest()
    if as_json:
        counts = {"moved": len(work.moves), "erasures": len(work.erasures), "taken": work.taken}
        click.echo(json.dumps({"done": yes, "version": limits.pseudonyms.current, **counts, "current": work.current}))
    else:
        verb = "moved" if yes else "to move"
        click.echo(f"Profiles {verb} to version {limits.pseudonyms.current}: {len(work.moves):,}")
        click.echo(f"Entries of the erasure ledger {verb}: {len(work.erasures):,}")
        click.echo(f"Profiles that are current: {work.current:,}")
        if not yes and not work.empty:
            click.echo("Nothing was done. `upwell rekey --yes` does it.")
    return work
