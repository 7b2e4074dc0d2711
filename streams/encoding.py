"""The encoder roles of a worker: one for the model that serves, and one for the model that is to follow it.

    plan ─► roles ─► `encoder`            catalogue ─► shop.embeddings.v1     (the model that serves)
                └──► `encoder-1a2b3c4d`   catalogue ─► shop.embeddings-b.v1   (the next one, at a rate)

Every model has a consumer group of its own, so a new one reads the compacted catalogue from its beginning and then
whatever changes, and goes on after a restart where it was.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from encoders.base import EncoderError
from streams.agents.encoder import EncoderHandler
from streams.edge import Limits
from streams.engine import app as engine
from streams.errors import ConfigError
from streams.items import ItemEncoder
from streams.modelplan import same_model
from streams.records import ModelPlan, ServedModel
from streams.topics import Topics

FIRST = "encoder"
"""Name of the role in a shop that never changed its model."""

LoadEncoder = Callable[[str | None], ItemEncoder]
"""Loads a model by name, None for the one that the settings name."""

Stop = Callable[[], Awaitable[None]]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Running:
    handler: EncoderHandler
    stop: Stop


class EncoderRoles:
    """Starts and stops encoder roles as plans say.

    Args:
        topics: of the shop.
        limits: what the edge lets through.
        batch: items that are encoded together.
        model: what the settings name.
        load: gets a model; called in a thread.
        start: starts a role and returns what stops it.
    """

    def __init__(
        self,
        topics: Topics,
        limits: Limits,
        batch: int,
        model: str,
        load: LoadEncoder,
        start: Callable[[engine.Role], Awaitable[Stop]],
    ) -> None:
        self._topics = topics
        self._limits = limits
        self._batch = batch
        self._model = model
        self._load = load
        self._start = start
        self.encoders: dict[str, ItemEncoder] = {}
        """Those that run now, by role."""
        self._running: dict[str, _Running] = {}

    async def begin(self, plan: ModelPlan | None, stamped: str | None = None) -> None:
        """Start what a plan says; without one, the model of the settings.

        Args:
            plan: that holds now.
            stamped: without a plan, id of the model of the vectors that are there.

        Raises:
            ConfigError: the model that serves cannot be had as it was.
        """
        if plan is not None:
            await self.obey(plan)
            return
        encoder = await asyncio.to_thread(self._load, None)
        same_model(stamped, encoder.id, self._model)
        await self._run(FIRST, encoder, "embeddings")

    async def obey(self, plan: ModelPlan) -> None:
        """Start the roles of a plan that do not run, and stop those that are not in it.

        Raises:
            ConfigError: the model that serves cannot be had as it was.
        """
        due = {served.role: served for served in (plan.serving, plan.next) if served is not None}
        for name in self._running.keys() - due.keys():
            _log.info("encoder role stops", role=name)
            del self.encoders[name]
            await self._running.pop(name).stop()
        for name, served in due.items():
            if name not in self._running and (encoder := await self._encoder(plan, served)) is not None:
                await self._run(name, encoder, served.slot)
            if (running := self._running.get(name)) is not None:
                serves = served is plan.serving
                running.handler.rate = 0.0 if serves else plan.rate
                running.handler.rejects = serves

    async def _encoder(self, plan: ModelPlan, served: ServedModel) -> ItemEncoder | None:
        """The encoder of a plan's model; None for a next one that cannot be had here: another worker may have it."""
        problem = None
        try:
            encoder = await asyncio.to_thread(self._load, served.model)
            if encoder.id == served.id:
                return encoder
            problem = f"here it gives vectors {encoder.id}: do UPWELL_ITEM_TEXT and UPWELL_ITEM_WEIGHTS agree?"
        except EncoderError as error:
            problem = str(error)
        if served is plan.serving:
            raise ConfigError(f"the shop is served by {served.id} of model {served.model}, but {problem}")
        _log.error("the next model is not encoded here", model=served.model, because=problem)
        return None

    async def _run(self, name: str, encoder: ItemEncoder, slot: str) -> None:
        _log.info("encoder", role=name, model=encoder.id, on=encoder.provider)
        self.encoders[name] = encoder
        handler = EncoderHandler(encoder, self._limits, slot)
        source, table, dlq = self._topics.catalogue, self._topics.slots[slot], self._topics.dlq
        self._running[name] = _Running(
            handler, await self._start(engine.Role(name, source, (table,), dlq, handler, self._batch))
        )
