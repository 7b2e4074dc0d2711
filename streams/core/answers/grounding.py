"""What an answer may say: quotes of the records of items and of the question, and nothing else.

record of an item ─► view, whose values are quotes ─► template ─► text, and every quote in it with its item and field

A template can only print `Quoted`s (`streams.wording` holds it to that), and they are made here alone. What follows
from two records, such as which of two items costs less, is given as a choice of item, never as a number of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from streams.core.answers.plan import Focus
from streams.core.eligible import Described

MOST_LETTERS = 300
"""Of a text that is quoted."""

MOST_DIGITS = 30
"""Of a number that is written without exponent."""

MOST_ATTRIBUTES = 30
"""Of an item that are shown."""


class Recorded(Described, Protocol):
    """What is read of an item: `streams.replicas.Facts`."""

    @property
    def title(self) -> str: ...
    @property
    def currency(self) -> str | None: ...
    @property
    def rating(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Quoted:
    """A text and where it is from: a field of an item, or the question (no item)."""

    text: str
    item: str
    field: str

    def __str__(self) -> str:
        """The text."""
        return self.text


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of an item. `yes` tells of one that is a flag, which has no `value`."""

    name: Quoted
    value: Quoted | None
    yes: bool | None


@dataclass(frozen=True, slots=True)
class Told:
    """What an item says of a field that was asked for. `attributes` are those of that name; none: it says nothing."""

    asked: Quoted
    field: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """An item for templates; None for what its record does not say. `told`: of the fields that were asked for."""

    id: Quoted
    title: Quoted
    available: bool
    brand: Quoted | None
    category: Quoted | None
    price: Quoted | None
    currency: Quoted | None
    rating: Quoted | None
    attributes: tuple[Attribute, ...]
    told: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """An attribute of two items, side by side; None where one has none of it."""

    name: Quoted
    values: tuple[Attribute | None, ...]


def view(item: str, facts: Recorded, focus: Sequence[Focus] = ()) -> Item:
    """An item for templates."""

    def quoted(field: str, value: str | float | None) -> Quoted | None:
        if value is None or value == "":
            return None
        return Quoted(written(value), item, field)

    attributes = tuple(
        Attribute(
            Quoted(written(name), item, f"attributes.{name}"),
            None if isinstance(value, bool) else Quoted(written(value), item, f"attributes.{name}"),
            value if isinstance(value, bool) else None,
        )
        for name, value in facts.attributes.items()
        if value is not None and value != ""
    )
    by_name = {attribute.name.field.removeprefix("attributes."): attribute for attribute in attributes}
    return Item(
        Quoted(item, item, "id"),
        Quoted(written(facts.title), item, "title"),
        facts.available,
        quoted("brand", facts.brand),
        quoted("category", facts.category),
        quoted("price", None if facts.price is None else money(facts.price)),
        quoted("currency", facts.currency),
        quoted("rating", facts.rating),
        attributes[:MOST_ATTRIBUTES],
        tuple(
            Told(asked(one.asked), one.field, tuple(by_name[name] for name in one.names if name in by_name))
            for one in focus
        ),
    )


def asked(text: str) -> Quoted:
    """Words of the question."""
    return Quoted(written(text), "", "question")


def rows(items: Sequence[Item]) -> list[Row]:
    """The attributes of some items, side by side."""
    by_item = [{attribute.name.text: attribute for attribute in item.attributes} for item in items]
    names = {name: found.name for attributes in by_item for name, found in attributes.items()}
    return [Row(quoted, tuple(own.get(name) for own in by_item)) for name, quoted in names.items()]


def least(items: Sequence[Item], facts: Sequence[Recorded]) -> Item | None:
    """The one of some items that costs less than each other; None where they cannot be told apart."""
    prices = [fact.price for fact in facts]
    if None in prices or len({fact.currency for fact in facts}) > 1:
        return None
    return _only(items, prices, min)


def best(items: Sequence[Item], facts: Sequence[Recorded]) -> Item | None:
    """The one of some items that is rated above each other; None where they cannot be told apart."""
    return _only(items, [fact.rating for fact in facts], max)


def written(value: str | float) -> str:
    """A value as text: on one line and not too long; numbers as short as they can be."""
    if isinstance(value, str):
        text = " ".join("".join(letter if letter.isprintable() else " " for letter in value).split())
        return text if len(text) <= MOST_LETTERS else _cut(text[:MOST_LETTERS]) + "…"
    plain = format(Decimal(int(value)) if float(value).is_integer() else Decimal(repr(float(value))), "f")
    return plain if len(plain) <= MOST_DIGITS else repr(float(value))


def _cut(text: str) -> str:
    """A text that goes on, without the last word, which could be half a number."""
    return text[: text.rfind(" ")] if " " in text else text.rstrip("0123456789.,")


def money(value: float) -> str:
    """A price as text: two places for a fraction, more where it has more."""
    text = written(value)
    return text + "0" if len(text.partition(".")[2]) == 1 else text


def _only(items: Sequence[Item], values: Sequence[float | None], choose: Callable[[list[float]], float]) -> Item | None:
    known = [value for value in values if value is not None]
    if len(known) < len(items) or not known:
        return None
    chosen = choose(known)
    return items[known.index(chosen)] if known.count(chosen) == 1 else None
