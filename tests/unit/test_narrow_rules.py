"""Rules that few items meet: as many as wanted, or all there are, however far away; where enough are near, the same."""

import asyncio
from typing import Any

import numpy as np
import pytest

from index.attributes import Filter
from streams import serving
from streams.core.policy import Policy
from streams.core.rules import Rule, parse_filter
from streams.replicas import Replica
from streams.serving import Serving
from tests.unit.records import item
from tests.unit.shop import TOPICS, Shop

COUNT = 300
BRANDS = {"common": range(0, COUNT, 2), "rare": (7, 151, 293), "gone": (9,)}


def brand(number: int) -> str | None:
    return next((name for name, numbers in BRANDS.items() if number in numbers), None)


def catalogue() -> list[Any]:
    return [
        item(
            f"thing {number}", number, brand=brand(number), price=number / 10 + 0.1, available=number != 9,
            attributes={"colour": "red" if number % 3 else "blue", "note": "x" * 70 + str(number)},
        )
        for number in range(COUNT)
    ]  # fmt: skip


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    shop.catalogue(*catalogue())
    return shop


@pytest.fixture
def serves(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Serving:
    monkeypatch.setattr(shop.replica, "pinned", lambda: shop.replica)
    return Serving(shop.replica, lambda: pytest.fail("no profile is asked for"), Policy(), TOPICS)


class Asked:
    """What the index was asked for."""

    def __init__(self, replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: list[tuple[int, bool]] = []
        search = replica.search

        async def counting(queries: Any, count: int, where: Filter | None = None) -> Any:
            self.counts.append((count, where is not None))
            return await search(queries, count, where)

        monkeypatch.setattr(replica, "search", counting)


async def by_hand(shop: Shop, rules: tuple[Rule, ...], but: str) -> tuple[set[str], list[float]]:
    """The oracle: every item that the rules leave, and all their cosines to `but`, largest first."""
    good = [one for one in shop.replica.facts if one != but and shop.replica.available(one)]
    met = list(serving._met(rules, shop.replica, good))
    cosines = await shop.replica.vectors(met) @ (await shop.replica.vectors([but]))[0]
    return set(met), sorted(cosines.tolist(), reverse=True)


@pytest.mark.parametrize(
    "rule",
    [
        'brand = "rare"',
        'brand = "gone"',
        'brand = "common"',
        'id in ("thing 3", "thing 299", "nobody")',
        'price > 29.5 and attributes.colour = "blue"',
        'not (brand = "common" or attributes.colour = "red")',
        "price = 20.1",
        f'attributes.note = "{"x" * 70}17"',
        "purchased",
        "not seen and price < 0.5",
    ],
)
async def test_all_that_meet_a_filter_are_found(serves: Serving, shop: Shop, rule: str) -> None:
    rules = (parse_filter(rule),)
    near = await serves.similar("thing 0", 20, rules)
    met, cosines = await by_hand(shop, rules, "thing 0")
    assert len(set(near.items)) == len(near.items) == min(20, len(met))
    assert set(near.items) <= met
    np.testing.assert_allclose(near.cosines, cosines[:20], atol=1e-4)


async def test_the_index_is_told_the_filter_only_where_too_few_are_near(
    serves: Serving, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(shop.replica, monkeypatch)
    await serves.similar("thing 0", 20, (parse_filter('brand = "common"'),))
    assert asked.counts == [(61, False)]
    asked.counts.clear()
    found = await serves.similar("thing 0", 20, (parse_filter('brand = "rare"'),))
    assert sorted(found.items) == ["thing 151", "thing 293", "thing 7"]
    assert asked.counts == [(61, False), (61, True)]


async def test_rules_that_the_index_cannot_be_told_choose_from_the_catalogue(
    serves: Serving, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "FARTHEST", 10)
    monkeypatch.setattr(serving, "TOGETHER", 32)
    asked = Asked(shop.replica, monkeypatch)
    rules = (parse_filter("price >= 20.1 and price <= 20.1 or purchased"),)
    found = await serves.similar("thing 0", 2, rules)
    assert found.items == ["thing 200"]
    assert asked.counts == [(7, False), (7, True), (10, True), (3, True)]


def test_what_is_told_follows_the_catalogue(serves: Serving, shop: Shop) -> None:
    shop.catalogue(item("thing 7", 1000, brand="other"), item("thing 8", 1001, brand="rare"))
    shop.catalogue(item("thing 293", 1002, brand="rare", available=False), item("new", 1003, brand="rare"))
    found = asyncio.run(serves.similar("thing 0", 20, (parse_filter('brand = "rare"'),)))
    assert sorted(found.items) == ["new", "thing 151", "thing 8"]
