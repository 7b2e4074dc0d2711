"""`upwell model swap`: change the model while the shop serves."""

import asyncio
import json
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from encoders.models import HASHING, encoder_id, locate
from index.bluegreen import Verdict
from streams import admin, logs, modelplan
from streams.cli import shop as shops
from streams.errors import ConfigError
from streams.items import recipe_of
from streams.records import ModelPlan
from streams.settings import Settings
from streams.swap import Model, Progress, Shop, abort, planned, swap

HINT_S = 60.0


@click.command("swap")
@click.argument("name", required=False)
@click.option("--rate", type=click.FloatRange(min=0), default=0.0, help="Items a second and worker; 0 for no limit.")
@click.option("--abort", "give_up", is_flag=True, help="Give up the change that is under way.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def swap_(name: str | None, rate: float, give_up: bool, as_json: bool) -> None:
    """Change the shop's model to NAME while recommendations go on.

    Workers with the role `encoder` encode the whole catalogue with the new model beside the old one, and every process
    that recommends fills a second index. When every item is there and the new index passes its gates (coverage, recall,
    agreement with the old one), it serves, from one recommendation to the next; otherwise the old one serves on and
    this fails. Profiles hold items, not vectors: nothing of them changes. The model must be built on every machine with
    an encoder (`upwell model build`). Interrupted, the change goes on; the same command watches it again.

    \b
    Examples:
      upwell model swap all-MiniLM-L6-v2@int8
      upwell model swap multilingual-e5-small --rate 20
      upwell model swap --abort
    """
    if (name is None) is not give_up:
        raise click.UsageError("name the new model, or say --abort")
    logs.configure("ERROR")  # vectors that the topic has of a former model are left out, as they should be
    where = shops.Shop.from_environment()
    shop = Shop(where.settings, where.kafka, where.topics, where.bootstrap)
    asyncio.run(_abort(shop) if name is None else _swap(shop, name, rate, as_json=as_json))


async def _abort(shop: Shop) -> None:
    await admin.require_topics(shop.bootstrap, shop.kafka, shop.topics)
    plan = await modelplan.current(shop.bootstrap, shop.kafka, shop.topics)
    if plan is None or plan.next is None:
        raise ConfigError("no change of the model is under way")
    await abort(shop, plan)
    click.echo(f"Given up. {plan.serving.id} serves.")


async def _swap(shop: Shop, name: str, rate: float, *, as_json: bool) -> None:
    await admin.require_topics(shop.bootstrap, shop.kafka, shop.topics)
    now = await modelplan.current(shop.bootstrap, shop.kafka, shop.topics)
    to = await asyncio.to_thread(_model, shop.settings, name)
    there = None if now else await modelplan.stamped(shop.bootstrap, shop.kafka, shop.topics)
    plan = await asyncio.to_thread(planned, now, lambda: _first(shop.settings, there), to, rate)
    began = time.monotonic()
    verdict = await _watched(shop, plan)
    if as_json:
        about = None if verdict is None else verdict.__dict__
        click.echo(
            json.dumps({"from": plan.serving.id, "to": to.id, "seconds": time.monotonic() - began, "gate": about})
        )
    else:
        click.echo(f"{to.id} serves; before, it was {plan.serving.id}.")


async def _watched(shop: Shop, plan: ModelPlan) -> Verdict | None:
    console = Console(stderr=True)
    columns = TextColumn("encoding the catalogue"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("", total=None)
        moved, hinted = (0, time.monotonic()), False

        def tell(progress: Progress) -> None:
            nonlocal moved, hinted
            bars.update(bar, completed=progress.done, total=progress.total)
            if progress.done != moved[0]:
                moved = progress.done, time.monotonic()
            elif not hinted and time.monotonic() - moved[1] > HINT_S:
                hinted = True
                console.print("Nothing moves: does a worker with the role encoder run, and is the model built there?")

        return await swap(shop, plan, tell)


def _first(settings: Settings, stamped: str | None) -> Model:
    """The model of a shop that never changed it: that of the settings, which must be that of the vectors."""
    model = _model(settings, settings.model)
    modelplan.same_model(stamped, model.id, settings.model)
    return model


def _model(settings: Settings, name: str) -> Model:
    """A model with its version, so that every worker loads the same one."""
    pinned = name
    if not name.startswith(HASHING):
        path: Path = locate(name, settings.cache_dir)
        pinned = f"{path.parent.name}@{path.name}"
    return Model(pinned, encoder_id(pinned, settings.cache_dir, recipe_of(settings).name))
