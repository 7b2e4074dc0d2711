"""Connections: how many there may be, and what becomes of those that are slow, broken off or no HTTP."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
import uvloop
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry

from streams.settings import ApiSettings
from streams.web import door
from streams.web.metrics import HttpMetrics
from streams.web.serve import _listening
from tests.brokers import until
from tests.unit.http_shop import Client, HttpShop

ASKED = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on a loop; `upwell serve` is on uvloop, whose transports are its own."""

    def begin(body: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(body)

    return begin


@pytest.fixture
def shop() -> HttpShop:
    return HttpShop()


class House(NamedTuple):
    """A server and its numbers."""

    port: int
    http: Client
    numbers: CollectorRegistry

    def number(self, name: str) -> float:
        return self.numbers.get_sample_value(name) or 0.0

    async def connect(self, address: str = "127.0.0.1") -> Connection:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))

    async def open(self, count: int) -> None:
        """Wait until so many connections are open."""

        async def there() -> bool:
            return self.number("upwell_http_connections") == count

        await until(there)


@asynccontextmanager
async def house(shop: HttpShop, tls: ssl.SSLContext | None = None, **api: float) -> AsyncIterator[House]:
    """The service, listening as `upwell serve` does. `api` are settings."""
    async with shop.client() as http:
        assert http.app is not None
        numbers = CollectorRegistry()
        settings = ApiSettings.model_validate({"port": 0, **api})
        async with _listening(http.app, settings, tls, HttpMetrics(numbers)) as url:
            yield House(int(url.rpartition(":")[2]), http, numbers)


async def said(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection is closed."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def answered(connection: Connection) -> bytes:
    """The status line of an answer."""
    reader, writer = connection
    writer.write(ASKED)
    line = await reader.readline()
    await reader.readuntil(b"}")
    return line


def test_one_connection_too_many_is_told_so_and_closed(run: Run, shop: HttpShop) -> None:
    async def body() -> None:
        async with house(shop, connections=2) as server:
            first, second, third = [await server.connect() for _ in range(3)]
            assert (await said(third[0])).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert await answered(first) == await answered(second) == b"HTTP/1.1 200 OK\r\n"
            assert server.number("upwell_http_turned_away_total") == 1
            first[1].close()
            await server.open(1)
            fourth = await server.connect()
            assert await answered(fourth) == b"HTTP/1.1 200 OK\r\n"
            for _, writer in (second, third, fourth):
                writer.close()
            await server.open(0)

    run(body())


def test_one_address_does_not_take_all_places(run: Run, shop: HttpShop) -> None:
    async def body() -> None:
        async with house(shop, connections=3, connections_each=2) as server:
            mine = [await server.connect() for _ in range(3)]
            assert b" 503 " in await said(mine[2][0])
            other = await server.connect("127.0.0.2")
            assert await answered(other) == b"HTTP/1.1 200 OK\r\n"
            for _, writer in (*mine, other):
                writer.close()
            await server.open(0)

    run(body())


@pytest.mark.parametrize("asked", [1, 400], ids=["one small answer", "many answers"])
def test_who_does_not_take_an_answer_loses_the_connection(run: Run, shop: HttpShop, asked: int) -> None:
    async def body() -> None:
        async with house(shop, idle_s=0.3) as server:
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", server.port))
            request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
            sending = asyncio.create_task(loop.sock_sendall(client, request * asked))
            await server.open(1)
            await server.open(0)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            client.close()

    run(body())


@pytest.mark.parametrize("dripping", [False, True])
def test_a_connection_without_a_whole_request_is_closed(run: Run, shop: HttpShop, dripping: bool) -> None:
    """Drop by drop or not at all: headers that do not end hold no connection."""

    async def body() -> None:
        async with house(shop, idle_s=0.2) as server:
            reader, writer = await server.connect()
            writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")

            async def drip() -> None:
                while True:
                    writer.write(b"X-More: x\r\n")
                    await asyncio.sleep(0.02)

            dropping = asyncio.create_task(drip()) if dripping else None
            assert await said(reader) == b""
            if dropping:
                dropping.cancel()
            writer.close()

    run(body())


def test_a_handshake_that_does_not_end_is_closed(run: Run, shop: HttpShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "HANDSHAKE_S", 0.2)

    async def body() -> None:
        async with house(shop, ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)) as server:
            reader, writer = await server.connect()
            assert await said(reader) == b""
            writer.close()

    run(body())


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /livez HTTP/1.1\nHost: localhost\nAuthorization: Bearer upwell_secret\n\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nAuthorization : Bearer upwell_secret\r\n\r\n",
        b"GET /upwell_secret/" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        BODY + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01upwell_secret",
    ],
    ids=["bare line feeds", "space before the colon", "too long", "two lengths", "TLS"],
)
async def test_what_is_no_http_is_a_problem_that_repeats_nothing(shop: HttpShop, request_: bytes) -> None:
    async with house(shop) as server:
        reader, writer = await server.connect()
        writer.write(request_)
        answer = await said(reader)
        writer.close()
    assert b" 400 Bad Request\r\n" in answer
    assert b"application/problem+json" in answer
    assert b"urn:upwell:problem:invalid-request" in answer
    assert b"secret" not in answer
    assert b"aiohttp" not in answer
    assert b"Server: upwell\r\n" in answer


@pytest.mark.parametrize(
    "body",
    [
        BODY + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        BODY + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nZ\r\n",
    ],
    ids=["no gzip", "no chunk"],
)
async def test_a_body_that_is_not_what_it_says_is_no_defect(
    shop: HttpShop, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    async with house(shop) as server:
        reader, writer = await server.connect()
        writer.write(body)
        answer = await said(reader)
        writer.close()
    assert b" 400 Bad Request\r\n" in answer
    assert "defect" not in capsys.readouterr().out


async def test_a_client_that_leaves_within_a_body_is_no_defect(
    shop: HttpShop, capsys: pytest.CaptureFixture[str]
) -> None:
    async with house(shop) as server:
        _, writer = await server.connect()
        writer.write(BODY + b"Content-Length: 5000\r\n\r\nhello")
        await server.open(1)
        await asyncio.sleep(0)
        writer.transport.abort()
        await server.open(0)

        async def counted() -> bool:
            async with server.http.get("/metrics") as response:
                return 'route="/v1/events",status="400"} 1.0' in await response.text()

        await until(counted)
    assert "defect" not in capsys.readouterr().out


async def test_probes_have_a_door_too() -> None:
    from streams.health import Health
    from streams.web import probes

    async with probes.probes(Health(starting=None), 0) as port, ClientSession() as http:
        async with http.get(f"http://127.0.0.1:{port}/livez") as response:
            assert response.status == 200
        seats = [await asyncio.open_connection("127.0.0.1", port) for _ in range(probes.BOUNDS.most)]
        assert b" 503 " in await said(seats[-1][0])  # the session above holds a place
        for _, writer in seats:
            writer.close()
