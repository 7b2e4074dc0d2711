"""The words of a rule, with where they stand."""

import re
from dataclasses import dataclass
from enum import StrEnum

MAX_LENGTH = 2_000
"""Characters of a rule."""

_SHOWN = 60
"""Characters of the rule shown to each side of what is wrong."""


class RuleError(ValueError):
    """A rule is wrong: `line:column: what was wanted, what was got`, with the place marked in the line below."""

    def __init__(self, text: str, position: int, problem: str) -> None:
        """`position`: characters of `text` before what is wrong."""
        self.line = text.count("\n", 0, position) + 1
        start = text.rfind("\n", 0, position) + 1
        self.column = position - start + 1
        self.problem = problem
        end = text.find("\n", position)
        left, right = max(start, position - _SHOWN), min(len(text) if end < 0 else end, position + _SHOWN)
        shown = "".join(letter if letter.isprintable() else " " for letter in text[left:right])
        super().__init__(f"{self.line}:{self.column}: {problem}\n  {shown}\n  {' ' * (position - left)}^")


class Sort(StrEnum):
    """Sorts of words."""

    NAME = "name"
    TEXT = "text"
    NUMBER = "number"
    DURATION = "duration"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """A word: its sort, as it was written, and the characters before it."""

    sort: Sort
    written: str
    position: int

    def __str__(self) -> str:
        """As messages call it."""
        return "the end" if self.sort is Sort.END else self.written if self.sort is Sort.TEXT else f"'{self.written}'"


_TOKEN = re.compile(
    r"""\s*(?:
    (?P<duration>\d+[smhdw]\b)
  | (?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
  | (?P<text>"(?:[^"\\]|\\["'\\])*"|'(?:[^'\\]|\\["'\\])*')
  | (?P<name>[A-Za-z_][A-Za-z0-9_-]*)
  | (?P<sign><=|>=|!=|[=<>(),.])
)""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"""\\(["'\\])""")
_GAP = re.compile(r"\s*")


def tokens(text: str) -> list[Token]:
    """The words of a rule; the last one is the end.

    Raises:
        RuleError: the text is too long, or holds something that is no word.
    """
    if len(text) > MAX_LENGTH:
        raise RuleError(text, MAX_LENGTH, f"{len(text)} characters, at most {MAX_LENGTH} are read")
    found: list[Token] = []
    place = 0
    while match := _TOKEN.match(text, place):
        sort = Sort(match.lastgroup or "")
        found.append(Token(sort, match[sort.value], match.start(sort.value)))
        place = match.end()
    gap = _GAP.match(text, place)
    end = gap.end() if gap else place
    if end < len(text):
        raise RuleError(text, end, _strange(text[end:]))
    return [*found, Token(Sort.END, "", end)]


def unquoted(token: Token) -> str:
    """What is inside the quotes of a text."""
    return _ESCAPED.sub(r"\1", token.written[1:-1])


def quoted(text: str) -> str:
    """Text in quotes, as `tokens` reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _strange(rest: str) -> str:
    if rest[0] in "\"'":
        return f"the text that begins here has no closing {rest[0]}"
    if rest[0].isdigit() or rest[0] in "+-":
        return "this is no number (12.5) and no duration (30s 15m 12h 7d 2w)"
    return f"{rest[0]!r} cannot stand here"
