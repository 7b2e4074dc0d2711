"""A shop of a few items that answers questions: the real recommender, lexicon and templates; no Kafka."""

import asyncio
from typing import Any

from streams.agents.answers import Asked
from streams.answering import Answerer
from streams.core.answers.lexicon import Lexicon
from streams.core.policy import Policy
from streams.engine.store import MemoryPartition
from streams.items import ItemEncoder
from streams.profile_replica import ProfileReplica
from streams.records import Answer
from streams.serving import Serving, TextSearch
from streams.wording import Wording
from tests.unit.records import FakeRecord, item
from tests.unit.shop import TOPICS, Shop

WORDING = Wording()

ITEMS: list[FakeRecord] = [
    item(name, offset, **said)
    for offset, (name, said) in enumerate({
        "claw": {
            "title": "Claw hammer, hickory handle", "category": ["Tools", "Hammers"], "brand": "Ironwood",
            "price": 24.9, "currency": "EUR", "rating": 4.6,
            "attributes": {"weight": "450 g", "handle": "hickory", "magnetic": False},
        },
        "mallet": {
            "title": "Rubber mallet", "category": ["Tools", "Hammers"], "brand": "Ironwood",
            "price": 12.5, "currency": "EUR", "rating": 4.1, "attributes": {"weight": "600 g"},
        },
        "sledge": {
            "title": "Sledge hammer", "category": ["Tools", "Hammers"], "brand": "Stahl",
            "price": 49.0, "currency": "EUR", "available": False, "attributes": {"weight": "3 kg"},
        },
        "red-mug": {
            "title": "Enamel mug", "category": ["Kitchen", "Mugs"], "brand": "Emalia",
            "price": 9.5, "currency": "EUR", "attributes": {"colour": "red", "dishwasher-safe": True},
        },
        "blue-mug": {
            "title": "Tall enamel mug", "category": ["Kitchen", "Mugs"], "brand": "Emalia",
            "price": 14.0, "currency": "EUR", "attributes": {"colour": "blue", "dishwasher-safe": False},
        },
        "usd-mug": {
            "title": "Travel mug", "category": ["Kitchen", "Mugs"], "price": 8.0, "currency": "USD",
            "attributes": {"colour": "red"},
        },
        "flask": {
            "title": "不锈钢保温杯", "category": ["厨房", "水杯"], "brand": "富光",
            "price": 59.0, "currency": "CNY", "attributes": {"颜色": "红色", "容量": "500毫升"},
        },
        "cup": {
            "title": "玻璃水杯", "category": ["厨房", "水杯"], "brand": "富光",
            "price": 25.0, "currency": "CNY", "attributes": {"颜色": "透明"},
        },
        "nothing": {"title": "Bare thing"},
    }.items())
]  # fmt: skip


class AnswerShop:
    """The items above, a shopper `anna` who likes mugs, and whatever else is put in."""

    def __init__(
        self, *records: FakeRecord, policy: Policy | None = None, wording: Wording = WORDING, repeats: bool = True
    ) -> None:
        self.shop = Shop()
        self.shop.replica.lexicon = Lexicon()
        self.shop.catalogue(*(records or ITEMS))
        self.store = MemoryPartition()
        encoder = ItemEncoder(self.shop.encoder)
        search = TextSearch(lambda model: encoder, self.shop.replica)
        serving = Serving(self.shop.replica, lambda: ProfileReplica([self.store]), policy or Policy(), TOPICS)
        self.answerer = Answerer(serving, search, wording, repeats=repeats)

    def happened(self, *events: FakeRecord) -> None:
        self.shop.events(*events)
        self.store.write(self.shop.tables["profiles"].items(), 0)

    def ask(self, text: str, **asked: Any) -> Answer:
        (answer,) = asyncio.run(self.answerer.answer([Asked("q-1", text, **asked)]))
        return answer
