"""The aiohttp application: every request goes the same way, whatever it asks for.

gate (key, scope, rate) ─► place (capacity, deadline) ─► parsing ─► endpoint ─► JSON
     any failure on the way ─► problem+json         everything ─► counted by route template
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry

from streams.health import Health
from streams.telemetry.requests import Context, Follow, carried, untold
from streams.web import openapi, page, parsing, probes
from streams.web.admission import Admission
from streams.web.endpoints import Lines, Service
from streams.web.gate import Gate
from streams.web.keys import Scope
from streams.web.live import Live
from streams.web.metrics import HttpMetrics
from streams.web.problems import Kind, Problem, named, retry_after
from streams.web.routes import ROUTES, Body, Route
from streams.web.stream import stream

UNMATCHED = "unmatched"
"""In place of a route template."""

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger(__name__)

_STATUSES = {404: Kind.NO_ROUTE, 405: Kind.METHOD, 413: Kind.TOO_LARGE, 415: Kind.MEDIA_TYPE}


@dataclass(frozen=True, slots=True)
class Front:
    """What stands between the network and the endpoints."""

    gate: Gate
    admission: Admission
    health: Health
    registry: CollectorRegistry
    metrics: HttpMetrics
    live: Live
    max_body_bytes: int
    follow: Follow = untold


def build(service: Service, front: Front) -> web.Application:
    """The application."""
    app = web.Application(middlewares=[_outermost(front)])
    app[probes.HEALTH], app[probes.REGISTRY] = front.health, front.registry
    for route in ROUTES:
        app.router.add_route(route.method, _matching(route.path), _handler(route, service, front))
    app.router.add_route("GET", "/livez", probes.livez)
    app.router.add_route("GET", "/readyz", probes.readyz)
    app.router.add_route("GET", "/metrics", _guarded(probes.metrics, front, Scope.METRICS))
    app.router.add_route("GET", "/v1/stream", _guarded(lambda request: stream(request, front.live), front, Scope.ADMIN))
    app.add_routes(page.routes())
    document = _encode(openapi.document())

    async def described(_: web.Request) -> web.Response:
        return web.Response(body=document, content_type=parsing.JSON)

    app.router.add_route("GET", "/openapi.json", described)
    app.on_response_prepare.append(_headers)
    app.on_shutdown.append(_closing(front.live))
    return app


def _matching(path: str) -> str:
    return path.replace("{id}", "{id:[^/]+}")


def _handler(route: Route, service: Service, front: Front) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        with front.follow(route.method, route.path, carried(request.headers)) as underway:
            try:
                front.gate.let_in(request, route.scope)
                if front.health.starting:
                    raise retry_after(Kind.NOT_READY, "the topics are still being read", 2)
                async with front.admission.place():
                    asked = await _asked(route, request, front.max_body_bytes, underway.context)
                    answer = await route.work(service, asked)
            except Problem as problem:
                underway.status = problem.kind.status
                raise
            underway.status = route.status
        if route.body is Body.LINES:
            _count_lines(front.metrics, answer)
        return web.Response(body=_encode(answer), status=route.status, content_type=parsing.JSON)

    return handle


async def _asked(route: Route, request: web.Request, max_bytes: int, trace: Context) -> Any:
    """What `route.work` gets."""
    if route.body is Body.LINES:
        parsing.refuse_query(request.query)
        return Lines(await parsing.read(request, route.body.value, max_bytes), trace)
    assert route.asked is not None  # noqa: S101 - the table says so, and a test goes through it
    if route.body is Body.ONE:
        return await parsing.from_body(request, route.asked, max_bytes)
    return parsing.from_address(request, route.asked)


def _count_lines(metrics: HttpMetrics, answer: msgspec.Struct) -> None:
    for outcome in ("accepted", "refused"):
        metrics.ingested.labels(outcome).inc(getattr(answer, outcome))


def _guarded(handler: Handler, front: Front, scope: Scope) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        front.gate.let_in(request, scope)
        return await handler(request)

    return handle


def _outermost(front: Front) -> Middleware:
    @web.middleware
    async def outermost(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response = await _answered(request, handler)
        resource = request.match_info.route.resource
        route = UNMATCHED if resource is None else resource.canonical
        method = request.method if request.method in _METHODS else "other"
        front.metrics.answered(route, method, response.status, time.perf_counter() - started)
        return response

    return outermost


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        kind = _STATUSES.get(error.status, Kind.INVALID)
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return Problem(kind, "see /openapi.json for what there is", allowed).response()
    except Exception as error:
        # Its text may hold what the client sent; where it happened does not.
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        where = "" if frame is None else f"{frame.tb_frame.f_code.co_qualname}:{frame.tb_lineno}"
        route = request.match_info.route.resource
        template = UNMATCHED if route is None else route.canonical
        _log.error("a request failed by a defect", route=template, error=type(error).__name__, where=where)
        return Problem(Kind.DEFECT, "the error is in the log of the server").response()


def _closing(live: Live) -> Callable[[web.Application], Awaitable[None]]:
    async def close(_: web.Application) -> None:
        live.close()

    return close


async def _headers(_: web.Request, response: web.StreamResponse) -> None:
    named(response)
