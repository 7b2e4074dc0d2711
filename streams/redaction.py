"""Keeps people and secrets out of log lines, whoever writes them: the last step before a line is written.

What is known by its name is masked whole; what can be known by its looks is masked wherever it stands. Of exceptions
only kinds and places are kept: their texts may quote a record.
"""

import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

MASK = "[redacted]"

PERSONAL = frozenset({
    "user", "user_id", "userid", "users", "shopper", "shopper_id", "shoppers", "customer", "customer_id",
    "anonymous_id", "session", "session_id", "alias", "email", "phone", "address", "ip", "remote", "query",
    "question", "search", "q", "key", "value", "record", "body", "payload", "attributes", "headers", "profile", "row",
})  # fmt: skip
"""Names of fields that say who somebody is or what they did; a record's key is its shopper."""

SECRET = re.compile(r"password|passwd|secret|token|credential|authorization|cookie|api_?key|private|jaas|dsn", re.I)
"""Names of fields that hold secrets have one of these in them."""

LOOKS = (
    (re.compile(r"\bupwell_[A-Za-z0-9_-]{20,}"), MASK),
    (re.compile(r"\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.I), MASK),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), MASK),
    (re.compile(r"(?<=://)[^/\s@:]+:[^/\s@]+(?=@)"), MASK),
    (re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{1,190}"), MASK),
    (re.compile(r"(?i)\b(\w*(?:password|secret|token|api_?key)\w*\s*[=:]\s*)[^\s,;&]+"), r"\1" + MASK),
    (re.compile(r"(?i)([\"'](?:user|anonymous_id|session|query|as)[\"']\s*:\s*)(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"),
     r"\1" + MASK),
    (re.compile(r"(/v1/users/)[^/\s?\"']+"), r"\1" + MASK),
)  # fmt: skip
"""What secrets and people look like inside of a text, and what stands in their place."""

_STRUCTLOGS_OWN = frozenset({"_record", "_from_structlog"})
"""Fields of structlog's formatter, which takes them out itself."""

_DEEPEST = 6
_LONGEST = 4_000


def redact(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor that masks what must not be in a log. The `event` itself is kept, its looks apart."""
    for name in event.keys() - _STRUCTLOGS_OWN:
        event[name] = text(event[name]) if name == "event" else _masked(name, event[name], 0)
    return event


def kinds_and_places(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor that puts kinds and places of an exception in place of `exc_info`."""
    info = event.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else None
    if info is True:
        error = sys.exc_info()[1]
    if error is not None:
        event["exception"] = exception(error)
    return event


def exception(error: BaseException) -> list[str]:
    """An exception and what it came of: kind, and the places it went through, innermost last. No texts."""
    told = []
    known: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in known:
        known.add(id(current))
        told.append(" < ".join([type(current).__qualname__, *reversed(_places(current.__traceback__))]))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return told


def _places(traceback: TracebackType | None) -> list[str]:
    places = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.append(f"{Path(code.co_filename).name}:{traceback.tb_lineno} {code.co_qualname}")
        traceback = traceback.tb_next
    return places


def text(value: Any) -> str:
    """A text without what looks like a secret or a person, and not too long."""
    whole = value if isinstance(value, str) else str(value)
    told = whole[:_LONGEST]
    for pattern, instead in LOOKS:
        told = pattern.sub(instead, told)
    return told if len(whole) <= _LONGEST else f"{told}… ({len(whole)} characters)"


def _masked(name: str, value: Any, depth: int) -> Any:
    if name.lower() in PERSONAL or SECRET.search(name):
        return MASK if value is not None else None
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth == _DEEPEST:
        return f"[{type(value).__name__}]"
    if isinstance(value, Mapping):
        return {text(key): _masked(str(key), inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, BaseException):
        return type(value).__qualname__
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return [_masked("", inner, depth + 1) for inner in value]
    return text(value)
