"""The rules language as filters of the index: what is told it of an item, and what it may leave out for rules.

    facts of an item ─► attributes ─► index
    rules ───────────► filter ─────► index ─► nearest items that the rules can leave ─► the rules themselves

A filter never leaves out an item that the rules keep. Where it says less than the rules (what a shopper did, the values
within one band of numbers, long texts), the rules have the last word on what it lets through.
"""

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from index.attributes import ID, Filter, Values
from streams.core.eligible import Described
from streams.core.rules.syntax import (
    All,
    Among,
    Any,
    Comparison,
    Condition,
    Exclude,
    Field,
    Has,
    Include,
    Kind,
    Not,
    Operator,
    Rule,
    Value,
)

MAX_NAMES = 64
"""Attributes of the catalogue that the index is told; a shop may have any number."""

HAS = True
"""Among the values of a field: the item has the field."""

_CURRENCY = "currency"
_NO_CURRENCY = ""
_ATTRIBUTE = "attributes."
_LONGEST = 64
"""Characters of a text that is told as it is; of a longer one its checksum is."""
_OCTAVE = 8  # bands of numbers between one and its double
_OCTAVES = 20  # above 1 and below; what is outside falls into the last band
_LAST = 2 * _OCTAVE * _OCTAVES + 1
_UP_TO = (Operator.LESS, Operator.AT_MOST)


class Priced(Described, Protocol):
    """What the index is told of: `streams.replicas.Facts`."""

    @property
    def currency(self) -> str | None: ...


def paid_in(currencies: Iterable[str]) -> Filter:
    """The items that cost something in one of some currencies, and those of which the currency is not known."""
    return Filter.of({_CURRENCY: [*currencies, _NO_CURRENCY]})


class Told:
    """What the index is told of items. Which attributes that are is settled by who comes first."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def attributes(self, facts: Priced | None) -> Mapping[str, Values]:
        """What the index is to know of an item; nothing of one that the catalogue has not."""
        if facts is None:
            return {}
        found: dict[str, Values] = {"available": facts.available, _CURRENCY: facts.currency or _NO_CURRENCY}
        for field, text in (("category", facts.category), ("brand", facts.brand)):
            if text is not None:
                found[field] = _words(text, "str")
        if facts.price is not None:
            found["price"] = _words(facts.price, "float")
        for name, value in facts.attributes.items():
            if value is not None and self._knows(name):
                found[_ATTRIBUTE + name] = _words(value, type(value).__name__)
        return found

    def filter(self, rules: Sequence[Rule]) -> Filter:
        """A filter that lets through every available item that no rule drops, and as few others as it can."""
        found = Filter.of({"available": True})
        for rule in rules:
            if isinstance(rule, Exclude | Include):
                part = self._those(rule.condition, holds=isinstance(rule, Include))
                found = found if part is None else found.also(part)
        return found

    def _knows(self, name: str) -> bool:
        if name not in self._names and len(self._names) < MAX_NAMES:
            self._names.add(name)
        return name in self._names

    def _those(self, condition: Condition, *, holds: bool) -> Filter | None:
        """Items for which a condition holds, or for which it does not, perhaps among others; None for all items."""
        match condition:
            case Comparison(field, operator, value):
                return self._compared(field, operator, value, holds=holds)
            case Among(field, values):
                return self._among(field, values, holds=holds)
            case Has(field):
                return self._has(field, holds=holds)
            case Not(part):
                return self._those(part, holds=not holds)
            case All(parts) | Any(parts):
                found = [self._those(part, holds=holds) for part in parts]
                return _all(found) if isinstance(condition, All) is holds else _any(found)
        return None  # what a shopper did

    def _has(self, field: Field, *, holds: bool) -> Filter | None:
        name = self._column(field)
        return None if name is None or name in (ID, "available") else _side(name, [HAS], holds=holds)

    def _among(self, field: Field, values: Sequence[Value], *, holds: bool) -> Filter | None:
        name = self._column(field)
        if name is None:
            return None
        if field.kind is Kind.FLAG:
            return _side(name, [bool(value) for value in values], holds=holds)
        if name == ID:
            return _side(name, [str(value) for value in values], holds=holds)
        # Not every item of a band, or of a checksum, has the value.
        words = [_word(value) for value in values if holds or _exactly(value)]
        return _side(name, words, holds=holds)

    def _compared(self, field: Field, operator: Operator, value: Value, *, holds: bool) -> Filter | None:
        if operator in (Operator.EQUAL, Operator.UNEQUAL):
            return self._among(field, (value,), holds=holds is (operator is Operator.EQUAL))
        name, own = self._column(field), _band(float(value))
        if name is None:
            return None
        # All bands in which some numbers meet it; of those that do not, the bands in which no number can.
        edge = [own] if holds else []
        bands = [*(range(-_LAST, own) if operator in _UP_TO else range(own + 1, _LAST + 1)), *edge]
        return _side(name, [_named(band) for band in bands], holds=holds)

    def _column(self, field: Field) -> str | None:
        """What a field is called in the index; None where it is not told of it."""
        if not field.attribute:
            return field.name
        told = field.name in self._names or len(self._names) < MAX_NAMES  # else nobody has it
        return _ATTRIBUTE + field.name if told else None


def _side(name: str, values: Sequence[str | bool], *, holds: bool) -> Filter:
    return Filter.of({name: values}) if holds else Filter.of(exclude={name: values})


def _all(parts: Iterable[Filter | None]) -> Filter | None:
    found = None
    for part in parts:
        if part is not None:
            found = part if found is None else found.also(part)
    return found


def _any(parts: Sequence[Filter | None]) -> Filter | None:
    some = [part for part in parts if part is not None]
    return Filter.of(either=some) if len(some) == len(parts) else None


@lru_cache(maxsize=65_536)
def _words(value: Value, kind: str) -> frozenset[str | bool]:
    """What the index is told of a field that has a value. `kind`: its type, since 1.0 is equal to true."""
    return frozenset((HAS, _word(value)))


def _word(value: Value) -> str:
    """A value as the index is told it. Texts, numbers and flags differ in their first letter."""
    if isinstance(value, str):
        return f"t{value}" if len(value) <= _LONGEST else f"c{zlib.crc32(value.encode('utf-8', 'surrogatepass'))}"
    return f"f{value}" if isinstance(value, bool) else _named(_band(value))


def _exactly(value: Value) -> bool:
    """Whether nothing else is told by the same word."""
    return isinstance(value, bool) or (isinstance(value, str) and len(value) <= _LONGEST)


def _named(band: int) -> str:
    return f"n{band}"


def _band(value: float) -> int:
    """The band of a number; a larger number has no smaller one. 0 has one of its own."""
    if value == 0 or math.isnan(value):
        return 0
    octave = min(max(math.log2(abs(value)), -_OCTAVES), _OCTAVES)
    band = 1 + math.floor(_OCTAVE * (octave + _OCTAVES))
    return band if value > 0 else -band
