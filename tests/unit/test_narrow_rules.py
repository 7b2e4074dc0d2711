"""Rules that few items meet: as many as wanted, or all there are, however far away; where enough are near, the same."""

import asyncio
from typing import Any

import numpy as np
import pytest

from index.attributes import Filter
from streams import serving
from streams.core.policy import Policy
from streams.core.profile import Profile, fold
from streams.core.rules import Rule, parse_all, parse_filter
from streams.edge import AcceptedEvent, accept_event
from streams.recommender import Shopper, recommend
from streams.replicas import Replica
from streams.serving import Serving
from tests.unit.records import LIMITS, NOW, FakeRecord, event, item
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


def recommended(shop: Shop, policy: Policy) -> list[tuple[str, float, str]]:
    profile = fold(Profile(), [accepted(event(n, item=f"thing {n}", type="view")).arrival for n in range(3)])
    (slate,) = asyncio.run(recommend([Shopper(profile, NOW + 10)], shop.replica, policy))
    return [(entry.item, entry.score, entry.channel) for entry in slate.items]


def accepted(record: FakeRecord) -> AcceptedEvent:
    found = accept_event(record, LIMITS)
    assert isinstance(found, AcceptedEvent)
    return found


def of(*rules: str, pool: int = 10) -> Policy:
    return Policy(size=10, pool=pool, rules=parse_all(rules), exploration=0.0)


def without_filters(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> None:
    search = shop.replica.search

    async def unfiltered(queries: Any, count: int, where: Filter | None = None) -> Any:
        return await search(queries, count)

    monkeypatch.setattr(Replica, "search", lambda self, *asked: unfiltered(*asked))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('include brand = "rare"', {"thing 7", "thing 151", "thing 293"}),
        ('include id in ("thing 299", "thing 9", "nobody")', {"thing 299"}),
        ('exclude not brand = "rare" or price > 20', {"thing 7", "thing 151"}),
        ("include price < 0.85 and price > 0.45", {"thing 4", "thing 5", "thing 6", "thing 7"}),
    ],
)
def test_a_recommendation_is_as_long_as_rules_can_make_it(
    shop: Shop, rule: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {one for one, _, _ in recommended(shop, of(rule))} == expected
    without_filters(monkeypatch, shop)
    assert {one for one, _, _ in recommended(shop, of(rule))} < expected


@pytest.mark.parametrize("rule", ['include brand = "common"', 'exclude brand = "rare"', "exclude price > 100"])
def test_rules_that_leave_enough_change_nothing(shop: Shop, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = recommended(shop, of(rule))
    assert len(before) == 10
    without_filters(monkeypatch, shop)
    assert recommended(shop, of(rule)) == before
