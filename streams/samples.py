"""One example record of every JSON topic, for the AsyncAPI document and docs/topics.md. Made up, but true to type."""

from msgspec import Struct

from streams.core.events import EventType
from streams.records import (
    Answer,
    AnswerItem,
    CatalogueItem,
    Cited,
    Event,
    ModelPlan,
    Question,
    Quotation,
    Reason,
    Recommendation,
    RecommendedItem,
    ServedModel,
    Trigger,
)

_MONDAY_10H = 1_767_607_200_000  # 2026-01-05 10:00:00 UTC
_VIEWED = Cited("hammer-16oz", EventType.VIEW, _MONDAY_10H)

SAMPLES: dict[str, Struct] = {
    "view": Event(
        id="01J-7f3a",
        type=EventType.VIEW,
        time=_MONDAY_10H,
        user="u-1842",
        item="hammer-16oz",
        session="s-99",
        attributes={"device": "phone"},
    ),
    "purchase": Event(
        id="01J-7f3b",
        type=EventType.PURCHASE,
        time=_MONDAY_10H + 95_000,
        user="u-1842",
        item="nails-50mm",
        value=2.0,
        session="order-5531",
    ),
    "login": Event(
        id="01J-7f3c",
        type=EventType.LOGIN,
        time=_MONDAY_10H + 120_000,
        anonymous_id="cookie-5e1",
        alias="u-1842",
    ),
    "item": CatalogueItem(
        id="hammer-16oz",
        title="Claw hammer, 16 oz, hickory handle",
        description="Forged steel head, straight claw, for framing and pulling nails.",
        category=["Tools", "Hand tools", "Hammers"],
        brand="Ironwood",
        price=24.9,
        currency="EUR",
        rating=4.6,
        language="en",
    ),
    "recommendation": Recommendation(
        id="2f0c9f0e6f1f6a9b1f4bb0e7a0c1d2e3",
        user="u-1842",
        time=_MONDAY_10H + 95_000,
        trigger=Trigger(
            topic="shop.events.v1",
            partition=2,
            offset=48_211,
            event="01J-7f3b",
            type=EventType.PURCHASE,
            timestamp=_MONDAY_10H + 95_012,
            item="nails-50mm",
        ),
        items=[
            RecommendedItem(
                rank=1,
                item="mallet-rubber",
                score=0.031746,
                channel="content",
                reasons=[
                    Reason(
                        channel="content",
                        share=1.0,
                        text="like Claw hammer, 16 oz, hickory handle, viewed on 2026-01-05",
                        because=[_VIEWED],
                    )
                ],
            )
        ],
        as_of={
            "shop.catalogue.v1/0": 1310,
            "shop.embeddings.v1/0": 1204,
            "shop.events.v1/2": 48_211,
            "shop.trending.v1/2": 30_555,
        },
        model="all-MiniLM-L6-v2@fp32-bd07ecf2",
        policy="default",
        stage="profile",
    ),
    "question": Question(
        id="q-77",
        text="How much is the claw hammer?",
        time=_MONDAY_10H,
        user="u-1842",
    ),
    "answer": Answer(
        id="6d1f0b3c2a594e8f9a7be0c4d5f60718",
        question="q-77",
        user="u-1842",
        time=_MONDAY_10H,
        kind="price",
        language="en",
        text="Claw hammer, 16 oz, hickory handle: 24.90 EUR.",
        exact=True,
        items=[AnswerItem("hammer-16oz", "Claw hammer, 16 oz, hickory handle", True, 24.9, "EUR")],
        quotes=[
            Quotation("hammer-16oz", "title", "Claw hammer, 16 oz, hickory handle"),
            Quotation("hammer-16oz", "price", "24.90"),
            Quotation("hammer-16oz", "currency", "EUR"),
        ],
        filter=None,
        as_of={"shop.catalogue.v1/0": 1310, "shop.embeddings.v1/0": 1204},
        model="all-MiniLM-L6-v2@fp32-bd07ecf2",
        policy="default",
    ),
    "model-plan": ModelPlan(
        serving=ServedModel(
            "embeddings", "all-MiniLM-L6-v2@fp32-ce6e399d", "all-MiniLM-L6-v2@fp32-bd07ecf2", "encoder"
        ),
        next=ServedModel(
            "embeddings_b",
            "multilingual-e5-small@fp32-ac2b4938",
            "multilingual-e5-small@fp32-5d0c1e77",
            "encoder-5d0c1e77-19b5a1",
        ),
        rate=20.0,
    ),
}


def of(record: str) -> list[tuple[str, Struct]]:
    """The samples of a record type, by name."""
    return [(name, sample) for name, sample in SAMPLES.items() if type(sample).__name__ == record]
