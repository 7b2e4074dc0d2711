"""Items by dense places: what ranking asks of many of them at once, as columns.

A place is a number that counts up as items are first spoken of. Everything that is known by item (facts, popularity,
neighbours) keeps a column over the same places, so that candidates of many shoppers are two arrays, owner and place.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
T = TypeVar("T", bound=np.generic)

NONE = -1
"""The code of a category or brand that an item lacks."""

NEVER = 2**63 - 1
"""The time of what has not happened yet."""

_BEGIN = 1024


class Column(Generic[T]):
    """A value for every place, and for some that are not taken yet: (capacity,) or (capacity, width)."""

    def __init__(self, values: npt.NDArray[T], fill: Any) -> None:
        self.values = values
        self._fill = fill

    def grow(self, capacity: int) -> None:
        """Make room, filled with what new places have."""
        more = np.full((capacity - len(self.values), *self.values.shape[1:]), self._fill, self.values.dtype)
        self.values = np.concatenate((self.values, more))


class Items:
    """The places of items, and the facts of the catalogue that features and eligibility are made of.

    Attributes:
        ids: by place.
        ties: uint64, a hash of the id: what orders items that are equal otherwise, alike on every machine.
        available: bool, in the catalogue and can be bought.
        category, brand: int32 codes, `NONE` without one. The category is the finest.
        log_price: float64, NaN without a price above 0.
        first: int64, time of the earliest event, Unix milliseconds; `NEVER` without one.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._places: dict[str, int] = {}
        self._codes: dict[str, int] = {}
        self._columns: list[Column[Any]] = []
        self._capacity = _BEGIN
        self.ties: Column[np.uint64] = self.column(np.uint64, 0)
        self.available: Column[np.bool_] = self.column(np.bool_, False)
        self.category: Column[np.int32] = self.column(np.int32, NONE)
        self.brand: Column[np.int32] = self.column(np.int32, NONE)
        self.log_price: Column[np.float64] = self.column(np.float64, np.nan)
        self.first: Column[np.int64] = self.column(np.int64, NEVER)
        # Of no meaning between two questions: what makes a question cost what it asks of, not as much as all items.
        self._scratch: Column[np.int64] = self.column(np.int64, 0)

    def __len__(self) -> int:
        return len(self.ids)

    def column(self, dtype: type[T], fill: Any, width: int | None = None) -> Column[T]:
        """A new column; places have `fill` until somebody says otherwise."""
        shape = (self._capacity,) if width is None else (self._capacity, width)
        column = Column(np.full(shape, fill, dtype), fill)
        self._columns.append(column)
        return column

    @property
    def scratch(self) -> Places:
        """int64, one for every place, of no meaning between two questions."""
        return self._scratch.values

    def find(self, item: str) -> int | None:
        """The place of an item that was spoken of."""
        return self._places.get(item)

    def place(self, item: str) -> int:
        """The place of an item; it gets one when it is first spoken of."""
        place = self._places.get(item)
        if place is None:
            place = self._places[item] = len(self.ids)
            self.ids.append(item)
            if place == self._capacity:
                self._capacity *= 2
                for column in self._columns:
                    column.grow(self._capacity)
            self.ties.values[place] = tie(item)
        return place

    def places(self, items: Iterable[str]) -> Places:
        """int64 (n,): the places of items."""
        asked = items if isinstance(items, Sequence) else list(items)
        try:
            found = itemgetter(*asked)(self._places) if len(asked) > 1 else map(self._places.__getitem__, asked)
            return np.fromiter(found, np.int64, len(asked))
        except KeyError:
            return np.array([self.place(item) for item in asked], np.int64)

    def named(self, places: Places) -> list[str]:
        """The items at places."""
        return list(map(self.ids.__getitem__, places.tolist()))

    def describe(
        self, item: str, *, available: bool, category: str | None, brand: str | None, price: float | None
    ) -> None:
        """Set the facts of an item."""
        place = self.place(item)
        self.available.values[place] = available
        self.category.values[place] = self._code(category)
        self.brand.values[place] = self._code(brand)
        self.log_price.values[place] = np.log(price) if price is not None and 0 < price < np.inf else np.nan

    def met(self, item: str, time: int) -> None:
        """Something was done with an item at a time, maybe earlier than is known."""
        place = self.place(item)
        self.first.values[place] = min(self.first.values[place], time)

    def forget(self, item: str) -> None:
        """The catalogue has the item no more."""
        self.describe(item, available=False, category=None, brand=None, price=None)

    def ranked(self, places: Places, scores: npt.NDArray[np.float64], count: int) -> Places:
        """The best `count` of some places, best first; equal scores by `ties`.

        places: int64 (n,), no place twice; scores: float64 (n,).
        """
        if 0 < count < len(places):
            least = np.partition(scores, len(scores) - count)[len(scores) - count]
            enough = np.flatnonzero(scores >= least)
            places, scores = places[enough], scores[enough]
        return places[np.lexsort((self.ties.values[places], -scores))[:count]]

    def firsts(self, places: Places) -> Places:
        """Places, each where it is first."""
        every = np.arange(len(places))
        scratch = self.scratch
        scratch[places[::-1]] = every[::-1]  # of equal ones the last one written stays
        first: Places = places[scratch[places] == every]
        return first

    def _code(self, name: str | None) -> int:
        return NONE if not name else self._codes.setdefault(name, len(self._codes))


def tie(item: str) -> int:
    """64 bits of an item's id, alike on every machine."""
    return int.from_bytes(blake2b(item.encode(), digest_size=8).digest(), "little")
