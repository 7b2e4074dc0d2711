"""Every command teaches by examples, and every example is one that the command understands."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from streams.cli import main

PROGRAM = "upwell"
Command = tuple[str, ...]


def commands(whole: click.Command = main, path: Command = (PROGRAM,)) -> Iterator[tuple[Command, click.Command]]:
    """Every command with its words, groups before what is in them."""
    yield path, whole
    if isinstance(whole, click.Group):
        context = click.Context(whole)
        for name in whole.list_commands(context):
            part = whole.get_command(context, name)
            assert part is not None
            yield from commands(part, (*path, name))


ALL = dict(commands())


def examples(help_text: str) -> list[str]:
    """The lines of the block of examples, without remarks in brackets behind them."""
    found = re.search(r"^\s*Examples?:\n((?:.+\n?)+)", help_text, re.MULTILINE)
    return [re.sub(r"\s{2,}\(.*\)$", "", line.strip()) for line in found[1].splitlines()] if found else []


def calls(line: str) -> Iterator[list[str]]:
    """The words of each call of `upwell` in a shell line, without redirections and the environment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    call: list[str] = []
    skip = False
    for word in [*lexer, ";"]:
        if skip:
            skip = False
        elif set(word) <= set("|&;()") or word == "<(":
            if PROGRAM in call:
                yield call[call.index(PROGRAM) :]
            call = []
        elif set(word) <= set("<>"):
            if call and call[-1].isdecimal():
                call.pop()
            skip = True
        else:
            call.append(word)


def understood(call: list[str]) -> Command:
    """The words of the command that a call comes to. Raises click.UsageError where it is not understood."""
    command: click.Command = main
    path: Command = (PROGRAM,)
    context = main.make_context(PROGRAM, call[1:])
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert name is not None
        assert found is not None
        command, path = found, (*path, name)
        context = command.make_context(name, rest, parent=context)
    return path


def test_the_reader_of_examples_reads_shell_lines() -> None:
    assert list(calls("A=b upwell x --y 'a | b' 2>> f && z | upwell w - > g; source <(upwell v)")) == [
        ["upwell", "x", "--y", "a | b"], ["upwell", "w", "-"], ["upwell", "v"],
    ]  # fmt: skip
    with pytest.raises(click.UsageError):
        understood(["upwell", "topics", "crate"])
    with pytest.raises(click.UsageError):
        understood(["upwell", "tail", "events", "--usr", "anna"])
    assert understood(["upwell", "topics", "create"]) == ("upwell", "topics", "create")


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_examples_of_itself_that_it_understands(
    path: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = examples(ALL[path].help or "")
    assert lines, f"{' '.join(path)} --help has no example"
    own = []
    for line in lines:
        found = list(calls(line))
        for call in found:
            for word in call:  # files that are read must be there
                if re.fullmatch(r"[\w-]+\.(jsonl|csv|txt|keys|toml)", word):
                    Path(word).touch()
            own.append(understood(call)[: len(path)])
    assert path in own, f"no example of {' '.join(path)} shows it: {lines}"


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_option_says_what_it_does(path: Command) -> None:
    for option in ALL[path].params:
        if isinstance(option, click.Option):
            assert option.help, f"{' '.join(path)} {option.opts[0]} has no help"


def test_what_people_read_programs_can_read_too() -> None:
    without = {
        "worker", "serve",  # they run until stopped, and log
        "keys new", "keys pseudonyms", "pseudonym",  # what they print is what is asked for, a line each
        "contract write", "completion",
    }  # fmt: skip
    leaves = {" ".join(path[1:]): part for path, part in ALL.items() if not isinstance(part, click.Group)}
    missing = {name for name, part in leaves.items() if not any("--json" in option.opts for option in part.params)}
    assert missing == without
