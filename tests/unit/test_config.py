"""`upwell config`: every setting with its origin, no secret ever, and the page that is made of them."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from streams import configuration
from streams.cli import main

PAGE = Path(__file__).parents[2] / "docs/configuration.md"
CANARY = "kanarienvogel"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("UPWELL_", "KAFKA_", "XDG_")):
            monkeypatch.delenv(name)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["config", *arguments], env={"COLUMNS": "200"})


def rows(*arguments: str) -> dict[str, dict[str, Any]]:
    done = run("--json", *arguments)
    assert done.exit_code == 0, done.output
    return {row["variable"]: row for row in json.loads(done.stdout)}


def test_the_page_is_what_the_command_prints() -> None:
    assert PAGE.read_text() == run("--markdown").stdout, "run `upwell config --markdown > docs/configuration.md`"


def test_the_page_is_the_same_whatever_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = run("--markdown").stdout
    monkeypatch.setenv("UPWELL_SHOP", "books")
    monkeypatch.setenv("UPWELL_PARTITIONS", "no number")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert run("--markdown").stdout == before


def test_every_setting_is_there_with_its_default() -> None:
    found = rows()
    wanted = {
        f"{kind.model_config['env_prefix']}{name.upper()}"
        for kind in configuration.kinds()
        for name in kind.model_fields
    }
    assert set(found) == wanted
    assert {"UPWELL_SHOP", "KAFKA_SASL_MECHANISM", "UPWELL_API_PORT"} <= wanted
    assert {row["origin"] for row in found.values()} == {"default"}
    assert all(row["about"] for row in found.values())
    assert (found["UPWELL_SHOP"]["value"], found["UPWELL_PARTITIONS"]["value"]) == ("shop", 4)


def test_what_the_environment_says_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPWELL_SHOP", "shop")
    monkeypatch.setenv("upwell_partitions", "8")
    monkeypatch.setenv("UPWELL_EVENT_WEIGHTS", '{"view": 0.2}')
    monkeypatch.setenv("UPWELL_SEGMENTS", "age, country")
    found = rows("--changed")
    assert {name: row["value"] for name, row in found.items()} == {
        "UPWELL_SHOP": "shop",
        "UPWELL_PARTITIONS": 8,
        "UPWELL_EVENT_WEIGHTS": {"view": 0.2},
        "UPWELL_SEGMENTS": ["age", "country"],
    }
    assert {row["origin"] for row in found.values()} == {"env"}


@pytest.mark.parametrize("options", [(), ("--json",), ("--changed",)])
def test_no_secret_is_shown_wherever_it_comes_from(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(CANARY)
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "worker")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("KAFKA_SSL_KEY_PASSWORD", CANARY)
    monkeypatch.setenv("UPWELL_ERASURE_KEY", CANARY)
    done = run(*options)
    assert done.exit_code == 0
    assert CANARY not in done.output
    assert done.output.count("(hidden)") == 3
    found = rows()
    assert [
        (found[name]["origin"], found[name]["secret"]) for name in ("KAFKA_SASL_PASSWORD", "UPWELL_ERASURE_KEY")
    ] == [
        ("file", True),
        ("env", True),
    ]
    values = {name: row for name, row in found.items() if not name.endswith("_FILE")}
    assert all(
        row["secret"] is ("PASSWORD" in name or name.endswith(("_KEY", "_KEYS", "_TOKEN")))
        for name, row in values.items()
    )


def test_a_prefix_narrows_it_down() -> None:
    assert {name.partition("_")[0] for name in rows("kafka")} == {"KAFKA"}
    assert all(name.startswith("UPWELL_API_") for name in rows("UPWELL_API"))
    assert run("UPWELL_NOTHING").stdout == "No setting is like that.\n"


def test_people_see_a_table() -> None:
    shown = run("UPWELL_S").stdout
    assert "UPWELL_SHOP" in shown
    assert "prefix of topic names" in shown


def test_a_wrong_setting_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPWELL_API_PORT", CANARY)
    done = run()
    assert done.exit_code == 2
    assert "UPWELL_API_PORT" in done.stderr
    assert CANARY not in done.output


def test_on_a_narrow_terminal_names_and_values_are_whole() -> None:
    narrow = CliRunner().invoke(main, ["config"], env={"COLUMNS": "80", "UPWELL_DATA_DIR": "/data"}).stdout
    lines = [line.rstrip() for line in narrow.splitlines()]
    assert max(map(len, lines)) <= 80
    shown = [(kind, name) for kind in configuration.kinds() for name in kind.model_fields]
    for kind, name in shown:
        variable = f"{kind.model_config['env_prefix']}{name.upper()}"
        (line,) = [line for line in lines if line.startswith(f"{variable} ")]
        assert re.fullmatch(r"\S+ \S+( \S+)*  \((default|env|file)\)", line), line
    assert len(lines) < 3 * len(shown)
