"""What the documentation shows: fenced blocks, the commands in them, and whether a block is to be run."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_MARK = re.compile(r"<!-- runnable(?P<alone> alone)?(?P<broker>, on a broker of its own)? -->\s*\Z")

_FENCE = re.compile(r"^(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=fence)\s*$", re.MULTILINE | re.DOTALL)
_SHELLS = {"console", "sh", "bash", "shell"}
_ENDS = {"|", "||", "&", "&&", ";", "(", ")", "\n", "|&", ";;"}
_ASSIGNED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of shell lines. `lines` are the commands, without prompts and without what they print.

    What is `runnable` is run with the page's other blocks, or `alone`; on a `broker` that it starts, or the tests' own.
    """

    page: str
    number: int
    lines: tuple[str, ...]
    runnable: bool
    alone: bool = False
    broker: bool = False

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
        lines = tuple(_commands(found["body"], prompts=found["language"] == "console"))
        mark = _MARK.search(text[: found.start()])
        alone, broker = (bool(mark["alone"]), bool(mark["broker"])) if mark else (False, False)
        yield Block(str(page.relative_to(ROOT)), number, lines, mark is not None, alone, broker)


def _commands(body: str, *, prompts: bool) -> Iterator[str]:
    for line in re.sub(r"\\\n\s*", " ", body).splitlines():
        if not prompts:
            yield line
        elif line.startswith("$ "):
            yield line[2:]


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
