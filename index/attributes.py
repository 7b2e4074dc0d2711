"""What is known of the items beside their vectors, as columns over the rows, and filters over it."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from index.base import IndexInputError
from index.rows import Removal, Slots

Value = str | bool | int
Values = Value | Collection[Value]
"""One value, or several that an item has at a time (a category path, tags)."""

Mask = npt.NDArray[np.bool_]
"""bool (rows,)."""

SlotsOf = Callable[[Iterable[str]], Slots]
"""The slots of ids, −1 for unknown ones: `Rows.slots_of`."""

_FEW_SETS = 1024

ID = "id"
"""The attribute that every item has without being described: its id."""


@dataclass(frozen=True)
class Filter:
    """Which items may be returned: for every required attribute one of its values, for every excluded one none.

    Filter.of({"category": ["dairy", "bakery"], "available": True}, exclude={"brand": "Acme"})
    Filter.of(either=[Filter.of({"brand": "Acme"}), Filter.of(exclude={"tags": "old"})])

    Attributes:
        required: attribute and accepted values.
        excluded: attribute and refused values.
        either: groups of filters; of each group at least one must let the item through.
    """

    required: tuple[tuple[str, frozenset[Value]], ...] = ()
    excluded: tuple[tuple[str, frozenset[Value]], ...] = ()
    either: tuple[tuple["Filter", ...], ...] = ()

    @classmethod
    def of(
        cls,
        require: Mapping[str, Values] | None = None,
        exclude: Mapping[str, Values] | None = None,
        either: Iterable["Filter"] = (),
    ) -> Self:
        """A filter from plain mappings, both sorted by attribute, and at most one group of alternatives."""
        required, excluded = (
            tuple(sorted((name, _value_set(values)) for name, values in (side or {}).items()))
            for side in (require, exclude)
        )
        group = tuple(either)
        return cls(required, excluded, (group,) if group else ())

    def also(self, other: "Filter") -> "Filter":
        """What both let through."""
        return Filter(self.required + other.required, self.excluded + other.excluded, self.either + other.either)


@dataclass
class _Column:
    """One attribute: which set of values a row has, by number. Set 0 is the empty one."""

    codes: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    sets: list[frozenset[Value]] = field(default_factory=lambda: [frozenset()])
    numbers: dict[frozenset[Value], int] = field(default_factory=lambda: {frozenset(): 0})
    holding: dict[Value, list[int]] = field(default_factory=dict)

    def number(self, values: frozenset[Value]) -> int:
        number = self.numbers.get(values)
        if number is None:
            number = self.numbers[values] = len(self.sets)
            self.sets.append(values)
            for value in values:
                self.holding.setdefault(value, []).append(number)
        return number

    def tidy(self) -> None:
        """Forget sets that no row has any more, once they are most of them."""
        if len(self.sets) <= max(_FEW_SETS, 2 * len(self.codes)):
            return
        used, numbers = np.unique(np.append(self.codes, np.int32(0)), return_inverse=True)
        self.codes = numbers[:-1].astype(np.int32)
        kept = [self.sets[number] for number in used.tolist()]
        self.sets, self.numbers, self.holding = [], {}, {}
        for values in kept:
            self.number(values)

    def reserve(self, rows: int) -> None:
        if rows > len(self.codes):
            longer = np.zeros(max(256, 2 * len(self.codes), rows), dtype=np.int32)
            longer[: len(self.codes)] = self.codes
            self.codes = longer

    def mask(self, wanted: Iterable[Value], rows: int) -> Mask:
        self.reserve(rows)
        holds = np.zeros(len(self.sets), dtype=bool)
        for value in wanted:
            holds[self.holding.get(value, [])] = True
        return holds[self.codes[:rows]]


class Attributes:
    """Attributes of the rows of an index, in step with them.

    A column holds a number for the set of values of each row, so that a filter is a look-up in a short table for each
    row: some tens of microseconds for 100,000 rows, however many values there are.
    """

    def __init__(self) -> None:
        """No attribute known."""
        self._columns: dict[str, _Column] = {}

    def put(self, slots: Slots, records: Sequence[Mapping[str, Values]]) -> None:
        """Replace all attributes of the rows at `slots`, passing over those below 0; the last record of a slot counts.

        Raises:
            IndexInputError: as many records as there are not slots, a value of another type, or an attribute `id`.
        """
        if len(slots) != len(records):
            raise IndexInputError(f"{len(records)} attribute records for {len(slots)} ids")
        if any(ID in record for record in records):
            raise IndexInputError(f"an attribute is called {ID!r}: every item has that one, and it cannot be described")
        told: dict[str, tuple[list[int], list[frozenset[Value]]]] = {}
        last = dict(zip(slots.tolist(), records, strict=True))
        for slot, record in last.items():
            for name, values in record.items():
                at, sets = told.setdefault(name, ([], []))
                at.append(slot)
                sets.append(self._checked(name, values))
        known = slots[slots >= 0]
        rows = int(known.max(initial=-1)) + 1
        for column in self._columns.values():
            column.reserve(rows)
            column.codes[known] = 0
        for name, (at, sets) in told.items():
            column = self._columns.setdefault(name, _Column())
            column.reserve(rows)
            numbers = np.array([column.number(values) for values in sets], dtype=np.int32)
            own = np.array(at, dtype=np.int64)
            column.codes[own[own >= 0]] = numbers[own >= 0]
            column.tidy()

    def followed(self, removal: Removal) -> None:
        """The rows moved as `removal` says."""
        last = int(max(removal.gone.max(initial=-1), removal.source.max(initial=-1)))
        for column in self._columns.values():
            column.reserve(last + 1)
            moved = column.codes[removal.source]
            column.codes[removal.gone] = 0
            column.codes[removal.source] = 0
            column.codes[removal.hole] = moved

    def mask(self, chosen: Filter, rows: int, slots_of: SlotsOf) -> Mask:
        """Which of the first `rows` rows pass a filter; `slots_of` knows the rows of ids."""
        mask = np.ones(rows, dtype=bool)
        for name, values in chosen.required:
            mask &= self._column_mask(name, values, rows, slots_of)
        for name, values in chosen.excluded:
            mask &= ~self._column_mask(name, values, rows, slots_of)
        for group in chosen.either:
            some = np.zeros(rows, dtype=bool)
            for one in group:
                some |= self.mask(one, rows, slots_of)
            mask &= some
        return mask

    def described(self) -> list[tuple[str, list[list[Value]]]]:
        """Every attribute and its sets of values, by number: what JSON can hold of the columns."""
        return [(name, [sorted(values, key=repr) for values in column.sets]) for name, column in self._columns.items()]

    def codes(self, rows: int) -> npt.NDArray[np.int32]:
        """The numbers of the sets, int32 (attributes, rows), in the order of `described`."""
        for column in self._columns.values():
            column.reserve(rows)
        columns = [column.codes[:rows] for column in self._columns.values()]
        return np.array(columns, dtype=np.int32).reshape(len(columns), rows)

    @classmethod
    def restored(cls, described: Sequence[tuple[str, Sequence[Sequence[Value]]]], codes: npt.NDArray[np.int32]) -> Self:
        """Attributes as `described` and `codes` gave them."""
        attributes = cls()
        for (name, sets), row in zip(described, codes, strict=True):
            column = attributes._columns[name] = _Column(codes=row.copy())
            for values in sets:
                column.number(frozenset(values))
        return attributes

    def _checked(self, name: str, values: Values) -> frozenset[Value]:
        """The values as a set that can be held; a set that is held already need not be looked into."""
        if type(values) is frozenset and (column := self._columns.get(name)) and values in column.numbers:
            return values
        return _value_set(values)

    def _column_mask(self, name: str, values: frozenset[Value], rows: int, slots_of: SlotsOf) -> Mask:
        if name == ID:
            mask = np.zeros(rows, dtype=bool)
            slots = slots_of(value for value in values if isinstance(value, str))
            mask[slots[slots >= 0]] = True
            return mask
        column = self._columns.get(name)
        return np.zeros(rows, dtype=bool) if column is None else column.mask(values, rows)


def _value_set(values: Any) -> frozenset[Value]:
    several = [values] if isinstance(values, str | bool | int) else values
    try:
        found = frozenset(several)
    except TypeError:
        raise IndexInputError(f"an attribute is a {type(values).__name__}, wanted str, bool, int or several") from None
    wrong = [value for value in found if not isinstance(value, str | bool | int)]
    if wrong:
        raise IndexInputError(f"an attribute holds a {type(wrong[0]).__name__}, wanted str, bool or int")
    return found
