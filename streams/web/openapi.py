"""The OpenAPI 3.1 document, made from the route table and the Structs: it says what the code does."""

import inspect
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

import msgspec

from streams.records import CatalogueItem, Event
from streams.web.parsing import JSON
from streams.web.problems import CONTENT_TYPE, Kind, ProblemDetails
from streams.web.routes import ALWAYS, NDJSON, ROUTES, WITH_BODY, Body, Route
from streams.web.stream import StreamAsked
from streams.web.wire import Live, Ready

Json = dict[str, Any]

_LINES: Mapping[str, type[msgspec.Struct]] = {"sendEvents": Event, "sendItems": CatalogueItem}
"""What a line of these is."""

_BASE = "#/components/schemas/"


def document() -> Json:
    """The document."""
    answers: list[type[msgspec.Struct]] = [*(route.answer for route in ROUTES), Live, Ready, ProblemDetails]
    bodies = [route.asked for route in ROUTES if route.asked is not None and route.body is Body.ONE]
    schemas = _schemas([*answers, *bodies, *_LINES.values()])
    paths: dict[str, Json] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Upwell",
            "version": version("upwell"),
            "description": "Fresh, explained recommendations over HTTP, the same as on the recommendations topic.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths | _probes(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "an API key (`upwell keys new`) or a JSON Web Token",
                }
            },
        },
    }


def _operation(route: Route) -> Json:
    kinds = {*ALWAYS, *route.problems, *(WITH_BODY if route.body is not Body.NONE else ())}
    operation: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "security": [{"key": [route.scope.value]}],
        "responses": {str(route.status): _answer(route.answer)} | _problems(kinds),
    }
    if route.body is Body.ONE:
        assert route.asked is not None  # noqa: S101 - the table says so
        operation["requestBody"] = _body({JSON: {"schema": _ref(route.asked)}})
    elif route.body is Body.LINES:
        line = {"schema": {"type": "string"}, "x-line-schema": _ref(_LINES[route.name])}
        operation["requestBody"] = _body(dict.fromkeys(NDJSON, line))
    elif route.asked is not None:
        operation["parameters"] = _parameters(route.asked, route.path)
    return operation


def _body(content: Json) -> Json:
    return {"required": True, "content": content}


def _answer(struct: type[msgspec.Struct]) -> Json:
    doc = inspect.getdoc(struct) or struct.__name__
    return {"description": doc.splitlines()[0], "content": {JSON: {"schema": _ref(struct)}}}


def _problems(kinds: Iterable[Kind]) -> Json:
    by_status: dict[int, list[Kind]] = {}
    for kind in sorted(kinds, key=lambda kind: (kind.status, kind.type)):
        by_status.setdefault(kind.status, []).append(kind)
    return {
        str(status): {
            "description": "; ".join(f"{kind.title} (`{kind.type}`)" for kind in kinds),
            "content": {CONTENT_TYPE: {"schema": _ref(ProblemDetails)}},
        }
        for status, kinds in by_status.items()
    }


def _parameters(asked: type[msgspec.Struct], path: str) -> list[Json]:
    (struct,) = _schemas([asked]).values()
    required = set(struct.get("required", ()))
    return [
        _parameter(name, schema, in_path=f"{{{name}}}" in path, required=name in required)
        for name, schema in struct["properties"].items()
    ]


def _parameter(name: str, schema: Json, *, in_path: bool, required: bool) -> Json:
    if "anyOf" in schema:  # `… | None`: left out is how a parameter is None
        (schema,) = (choice for choice in schema["anyOf"] if choice.get("type") != "null")
    schema = dict(schema)
    parameter: Json = {"name": name, "in": "path" if in_path else "query", "required": in_path or required}
    if description := schema.pop("description", None):
        parameter["description"] = description
    return {**parameter, "schema": {key: value for key, value in schema.items() if (key, value) != ("default", None)}}


def _probes() -> dict[str, Json]:
    text = {"description": "Prometheus metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}
    ready = _answer(Ready)
    return {
        "/livez": {"get": _probe("live", "Is the process alive?", {"200": _answer(Live)})},
        "/readyz": {"get": _probe("ready", "Can it do its work?", {"200": ready, "503": ready})},
        "/v1/stream": {"get": _stream()},
        "/metrics": {
            "get": _probe("metrics", "Numbers for Prometheus.", {"200": text} | _problems(ALWAYS[1:4]))
            | {"security": [{"key": ["metrics"]}]}
        },
    }


def _stream() -> Json:
    events = {
        "description": "Server-sent events; `data` is JSON with `kind`: event, recommendation, pulse",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
    return {
        "operationId": "stream",
        "summary": "What passes by: a sample, and all of a shopper who is followed.",
        "security": [{"key": ["admin"]}],
        "parameters": _parameters(StreamAsked, "/v1/stream"),
        "responses": {"200": events} | _problems({*ALWAYS[:4], Kind.BUSY}),
    }


def _probe(name: str, summary: str, responses: Json) -> Json:
    return {"operationId": name, "summary": summary, "security": [], "responses": responses}


def _ref(struct: type[msgspec.Struct]) -> Json:
    return {"$ref": _BASE + struct.__name__}


def _schemas(structs: Iterable[type[msgspec.Struct]]) -> dict[str, Json]:
    _, components = msgspec.json.schema_components(tuple(dict.fromkeys(structs)), ref_template=_BASE + "{name}")
    return {name: _readable(schema) for name, schema in sorted(components.items())}


def _readable(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else _readable(value)
            for key, value in node.items()
        }
    return [_readable(item) for item in node] if isinstance(node, list) else node
