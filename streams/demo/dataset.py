"""A year of a grocer's loyalty-card purchases (The Complete Journey) as catalogue items and purchase events.

- The price of an item is the mean of what was paid for a piece over the whole year. It is shown to people and never
  used to recommend, so it gives nothing away about the future.
- Left out: lines without a quantity (they are no purchases), fuel and coupons, and products that the data set gives
  no type, because there is nothing to call them by.
- The times carry no zone; they are taken as UTC.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from streams.core.events import EventType
from streams.demo.receipts import Ints, Purchases, Receipts
from streams.demo.wording import readable, title
from streams.records import CatalogueItem, Event


class Slice(NamedTuple):
    """How much of the data set; None takes all.

    Households are drawn at random, the same ones every time; products are those that all households together bought
    most often.
    """

    households: int | None
    products: int | None


class Basket(NamedTuple):
    """What a household bought at one time: one event per line, at least one. `time` in Unix milliseconds."""

    user: str
    time: int
    events: list[Event]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A shop: its items, most often bought first, and its purchases."""

    items: list[CatalogueItem]
    purchases: Purchases

    @property
    def households(self) -> int:
        """How many households buy."""
        return len(np.unique(self.purchases.household))

    def baskets(self) -> Iterator[Basket]:
        """The purchases as events, in time order."""
        for start, end in pairwise([*self.purchases.starts().tolist(), len(self.purchases)]):
            yield self._basket(start, end)

    def _basket(self, start: int, end: int) -> Basket:
        lines = self.purchases
        user, time = user_id(int(lines.household[start])), int(lines.time[start])
        events = [
            Event(
                id=f"{basket}-{item}",
                type=EventType.PURCHASE,
                time=time,
                user=user,
                item=str(item),
                value=float(quantity),
                session=str(basket),
            )
            for basket, item, quantity in zip(
                lines.basket[start:end].tolist(),
                lines.item[start:end].tolist(),
                lines.quantity[start:end].tolist(),
                strict=True,
            )
        ]
        return Basket(user, time, events)


def user_id(household: int) -> str:
    """A household as a shopper."""
    return f"household-{household}"


def load(wanted: Slice) -> Dataset:
    """Read a slice of the installed data set.

    Raises:
        ConfigError: the extra `demo` is not installed.
    """
    receipts = Receipts()
    products = receipts.products()
    bought = receipts.purchases()
    bought = bought.where(np.isin(bought.item, list(products)))
    ranked = by_count(bought.item)[: wanted.products]
    prices = receipts.prices()
    chosen = bought.where(
        np.isin(bought.item, ranked) & np.isin(bought.household, sample(bought.household, wanted.households))
    )
    carried = set(np.unique(chosen.item).tolist())
    items = [_item(products[key], prices.get(key)) for key in ranked.tolist() if key in carried]
    return Dataset(items, chosen)


def by_count(keys: Ints) -> Ints:
    """Distinct keys, the most frequent first, equal ones by key."""
    distinct, counts = np.unique(keys, return_counts=True)
    ranked: Ints = distinct[np.argsort(-counts, kind="stable")]
    return ranked


def sample(households: Ints, count: int | None) -> Ints:
    """Distinct households, `count` of them: a draw by hash, so that a smaller sample is part of a larger one."""
    ordered = sorted(np.unique(households).tolist(), key=lambda one: blake2b(str(one).encode()).digest())
    return np.array(ordered[:count], np.int64)


def _item(product: dict[str, Any], price: float | None) -> CatalogueItem:
    path = (product["department"], product["product_category"], product["product_type"])
    return CatalogueItem(
        id=str(product["product_id"]),
        title=title(product["product_type"], product["package_size"], product["product_category"]),
        category=[readable(part) for part in path if part],
        brand=f"{readable(product['brand'])} brand",
        price=None if price is None else round(price, 2),
        currency=None if price is None else "USD",
        language="en",
    )
