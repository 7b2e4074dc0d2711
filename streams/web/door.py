"""Who may connect: so many at a time, of one address a part of them, and nobody who does not read what was asked for.

aiohttp bounds the time that a request's headers may take, and that a connection may idle. What it does not bound is how
many connections there are, and how long somebody may let an answer lie: both are here, at the connection itself, so
that they hold for whatever is answered on it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web

from streams.web.problems import Kind, Problem, named

HANDSHAKE_S = 10.0
"""A connection that has not agreed on TLS by then is closed."""

_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: upwell\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there may be.

    Args:
        most: of everybody.
        most_each: of one address.
        patience_s: seconds in which a client has to take what it is sent.
    """

    most: int
    most_each: int
    patience_s: float


class Door:
    """Counts connections.

    Args:
        bounds: how many there may be.
        turned_away: called for each that is one too many.
    """

    def __init__(self, bounds: Bounds, turned_away: Callable[[], None] = lambda: None) -> None:
        self.bounds = bounds
        self.open = 0
        self._turned_away = turned_away
        self._of: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Whether one more may come from an address; if so, it is counted until it leaves."""
        if self.open >= self.bounds.most or self._of[address] >= self.bounds.most_each:
            self._turned_away()
            return False
        self.open += 1
        self._of[address] += 1
        return True

    def leave(self, address: str) -> None:
        """One of those who entered is gone."""
        self.open -= 1
        self._of[address] -= 1
        if not self._of[address]:
            del self._of[address]


class Visit(web.RequestHandler):
    """One connection: aiohttp's own, behind the door."""

    __slots__ = ("_address", "_door", "_stuck")

    def __init__(self, door: Door, manager: web.Server, **options: Any) -> None:
        # `packing` unpacks bodies: it takes none that is cut off.
        super().__init__(manager, auto_decompress=False, **options)
        self._door = door
        self._address: str | None = None
        """Of a client who was let in."""
        self._stuck: asyncio.TimerHandle | None = None

    def connection_made(self, given: asyncio.BaseTransport) -> None:
        """Let it in, or turn it away with 503."""
        transport = cast(asyncio.Transport, given)  # what uvloop gives is only like one
        address = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._door.enter(address):
            transport.write(_REFUSAL)
            transport.close()
            return
        self._address = address
        # Writing is paused while anything at all is not yet taken: what is measured is the client's, not the buffer's.
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Parse it, unless it was turned away."""
        if self._address is not None:
            super().data_received(data)

    def pause_writing(self) -> None:
        """The client has not taken everything yet: it has to within a time, be the connection closing or not."""
        super().pause_writing()
        if self.transport is not None:
            self._stuck = self._loop.call_later(self._door.bounds.patience_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has taken everything."""
        super().resume_writing()
        self._at_ease()

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is over."""
        self._at_ease()
        if self._address is not None:
            self._door.leave(self._address)
            super().connection_lost(exc)
            self._address = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A problem in place of the library's own text, which shows what was sent and its own version."""
        super().handle_error(request, status, exc, message)  # raises where an answer has begun
        kind, detail = Kind.DEFECT, "the error is in the log of the server"
        if status < Kind.DEFECT.status:
            kind, detail = Kind.INVALID, "this is not a request of HTTP/1.1"
        response = named(Problem(kind, detail).response())
        response.force_close()
        return response

    def _at_ease(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


class Site(web.BaseSite):
    """A TCP address, with a door before it.

    Args:
        runner: set up.
        door: counts.
        address: host and port.
        tls: None to speak in the clear.
        options: of `aiohttp.web.RequestHandler`; those of the runner do not reach the connections.
    """

    __slots__ = ("_address", "_door", "_options")

    def __init__(
        self, runner: web.BaseRunner, door: Door, address: tuple[str, int], tls: Any = None, **options: Any
    ) -> None:
        super().__init__(runner, ssl_context=tls)
        self._door = door
        self._address = address
        self._options = options

    @property
    def name(self) -> str:
        """For aiohttp's messages."""
        return "upwell"

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await super().start()
        loop = asyncio.get_running_loop()
        manager = self._runner.server
        assert manager is not None  # noqa: S101 - a site cannot be made before
        visits: Callable[[], Visit] = lambda: Visit(self._door, manager, loop=loop, **self._options)  # noqa: E731
        host, port = self._address
        wait = None if self._ssl_context is None else HANDSHAKE_S
        self._server = await loop.create_server(
            visits, host, port, ssl=self._ssl_context, backlog=self._backlog, ssl_handshake_timeout=wait
        )
