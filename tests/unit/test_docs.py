"""The documentation: its commands are those of the command line, its site builds, the tests that it names exist."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from streams import cli
from tests.browser.pictures import MOST_BYTES, SHOWN
from tests.documents import ROOT, Block, blocks, pages, upwells

BLOCKS = [block for page in pages() for block in blocks(page)]
COMMANDS = [(block, line, words) for block in BLOCKS for line in block.lines for words in upwells(line)]


def parsed(words: list[str]) -> list[str]:
    """The names of the commands that click would call, every argument and option checked; nothing is called."""
    command: click.Command = cli.main
    names = ["upwell"]
    parent: click.Context | None = None
    while True:
        context = command.make_context(names[-1], list(words), parent=parent)
        if not isinstance(command, click.Group):
            return names
        words = [*context._protected_args, *context.args]
        name, found, words = command.resolve_command(context, words)
        assert name is not None
        assert found is not None
        names.append(name)
        command, parent = found, context


def test_blocks_and_commands_are_found() -> None:
    assert len(COMMANDS) > 30
    assert {"README.md", "docs/getting-started.md", "docs/security.md", "docs/http.md"} <= {b.page for b in BLOCKS}
    assert any(block.runnable for block in BLOCKS)


@pytest.mark.parametrize(
    ("block", "line", "words"), COMMANDS, ids=lambda given: str(given) if isinstance(given, Block) else ""
)
def test_every_command_is_one_of_the_command_line(
    block: Block, line: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("catalogue.jsonl").touch()  # the reader's own
    try:
        assert parsed(words)
    except click.exceptions.Exit:  # --help, --version
        pass
    except click.ClickException as error:
        pytest.fail(f"{block}: `{line}`: {error.format_message()}")


def test_only_measurements_stand_outside_of_the_blocks_that_are_run() -> None:
    """A benchmark takes minutes, and data that is not the project's: it has to be there, with its options."""
    starts = r"(?:upwell|python|make|docker|kubectl|kustomize|pip|curl|npm|node|java)"
    indented = [
        (page.name, line.strip())
        for page in pages()
        for line in page.read_text(encoding="utf-8").splitlines()
        if re.match(rf"    (?:\$ )?(?:\w+=\S+ )*{starts} ", line)
    ]
    assert len(indented) > 5
    for page, line in indented:
        named = re.search(r"python (?:-m benchmarks\.(\w+)|benchmarks/(\w+)\.py)", line)
        assert named or line == "pip install 'upwell[cpu,peers]'", f"{page}: {line} is in no block that is run"
        if named:
            source = (ROOT / "benchmarks" / f"{named[1] or named[2]}.py").read_text()
            assert [option for option in re.findall(r"--[a-z-]+", line) if f'"{option}"' not in source] == [], line


@pytest.mark.parametrize(
    "words", [["nothing"], ["tail"], ["tail", "events", "--wat"], ["keys", "newer"], ["dlq", "show"], ["serve", "x"]]
)
def test_a_command_that_there_is_not_would_be_found(words: list[str]) -> None:
    with pytest.raises(click.ClickException):
        parsed(words)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("upwell topics create", [["topics", "create"]]),
        ("A=1 B='x y' upwell serve > log 2>&1 &", [["serve"]]),
        ("upwell keys new website 2>> keys.txt", [["keys", "new", "website"]]),
        (
            "zcat a.gz | upwell produce --as events - && upwell doctor  # done",
            [["produce", "--as", "events", "-"], ["doctor"]],
        ),
        ("(umask 077; upwell keys pseudonyms > p)", [["keys", "pseudonyms"]]),
        (".venv/bin/upwell demo", [["demo"]]),
        ("docker compose exec worker upwell tail recommendations", []),
        ("# upwell nothing", []),
        ("pip install upwell", []),
    ],
)
def test_commands_are_found_in_lines(line: str, found: list[list[str]]) -> None:
    assert list(upwells(line)) == found


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "docs").glob("*.md"):
        built = tmp_path / ("index.html" if page.stem == "index" else f"{page.stem}/index.html")
        assert built.exists(), page.name
        # Nothing is fetched from elsewhere when somebody reads it.
        fetched = re.findall(r"""<(?:script|link|img)\b[^>]*?(?:src|href)=["'](https?://[^"']+)""", built.read_text())
        assert [address for address in fetched if "rel=canonical" not in address] == []


def test_the_tests_that_pages_name_exist() -> None:
    named = [
        (page.name, path, name)
        for page in pages()
        for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text(encoding="utf-8"))
    ]
    assert len(named) > 30
    missing = [
        (page, path, name)
        for page, path, name in named
        if not (ROOT / path).exists() or (name and f"def {name}(" not in (ROOT / path).read_text())
    ]
    assert missing == []


def test_pictures_are_small_shown_and_taken_by_the_script() -> None:
    pictures = {path.name: path for path in (ROOT / "docs" / "pictures").iterdir()}
    assert set(pictures) == set(SHOWN)
    text = "".join(page.read_text(encoding="utf-8") for page in pages())
    for name, path in pictures.items():
        assert path.stat().st_size <= MOST_BYTES
        assert f"pictures/{name}" in text
