"""The rules language: what is written is read back, and many candidates at once are judged as each one alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.rules import RuleError, parse, parse_boost, parse_filter, written
from streams.core.rules import syntax as s
from streams.core.rules.verdict import KEPT, caps, judge
from tests.property.rulebook import Row, Rows, holds, rows, rules


@given(rules)
def test_what_is_written_is_read_back(rule: s.Rule) -> None:
    text = written(rule)
    again = parse(text)
    assert again == rule
    assert written(again) == text  # equal rules may differ in the type of a value: 1 is True to Python
    if isinstance(rule, s.Include):
        assert parse_filter(text.removeprefix("include ")) == rule
    if isinstance(rule, s.Boost):
        assert parse_boost(text.removeprefix("boost ")) == rule


@given(st.lists(rules, max_size=4), st.lists(rows, max_size=6))
def test_many_are_judged_as_each_one_alone(given_rules: list[s.Rule], given_rows: list[Row]) -> None:
    verdict = judge(given_rules, Rows(given_rows))
    for row, dropped_by in zip(given_rows, verdict.dropped_by, strict=True):
        drops = [
            place
            for place, rule in enumerate(given_rules)
            if (isinstance(rule, s.Exclude) and holds(rule.condition, row))
            or (isinstance(rule, s.Include) and not holds(rule.condition, row))
        ]
        assert dropped_by == (drops[0] if drops else KEPT)
    boosts = [rule for rule in given_rules if isinstance(rule, s.Boost)]
    expected = [np.prod([boost.factor for boost in boosts if holds(boost.condition, row)]) for row in given_rows]
    assert verdict.factors == pytest.approx(expected)
    assert verdict.keep.tolist() == [place == KEPT for place in verdict.dropped_by]


@given(st.lists(st.builds(s.Cap, st.sampled_from(s.Group), st.integers(1, 9)) | rules))
def test_the_strictest_cap_counts(given_rules: list[s.Rule]) -> None:
    found = caps(given_rules)
    for group in s.Group:
        most = [rule.most for rule in given_rules if isinstance(rule, s.Cap) and rule.group is group]
        assert found.get(group) == (min(most) if most else None)


alphabet = st.sampled_from(
    [*"()<>=!,.'\"\\ \n5", "not ", "and ", " or ", "exclude ", "price", "seen ", "within ", "7d", "in", "attributes"]
)


@given(st.lists(alphabet, max_size=40).map("".join) | st.text(max_size=60))
def test_hostile_text_is_a_rule_or_an_error_with_its_place(text: str) -> None:
    for candidate in (text, f"exclude {text}"):
        try:
            rule = parse(candidate)
        except RuleError as error:
            wrong = error
        else:
            assert parse(written(rule)) == rule
            continue
        lines = candidate.split("\n")
        assert 1 <= wrong.line <= len(lines)
        assert 1 <= wrong.column <= len(lines[wrong.line - 1]) + 1
