"""docs/cli.md says what the code does: fields, columns, checks, and commands that are understood."""

import re
from pathlib import Path

import click
import pytest

from streams import exporters
from streams.cli import COMMANDS
from streams.configuration import kinds
from streams.exporters import What
from streams.importers.mapping import ALIASES, TYPES
from streams.jsonl import Kind
from tests.unit.test_cli_examples import calls, understood

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/cli.md").read_text()


def table(first: str) -> dict[str, list[str]]:
    """The table whose first heading this is: the first cell of each row, and the code in its others."""
    rows = re.search(rf"^\| {first} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert rows is not None, f"no table begins with {first}"
    found = {}
    for row in rows[1].splitlines():
        cells = row.strip("|").split("|")
        found[cells[0].strip(" `")] = re.findall(r"`([^`]+)`", "|".join(cells[1:]))
    return found


@pytest.mark.parametrize(("first", "kind"), [("event", Kind.EVENTS), ("catalogue", Kind.CATALOGUE)])
def test_fields_and_the_columns_that_are_taken_for_them(first: str, kind: Kind) -> None:
    assert table(first) == {name: list(columns) for name, columns in ALIASES[kind].items()}


def test_the_words_for_event_types_are_understood() -> None:
    words = re.search(r"mean the same \(([^)]*)\)", PAGE)
    assert words is not None
    assert all(word in TYPES for word in re.findall(r"`(\w+)`", words[1]))


def test_the_columns_of_the_exports() -> None:
    assert table("file") == {what.value: exporters.schema(what).names for what in What}


def test_the_checks_of_the_doctor() -> None:
    said = {
        name
        for path in (ROOT / "streams/doctor").glob("*.py")
        for name in re.findall(r'(?:\bok|warn|fail)\(\s*"([a-z-]+)"', path.read_text())
    }
    assert set(table("check")) == said | {"settings"}


def test_the_commands_of_the_page_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line[2:] for line in PAGE.splitlines() if line.startswith("$ ")]
    assert len(lines) > 4
    for line in lines:
        for call in calls(line):
            assert len(understood(call)) > 1
    named = {words[0] for words in re.findall(r"`upwell ([a-z]+)((?: [^`]*)?)`", PAGE)}
    assert named <= set(COMMANDS)
    with pytest.raises(click.UsageError):
        understood(["upwell", "statsu"])


def test_the_readme_names_every_command_and_only_settings_that_there_are() -> None:
    readme = (ROOT / "README.md").read_text()
    assert {name for name in COMMANDS if f"`upwell {name}" not in readme} == set()
    pages = readme + PAGE
    known = {f"{kind.model_config['env_prefix']}{name.upper()}" for kind in kinds() for name in kind.model_fields}
    named = set(re.findall(r"`((?:UPWELL|KAFKA)_[A-Z_]+[A-Z])[=`]", pages))
    assert len(named) > 8
    assert named <= known
