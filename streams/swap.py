"""Changing the model of a shop while it serves: plan, watch, and finish or give up.

plan says `next` ─► workers encode the catalogue with it, at a rate ─► every replica fills a second shelf
    ─► a replica of our own passes the gates, every item included ─► plan says it serves ─► the old one ends
                                └─► it does not ─► plan without `next`: everything is as before
"""

import asyncio
import contextlib
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from index.bluegreen import Verdict
from streams import modelplan
from streams.clock import now_ms
from streams.edge import limits_of
from streams.encoding import FIRST
from streams.errors import ConfigError, UpwellError
from streams.records import ModelPlan, ServedModel, Slot
from streams.replicas import Replica
from streams.replication import Replication
from streams.settings import KafkaSettings, Settings
from streams.snapshots import IndexKeeper
from streams.topics import Topics

LOOK_S = 0.5


class SwapError(UpwellError):
    """The new model was refused; the one before serves on."""


class Model(NamedTuple):
    """A model as workers load it, and what it stamps on vectors."""

    name: str
    id: str


@dataclass(frozen=True, slots=True)
class Shop:
    """Whose model it is, and where its topics are."""

    settings: Settings
    kafka: KafkaSettings
    topics: Topics
    bootstrap: str


class Progress(NamedTuple):
    """Items that have a vector of the new model, of those that have one of the old."""

    done: int
    total: int


def planned(now: ModelPlan | None, first: Callable[[], Model], to: Model, rate: float) -> ModelPlan:
    """The plan that changes the model.

    Args:
        now: what holds; None in a shop that never changed its model.
        first: tells the model of such a shop.
        to: the new one.
        rate: items that a worker encodes with it a second; 0 for no limit.

    Raises:
        ConfigError: it serves already, another change is under way, or the rate is none.
    """
    if not 0 <= rate < math.inf:  # JSON has no such numbers: no worker could read the plan
        raise ConfigError(f"the rate is {rate}, wanted items a second, or 0 for no limit")
    if now is None:
        model = first()
        now = ModelPlan(ServedModel("embeddings", model.name, model.id, FIRST))
    if now.serving.id == to.id:
        raise ConfigError(f"{to.id} serves already")
    if now.next is not None:
        if now.next.id != to.id:
            raise ConfigError(
                f"a change to {now.next.model} is under way: let it end, or give it up with `upwell model swap --abort`"
            )
        return ModelPlan(now.serving, now.next, rate)
    slot: Slot = "embeddings_b" if now.serving.slot == "embeddings" else "embeddings"
    # A group of its own every time: one that was there before would go on where it was, and skip what it had.
    role = f"{FIRST}-{to.id.rpartition('-')[2]}-{now_ms():x}"
    return ModelPlan(now.serving, ServedModel(slot, to.name, to.id, role), rate)


async def swap(shop: Shop, plan: ModelPlan, tell: Callable[[Progress], None]) -> Verdict | None:
    """Let a plan hold, wait until its next model is ready, and let that one serve.

    When this is interrupted, workers go on with the plan; doing it again goes on watching.

    Returns:
        What was measured of the new model; None in a shop without items.

    Raises:
        SwapError: the gates refuse the new model, and the plan is given up: the one before serves on. Or someone else
            gave it up meanwhile.
        BrokerError: the cluster cannot be reached.
    """
    if plan.next is None:
        raise ValueError("the plan has no next model")
    await modelplan.publish(shop.bootstrap, shop.kafka, shop.topics, plan)
    async with contextlib.AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        keeper = IndexKeeper(directory, stack)
        replica = Replica(shop.topics, keeper.make, limits_of(shop.settings))
        replication = Replication(replica, shop.topics, shop.bootstrap, shop.kafka, shop.settings.fetch_wait_ms)
        stack.push_async_callback(replication.stop)
        await replication.load()
        following = asyncio.create_task(replication.follow())
        stack.push_async_callback(_cancelled, following)
        verdict = await _ready(replica, plan.next, following, tell)
    if verdict is None or verdict.passed:
        await modelplan.publish(shop.bootstrap, shop.kafka, shop.topics, ModelPlan(plan.next))
        return verdict
    await abort(shop, plan)
    raise SwapError(
        f"{plan.next.id} is refused: coverage {verdict.coverage:.3f}, recall of its graph {verdict.recall:.3f}, "
        f"neighbours shared with the model that serves {verdict.overlap:.3f}. {plan.serving.id} serves on"
    )


async def abort(shop: Shop, plan: ModelPlan) -> None:
    """Give a plan's next model up: the one that serves by the plan is all there is."""
    await modelplan.publish(shop.bootstrap, shop.kafka, shop.topics, ModelPlan(plan.serving))


async def _ready(
    replica: Replica, due: ServedModel, following: "asyncio.Task[None]", tell: Callable[[Progress], None]
) -> Verdict | None:
    """Wait until every item is there and the gates have judged."""
    shelves = replica.shelves
    old = shelves.serving
    new = shelves.of(due)
    while old.index is not None and not _serves(shelves.plan, due):
        if following.done():
            following.result()
        progress = Progress(0 if new.index is None else len(new.index), len(old.index))
        tell(progress)
        if progress.done >= progress.total:
            verdict = await shelves.judge(old, new)
            if verdict is not None and not _serves(shelves.plan, due):
                return verdict
        await asyncio.sleep(LOOK_S)
    return None


def _serves(plan: ModelPlan | None, due: ServedModel) -> bool:
    """Whether a change that someone else may watch, too, is done.

    Raises:
        SwapError: it was given up.
    """
    if plan is None or due not in (plan.serving, plan.next):
        raise SwapError(
            f"{due.id} was given up meanwhile: {'another model' if plan is None else plan.serving.id} serves"
        )
    return due == plan.serving


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
