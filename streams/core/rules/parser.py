"""From text to a rule: recursive descent, types checked on the way. Nothing is ever evaluated as code.

What is read may come from anybody: length, depth and number of conditions are bounded.
"""

import difflib
import math
from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from typing import NoReturn, TypeVar

from streams.core.rules.syntax import (
    ATTRIBUTES,
    FIELDS,
    All,
    Among,
    Any,
    Boost,
    Cap,
    Comparison,
    Condition,
    Deed,
    Did,
    Exclude,
    Field,
    Group,
    Has,
    Include,
    Kind,
    Not,
    Operator,
    Rule,
    Value,
)
from streams.core.rules.tokens import RuleError, Sort, Token, tokens, unquoted

MAX_DEPTH = 24
"""Parentheses and `not` inside one another."""

MAX_CONDITIONS = 100
"""Conditions of one rule, and values of one list."""

MAX_FACTOR = 1_000.0
MAX_CAP = 1_000
MAX_DAYS = 3_650

UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
"""Milliseconds in a unit of time."""

_ORDERED = (Operator.LESS, Operator.AT_MOST, Operator.MORE, Operator.AT_LEAST)
_FLAGS = {"true": True, "false": False}

_T = TypeVar("_T")
_Word = TypeVar("_Word", bound=StrEnum)


def parse(text: str) -> Rule:
    """A rule: `exclude price > 100`, `boost brand = "acme" by 1.5`, `cap category 3`.

    Raises:
        RuleError: with the place of what is wrong.
    """
    return _whole(text, _Parser.rule)


def parse_filter(text: str) -> Include:
    """A condition that every item has to meet: `price < 50 and category in ("toys", "games")`.

    Raises:
        RuleError: with the place of what is wrong.
    """
    return Include(_whole(text, _Parser.condition))


def parse_boost(text: str) -> Boost:
    """A condition and a factor, the word `boost` left out: `brand = "acme" by 1.5`.

    Raises:
        RuleError: with the place of what is wrong.
    """
    return _whole(text, _Parser.boost)


def parse_all(texts: Iterable[str]) -> tuple[Rule, ...]:
    """Rules in their order.

    Raises:
        RuleError: with the place of what is wrong.
    """
    return tuple(parse(text) for text in texts)


def _whole(text: str, part: "Callable[[_Parser], _T]") -> _T:
    parser = _Parser(text)
    found = part(parser)
    if parser.next.sort is not Sort.END:
        parser.fail(f"expected nothing more, got {parser.next}")
    return found


class _Parser:
    """One pass over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._place = 0
        self._depth = 0
        self._conditions = 0

    @property
    def next(self) -> Token:
        return self._tokens[self._place]

    def fail(self, problem: str, at: Token | None = None) -> NoReturn:
        raise RuleError(self._text, (at or self.next).position, problem)

    def rule(self) -> Rule:
        if self._skip("exclude"):
            return Exclude(self.condition())
        if self._skip("include"):
            return Include(self.condition())
        if self._skip("boost"):
            return self.boost()
        if self._skip("cap"):
            group = self._word(Group, "'category' or 'brand' after 'cap'")
            return Cap(group, int(self._number("a whole number after the group", 1, MAX_CAP, whole=True)))
        return self.fail(f"expected exclude, include, boost or cap, got {self.next}")

    def boost(self) -> Boost:
        condition = self.condition()
        self._expect("by", "'by' and a factor")
        return Boost(condition, self._number("a factor after 'by'", 1.0 / MAX_FACTOR, MAX_FACTOR))

    def condition(self) -> Condition:
        parts = [self._conjunction()]
        while self._skip("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _conjunction(self) -> Condition:
        parts = [self._negation()]
        while self._skip("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _negation(self) -> Condition:
        if not (self._at("not") or self._at("(")):
            return self._simple()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.fail(f"more than {MAX_DEPTH} parentheses and 'not' inside one another")
        if self._skip("not"):
            found: Condition = Not(self._negation())
        else:
            self._expect("(", "'('")
            found = self.condition()
            self._expect(")", "')', 'and' or 'or'")
        self._depth -= 1
        return found

    def _simple(self) -> Condition:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            self.fail(f"more than {MAX_CONDITIONS} conditions")
        if self._skip("has"):
            return Has(self._field())
        if self.next.written in list(Deed) and self.next.sort is Sort.NAME:
            deed = Deed(self._take().written)
            return Did(deed, self._duration() if self._skip("within") else None)
        return self._comparison(self.next, self._field())

    def _comparison(self, named: Token, field: Field) -> Condition:
        if self._skip("in"):
            return Among(field, self._list(field))
        sign = self.next
        if sign.sort is Sort.SIGN and sign.written in list(Operator):
            operator = Operator(self._take().written)
            if operator not in _ORDERED:
                return Comparison(field, operator, self._value(field.kind, f"after '{sign.written}'"))
            if field.kind not in (Kind.NUMBER, Kind.ANY):
                self.fail(f"'{named.written}' holds {field.kind}, which has no order: use =, != or in", sign)
            return Comparison(field, operator, self._value(Kind.NUMBER, f"after '{sign.written}'"))
        if field.kind in (Kind.FLAG, Kind.ANY):
            return Comparison(field, Operator.EQUAL, True)
        return self.fail(f"expected a comparison or 'in' after '{named.written}', got {self.next}")

    def _list(self, field: Field) -> tuple[Value, ...]:
        self._expect("(", "'(' after 'in'")
        values = [self._value(field.kind, "in the list")]
        kind = field.kind if field.kind is not Kind.ANY else _kind(values[0])
        while self._skip(","):
            values.append(self._value(kind, "in the list"))
            if len(values) > MAX_CONDITIONS:
                self.fail(f"more than {MAX_CONDITIONS} values in a list")
        self._expect(")", "',' or ')'")
        return tuple(values)

    def _value(self, kind: Kind, where: str) -> Value:
        token = self.next
        value: Value | None = None
        if token.sort is Sort.TEXT:
            value = unquoted(token)
        elif token.sort is Sort.NUMBER:
            value = self._finite(token)
        elif token.sort is Sort.NAME:
            value = _FLAGS.get(token.written)
        if value is None or kind not in (Kind.ANY, _kind(value)):
            self.fail(f"expected {kind} {where}, got {token}")
        self._take()
        return value

    def _field(self) -> Field:
        token = self.next
        if token.sort is not Sort.NAME:
            self.fail(f"expected a condition, got {token}")
        if token.written == ATTRIBUTES:
            self._take()
            self._expect(".", "'.' and a name after 'attributes'")
            name = self._take()
            if name.sort not in (Sort.NAME, Sort.TEXT):
                self.fail(f"expected the name of an attribute, got {name}", name)
            return Field(unquoted(name) if name.sort is Sort.TEXT else name.written, attribute=True)
        if token.written not in FIELDS:
            self.fail(f"unknown field '{token.written}'{_meant(token.written, (*FIELDS, ATTRIBUTES, *Deed))}")
        return Field(self._take().written)

    def _duration(self) -> int:
        token = self.next
        if token.sort is not Sort.DURATION:
            self.fail(f"expected a duration (30s 15m 12h 7d 2w) after 'within', got {token}")
        millis = int(token.written[:-1]) * UNITS[token.written[-1]]
        if not 0 < millis <= MAX_DAYS * UNITS["d"]:
            self.fail(f"a duration must be more than 0 and at most {MAX_DAYS}d, got {token}")
        self._take()
        return millis

    def _number(self, what: str, least: float, most: float, *, whole: bool = False) -> float:
        token = self.next
        if token.sort is not Sort.NUMBER:
            self.fail(f"expected {what}, got {token}")
        number = self._finite(token)
        if not least <= number <= most or (whole and number != int(number)):
            self.fail(f"expected {what} from {least:g} to {most:g}, got {token}")
        self._take()
        return number

    def _finite(self, token: Token) -> float:
        number = float(token.written)
        if not math.isfinite(number):
            self.fail(f"{token} is too large")
        return number

    def _word(self, words: type[_Word], what: str) -> _Word:
        if self.next.sort is not Sort.NAME or self.next.written not in list(words):
            self.fail(f"expected {what}, got {self.next}")
        return words(self._take().written)

    def _at(self, written: str) -> bool:
        return self.next.sort in (Sort.NAME, Sort.SIGN) and self.next.written == written

    def _skip(self, written: str) -> bool:
        if found := self._at(written):
            self._place += 1
        return found

    def _expect(self, written: str, what: str) -> None:
        if not self._skip(written):
            self.fail(f"expected {what}, got {self.next}")

    def _take(self) -> Token:
        token = self.next
        if token.sort is not Sort.END:
            self._place += 1
        return token


def _kind(value: Value) -> Kind:
    if isinstance(value, bool):
        return Kind.FLAG
    return Kind.TEXT if isinstance(value, str) else Kind.NUMBER


def _meant(word: str, words: Collection[str]) -> str:
    close = difflib.get_close_matches(word.lower(), words, n=1)
    return f", did you mean '{close[0]}'?" if close else f"; there are {', '.join(words)}"
