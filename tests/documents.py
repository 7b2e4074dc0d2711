"""What the documentation shows: fenced blocks, the commands in them, and how a block is to be run."""

import dataclasses
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_MARK = re.compile(
    r"<!-- runnable(?P<alone> alone)?(?P<broker>, on a broker of its own)?(?P<engine>, with a Docker engine)?"
    r"(?:, ends with (?P<code>\d+))? -->\s*\Z"
)

_FENCE = re.compile(r"^(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=fence)\s*$", re.MULTILINE | re.DOTALL)
_SHELLS = {"console", "sh", "bash", "shell"}
_ENDS = {"|", "||", "&", "&&", ";", "(", ")", "\n", "|&", ";;"}
_ASSIGNED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of shell lines. `lines` are the commands, without prompts; `printed` is what they print.

    What is `runnable` is run with the page's other blocks, or `alone`; on a `broker` that it starts, or the tests' own;
    with a Docker `engine`, where one answers. `code` is the exit code that its last line ends with.
    """

    page: str
    number: int
    lines: tuple[str, ...]
    printed: tuple[str, ...]
    runnable: bool
    alone: bool = False
    broker: bool = False
    engine: bool = False
    code: int = 0

    def __str__(self) -> str:
        return f"{self.page}:{self.number}"


def pages() -> list[Path]:
    """README and all pages."""
    return [*sorted(ROOT.glob("README*.md")), ROOT / "examples" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The shell blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        if found["language"] not in _SHELLS:
            continue
        number = text.count("\n", 0, found.start()) + 1
        lines, printed = _commands(found["body"], prompts=found["language"] == "console")
        block = Block(str(page.relative_to(ROOT)), number, lines, printed, runnable=False)
        if mark := _MARK.search(text[: found.start()]):
            how = {name: bool(mark[name]) for name in ("alone", "broker", "engine")}
            block = dataclasses.replace(block, runnable=True, code=int(mark["code"] or 0), **how)
        yield block


def _commands(body: str, *, prompts: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lines = re.sub(r"\\\n\s*", " ", body).splitlines()
    if not prompts:
        return tuple(lines), ()
    typed = tuple(line[2:] for line in lines if line.startswith("$ "))
    return typed, tuple(line for line in lines if line and not line.startswith("$ "))


def upwells(line: str) -> Iterator[list[str]]:
    """The arguments of every call of `upwell` in a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    command: list[str] = []
    for word in [*lexer, "\n"]:
        if word not in _ENDS:
            command.append(word)
            continue
        words = _without_redirections(command)
        while words and _ASSIGNED.fullmatch(words[0]):
            words.pop(0)
        if words and words[0].rpartition("/")[2] == "upwell":
            yield words[1:]
        command = []


def _without_redirections(words: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word and set(word) <= set("<>&"):
            skip = True
            if kept and kept[-1].isdecimal():
                kept.pop()
        else:
            kept.append(word)
    return kept
