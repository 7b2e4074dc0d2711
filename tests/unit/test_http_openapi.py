"""The OpenAPI document: sound, complete, and true: whatever fits it, the service answers without a defect."""

import asyncio
import copy
import json
import threading
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from streams.web import openapi
from streams.web.routes import NDJSON, ROUTES
from tests.unit.http_shop import HttpShop

DOCUMENT = openapi.document()
CASES = 20
"""Requests made up for each operation."""


def with_lines(document: dict[str, Any]) -> dict[str, Any]:
    """The document, with bodies of lines as arrays of what a line is, for OpenAPI cannot say that."""
    document = copy.deepcopy(document)
    for path in ("/v1/events", "/v1/items"):
        for content in document["paths"][path]["post"]["requestBody"]["content"].values():
            content["schema"] = {"type": "array", "items": content["x-line-schema"]}
    return document


@schemathesis.serializer(*NDJSON)
def lines_serializer(_: object, value: Any) -> bytes:
    return "\n".join(map(json.dumps, value)).encode() if isinstance(value, list) else json.dumps(value).encode()


SCHEMA = schemathesis.openapi.from_dict(with_lines(DOCUMENT)).exclude(path="/v1/stream")  # it would not end


def test_the_document_is_sound() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_every_address_is_described() -> None:
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described >= {(route.method, route.path) for route in ROUTES}
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            assert operation["summary"], path
            names = {parameter["name"] for parameter in operation.get("parameters", ())}
            assert names >= {"id"} if "{id}" in path else "id" not in names


def test_parameters_carry_their_limits() -> None:
    operation = DOCUMENT["paths"]["/v1/users/{id}/recommendations"]["get"]
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    assert parameters["n"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 200}
    assert parameters["id"]["in"] == "path"
    assert not parameters["n"]["required"]
    assert operation["security"] == [{"key": ["query"]}]
    assert {"400", "401", "403", "429", "503", "504"} < set(operation["responses"])


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The service, on a loop of its own."""
    shop = HttpShop()
    told: list[str] = []
    ready, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with shop.client() as client:
            told.append(str(client.make_url("")).rstrip("/"))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    yield told[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@SCHEMA.parametrize()
@hypothesis.settings(
    max_examples=CASES, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
def test_made_up_requests_meet_no_defect(case: schemathesis.Case, url: str) -> None:
    response = case.call(base_url=url)
    case.validate_response(
        response,
        checks=[not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance],
    )
