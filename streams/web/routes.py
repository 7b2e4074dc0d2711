"""Every address of the API: method, path, scope, what may be asked, what is answered. The only table of them.

The application serves it, the OpenAPI document is made from it, and the test of who may do what goes through it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

import msgspec

from streams.erasure import Receipt
from streams.jsonl import Kind as LineKind
from streams.records import Answer
from streams.web import endpoints as does
from streams.web.endpoints import Service
from streams.web.keys import Scope
from streams.web.parsing import JSON
from streams.web.problems import Kind
from streams.web.wire import (
    AnswersAsked,
    Ingested,
    ItemAsked,
    Items,
    Recommendations,
    RecommendationsAsked,
    SearchAsked,
    TrendingAsked,
    UserAsked,
)

NDJSON = ("application/x-ndjson", "application/jsonl")


class Body(Enum):
    """What a request's body is."""

    NONE = ()
    ONE = (JSON,)
    LINES = NDJSON


@dataclass(frozen=True, slots=True)
class Route:
    """One address.

    `work` gets the service and what was asked: an `asked` Struct parsed from the address, or from the body where that
    is `ONE` JSON value; or `endpoints.Lines`.
    """

    method: str
    path: str
    name: str
    summary: str
    scope: Scope
    work: Callable[[Service, Any], Awaitable[msgspec.Struct]]
    answer: type[msgspec.Struct]
    asked: type[msgspec.Struct] | None = None
    body: Body = Body.NONE
    status: int = 200
    problems: tuple[Kind, ...] = ()


def _ingest(kind: LineKind) -> Callable[[Service, does.Lines], Awaitable[msgspec.Struct]]:
    return partial(does.ingest, kind=kind)


ROUTES = (
    Route(
        "GET", "/v1/users/{id}/recommendations", "recommend", "What to show a shopper now.",
        Scope.QUERY, does.recommendations, Recommendations, RecommendationsAsked,
    ),
    Route(
        "GET", "/v1/items/{id}/similar", "similar", "Items like an item, by what is said of them.",
        Scope.QUERY, does.similar, Items, ItemAsked, problems=(Kind.UNKNOWN_ITEM,),
    ),
    Route(
        "GET", "/v1/items/{id}/also-bought", "alsoBought", "What is had together with an item.",
        Scope.QUERY, does.also_bought, Items, ItemAsked, problems=(Kind.UNKNOWN_ITEM,),
    ),
    Route(
        "GET", "/v1/trending", "trending", "What most is done with now.",
        Scope.QUERY, does.trending, Items, TrendingAsked,
    ),
    Route(
        "POST", "/v1/search", "search", "Items whose meaning is near to a text.",
        Scope.QUERY, does.search, Items, SearchAsked, Body.ONE, problems=(Kind.NO_ENCODER,),
    ),
    Route(
        "POST", "/v1/answers", "answer", "What the catalogue answers to a question in plain words.",
        Scope.QUERY, does.answer, Answer, AnswersAsked, Body.ONE,
    ),
    Route(
        "POST", "/v1/events", "sendEvents", "Write events, a JSON object a line.",
        Scope.INGEST, _ingest(LineKind.EVENTS), Ingested, body=Body.LINES, problems=(Kind.NOT_WRITTEN,),
    ),
    Route(
        "POST", "/v1/items", "sendItems",
        'Write catalogue items, a JSON object a line; `{"id": "…", "deleted": true}` deletes one.',
        Scope.INGEST, _ingest(LineKind.CATALOGUE), Ingested, body=Body.LINES, problems=(Kind.NOT_WRITTEN,),
    ),
    Route(
        "DELETE", "/v1/users/{id}", "eraseUser",
        "Forget a shopper, for good. The receipt says what becomes of what there is of them.",
        Scope.ADMIN, does.erase, Receipt, UserAsked, status=202, problems=(Kind.NOT_WRITTEN,),
    ),
)  # fmt: skip

ALWAYS = (Kind.INVALID, Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.RATE, Kind.NOT_READY, Kind.DEADLINE)
"""Problems that any of them may answer with; `BUSY` shares the status of `NOT_READY`."""

WITH_BODY = (Kind.TOO_LARGE, Kind.MEDIA_TYPE)
"""Problems of those that take a body."""
