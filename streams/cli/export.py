"""`upwell export`: profiles, vectors and recommendations for notebooks and warehouses."""

import asyncio
import json
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from streams import exporters, modelplan
from streams.cli.shop import Shop
from streams.edge import limits_of
from streams.errors import DataError
from streams.exporters import What, Writer


@click.command()
@click.argument("what", type=click.Choice([what.value for what in What]))
@click.argument("path", metavar="FILE.parquet", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Take the place of a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def export(what: str, path: Path, force: bool, as_json: bool) -> None:
    """Write profiles, vectors or recommendations to a Parquet file, as the topics have them now.

    profiles: one row a shopper. vectors: one row an item, those of the model that serves. recommendations: one row a
    recommendation that is still on the topic. Shoppers are named as on the topics, by pseudonyms where there are any:
    the file can be read by its owner alone; keep it as you keep the topics. Nobody is disturbed. docs/cli.md lists the
    columns.

    \b
    Examples:
      upwell export profiles profiles.parquet
      upwell export vectors vectors.parquet --force
      upwell export recommendations recommendations.parquet --json
    """
    if path.exists() and not force:
        raise DataError(f"{path} is there already: choose another name, or say --force")
    started = time.monotonic()
    with exporters.opened(path, What(what)) as writer:
        asyncio.run(_export(Shop.from_environment(), What(what), writer))
    summary = {what: writer.count, "bytes": path.stat().st_size, "seconds": round(time.monotonic() - started, 3)}
    click.echo(json.dumps(summary) if as_json else f"Wrote {writer.count:,} {what} to {path}.")


async def _export(shop: Shop, what: What, writer: Writer) -> None:
    serving = None
    if what is What.VECTORS:
        serving = await modelplan.serving(shop.bootstrap, shop.kafka, shop.topics)
    slot = "embeddings" if serving is None else serving.slot
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        bar = bars.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            bars.update(bar, completed=done, total=total)

        async with shop.reader() as consumer:
            half_lives = limits_of(shop.settings).half_lives
            async for row in exporters.rows(consumer, shop.topics, what, slot, tell, half_lives):
                writer.add(row)
