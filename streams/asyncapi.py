"""The contract for people outside: an AsyncAPI 3.0 document and one JSON Schema per record.

Generated from `streams.topics` and `streams.records` alone; the same code gives the same bytes.

    <folder>/asyncapi.yaml            every topic: address, key, payload, Kafka configuration
    <folder>/schemas/<record>.json    JSON Schema 2020-12 of a record, usable without AsyncAPI
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from streams import samples, yamltext
from streams.records import RECORDS, DeadLetter
from streams.topics import Topic, Topics

VERSION = "1.2.0"
"""Of the contract. A field that is added raises the minor number; a topic's `.v1` never changes its meaning."""

HEADER_PREFIX = "upwell."
"""Headers of dead letters start with it."""

_RECEIVED = frozenset({"events", "catalogue", "questions"})
"""Topics that the shop writes and Upwell reads; Upwell writes the others."""

Schema = dict[str, Any]


def files(topics: Topics) -> dict[str, str]:
    """Every generated file: path relative to the folder → text."""
    generated = {"asyncapi.yaml": yamltext.dump(document(topics))}
    for name in RECORDS:
        generated[f"schemas/{_kebab(name)}.json"] = json.dumps(json_schema(name), indent=2, ensure_ascii=False) + "\n"
    return generated


def stale(folder: Path, topics: Topics) -> list[str]:
    """The generated files that are missing from a folder or differ there, by relative path."""
    return [
        name
        for name, text in files(topics).items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def json_schema(record: str) -> Schema:
    """The JSON Schema (2020-12) of a record type, with all it refers to under `$defs`."""
    schemas = _schemas("#/$defs/{name}")
    definitions = {name: schemas[name] for name in sorted(_reachable(record, schemas) - {record})}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:upwell:{_kebab(record)}:v1",
        **schemas[record],
    }
    return {**schema, "$defs": definitions} if definitions else schema


def document(topics: Topics) -> dict[str, Any]:
    """The AsyncAPI 3.0.0 document of one shop's topics."""
    by_role = {role: getattr(topics, role) for role in topics.__dataclass_fields__}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Upwell",
            "version": VERSION,
            "description": "Shopper events and catalogue changes in, fresh and explained recommendations out.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "Any Apache Kafka cluster, or the broker that Upwell starts itself.",
                "variables": {"bootstrap": {"default": "127.0.0.1:9092", "description": "host:port of a broker"}},
            }
        },
        "channels": {role: _channel(role, topic) for role, topic in by_role.items()},
        "operations": dict(_operation(role) for role in by_role),
        "components": {
            "messages": {role: _message(role, topic) for role, topic in by_role.items()},
            "schemas": _schemas("#/components/schemas/{name}"),
        },
    }


def _channel(role: str, topic: Topic) -> dict[str, Any]:
    config = topic.broker_config()
    settings: dict[str, Any] = {"cleanup.policy": config["cleanup.policy"].split(",")}
    numbers = ("retention.ms", "max.message.bytes", "segment.bytes")
    settings |= {name: int(config[name]) for name in numbers if name in config}
    return {
        "address": topic.name,
        "description": topic.about,
        "messages": {role: {"$ref": f"#/components/messages/{role}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": settings,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operation(role: str) -> tuple[str, dict[str, Any]]:
    action = "receive" if role in _RECEIVED else "send"
    return f"{action}{role.capitalize()}", {"action": action, "channel": {"$ref": f"#/channels/{role}"}}


def _message(role: str, topic: Topic) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": topic.schema or role,
        "summary": topic.value,
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": "0.5.0"}},
    }
    if topic.schema is None:
        return {**message, "contentType": "application/octet-stream"}
    reference = {"$ref": f"#/components/schemas/{topic.schema}"}
    if topic.schema == DeadLetter.__name__:
        return {**message, "contentType": "application/octet-stream", "headers": reference}
    payload = {"oneOf": [reference, {"type": "null"}]} if "null" in topic.value else reference
    examples = [{"name": name, "payload": msgspec.to_builtins(sample)} for name, sample in samples.of(topic.schema)]
    return {**message, "payload": payload, "examples": examples}


def _schemas(template: str) -> dict[str, Schema]:
    """The JSON Schemas of all records and of what they refer to, by type name."""
    _, components = msgspec.json.schema_components(tuple(RECORDS.values()), ref_template=template)
    schemas = {name: _readable(schema) for name, schema in sorted(components.items())}
    schemas[DeadLetter.__name__] = _as_headers(schemas[DeadLetter.__name__])
    return schemas


def _as_headers(schema: Schema) -> Schema:
    """Header values are text: prefix the names, and write integers as strings of digits."""
    digits = {"type": "string", "pattern": "^-?[0-9]+$"}
    properties = {
        HEADER_PREFIX + name: {**field, **digits} if field["type"] == "integer" else field
        for name, field in schema["properties"].items()
    }
    return {**schema, "properties": properties, "required": list(properties)}


def _readable(node: Any) -> Any:
    """Take the indentation of docstrings out of descriptions."""
    if isinstance(node, Mapping):
        return {
            key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else _readable(value)
            for key, value in node.items()
        }
    return [_readable(item) for item in node] if isinstance(node, list) else node


def _reachable(name: str, schemas: Mapping[str, Schema]) -> set[str]:
    found, unseen = set(), {name}
    while unseen:
        found |= unseen
        unseen = {target for known in unseen for target in _references(schemas[known])} - found
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(target := node.get("$ref"), str):
            yield target.rsplit("/", 1)[-1]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
