"""A schema registry on loopback, as small as can be: schemas by id, asked for over HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import fastavro
from aiohttp import web
from aiohttp.test_utils import TestServer

EVENT_SCHEMA = json.dumps({
    "type": "record",
    "name": "Event",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "type", "type": "string"},
        {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        *(
            {"name": name, "type": ["null", kind], "default": None}
            for name, kind in {
                "user": "string", "item": "string", "value": "double", "session": "string", "anonymous_id": "string",
                "query": "string",
            }.items()
        ),
        {
            "name": "attributes",
            "type": ["null", {"type": "map", "values": ["null", "boolean", "double", "string"]}],
            "default": None,
        },
    ],
})  # fmt: skip

ITEM_SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Item",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "title", "type": "string"},
            {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        ],
    }
)


def framed(schema: int, payload: bytes) -> bytes:
    """A payload in Confluent's wire format."""
    return b"\0" + schema.to_bytes(4) + payload


def written(schema: int, text: str, value: object) -> bytes:
    """A value in Confluent's wire format, by a schema (JSON text)."""
    import io

    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(text)), value)
    return framed(schema, stream.getvalue())


class FakeRegistry:
    """Answers with `answers` by id: a text is an Avro schema, a dict is the body, a number a status."""

    def __init__(self, answers: dict[int, object]) -> None:
        self.answers = answers
        self.asked: list[int] = []
        self.authorizations: list[str | None] = []
        self.down = False
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeRegistry"]:
        app = web.Application()
        app.router.add_get("/schemas/ids/{id}", self._answer)
        async with TestServer(app) as server:
            self.url = str(server.make_url(""))
            yield self

    async def _answer(self, request: web.Request) -> web.Response:
        schema = int(request.match_info["id"])
        self.asked.append(schema)
        self.authorizations.append(request.headers.get("Authorization"))
        answer = 503 if self.down else self.answers.get(schema, 404)
        if isinstance(answer, int):
            return web.json_response({"error_code": answer, "message": "no"}, status=answer)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        return web.json_response({"schema": answer} if isinstance(answer, str) else answer)
