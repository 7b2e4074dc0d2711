"""What a request that fails is answered: `application/problem+json` (RFC 9457) with a `type` that never changes.

A problem says what was got, what was wanted and what to do. It carries nothing of the inside: no stack traces, no
exception texts of libraries, no ids.
"""

from collections.abc import Mapping
from enum import Enum

import msgspec
from aiohttp import web

CONTENT_TYPE = "application/problem+json"


class Kind(Enum):
    """Every kind of failure: the last part of its `type`, its status, its title."""

    INVALID = ("invalid-request", 400, "The request is not as described")
    UNAUTHENTICATED = ("unauthenticated", 401, "An API key is needed")
    FORBIDDEN = ("forbidden", 403, "The API key does not reach so far")
    NO_ROUTE = ("no-route", 404, "There is nothing at this address")
    UNKNOWN_ITEM = ("unknown-item", 404, "The catalogue has no such item")
    METHOD = ("method-not-allowed", 405, "This address does not take this method")
    TOO_LARGE = ("too-large", 413, "The request body is too large")
    MEDIA_TYPE = ("media-type", 415, "The request body is of another kind than wanted")
    RATE = ("rate-limited", 429, "This API key asks too often")
    DEFECT = ("defect", 500, "Something here is broken")
    NO_ENCODER = ("no-encoder", 503, "Text cannot be searched for here")
    NOT_WRITTEN = ("not-written", 503, "Kafka did not take the records")
    NOT_READY = ("not-ready", 503, "The state is still being read")
    BUSY = ("busy", 503, "All places are taken")
    DEADLINE = ("deadline", 504, "It took longer than a request may")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.type = f"urn:upwell:problem:{slug}"
        self.status = status
        self.title = title


class ProblemDetails(msgspec.Struct, frozen=True):
    """An answer that says what went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


class Problem(Exception):  # noqa: N818 - what RFC 9457 calls it
    """Ends a request. `detail` reaches the client."""

    def __init__(self, kind: Kind, detail: str, headers: Mapping[str, str] = {}) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = headers

    def response(self) -> web.Response:
        """The answer."""
        body = ProblemDetails(self.kind.type, self.kind.title, self.kind.status, self.detail)
        return web.Response(
            status=self.kind.status, body=msgspec.json.encode(body), content_type=CONTENT_TYPE, headers=self.headers
        )


def retry_after(kind: Kind, detail: str, seconds: float = 1.0) -> Problem:
    """A problem that passes: come back in so many seconds."""
    return Problem(kind, detail, {"Retry-After": str(max(1, round(seconds)))})


def named(response: web.StreamResponse) -> web.StreamResponse:
    """An answer with the headers that all of them have."""
    response.headers["Server"] = "upwell"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    return response
