"""`GET /v1/stream`: what passes by, as server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from streams.records import Id
from streams.web import parsing
from streams.web.live import Live, Watcher
from streams.web.wire import Asked

STILL_HERE_S = 15.0
"""A comment goes out after so long without a message: proxies keep the connection, and one that broke is noticed."""

STREAM_S = 900.0
"""A stream ends after so long, and whoever still watches asks again, with a key that is looked at again."""

_encode = msgspec.json.Encoder().encode


class StreamAsked(Asked, frozen=True):
    """What to watch."""

    user: Annotated[Id, Meta(description="a shopper of whom nothing is left out")] | None = None


async def stream(request: web.Request, live: Live) -> web.StreamResponse:
    """Messages until the client leaves, the server stops, or time is up."""
    asked = parsing.from_address(request, StreamAsked)
    with live.watching(asked.user) as watcher:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        await response.prepare(request)
        try:
            async with asyncio.timeout(STREAM_S):
                await _sent(response, watcher)
        except (ConnectionResetError, TimeoutError):
            pass
    return response


async def _sent(response: web.StreamResponse, watcher: Watcher) -> None:
    await response.write(b": watching\n\n")
    while True:
        try:
            async with asyncio.timeout(STILL_HERE_S):
                message = await watcher.next()
        except TimeoutError:
            await response.write(b": still here\n\n")
            continue
        if message is None:
            return
        await response.write(b"data: " + _encode(message) + b"\n\n")
