"""Rules over many candidates at once: which are kept, and what their scores are multiplied by."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from streams.core.rules.syntax import (
    All,
    Among,
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
    Kind,
    Not,
    Operator,
    Rule,
    Value,
)

Mask: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

NEVER = np.iinfo(np.int64).max
"""The age of what was never done."""

KEPT = -1
"""In place of the number of a rule: none dropped it."""

_COMPARE: Mapping[Operator, Callable[[Floats, float], Mask]] = {
    Operator.EQUAL: np.equal,
    Operator.LESS: np.less,
    Operator.AT_MOST: np.less_equal,
    Operator.MORE: np.greater,
    Operator.AT_LEAST: np.greater_equal,
}


class Candidates(Protocol):
    """n pairs of a shopper and an item, and what rules ask of them. Every array is (n,)."""

    def __len__(self) -> int: ...

    def numbers(self, field: str) -> Floats:
        """A number of each item; NaN where it has none."""
        ...

    def flags(self, field: str) -> Mask:
        """A flag of each item."""
        ...

    def among(self, field: str, values: Collection[str]) -> Mask:
        """Whether a text of each item is one of some; False where it has none."""
        ...

    def known(self, field: str) -> Mask:
        """Whether each item has the field."""
        ...

    def attributes(self, name: str) -> Sequence[Value | None]:
        """An attribute of each item, None where it has none."""
        ...

    def ages(self, deed: Deed) -> Ints:
        """Milliseconds since the shopper last did it with the item; `NEVER`."""
        ...


class Verdict(NamedTuple):
    """What rules say of candidates.

    Attributes:
        dropped_by: int64 (n,), the place of the first rule that drops the candidate; `KEPT`.
        factors: float64 (n,), what the score is multiplied by; > 0.
    """

    dropped_by: Ints
    factors: Floats

    @property
    def keep(self) -> Mask:
        """What no rule drops: bool (n,)."""
        kept: Mask = self.dropped_by == KEPT
        return kept


def judge(rules: Sequence[Rule], candidates: Candidates) -> Verdict:
    """Apply rules; caps are for the list as a whole and say nothing of a candidate, see `caps`."""
    dropped_by = np.full(len(candidates), KEPT, np.int64)
    factors = np.ones(len(candidates))
    for place, rule in enumerate(rules):
        if isinstance(rule, Cap):
            continue
        holds = meets(rule.condition, candidates)
        if isinstance(rule, Boost):
            factors[holds] *= rule.factor
        else:
            drops = holds if isinstance(rule, Exclude) else ~holds
            dropped_by[drops & (dropped_by == KEPT)] = place
    return Verdict(dropped_by, factors)


def caps(rules: Sequence[Rule]) -> dict[Group, int]:
    """The strictest cap of each group that has one."""
    found: dict[Group, int] = {}
    for rule in rules:
        if isinstance(rule, Cap):
            found[rule.group] = min(rule.most, found.get(rule.group, rule.most))
    return found


def meets(condition: Condition, candidates: Candidates) -> Mask:
    """For which candidates a condition holds: bool (n,)."""
    match condition:
        case Comparison(field, operator, value):
            return _compared(field, operator, value, candidates)
        case Among(field, values):
            return _among(field, values, candidates)
        case Has(field):
            if field.attribute:
                return _mask([value is not None for value in candidates.attributes(field.name)])
            return candidates.known(field.name)
        case Did(deed, within):
            ages = candidates.ages(deed)
            return ages != NEVER if within is None else ages <= within
        case Not(part):
            return ~meets(part, candidates)
    together = np.logical_and if isinstance(condition, All) else np.logical_or
    found: Mask = together.reduce([meets(part, candidates) for part in condition.parts])
    return found


def _compared(field: Field, operator: Operator, value: Value, candidates: Candidates) -> Mask:
    if operator is Operator.UNEQUAL:
        return ~_among(field, (value,), candidates)
    if operator is Operator.EQUAL:
        return _among(field, (value,), candidates)
    if field.attribute:
        # bool is an int to Python, not to us.
        numbers = [v if isinstance(v, float) else np.nan for v in candidates.attributes(field.name)]
        return _COMPARE[operator](np.array(numbers, np.float64), float(value))
    return _COMPARE[operator](candidates.numbers(field.name), float(value))


def _among(field: Field, values: Sequence[Value], candidates: Candidates) -> Mask:
    if field.attribute:
        wanted = {(type(value), value) for value in values}
        return _mask([(type(value), value) in wanted for value in candidates.attributes(field.name)])
    if field.kind is Kind.NUMBER:
        return np.isin(candidates.numbers(field.name), values)
    if field.kind is Kind.FLAG:
        flags = candidates.flags(field.name)
        return (flags & (True in values)) | (~flags & (False in values))
    return candidates.among(field.name, frozenset(str(value) for value in values))


def _mask(found: Sequence[bool]) -> Mask:
    return np.array(found, np.bool_)
