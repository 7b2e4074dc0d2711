"""A recorded log made by hand, for tests of the evaluation."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from streams.evaluation.log import Log, assemble
from streams.evaluation.study import TOPICS
from streams.jsonl import Kind, Outgoing
from tests.unit.records import LIMITS

DAY = 86_400_000
START = 1_700_000_000_000

GOODS = {
    "milk": "Whole milk",
    "oatmilk": "Oat milk",
    "cheese": "Cheddar cheese",
    "bread": "Rye bread",
    "rolls": "Bread rolls",
    "hammer": "Claw hammer",
    "nails": "Steel nails",
    "screws": "Steel screws",
}

Line = tuple[str, int, str]
"""User, day, item: a purchase."""


def item_line(name: str, title: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "title": title, **fields}


def event_line(number: int, user: str, day: float, item: str, **fields: Any) -> dict[str, Any]:
    time = START + int(day * DAY)
    return {"id": f"e{number}", "type": "purchase", "time": time, "user": user, "item": item, **fields}


def lines(purchases: Iterable[Line]) -> list[dict[str, Any]]:
    goods = [item_line(name, title) for name, title in GOODS.items()]
    return goods + [event_line(number, *purchase) for number, purchase in enumerate(purchases)]


def record(line: dict[str, Any]) -> Outgoing:
    kind = Kind.EVENTS if "time" in line else Kind.CATALOGUE
    key = line["user"] if kind is Kind.EVENTS else line["id"]
    return Outgoing(kind, key.encode(), json.dumps(line).encode(), START + 365 * DAY)


def log_of(written: Sequence[dict[str, Any]]) -> Log:
    return assemble([record(line) for line in written], LIMITS, (TOPICS.catalogue.name, TOPICS.events.name))


def shopping(purchases: Iterable[Line]) -> Log:
    return log_of(lines(purchases))
