"""The catalogue changes while a list is made."""

import pytest

from index.base import Vectors
from streams.core.policy import Policy
from tests.unit.records import FakeRecord, event, item
from tests.unit.shop import TOPICS, Shop


@pytest.mark.parametrize("exploration", [0.0, 1.0])
@pytest.mark.parametrize("gone", [b"thing 2", b"thing 5"])
def test_an_item_that_leaves_meanwhile_is_not_in_the_list(
    monkeypatch: pytest.MonkeyPatch, gone: bytes, exploration: float
) -> None:
    shop = Shop(Policy(exploration=exploration))
    shop.catalogue(*(item(f"thing {number}", number) for number in range(8)))
    fetch = shop.replica.vectors

    async def slow(items: list[str]) -> Vectors:
        vectors = await fetch(items)
        if len(items) > 1:  # these are the candidates, not what the shopper looked at
            await shop.replica.apply(TOPICS.catalogue.name, 0, [FakeRecord(gone, None, 100)])
        return vectors

    monkeypatch.setattr(shop.replica, "vectors", slow)
    (recommendation,) = shop.events(event(item="thing 0", type="view"))
    assert {entry.item for entry in recommendation.items} == {
        f"thing {number}" for number in range(8) if f"thing {number}" != gone.decode()
    }
