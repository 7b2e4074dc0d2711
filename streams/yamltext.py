"""Plain data as block YAML, for generated files that people read and compare.

Writes the part of YAML 1.2 that JSON data needs, so that the command line needs no YAML library: mappings and lists as
blocks, strings bare where no YAML parser could take them for something else, else quoted as in JSON.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

Data = Mapping[str, "Data"] | Sequence["Data"] | str | int | float | bool | None

_BARE = re.compile(r"[A-Za-z_$/][A-Za-z0-9_./,-]*( [A-Za-z0-9_./,()<>`-]+)*")
_WORDS_WITH_A_MEANING = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def dump(data: Data) -> str:
    """YAML text that ends with a newline. Keys keep their order; the same data gives the same text."""
    return "\n".join(_block(data, "")) + "\n"


def _block(data: Data, indent: str) -> Iterator[str]:
    """The lines of a value that stands on lines of its own."""
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from _entry(f"{indent}{_string(key)}:", value, indent + "  ")
    elif isinstance(data, Sequence) and not isinstance(data, str) and data:
        for value in data:
            first, *rest = _block(value, indent + "  ")
            yield f"{indent}- {first.lstrip(' ')}"
            yield from rest
    else:
        yield indent + _scalar(data)


def _entry(head: str, value: Data, indent: str) -> Iterator[str]:
    """A mapping's entry: scalars and empty collections beside the key, the rest below it."""
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str) and value:
        yield head
        yield from _block(value, indent)
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Data) -> str:
    return _string(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _string(text: str) -> str:
    if _BARE.fullmatch(text) and text.lower() not in _WORDS_WITH_A_MEANING:
        return text
    return "".join(map(_escaped, json.dumps(text, ensure_ascii=False)))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
