"""Records of the topics as text for people and as JSON for programs. Anything can stand on a topic: nothing raises."""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
import msgspec

from streams.engine.deadletters import refused
from streams.engine.effects import Record
from streams.records import CatalogueItem, Event, Recommendation
from streams.redrive import REDRIVEN, earlier

TITLE_WIDTH = 44
VALUE_SHOWN = 200
"""Characters of a refused value that are shown."""

Titles = Mapping[str, str]
"""Item id → title."""

Show = Callable[[Record, Titles], str]

_T = TypeVar("_T", bound=msgspec.Struct)


def recommendation(record: Record, titles: Titles) -> str:
    """A block: for whom and why now, then a line per item with rank, title, id, channel and reason."""
    found = _decoded(record, Recommendation)
    if isinstance(found, str):
        return found
    trigger = found.trigger
    after = f"{trigger.type.value} {_named(trigger.item, titles)}" if trigger.item else trigger.type.value
    head = f"{click.style(found.user, bold=True)} · {moment(found.time)} · after {after} · {found.stage}"
    titled = [_short(titles.get(item.item, item.item)) for item in found.items]
    width = max(map(len, titled), default=0)
    ids = max((len(item.item) for item in found.items), default=0)
    lines = [
        f"  {item.rank:>3}  {title:<{width}}  {click.style(f'{item.item:<{ids}}', dim=True)}  {item.channel:<9}  "
        f"{item.reasons[0].text if item.reasons else ''}".rstrip()
        for item, title in zip(found.items, titled, strict=True)
    ]
    return "\n".join([head, *(lines or ["  (nothing to recommend yet)"])])


def event(record: Record, titles: Titles) -> str:
    """One line: when, who, what, with which item."""
    found = _decoded(record, Event)
    if isinstance(found, str):
        return found
    what = _named(found.item, titles) if found.item else repr(found.query or "")
    value = "" if found.value is None else f"  ({found.value:g})"
    shopper = found.user or found.anonymous_id or "nobody"
    return f"{moment(found.time)}  {click.style(shopper, bold=True)}  {found.type.value:<10}  {what}{value}"


def catalogue_item(record: Record, _: Titles) -> str:
    """One line: id, title, category, price; or that it was deleted."""
    if record.value is None:
        return f"{click.style(_text(record.key), bold=True)}  deleted"
    found = _decoded(record, CatalogueItem)
    if isinstance(found, str):
        return found
    price = "" if found.price is None else f"{found.price:.2f} {found.currency or ''}".strip()
    parts = [found.title, " › ".join(found.category), price, "" if found.available else "not available"]
    return "  ".join([click.style(found.id, bold=True), *filter(None, parts)])


def dead_letter(record: Record, _: Titles) -> str:
    """Two lines: where it came from and why it was refused, then the start of what it was."""
    about = _headers(record)
    origin = f"{about.get('topic', '?')}/{about.get('partition', '?')} @ {about.get('offset', '?')}"
    head = f"{click.style(origin, bold=True)}  {about.get('reason', '?')}: {about.get('detail', '')}"
    value = "(null)" if record.value is None else _text(record.value)
    return f"{head}\n  {value[:VALUE_SHOWN]}{'…' if len(value) > VALUE_SHOWN else ''}"


def dead_letter_in_full(record: Record) -> str:
    """Everything about a refused record; key and value as text where they are UTF-8, else in hexadecimal."""
    about = refused(record)
    lines = [f"{click.style(f'{record.topic}/{record.partition}@{record.offset}', bold=True)}"]
    if about is not None:
        lines += [
            f"refused    {about.reason}: {about.detail}",
            f"came from  {about.topic}/{about.partition}@{about.offset} of {moment(about.timestamp)}",
        ]
        lines += [f"before     {place}" for place in reversed(earlier(about.headers))]
    headers = record.headers if about is None else about.headers
    lines += [f"header     {name}: {_legible(value)}" for name, value in headers if name != REDRIVEN]
    return "\n".join([*lines, f"key        {_legible(record.key)}", f"value      {_legible(record.value)}"])


def as_json(record: Record) -> bytes | None:
    """The record's value on one line; a deletion in the form that `upwell produce` reads. None where it is no JSON."""
    if record.value is None:
        return msgspec.json.encode({"id": _text(record.key), "deleted": True})
    try:
        return msgspec.json.format(record.value, indent=-1)
    except msgspec.DecodeError:
        return None


def dead_letter_as_json(record: Record) -> bytes:
    """Where from, why, key and value: as text where they are UTF-8, else as `key_base64`, `value_base64`."""
    about: dict[str, Any] = _headers(record)
    for name in ("partition", "offset", "timestamp"):
        about[name] = int(about[name]) if about.get(name, "").lstrip("-").isdecimal() else None
    for name, raw in (("key", record.key), ("value", record.value)):
        try:
            about[name] = None if raw is None else raw.decode()
        except UnicodeDecodeError:
            about[f"{name}_base64"] = base64.b64encode(raw or b"").decode()
    return msgspec.json.encode(about)


def _headers(record: Record) -> dict[str, str]:
    """Upwell's headers without their prefix. The last of a repeated header is Upwell's own."""
    prefix = "upwell."
    return {name.removeprefix(prefix): _text(value) for name, value in record.headers if name.startswith(prefix)}


def _decoded(record: Record, kind: type[_T]) -> _T | str:
    """The value, or a line that says that it is not of this kind."""
    try:
        return msgspec.json.decode(record.value or b"null", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        size = 0 if record.value is None else len(record.value)
        return f"(no {kind.__name__}: {size} bytes at {record.topic}/{record.partition} @ {record.offset})"


def _named(item: str, titles: Titles) -> str:
    return f"{_short(titles[item])} ({item})" if item in titles else item


def _short(text: str) -> str:
    return text if len(text) <= TITLE_WIDTH else text[: TITLE_WIDTH - 1] + "…"


def moment(millis: int) -> str:
    """A time in words, UTC, to the second."""
    return f"{datetime.fromtimestamp(millis / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _legible(raw: bytes | None) -> str:
    if raw is None:
        return "(null)"
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return f"({len(raw)} bytes, no UTF-8) {raw.hex(' ', -4)}"


def _text(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode(errors="backslashreplace")
