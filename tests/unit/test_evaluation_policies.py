"""Policies from files: what is wrong is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from streams.core.policy import Channel, Policy
from streams.errors import ConfigError
from streams.evaluation.policies import load


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
        ({"size": "ten"}, "Expected `int`, got `str` - at `$.size`"),
        ({"size": 0}, "`size` is 0, wanted at least 1"),
        ({"pool": -1}, "`pool` is -1, wanted at least 1"),
        ({"diversity": 1.5}, "`diversity` is 1.5, wanted 0 to 1"),
        ({"channel_weights": {"content": -1}}, "the weight of 'content' is -1.0, wanted a number of 0 or more"),
        ({"channel_weights": {"telepathy": 1}}, "Invalid enum value 'telepathy'"),
        ([], "holds a list, wanted a table of name, size"),
    ],
)
def test_a_wrong_field_is_named(fields: Any, complaint: str, tmp_path: Path) -> None:
    path = _written(tmp_path, "p.json", json.dumps(fields))
    with pytest.raises(ConfigError) as error:
        load(path)
    assert complaint in str(error.value)
    assert str(error.value).startswith(path)


def test_no_such_policy_and_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no policy 'bold': name default, or a \.toml or \.json file"):
        load("bold")
    with pytest.raises(ConfigError, match=r"cannot read the policy .*: No such file"):
        load(str(tmp_path / "bold.toml"))
    with pytest.raises(ConfigError, match="is not TOML"):
        load(_written(tmp_path, "bold.toml", "size ="))
