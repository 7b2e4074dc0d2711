"""Baskets and recommendations for the demo's tests."""

from collections.abc import Sequence

from streams.core.events import EventType
from streams.demo.dataset import Basket
from streams.records import CatalogueItem, Event, Reason, Recommendation, RecommendedItem, Trigger

DAY = 86_400_000


def basket(user: str, items: Sequence[str], time: int = 0, name: str = "b") -> Basket:
    """A basket whose event ids are NAME-ITEM."""
    events = [
        Event(id=f"{name}-{item}", type=EventType.PURCHASE, time=time, user=user, item=item, session=name)
        for item in items
    ]
    return Basket(user, time, events)


def recommendation(user: str, trigger: str, items: Sequence[str]) -> Recommendation:
    """What is recommended to a shopper after the event `trigger`."""
    return Recommendation(
        id=f"{user}/{trigger}",
        user=user,
        time=0,
        trigger=Trigger("shop.events.v1", 0, 0, trigger, EventType.PURCHASE, 0),
        items=[
            RecommendedItem(rank, item, 1.0 / rank, "buy_again", [Reason("buy_again", 1.0, f"because of {item}")])
            for rank, item in enumerate(items, start=1)
        ],
        as_of={},
        model="hashing",
        policy="default",
        stage="profile",
    )


def catalogue(items: Sequence[str]) -> dict[str, CatalogueItem]:
    """Items whose titles are `Title of ITEM`, at two dollars each."""
    return {item: CatalogueItem(id=item, title=f"Title of {item}", price=2.0, currency="USD") for item in items}
