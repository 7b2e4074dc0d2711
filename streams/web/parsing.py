"""The one place where requests are parsed: address, query and body become a msgspec Struct, or problem 400.

A Struct describes everything a request may say: its fields are the parameters, its annotations the limits. The
OpenAPI document is made from the same Structs. What is not a field is refused by name, so that a typing error in a
parameter never passes for an answer to another question.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_origin, get_type_hints

import msgspec
from aiohttp import hdrs, web

from streams.web.packing import CODINGS, PackingError, Unpacker
from streams.web.problems import Kind, Problem

JSON = "application/json"
_AT = re.compile(r" - at `\$\.?([^`]*)`$")

Asked = TypeVar("Asked", bound=msgspec.Struct)


def from_address(request: web.Request, wanted: type[Asked]) -> Asked:
    """What address and query say.

    Raises:
        Problem: a parameter is unknown, missing, given twice, or not what it should be.
    """
    path = dict(request.match_info)
    many = lists(wanted)
    given: dict[str, Any] = {}
    for name in request.query:
        values = request.query.getall(name)
        if name in path:
            raise Problem(Kind.INVALID, f"`{_shown(name)}` is part of the path, not of the query")
        if name not in many and len(values) > 1:
            raise Problem(Kind.INVALID, f"`{_shown(name)}` is given {len(values)} times, at most once is understood")
        given[name] = values if name in many else values[0]
    return _converted(path | given, wanted)


async def from_body(request: web.Request, wanted: type[Asked], max_bytes: int) -> Asked:
    """What a JSON body says; such a request has no query.

    Raises:
        Problem: it is too large, not JSON, or not what it should be.
    """
    refuse_query(request.query)
    body = await read(request, (JSON,), max_bytes)
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.ValidationError as error:
        raise Problem(Kind.INVALID, in_words(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problem(Kind.INVALID, "the body is not JSON in UTF-8") from None
    except RecursionError:
        raise Problem(Kind.INVALID, "the body is nested too deeply") from None


async def read(request: web.Request, types: Iterable[str], max_bytes: int) -> bytes:
    """The body of a request, of one of these media types.

    Raises:
        Problem: it is of another type, of more than `max_bytes` bytes (after decompression), or broken off.
    """
    if request.content_type not in types:
        raise Problem(Kind.MEDIA_TYPE, f"the body must be {' or '.join(types)}, said by Content-Type")
    unpacker = _unpacker(request)
    size, chunks = request.content_length or 0, []
    try:
        if size <= max_bytes:
            size = 0
            async for packed in request.content.iter_chunked(1 << 16):
                chunk = unpacker.feed(packed, max_bytes - size) if unpacker else packed
                size += len(chunk)
                if size > max_bytes:
                    break
                chunks.append(chunk)
            else:
                if unpacker:
                    unpacker.end()
    # A ConnectionError is counted alone: nobody is there to be told.
    except (web.RequestPayloadError, PackingError, ConnectionError):
        raise Problem(Kind.INVALID, "the body is not what its headers say, or has no end") from None
    if size > max_bytes:
        raise Problem(Kind.TOO_LARGE, f"a body may have {max_bytes} bytes: send it in parts")
    return b"".join(chunks)


def _unpacker(request: web.Request) -> Unpacker | None:
    """What unpacks the body; None where it came as it is.

    Raises:
        Problem: it is packed in a way that is not understood.
    """
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
    if coding in ("", "identity"):
        return None
    try:
        return Unpacker(coding)
    except KeyError:
        raise Problem(Kind.MEDIA_TYPE, f"Content-Encoding may be {' or '.join(CODINGS)}, or left out") from None


def refuse_query(query: Mapping[str, str]) -> None:
    """For addresses that take no parameters.

    Raises:
        Problem: there is one.
    """
    for name in query:
        raise Problem(Kind.INVALID, f"`{_shown(name)}` is not a parameter here")


def lists(struct: type[msgspec.Struct]) -> set[str]:
    """The parameters that may be given several times."""
    return {name for name, hint in get_type_hints(struct).items() if get_origin(hint) is list}


def in_words(error: msgspec.ValidationError) -> str:
    """What msgspec says, the parameter first."""
    text = str(error)
    if (found := _AT.search(text)) and found[1]:
        return f"`{found[1]}`: {text[: found.start()]}"
    return text


def _converted(given: dict[str, Any], wanted: type[Asked]) -> Asked:
    unknown = given.keys() - {field.encode_name for field in msgspec.structs.fields(wanted)}
    if unknown:
        known = [field.encode_name for field in msgspec.structs.fields(wanted)]
        raise Problem(
            Kind.INVALID, f"`{_shown(min(unknown))}` is not a parameter here; there are: {', '.join(known) or 'none'}"
        )
    for name, value in given.items():
        for text in [value] if isinstance(value, str) else value:
            _checked(name, text)
    try:
        return msgspec.convert(given, wanted, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(Kind.INVALID, in_words(error)) from None


def _checked(name: str, text: str) -> None:
    """Percent-encoded bytes that are no UTF-8 come as surrogates, which no record can hold; nor may it hold NUL."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Problem(Kind.INVALID, f"`{name}` is not plain UTF-8 text")


def _shown(name: str) -> str:
    """A name that the client gave, safe and short enough to be told."""
    return name.encode("ascii", "backslashreplace").decode()[:64]
