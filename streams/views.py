"""Records of the topics as text for people and as JSON for programs. Anything can stand on a topic: nothing raises."""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
import msgspec

from streams.core.events import EventType
from streams.engine.deadletters import Refused, refused
from streams.engine.effects import Record, RejectReason
from streams.records import Answer, CatalogueItem, Event, Question, Recommendation
from streams.redrive import REDRIVEN, earlier

TITLE_WIDTH = 44
_FIELDS = {field.encode_name for struct in (Event, CatalogueItem, Question) for field in msgspec.structs.fields(struct)}
"""Names that a refused record is told by; any other name may be somebody's."""

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
    if found.item:
        what = _named(found.item, titles)
    else:
        what = f"as {found.alias}" if found.type is EventType.LOGIN else repr(found.query or "")
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


def question(record: Record, _: Titles) -> str:
    """One line: when, who, what is asked."""
    found = _decoded(record, Question)
    if isinstance(found, str):
        return found
    return f"{moment(found.time)}  {click.style(found.user or 'nobody', bold=True)}  {found.id}  {found.text!r}"


def answer(record: Record, _: Titles) -> str:
    """A block: to whom, to which question, of what kind, then the text."""
    found = _decoded(record, Answer)
    if isinstance(found, str):
        return found
    about = [found.question, found.kind, found.language, *([] if found.exact else ["near only"])]
    head = " · ".join([click.style(found.user or "nobody", bold=True), *about])
    return "\n".join([head, *(f"  {line}" for line in found.text.splitlines())])


def dead_letter(record: Record, _: Titles) -> str:
    """Two lines: where it came from and why it was refused, then an outline of what it was."""
    about = _headers(record)
    origin = f"{about.get('topic', '?')}/{about.get('partition', '?')} @ {about.get('offset', '?')}"
    reason = about.get("reason", "?")
    head = f"{click.style(origin, bold=True)}  {reason}: {plain_detail(reason, about.get('detail', ''))}"
    return f"{head}\n  {outline(record.value)}"


def plain_detail(reason: str, detail: str) -> str:
    """Why a record was refused, without what an error that nobody foresaw may quote of it."""
    return detail.partition(":")[0] if reason == RejectReason.HANDLER_ERROR else detail


def outline(raw: bytes | None) -> str:
    """What refused bytes look like, without what they say: the fields of the contract that are there, and of what kind.

    A refused record may say anything of anybody; who has to see it asks for it.
    """
    if raw is None:
        return "(null)"
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"{len(raw)} bytes, no JSON"
    if not isinstance(found, dict):
        return f"{len(raw)} bytes, JSON {_kind(found)}"
    known = [f"{name}: {_kind(value)}" for name, value in found.items() if name in _FIELDS]
    others = len(found) - len(known)
    return f"{{{', '.join([*known, *([f'{others} other fields'] if others else [])])}}}"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return f"text of {len(value)}"
        case list():
            return f"list of {len(value)}"
        case _:
            return f"object of {len(value)}"


def dead_letter_outlined(record: Record) -> str:
    """A refused record without what it says: as `dead_letter_in_full`, with outlines of headers, key and value."""
    about = refused(record)
    lines = [f"{click.style(f'{record.topic}/{record.partition}@{record.offset}', bold=True)}"]
    if about is not None:
        lines += _whence(about, plain_detail(about.reason, about.detail))
        lines += [f"headers    {len(about.headers)}"] if about.headers else []
    key = "(null)" if record.key is None else f"{len(record.key)} bytes"
    return "\n".join([*lines, f"key        {key}", f"value      {outline(record.value)}"])


def dead_letter_in_full(record: Record) -> str:
    """Everything about a refused record; key and value as text where they are UTF-8, else in hexadecimal."""
    about = refused(record)
    lines = [f"{click.style(f'{record.topic}/{record.partition}@{record.offset}', bold=True)}"]
    if about is not None:
        lines += _whence(about, about.detail)
    headers = record.headers if about is None else about.headers
    lines += [f"header     {name}: {_legible(value)}" for name, value in headers if name != REDRIVEN]
    return "\n".join([*lines, f"key        {_legible(record.key)}", f"value      {_legible(record.value)}"])


def _whence(about: Refused, detail: str) -> list[str]:
    return [
        f"refused    {about.reason}: {detail}",
        f"came from  {about.topic}/{about.partition}@{about.offset} of {moment(about.timestamp)}",
        *(f"before     {place}" for place in reversed(earlier(about.headers))),
    ]


def as_json(record: Record) -> bytes | None:
    """The record's value on one line; a deletion in the form that `upwell produce` reads. None where it is no JSON."""
    if record.value is None:
        return msgspec.json.encode({"id": _text(record.key), "deleted": True})
    try:
        return msgspec.json.format(record.value, indent=-1)
    except msgspec.DecodeError:
        return None


def dead_letter_outlined_as_json(record: Record) -> bytes:
    """Where from, why, and an outline of the value."""
    about = _whence_as_json(record)
    reason, detail = str(about.get("reason", "")), str(about.get("detail", ""))
    return msgspec.json.encode(about | {"detail": plain_detail(reason, detail), "outline": outline(record.value)})


def dead_letter_as_json(record: Record) -> bytes:
    """Where from, why, key and value: as text where they are UTF-8, else as `key_base64`, `value_base64`."""
    about = _whence_as_json(record)
    for name, raw in (("key", record.key), ("value", record.value)):
        try:
            about[name] = None if raw is None else raw.decode()
        except UnicodeDecodeError:
            about[f"{name}_base64"] = base64.b64encode(raw or b"").decode()
    return msgspec.json.encode(about)


def _whence_as_json(record: Record) -> dict[str, Any]:
    about: dict[str, Any] = _headers(record)
    for name in ("partition", "offset", "timestamp"):
        about[name] = int(about[name]) if about.get(name, "").lstrip("-").isdecimal() else None
    return about


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
