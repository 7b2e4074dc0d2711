"""The HTTP service over a shop in memory: the real application, recommender and handlers; Kafka is a list."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from encoders.hashing import HashingEncoder
from index.base import Vectors
from streams.answering import Answerer
from streams.core.answers.lexicon import Lexicon
from streams.core.policy import Policy
from streams.edge import Limits
from streams.engine.effects import Output
from streams.engine.store import MemoryPartition
from streams.profile_replica import ProfileReplica
from streams.records import CatalogueItem
from streams.serving import Answer, Question, Serving, TextSearch
from streams.settings import ApiSettings
from streams.telemetry.requests import Follow, untold
from streams.together import Together
from streams.web import application
from streams.web.endpoints import Service
from streams.web.keys import Keyring
from streams.web.live import Live, RoleState
from streams.web.securing import Secured
from streams.web.serve import LINE_BYTES, front_of
from streams.web.tokens import Tokens
from tests.unit.answer_shop import WORDING
from tests.unit.records import LIMITS, FakeRecord, event, item
from tests.unit.shop import TOPICS, Shop

Client = TestClient[Any, Any]


class TitleEncoder:
    """Encodes items by their titles, as `streams.items.ItemEncoder` does for those that have nothing else."""

    def __init__(self, encoder: HashingEncoder) -> None:
        self.id: str = encoder.id
        self._encoder = encoder

    async def encode(self, items: Sequence[CatalogueItem]) -> Vectors:
        return self._encoder.encode([item.title for item in items])


class Log:
    """Takes what would go to Kafka; fails with `failure`, if there is one."""

    def __init__(self) -> None:
        self.written: list[Output] = []
        self.failure: Exception | None = None

    async def publish(self, records: Sequence[Output], /) -> dict[tuple[str, int], int]:
        if self.failure:
            raise self.failure
        self.written += records
        return {(record.topic, record.partition or 0): len(self.written) - 1 for record in records}


class Company(Together[Question, Answer]):
    """Knows when so many questions have been asked."""

    def __init__(self, shop: "HttpShop", count: int) -> None:
        super().__init__(shop.recommend, full=64)
        self.arrived = asyncio.Event()
        self.asked = 0
        self._count = count

    async def __call__(self, questions: Sequence[Question]) -> Sequence[Answer]:
        self.asked += len(questions)
        if self.asked == self._count:
            self.arrived.set()
        return await super().__call__(questions)


async def looked() -> tuple[list[RoleState], int | None]:
    return [RoleState("profiles", "stable", 3, 7), RoleState("neighbours", "preparing rebalance", 12, 1_234_567)], 0


NAMES = ("milk", "bread", "butter", "tea", "coffee", "cups", "oat milk", "rye bread", "green tea", "gone")
ITEMS = [
    item(name, offset, category=["food"] if "tea" not in name else ["drinks"], available=name != "gone")
    for offset, name in enumerate(NAMES)
]
HAPPENED = [event(0), event(1, item="bread"), event(2, user="bert", type="view", item="tea")]


class HttpShop:
    """Shoppers anna (bought milk and bread) and bert (viewed tea), ten items, and a service for them; or others."""

    def __init__(
        self,
        limits: Limits = LIMITS,
        items: Sequence[FakeRecord] = ITEMS,
        happened: Sequence[FakeRecord] = HAPPENED,
    ) -> None:
        self.limits = limits
        self.shop = Shop(limits=limits)
        self.shop.replica.lexicon = Lexicon()
        self.shop.catalogue(*items)
        self.shop.events(*happened)
        # Delivered again they change nothing, and what is recommended then knows of all that they led to.
        self.topic = {answer.user: answer for answer in self.shop.events(*happened)}
        store = MemoryPartition()
        store.write(self.shop.tables["profiles"].items(), 0)
        self.log = Log()
        self.encoder = TitleEncoder(self.shop.encoder)
        self.load: Callable[[str | None], TitleEncoder] = lambda model: self.encoder
        self.calls: list[int] = []
        """Questions of each batch."""
        self.company: Company | None = None
        """Recommending waits for so many questions, if set."""
        self.serving = Serving(self.shop.replica, lambda: ProfileReplica([store]), Policy(), TOPICS)

    async def recommend(self, questions: Sequence[Question]) -> list[Answer]:
        self.calls.append(len(questions))
        if self.company is not None:
            await self.company.arrived.wait()
        return await self.serving.recommend(questions)

    @asynccontextmanager
    async def client(
        self,
        keyring: Keyring | None = None,
        tokens: Tokens | None = None,
        *,
        search: bool = True,
        follow: Follow = untold,
        **api: Any,
    ) -> AsyncIterator[Client]:
        """A client of the service, which is ready. `api` are settings."""
        self.live = Live(TOPICS, self.shop.replica, looked, self.limits)
        front = front_of(ApiSettings(**{"rate": 1e6, "burst": 1_000_000, **api}), Secured(keyring, tokens), self.live)
        front = replace(front, follow=follow)
        front.health.starting = None
        searcher = TextSearch(self.load, self.shop.replica) if search else None
        searching = Together(searcher.vectors, full=64) if searcher else None
        answerer = Answerer(self.serving, searcher, WORDING, repeats=self.limits.pseudonyms is None)
        answering = Together(answerer.answer, full=64)
        recommending = self.company or Together(self.recommend, full=64)
        service = Service(self.serving, recommending, searcher, searching, answering, self.log, TOPICS, self.limits)
        server = TestServer(application.build(service, front))
        await server.start_server(max_line_size=LINE_BYTES, auto_decompress=False)  # as streams.web.door has it
        async with TestClient(server) as client:
            yield client
