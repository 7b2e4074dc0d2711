"""Cells of files as the values of fields. Every function refuses what it cannot read, with a reason and no value."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

_SCALES = ((1e11, 1000.0), (1e14, 1.0), (1e17, 1e-3), (math.inf, 1e-6))
"""Numbers below the first are seconds, milliseconds, microseconds, nanoseconds; with the factor to milliseconds.

A number of seconds reaches 1e11 in the year 5138, one of milliseconds in March 1973.
"""
_UNITS = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_GO = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) ([+-]\d\d)(\d\d)(?: [A-Z+-]\w*)?$")
"""Go's own way to print a time, which Gorse exports."""
_YES, _NO = {"true", "1", "yes", "y", "t"}, {"false", "0", "no", "n", "f"}


class UnfitError(ValueError):
    """A value that is not what its field takes; the message says what was wanted."""


def missing(value: Any) -> bool:
    """Whether a cell says nothing: null, blank, or not a number."""
    return value is None or (isinstance(value, str) and not value.strip()) or value != value  # noqa: PLR0124


def text(value: Any) -> str:
    """Text; numbers as they are written without a fraction (a table with gaps makes 17 a 17.0)."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnfitError(f"wanted text, got {_kind(value)}")
    return str(int(value)) if float(value).is_integer() else str(value)


def number(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UnfitError(f"wanted a number, got {_kind(value)}")
    try:
        found = float(value)
    except ValueError:
        raise UnfitError("wanted a number, got other text") from None
    if not math.isfinite(found):
        raise UnfitError("wanted a finite number")
    return found


def truth(value: Any) -> bool:
    """Yes or no."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower().removesuffix(".0")
    if word in _YES | _NO:
        return word in _YES
    raise UnfitError("wanted true or false")


def millis(value: Any, form: str | None = None) -> int:
    """Milliseconds since the Unix epoch.

    Args:
        value: a number, a date, or text of either.
        form: `s`, `ms`, `us`, `ns` for a number of these, or a pattern as `strptime` takes it; None to tell by the
            value: numbers by their size, text as ISO 8601. Without a zone it is UTC.
    """
    if isinstance(value, datetime | date):
        return _since_epoch(value if isinstance(value, datetime) else datetime(value.year, value.month, value.day))
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UnfitError(f"wanted a time, got {_kind(value)}")
    if form is not None and form not in _UNITS:
        try:
            return _since_epoch(datetime.strptime(str(value), form))
        except ValueError:
            raise UnfitError(f"wanted a time like {form}") from None
    try:
        amount = float(value)
    except ValueError:
        if form is not None:
            raise UnfitError(f"wanted a number ({form})") from None
        return _since_epoch(_written(str(value).strip()))
    if not 0 <= amount < math.inf:
        raise UnfitError("wanted a time after 1970")
    factor = _UNITS[form] if form else next(factor for limit, factor in _SCALES if amount < limit)
    return round(amount * factor)


def texts(value: Any, separator: str) -> list[str]:
    """A list of texts, of a list or of text with separators."""
    parts: Sequence[Any] = value.split(separator) if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise UnfitError(f"wanted a list or text, got {_kind(value)}")
    return [text(part) for part in parts if not missing(part)]


def numbers(value: Any) -> list[float]:
    """A list of numbers."""
    if not isinstance(value, list | tuple):
        raise UnfitError(f"wanted a list of numbers, got {_kind(value)}")
    return [number(part) for part in value]


def scalar(value: Any) -> str | float | bool:
    """What an attribute can be: text, a number, yes or no; a list as text."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value))
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise UnfitError(f"wanted text, a number, or true or false, got {_kind(value)}")


def _written(value: str) -> datetime:
    if found := _GO.match(value):
        value = f"{found[1]}{found[2]}:{found[3]}"
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise UnfitError("wanted a time, got other text (ISO 8601, a number, or say --time-format)") from None


def _since_epoch(moment: datetime) -> int:
    try:
        found = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (OverflowError, ValueError):
        raise UnfitError("wanted a time after 1970") from None
    if found < 0:
        raise UnfitError("wanted a time after 1970")
    return found


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
