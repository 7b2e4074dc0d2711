"""What a rule is, once it is read: frozen data.

    rule       exclude CONDITION | include CONDITION | boost CONDITION by NUMBER | cap category N | cap brand N
    condition  CONDITION or CONDITION | CONDITION and CONDITION | not CONDITION | (CONDITION)
               FIELD (= | != | < | <= | > | >=) VALUE | FIELD in (VALUE, …) | has FIELD | FIELD (a flag)
               purchased | in_cart | seen, each with an optional `within DURATION`
    field      id, category, brand (text) · price (number) · available (flag) · attributes.NAME (any of them)
    value      "text" or 'text' · 12.5 · true, false        duration  30s 15m 12h 7d 2w

`not` binds closest, then `and`, then `or`. An item without a field has no value to compare: every comparison with it
fails, and so `!=`, which is `not =`, holds.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Value: TypeAlias = str | float | bool


class Kind(StrEnum):
    """What a field holds. The values are the words of messages."""

    TEXT = "text in quotes"
    NUMBER = "a number"
    FLAG = "true or false"
    ANY = "a value"


FIELDS = {
    "id": Kind.TEXT,
    "category": Kind.TEXT,
    "brand": Kind.TEXT,
    "price": Kind.NUMBER,
    "available": Kind.FLAG,
}
"""Fields of every item. `category` is the finest of the item's path."""

ATTRIBUTES = "attributes"
"""What stands before the name of an attribute."""


class Operator(StrEnum):
    """How a field is compared. The values are the signs."""

    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="


class Deed(StrEnum):
    """What the shopper did with the item, as far back as the profile goes. The values are the words of the rules."""

    PURCHASED = "purchased"
    IN_CART = "in_cart"
    SEEN = "seen"


class Group(StrEnum):
    """What can be capped."""

    CATEGORY = "category"
    BRAND = "brand"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of every item, or an attribute that some have."""

    name: str
    attribute: bool = False

    @property
    def kind(self) -> Kind:
        """What it holds."""
        return Kind.ANY if self.attribute else FIELDS[self.name]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The field against one value, of the same kind. Text and flags are only equal or not."""

    field: Field
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class Among:
    """The field is one of some values, all of one kind."""

    field: Field
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Has:
    """The item has the field."""

    field: Field


@dataclass(frozen=True, slots=True)
class Did:
    """The shopper did something with the item; at most `within_ms` milliseconds ago, if that is set."""

    deed: Deed
    within_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; at least two."""

    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Any:
    """Some part holds; at least two."""

    parts: "tuple[Condition, ...]"


Condition: TypeAlias = Comparison | Among | Has | Did | Not | All | Any


@dataclass(frozen=True, slots=True)
class Exclude:
    """Items for which the condition holds are not recommended."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Include:
    """Items for which the condition does not hold are not recommended."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Boost:
    """Scores of items for which the condition holds are multiplied by `factor` > 0."""

    condition: Condition
    factor: float


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many items of one group in a recommendation; items outside of any group are not counted."""

    group: Group
    most: int


Rule: TypeAlias = Exclude | Include | Boost | Cap
