"""What a question asks for, once it is read: frozen data."""

from dataclasses import dataclass
from enum import StrEnum

from streams.core.rules.syntax import Condition


class Kind(StrEnum):
    """What is asked. The values are the names of templates."""

    FIND = "find"
    PRICE = "price"
    STOCK = "stock"
    ATTRIBUTE = "attribute"
    DESCRIBE = "describe"
    COMPARE = "compare"
    ALTERNATIVES = "alternatives"
    UNKNOWN = "unknown"


class Order(StrEnum):
    """How found items are to be ordered, if not by how well they fit."""

    CHEAPEST = "cheapest"
    DEAREST = "dearest"
    BEST_RATED = "best-rated"


@dataclass(frozen=True, slots=True)
class Focus:
    """A field that is asked for, as the question calls it.

    Attributes:
        asked: the question's words.
        field: `price`, `brand`, `category`, `rating`, `available`; empty for an attribute.
        names: of the attributes that it may be, as items spell them; none where no item has such a one.
    """

    asked: str
    field: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to look for and what to say of it.

    Attributes:
        kind: what is asked.
        language: of the question: `en` or `zh`.
        text: what it is about, to be searched by meaning; empty for nothing in particular.
        named: items that are named, those that fit best first; for a comparison one of each side, in turn.
        partly: items that have most of what is asked for, where none is named.
        condition: what every item has to meet, in the rules language; None for nothing.
        softly: what items should meet, as long as any does: the categories that are named.
        unmet: words of the question that none of the named items has.
        foreign: the question is in another script than all titles, so words say nothing and only meaning helps.
        order: of what is found.
        currencies: a price counts only if it is in one of these, or in none at all; none for any.
        focus: what is asked of the named items.
        cheaper: only what costs less than the named item.
    """

    kind: Kind
    language: str
    text: str = ""
    named: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()
    condition: Condition | None = None
    softly: Condition | None = None
    unmet: tuple[str, ...] = ()
    foreign: bool = False
    order: Order | None = None
    currencies: frozenset[str] = frozenset()
    focus: tuple[Focus, ...] = ()
    cheaper: bool = False
