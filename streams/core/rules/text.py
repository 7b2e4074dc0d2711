"""From a rule to its text, which `parser` reads back as the same rule."""

import re

from streams.core.rules.parser import UNITS
from streams.core.rules.syntax import (
    ATTRIBUTES,
    All,
    Among,
    Any,
    Boost,
    Cap,
    Comparison,
    Condition,
    Did,
    Exclude,
    Field,
    Has,
    Not,
    Rule,
    Value,
)
from streams.core.rules.tokens import quoted

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def written(rule: Rule) -> str:
    """A rule as one line."""
    match rule:
        case Cap(group, most):
            return f"cap {group.value} {most}"
        case Boost(condition, factor):
            return f"boost {_condition(condition)} by {factor!r}"
        case Exclude(condition):
            return f"exclude {_condition(condition)}"
    return f"include {_condition(rule.condition)}"


def _condition(condition: Condition) -> str:
    match condition:
        case Comparison(field, operator, value):
            return f"{_field(field)} {operator.value} {_value(value)}"
        case Among(field, values):
            return f"{_field(field)} in ({', '.join(map(_value, values))})"
        case Has(field):
            return f"has {_field(field)}"
        case Did(deed, within):
            return deed.value if within is None else f"{deed.value} within {_duration(within)}"
        case Not(part):
            return f"not {_inside(part)}"
    return (" or " if isinstance(condition, Any) else " and ").join(map(_inside, condition.parts))


def _inside(condition: Condition) -> str:
    return f"({_condition(condition)})" if isinstance(condition, (All, Any)) else _condition(condition)


def _field(field: Field) -> str:
    if not field.attribute:
        return field.name
    return f"{ATTRIBUTES}.{field.name if _NAME.fullmatch(field.name) else quoted(field.name)}"


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else repr(value)


def _duration(millis: int) -> str:
    unit = max((unit for unit in UNITS if millis % UNITS[unit] == 0), key=UNITS.__getitem__)
    return f"{millis // UNITS[unit]}{unit}"
