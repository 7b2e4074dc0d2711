"""Which column is which field, and a row as an event or a catalogue item."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.core.events import EventType
from streams.errors import ConfigError
from streams.importers import values
from streams.importers.values import UnfitError
from streams.jsonl import Kind

Fields = dict[str, Any]

ATTRIBUTES = "attributes."
"""Before the name of an attribute, where a field is named."""
IGNORED = "-"
"""The type of events that are left out."""

_SPARE = re.compile(r"[\s_-]")

ALIASES: Mapping[Kind, Mapping[str, tuple[str, ...]]] = {
    Kind.EVENTS: {
        "id": ("id", "eventid"),
        "type": ("type", "eventtype", "event"),
        "time": ("time", "timestamp", "eventtime"),
        "user": ("user", "userid", "visitorid", "customerid"),
        "item": ("item", "itemid", "productid"),
        "value": ("value",),
        "session": ("session", "sessionid"),
        "anonymous_id": ("anonymousid",),
        "as": ("as",),
        "query": ("query",),
    },
    Kind.CATALOGUE: {
        "id": ("id", "item", "itemid", "productid", "sku"),
        "title": ("title", "name", "productname"),
        "description": ("description",),
        "category": ("category", "categories"),
        "brand": ("brand",),
        "price": ("price",),
        "currency": ("currency",),
        "available": ("available", "instock"),
        "rating": ("rating",),
        "language": ("language", "lang"),
        "image_vector": ("imagevector",),
        "deleted": ("deleted",),
    },
}
"""Fields, with the columns that are taken for them: capitals, spaces, `_` and `-` do not matter."""

TYPES: Mapping[str, EventType] = {
    **{kind.value: kind for kind in EventType},
    **dict.fromkeys(("pageview", "detail", "read", "watch", "play"), EventType.VIEW),
    **dict.fromkeys(("addtocart", "cartadd", "basket"), EventType.CART),
    **dict.fromkeys(("removefromcart", "cartremove"), EventType.UNCART),
    **dict.fromkeys(("favorite", "like", "star", "wishlist", "bookmark"), EventType.FAVOURITE),
    **dict.fromkeys(("buy", "order", "transaction"), EventType.PURCHASE),
    **dict.fromkeys(("refund",), EventType.RETURN),
    **dict.fromkeys(("rate",), EventType.RATING),
    **dict.fromkeys(("notinterested",), EventType.DISLIKE),
    **dict.fromkeys(("show", "exposure"), EventType.IMPRESSION),
}
"""Names of event types that are understood without being told; capitals, spaces, `_` and `-` do not matter."""


class RefusedError(Exception):
    """A row that becomes nothing: which field, and why. Never shows a value."""

    def __init__(self, where: str | None, why: str) -> None:
        super().__init__(why)
        self.where = where
        self.why = why


def plain(name: str) -> str:
    """A name without what does not matter in it."""
    return _SPARE.sub("", name).lower()


def pairs(given: Iterable[str], option: str) -> dict[str, str]:
    """`NAME=VALUE` options as a dict.

    Raises:
        ConfigError: one is not like that, or a name comes twice.
    """
    found: dict[str, str] = {}
    for pair in given:
        name, sign, value = pair.partition("=")
        if not (name and sign and value):
            raise ConfigError(f"{option} {pair!r}: wanted NAME=VALUE")
        if name in found:
            raise ConfigError(f"{option}: {name} is named twice")
        found[name] = value
    return found


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rows of one import become events or items.

    Attributes:
        kind: which of the two.
        columns: field → column, where it is not taken by its name; `a.b` reaches into nested values.
        constants: field → value for every row.
        types: type of the source → ours, or `-`.
        time_format: of `time` (`streams.importers.values.millis`).
        separator: between the parts of a category that is one text.
        rest: whether columns that are no field become attributes.
    """

    kind: Kind
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    time_format: str | None = None
    separator: str = ">"
    rest: bool = False

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            ConfigError: it names a field or a type that there is not.
        """
        known = ALIASES[self.kind]
        for name in (*self.columns, *self.constants):
            if name not in known and not (name.startswith(ATTRIBUTES) and name != ATTRIBUTES):
                raise ConfigError(
                    f"{self.kind} have no field {name!r}; there are {', '.join(known)}, and {ATTRIBUTES}NAME"
                )
        for name, wanted in self.types.items():
            if wanted != IGNORED and wanted not in set(EventType):
                raise ConfigError(
                    f"--type {name}={wanted}: choose {', '.join(EventType)}, or {IGNORED} to leave it out"
                )

    def apply(self, row: Mapping[str, Any]) -> Fields | None:
        """A row as the fields of a record; None for one that is left out.

        Raises:
            RefusedError: a value is not what its field takes.
        """
        found: Fields = {}
        attributes: Fields = {}
        taken = self._taken(row)
        for name, column in taken.items():
            value = reach(row, column)
            if not values.missing(value):
                self._put(found, attributes, name, value)
        for name, value in self.constants.items():
            self._put(found, attributes, name, value)
        if found.get("type") == IGNORED:
            return None
        if self.rest:
            used = {column.partition(".")[0] for column in taken.values()} | set(taken.values())
            for column, value in row.items():
                if column not in used and not values.missing(value) and not isinstance(value, dict):
                    self._put(found, attributes, ATTRIBUTES + column, value)
        if attributes:
            found["attributes"] = attributes
        if not found.pop("deleted", False):
            return found
        return {"id": found.get("id"), "deleted": True}

    def column_of(self, name: str, row: Mapping[str, Any]) -> str:
        """The column that a field is taken from, for messages; the field's own name where there is none."""
        return self._taken(row).get(name, name)

    def _taken(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Field → column of this row."""
        by_name: dict[str, str] = {}
        for column in row:
            by_name.setdefault(plain(column), column)
        found = dict(self.columns)
        for name, aliases in ALIASES[self.kind].items():
            if name not in found and name not in self.constants:
                matching = (by_name[alias] for alias in aliases if alias in by_name)
                if (taken := next(matching, None)) is not None and taken not in found.values():
                    found[name] = taken
        return found

    def _put(self, found: Fields, attributes: Fields, name: str, value: Any) -> None:
        try:
            if name.startswith(ATTRIBUTES):
                attributes[name.removeprefix(ATTRIBUTES)] = values.scalar(value)
            else:
                found[name] = self._reader(name)(value)
        except UnfitError as error:
            raise RefusedError(name, str(error)) from None

    def _reader(self, name: str) -> Callable[[Any], Any]:
        match name:
            case "time":
                return lambda value: values.millis(value, self.time_format)
            case "type":
                return self._type
            case "value" | "price" | "rating":
                return values.number
            case "available" | "deleted":
                return values.truth
            case "category":
                return lambda value: values.texts(value, self.separator)
            case "image_vector":
                return values.numbers
        return values.text

    def _type(self, value: Any) -> str:
        name = values.text(value)
        found = self.types.get(name) or TYPES.get(plain(name))
        if found is None:
            raise UnfitError("unknown event type: say what it is with --type NAME=TYPE")
        return str(found)


def reach(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column, or of one inside of it; None where there is none."""
    if column in row:
        return row[column]
    value: Any = row
    for part in column.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value
