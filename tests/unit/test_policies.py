"""Policies from files: what is wrong is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams.core.policy import Channel, Policy
from streams.core.rules import parse_all
from streams.errors import ConfigError
from streams.policies import as_json, digest, load, of, parsed
from streams.settings import Settings


def _written(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_the_built_in_policy_is_the_one_that_runs() -> None:
    assert load("default") == Policy()


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml = _written(tmp_path, "bold.toml", 'size = 10\nexcluded = ["milk"]\n[channel_weights]\ncontent = 2\n')
    fields = {"size": 10, "excluded": ["milk"], "channel_weights": {"content": 2}}
    expected = Policy("bold", size=10, excluded=frozenset({"milk"}), channel_weights={Channel.CONTENT: 2.0})
    assert load(toml) == load(_written(tmp_path, "bold.json", json.dumps(fields))) == expected


def test_a_policy_may_name_itself(tmp_path: Path) -> None:
    assert load(_written(tmp_path, "x.toml", 'name = "bold"')).name == "bold"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"diversty": 0.5}, "unknown field 'diversty'; a policy has name, size"),
        ({"size": "ten"}, "`size`: Expected `int`, got `str`"),
        ({"size": 0}, "`size` is 0, wanted 1 to 200"),
        ({"size": 201}, "`size` is 201, wanted 1 to 200"),
        ({"max_per_category": 0}, "`max_per_category` is 0, wanted at least 1"),
        ({"pool": -1}, "`pool` is -1, wanted at least 1"),
        ({"diversity": 1.5}, "`diversity` is 1.5, wanted 0 to 1"),
        ({"interests": 9}, "`interests` is 9, wanted 0 to 8"),
        ({"fatigue": 0}, "`fatigue` is 0.0, wanted more than 0, at most 1"),
        ({"exploration": 2}, "`exploration` is 2.0, wanted 0 to 1"),
        ({"channel_weights": {"content": -1}}, "the weight of 'content' is -1.0, wanted a number of 0 or more"),
        ({"name": ""}, "`name` is '', wanted 1 to 60 printable characters"),
        ({"rules": "exclude purchased"}, "`rules`: Expected `array`, got `str`"),
        ({"rules": ["exclude purchased", "exclude prize > 5"]}, "rule 2, 1:9: unknown field 'prize', did you mean"),
        ({"rules": ["exclude purchased"] * 101}, "101 rules, at most 100 are read"),
        ({"channel_weights": {"telepathy": 1}}, "no channel 'telepathy'; there are content, popular, buy_again"),
        ({"channel_weights": {"fresh": 1}}, "'fresh' has no weight; `exploration` says how often it is shown"),
        ({"channel_weights": {"content": "high"}}, "the weight of 'content' is 'high', wanted a number of 0 or more"),
        ({"channel_weights": [1]}, "`channel_weights`: Expected `object`, got `array`"),
        ({"channel_weights": {}}, "`channel_weights` gives no channel any weight"),
        ({"channel_weights": {"content": 0}}, "`channel_weights` gives no channel any weight"),
        ([], "holds a list, wanted a table of name, size"),
    ],
)
def test_a_wrong_field_is_named(fields: Any, complaint: str, tmp_path: Path) -> None:
    path = _written(tmp_path, "p.json", json.dumps(fields))
    with pytest.raises(ConfigError) as error:
        load(path)
    assert complaint in str(error.value)
    assert str(error.value).startswith(path)


RULES = ["exclude price > 100.0", 'boost brand = "acme" by 1.5', "cap category 3"]


def test_rules_are_read_and_written(tmp_path: Path) -> None:
    policy = load(_written(tmp_path, "p.json", json.dumps({"rules": RULES})))
    assert policy.rules == parse_all(RULES)
    assert as_json(policy)["rules"] == RULES
    assert parsed(json.loads(json.dumps(as_json(policy))), "", Policy()) == policy


def test_a_digest_is_of_what_a_policy_says_not_of_its_name() -> None:
    policies = [
        Policy(),
        Policy(size=10),
        Policy(excluded=frozenset({"milk", "bread"})),
        Policy(channel_weights={Channel.CONTENT: 1.0}),
        Policy(rules=parse_all(RULES)),
        Policy(rules=parse_all(RULES[::-1])),
    ]
    assert len({digest(policy) for policy in policies}) == len(policies)
    assert digest(Policy("other")) == digest(Policy())
    assert digest(Policy(excluded=frozenset({"bread", "milk"}))) == digest(policies[2])


def test_a_worker_takes_its_policy_from_the_file(tmp_path: Path) -> None:
    path = Path(_written(tmp_path, "bold.toml", 'diversity = 0.5\nrules = ["cap brand 2"]'))
    policy = of(Settings(policy_file=path, recommend=7))
    said = Policy("bold", size=7, diversity=0.5, rules=parse_all(["cap brand 2"]))
    assert policy == replace(said, name=f"bold@{digest(said)}")
    assert of(Settings(policy="plain", recommend=7)) == Policy("plain", size=7)


def test_no_such_policy_and_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no policy 'bold': name default, or a \.toml or \.json file"):
        load("bold")
    with pytest.raises(ConfigError, match=r"cannot read the policy .*: No such file"):
        load(str(tmp_path / "bold.toml"))
    with pytest.raises(ConfigError, match="is not TOML"):
        load(_written(tmp_path, "bold.toml", "size ="))
