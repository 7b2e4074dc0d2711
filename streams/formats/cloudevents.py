"""CloudEvents 1.0 in Kafka: the event as one JSON envelope, or as the value with its attributes in headers.

    structured   content-type: application/cloudevents+json   value: {"specversion": "1.0", …, "data": {…}}
    binary       ce_specversion: 1.0, ce_id, ce_type, …       value: {…}

The data is the record as it would be by itself. What it lacks is taken from the attributes: see `Attribute`.
CNCF, "CloudEvents - Version 1.0.2" and "Kafka Protocol Binding for CloudEvents - Version 1.0.2", sections 3.2 and 3.3.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from streams.formats.base import Fault, FormatError

PREFIX = "ce_"
STRUCTURED = "application/cloudevents"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_VERSION = re.compile(r"\.v\d+$")


class Attribute(StrEnum):
    """Attributes that fill in fields which the data lacks.

    `type` is the last word of a dotted name, a version behind it left out: `com.example.shop.view.v1` is `view`.
    """

    ID = "id"
    TYPE = "type"
    TIME = "time"


class _Envelope(msgspec.Struct, frozen=True):
    specversion: str
    id: Any = msgspec.UNSET
    type: Any = msgspec.UNSET
    time: Any = msgspec.UNSET
    datacontenttype: Any = msgspec.UNSET
    data: msgspec.Raw = msgspec.Raw(b"{}")
    data_base64: str | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def headers_of(headers: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    """Headers by name in lower case; the last one of a name counts."""
    return {name.lower(): value for name, value in headers}


def structured(value: bytes, content_type: str, fills: Sequence[Attribute]) -> bytes:
    """The data of an envelope, as JSON.

    Raises:
        FormatError: it is none, or its data is not JSON.
    """
    if not content_type.removeprefix(STRUCTURED).startswith("+json"):
        raise FormatError(Fault.UNDECODABLE, "a CloudEvents envelope that is not application/cloudevents+json")
    envelope = _decode_envelope(value)
    _insist_on_version(envelope.specversion)
    if envelope.datacontenttype is not msgspec.UNSET:
        insist_on_json(str(envelope.datacontenttype))
    given = {name: getattr(envelope, name) for name in Attribute if getattr(envelope, name) is not msgspec.UNSET}
    return _filled(_data(envelope), given, fills)


def binary(value: bytes, headers: Mapping[str, bytes], fills: Sequence[Attribute]) -> bytes:
    """The value, filled in from its headers.

    Args:
        value: JSON.
        headers: by name in lower case, `ce_specversion` among them.
        fills: attributes that fill in what the value lacks.

    Raises:
        FormatError: a header is not UTF-8, or not what it should be.
    """
    try:
        told = {name.removeprefix(PREFIX): text.decode() for name, text in headers.items() if name.startswith(PREFIX)}
    except UnicodeDecodeError:
        raise FormatError(Fault.UNDECODABLE, "a CloudEvents header is not UTF-8 text") from None
    _insist_on_version(told["specversion"])
    return _filled(value, {name: told[name] for name in Attribute if name in told}, fills)


def insist_on_json(content_type: str) -> None:
    """Raises FormatError for data that says of itself that it is something else."""
    kind = content_type.partition(";")[0].strip().lower()
    if not (kind == "application/json" or kind.endswith("+json")):
        raise FormatError(Fault.UNDECODABLE, "the data of a CloudEvent is read as application/json alone")


def _data(envelope: _Envelope) -> bytes:
    if envelope.data_base64 is None:
        return bytes(envelope.data)
    try:
        return base64.b64decode(envelope.data_base64, validate=True)
    except binascii.Error:
        raise FormatError(Fault.UNDECODABLE, "`data_base64` is not base64") from None


def _insist_on_version(version: str) -> None:
    if not re.fullmatch(r"1\.\d+", version):
        raise FormatError(Fault.UNDECODABLE, "a CloudEvent of another version than 1")


def _filled(data: bytes, given: Mapping[Attribute, Any], fills: Sequence[Attribute]) -> bytes:
    """Data with the attributes for fields that it lacks."""
    if not fills or not given:
        return data
    fields = _decode_fields(data)
    for name in fills:
        if name in given and name not in fields:
            fields[name.value] = msgspec.Raw(msgspec.json.encode(_value(name, given[name])))
    return msgspec.json.encode(fields)


def _value(name: Attribute, given: Any) -> Any:
    if not isinstance(given, str):
        raise FormatError(Fault.INVALID, f"`{name}` of a CloudEvent is a text")
    if name is Attribute.TYPE:
        return _VERSION.sub("", given).rpartition(".")[2]
    return _millis(given) if name is Attribute.TIME else given


def _millis(text: str) -> int:
    """An RFC 3339 timestamp as Unix milliseconds."""
    try:
        when = datetime.fromisoformat(text)
        return (when - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError, TypeError):  # TypeError: a time without its zone
        raise FormatError(Fault.INVALID, "`time` of a CloudEvent is an RFC 3339 timestamp with its zone") from None
