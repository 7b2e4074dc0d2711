"""A row of a file becomes records, checked as workers check them; or a reject with field and reason."""

import re
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from streams.edge import Limits
from streams.importers.formats import Prepare
from streams.importers.mapping import Fields, Plan, RefusedError, reach
from streams.importers.rows import Row
from streams.jsonl import BadLine, Kind, Line, Outgoing, parse
from streams.pseudonyms import is_pseudonym

ID_PREFIX = "imp-"
"""Before the ids of events that came without one."""

_AT = re.compile(r" - at `\$\.?([^`]*)`$")
_NAMED = re.compile(r"field `(\w+)`|^`(\w+)`|neither `(\w+)`")
_BEGINNINGS = {"event time": "time", "a pseudonym": "user"}
"""How messages begin that name no field, and which one they are about."""
_SHOPPERS = ("user", "anonymous_id", "as")

_encode = msgspec.json.Encoder(order="deterministic").encode


class Converted(NamedTuple):
    """A record with what tells it from others: the digest of an event's id, or of an item's."""

    identity: int
    record: Outgoing


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that becomes nothing. `column` is where the value came from, `field` what it should have become."""

    file: str
    line: int
    field: str | None
    column: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Converter:
    """Converts the rows of one import, in order."""

    plan: Plan
    prepare: Prepare
    limits: Limits
    unseen: set[str] = field(default_factory=set)
    """Columns that the plan names and that no row has had yet."""

    def __post_init__(self) -> None:
        """Nothing has been seen."""
        self.unseen.update(self.plan.columns.values())

    def convert(self, row: Row, now: int) -> list[Converted] | Reject:
        """The records of a row, none where it is left out. A row is taken whole or not at all.

        Args:
            row: of a file.
            now: Kafka timestamp that the records will have, Unix milliseconds.
        """
        if row.fields is None:
            return Reject(row.file, row.line, None, None, row.why)
        found = []
        try:
            for part in self.prepare(row.fields):
                fields = self._applied(part)
                if fields is not None:
                    found.append(self._checked(fields, part, row, now))
        except RefusedError as error:
            return Reject(row.file, row.line, error.where, self._column(error.where, row.fields), error.why)
        return found

    def _applied(self, part: Fields) -> Fields | None:
        self.unseen.difference_update([column for column in self.unseen if reach(part, column) is not None])
        fields = self.plan.apply(part)
        if fields is not None and self.plan.kind is Kind.EVENTS and "id" not in fields:
            fields["id"] = ID_PREFIX + blake2b(_encode(fields | self._unnamed(fields)), digest_size=16).hexdigest()
        return fields

    def _unnamed(self, fields: Fields) -> Fields:
        """Shoppers as their first pseudonyms, where there are any: who guesses an id must not be able to try it."""
        if (pseudonyms := self.limits.pseudonyms) is None:
            return {}
        given = {name: fields[name] for name in _SHOPPERS if name in fields}
        return {name: pseudonyms.all_of(who)[1] for name, who in given.items() if not is_pseudonym(who)}

    def _checked(self, fields: Fields, part: Fields, row: Row, now: int) -> Converted:
        checked = parse(Line(row.file, row.line, _encode(fields)), self.limits, self.plan.kind, now)
        if isinstance(checked, BadLine):
            where = _field_of(checked.detail)
            raise RefusedError(where, _AT.sub("", checked.detail))
        return Converted(identity(str(fields["id"])), checked)

    def _column(self, where: str | None, row: Fields) -> str | None:
        return None if where is None else self.plan.column_of(where, row)


def identity(name: str) -> int:
    """64 bits that stand for an id: two of ten million are alike with a chance of three in a million."""
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _field_of(detail: str) -> str | None:
    """The field that a message of the edge is about."""
    if (at := _AT.search(detail)) and at[1]:
        return at[1].partition("[")[0]
    if named := _NAMED.search(detail):
        return named[1] or named[2] or named[3]
    return next((name for start, name in _BEGINNINGS.items() if detail.startswith(start)), None)
