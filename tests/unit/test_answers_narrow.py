"""Questions that few items fit: they are found however far away; where enough are near, nobody looks farther."""

from typing import Any

import pytest

from index.attributes import Filter
from streams import answering, choosing
from streams.core.policy import Policy
from streams.core.rules import parse
from streams.records import Answer
from streams.replicas import Replica
from tests.unit.answer_shop import AnswerShop
from tests.unit.records import FakeRecord, event, item
from tests.unit.shop import TOPICS

POTS = [
    item(
        f"pot {n}", n, title=f"Tea pot number {n}", price=float(10 + n), currency="EUR" if n != 4 else "USD",
        brand="Alba" if n % 2 else "Borea", available=n not in (0, 55),
        category=["Kitchen", "Lids" if n > 57 else "Pots"], attributes={"colour": "red" if n % 20 == 3 else "blue"},
    )
    for n in range(60)
]  # fmt: skip


@pytest.fixture(autouse=True)
def few_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five of sixty items instead of 400 of a catalogue."""
    monkeypatch.setattr(answering, "NEAREST", 5)
    monkeypatch.setattr(choosing, "LOOKED_AT", 3)


@pytest.fixture
def shop() -> AnswerShop:
    return AnswerShop(*POTS)


@pytest.fixture
def filters(monkeypatch: pytest.MonkeyPatch) -> list[Filter]:
    """What the index is told of what is wanted."""
    told: list[Filter] = []
    search = Replica.search

    async def listening(self: Replica, queries: Any, count: int, where: Filter | None = None) -> Any:
        if where is not None:
            told.append(where)
        return await search(self, queries, count, where)

    monkeypatch.setattr(Replica, "search", listening)
    return told


def cited(answer: Answer) -> set[str]:
    return {one.item for one in answer.items}


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("find me a spaceship in red", {"pot 3", "pot 23", "pot 43"}),
        ("find me a spaceship in red under 40 euros", {"pot 3", "pot 23"}),
        ("find me a spaceship under 15 euros", {"pot 1", "pot 2", "pot 3"}),  # pot 0 is gone, pot 4 costs dollars
        ("find me a spaceship by Borea over 65 euros", {"pot 56", "pot 58"}),
        ("find me a spaceship by Alba in red under 20 euros", {"pot 3"}),
        ("find me a spaceship in red under 5 euros", set()),
        ("find me shiny heavy spaceship lids", {"pot 58", "pot 59"}),
        ("recommend something over 67 euros", {"pot 58", "pot 59"}),
        ("anything cheaper than tea pot number 6?", {"pot 6", "pot 5", "pot 3", "pot 2", "pot 1"}),
    ],
)
def test_all_that_there_is_is_found(
    shop: AnswerShop, question: str, found: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "NAMED", 4)
    assert cited(shop.ask(question, n=4)) == found


def test_what_is_gone_is_replaced_from_farther_away(shop: AnswerShop) -> None:
    shop.shop.catalogue(*(item(f"pot {n}", 100 + n, title=f"Tea pot number {n}", available=n == 9) for n in range(60)))
    for question in ("is tea pot number 30 in stock?", "find me tea pot number 30"):
        answer = shop.ask(question)
        assert [(one.item, one.alternative) for one in answer.items] == [("pot 30", False), ("pot 9", True)]


def test_where_enough_is_near_the_index_is_asked_once(shop: AnswerShop, filters: list[Filter]) -> None:
    assert len(shop.ask("find me a spaceship", n=3).items) == 3
    assert filters == []
    assert cited(shop.ask("find me a spaceship by Borea over 65 euros", n=3)) == {"pot 56", "pot 58"}
    assert len(filters) == 1


def test_rules_of_the_shop_and_what_a_shopper_did_hold_farther_away() -> None:
    rules = (parse('exclude brand = "Borea"'), parse("exclude purchased"))
    shop = AnswerShop(*POTS, policy=Policy(rules=rules, excluded=frozenset({"pot 43"})))
    question = "find me a spaceship in red"
    assert cited(shop.ask(question)) == {"pot 3", "pot 23"}
    shop.happened(event(0, user="anna", item="pot 3", type="purchase"))
    assert cited(shop.ask(question, shopper="anna")) == {"pot 23"}
    assert cited(shop.ask(question, shopper="bert")) == {"pot 3", "pot 23"}


def test_what_fits_softly_comes_before_what_is_only_near(shop: AnswerShop, filters: list[Filter]) -> None:
    """Of the wanted category as long as there is any; else what meets the rest."""
    assert cited(shop.ask("find me shiny heavy spaceship lids", n=3)) == {"pot 58", "pot 59"}
    filters.clear()
    assert cited(shop.ask("find me shiny heavy spaceship lids in red", n=3)) == {"pot 3", "pot 23", "pot 43"}
    assert len(filters) == 2


def test_the_index_is_told_the_currency(shop: AnswerShop, filters: list[Filter]) -> None:
    """And does not go through all that costs euros; what is in no known currency may be meant."""
    assert cited(shop.ask("find me a spaceship under 15 dollars")) == {"pot 4"}
    shop.shop.catalogue(item("bare", 100, title="Bare pot", price=11.0), item("pot 4", 101, price=14.0, currency="EUR"))
    filters.clear()
    assert cited(shop.ask("find me a spaceship under 15 dollars")) == {"bare"}
    assert len(filters) == 1
    told = dict(filters[0].required)["currency"]
    assert {"USD", ""} <= told
    assert "EUR" not in told


def test_what_is_named_may_leave_while_cheaper_things_are_looked_for(
    shop: AnswerShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Replica.search

    async def leaving(self: Replica, queries: Any, count: int, where: Filter | None = None) -> Any:
        if where is not None:
            await shop.shop.replica.apply(TOPICS.catalogue.name, 0, [FakeRecord(b"pot 6", None, 100)])
        return await search(self, queries, count, where)

    monkeypatch.setattr(Replica, "search", leaving)
    assert cited(shop.ask("anything cheaper than tea pot number 6?")) == set()
    assert "pot 6" not in shop.shop.replica.facts
