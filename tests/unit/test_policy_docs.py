"""docs/policies.md says what the code does: fields and defaults, channels, rules that are read."""

import re
from pathlib import Path

import pytest

from streams.core.policy import Channel, Policy
from streams.core.rules import parse
from streams.core.rules.parser import MAX_FACTOR
from streams.policies import MAX_INTERESTS, MAX_RULES, MAX_SIZE, as_json, load
from tests.documents import ROOT

PAGE = (ROOT / "docs/policies.md").read_text()


def table(first: str) -> dict[str, list[str]]:
    """The table whose first heading this is: rows by their first cells."""
    rows = re.search(rf"^\| {first} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert rows is not None, f"no table begins with {first}"
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1].splitlines()]
    return {key.strip("`"): rest for key, *rest in cells}


def test_fields_and_defaults() -> None:
    told, usual = table("field"), as_json(Policy())
    assert set(told) == set(usual)
    for name in ("size", "pool", "diversity", "exploration", "interests", "fatigue", "ranker"):
        assert told[name][0] == f"`{str(usual[name]).lower()}`"
    for name in ("max_per_category", "excluded", "rules"):
        assert told[name][0] == "none"
        assert not usual[name]
    assert f"1 to {MAX_SIZE}" in told["size"][1]
    assert f"up to {MAX_INTERESTS}" in told["interests"][1]
    assert f"up to {MAX_RULES}" in told["rules"][1]
    assert f"to {MAX_FACTOR:.0f}" in table("rule")["boost CONDITION by NUMBER"][0]


def test_channels_and_their_weights() -> None:
    weights = {channel.value: f"`{weight:g}`" for channel, weight in Policy().channel_weights.items()}
    assert {name: cells[0] for name, cells in table("channel").items()} == weights
    assert set(weights) | {"fresh"} == set(Channel)


def test_the_example_is_a_policy(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    path = tmp_path / "example.toml"
    path.write_text(example[1])
    policy = load(str(path))
    assert (policy.name, policy.max_per_category, len(policy.rules)) == ("autumn", 4, 3)


CONDITIONS = [
    text
    for cell in re.search(r"\| condition \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE)[1].splitlines()  # type: ignore[index]
    for text in re.findall(r"`([^`]+)`", cell.strip("|").split("|")[0])
    if re.match(r"[a-z]", text) and not text.startswith(("within", "not A"))
]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_is_read(condition: str) -> None:
    for rule in (f"exclude {condition}", f"include not ({condition})", f"boost {condition} by 2"):
        parse(rule)


def test_durations_and_operators_are_read() -> None:
    (durations,) = [key for key in table("condition") if "within" in key]
    shown = re.findall(r"`(\d+[smhdw])`", table("condition")[durations][0])
    assert len(shown) == 5
    for duration in shown:
        parse(f"exclude seen within {duration}")
    (comparison,) = [key for key in table("condition") if key.startswith("price")]
    for operator in ("<", *re.findall(r"`([<>=!]+)`", f"`{comparison}`")):
        parse(f"exclude price {operator} 5")
    assert len(CONDITIONS) >= 14
