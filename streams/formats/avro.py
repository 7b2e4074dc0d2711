"""Avro values in Confluent's wire format, by the schema of whoever wrote them.

    magic byte 0 ‖ schema id u32 big-endian ‖ Avro binary (or JSON, for a JSON Schema)

A decoded value becomes the JSON that a producer of JSON would have written: dates as Unix milliseconds, decimals as
numbers, UUIDs as text. Confluent, "Wire format"; Apache Avro 1.12 specification.
"""

import io
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

import msgspec

from streams.formats.base import Fault, FormatError

MAGIC = 0
HEAD = 5
"""Bytes before the payload."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Reader(Protocol):
    """Turns payloads of one schema into JSON."""

    def __call__(self, payload: bytes) -> bytes:
        """Raises FormatError."""
        ...


def schema_id(value: bytes) -> int | None:
    """The id of the schema that a value was written with; None for one in no such format."""
    return int.from_bytes(value[1:HEAD]) if len(value) >= HEAD and value[0] == MAGIC else None


def avro_reader(schema: str) -> Reader:
    """A reader of an Avro schema (JSON text).

    Raises:
        FormatError: it is none, or one that a few bytes could fill memory by.
    """
    import fastavro

    try:
        parsed = fastavro.parse_schema(msgspec.json.decode(schema))
    except Exception as error:  # the library raises whatever the schema leads it to
        raise FormatError(Fault.UNKNOWN_SCHEMA, f"its schema cannot be read: {type(error).__name__}") from None
    if _endless(parsed):
        raise FormatError(Fault.UNKNOWN_SCHEMA, "its schema has an array of what takes no bytes")

    def read(payload: bytes) -> bytes:
        stream = io.BytesIO(payload)
        try:
            value = fastavro.schemaless_reader(stream, parsed, None)
        except Exception as error:  # the library raises whatever the bytes lead it to
            raise FormatError(Fault.UNDECODABLE, f"not what its Avro schema says: {type(error).__name__}") from None
        if stream.read(1):
            raise FormatError(Fault.UNDECODABLE, "not what its Avro schema says: there is more behind it")
        return msgspec.json.encode(_plain(value))

    return read


def json_reader(_: str) -> Reader:
    """A reader of a JSON Schema's payloads, which are JSON; what they have to be is for the edge to say."""
    return _as_it_is


def _as_it_is(payload: bytes) -> bytes:
    return payload


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (float, Decimal)):
        if not math.isfinite(value):
            raise FormatError(Fault.INVALID, "a number is not finite")
        return float(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, datetime):
        return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
    if isinstance(value, UUID):
        return str(value)
    raise FormatError(Fault.INVALID, f"a field of type {type(value).__name__}, which JSON does not have")


def _endless(schema: Any) -> bool:
    """Whether there is an array, anywhere, whose items take no bytes: its length alone could fill memory."""
    named: dict[str, Any] = {}
    arrays = []

    def walk(node: Any) -> None:
        if isinstance(node, list):
            for part in node:
                walk(part)
        elif isinstance(node, dict):
            if "name" in node:
                named[node["name"]] = node
            if node.get("type") == "array":
                arrays.append(node["items"])
            for part in (node.get("items"), node.get("values"), *(f["type"] for f in node.get("fields", ()))):
                walk(part)

    def empty(node: Any, inside: frozenset[str]) -> bool:
        if isinstance(node, str):
            return node == "null" or (node in named and node not in inside and empty(named[node], inside | {node}))
        if not isinstance(node, dict):
            return False  # a union says which of its types it is
        if node["type"] == "fixed":
            return node["size"] == 0  # type: ignore[no-any-return]
        if node["type"] in ("record", "error"):
            return all(empty(field["type"], inside | {node["name"]}) for field in node["fields"])
        return empty(node["type"], inside) if isinstance(node["type"], (dict, str)) and len(node) == 1 else False

    walk(schema)
    return any(empty(items, frozenset()) for items in arrays)
