"""What each address does: parsed questions in, answers out. Addresses, scopes and limits are in `routes`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import msgspec

from index.base import Vectors
from streams import erasure, pseudonyms
from streams.agents.answers import Asked
from streams.answering import answer_id
from streams.clock import now_ms
from streams.core.rules import Rule, RuleError, parse_boost, parse_filter
from streams.edge import Limits
from streams.engine.effects import Output
from streams.engine.publisher import PublishError, TooLargeError
from streams.erasure import Publishes, Receipt
from streams.jsonl import Kind as LineKind
from streams.jsonl import Line, Outgoing, Splitter, parse
from streams.pseudonyms import UnknownVersionError
from streams.records import Answer as Reply
from streams.records import RecommendedItem
from streams.serving import Answer, Near, NoEncoderError, Phrase, Question, Serving, TextSearch, Wish
from streams.telemetry.requests import Context
from streams.together import Together
from streams.topics import Topics
from streams.web.problems import Kind, Problem, retry_after
from streams.web.wire import (
    AnswersAsked,
    Ingested,
    ItemAsked,
    Items,
    LineError,
    ListedItem,
    Recommendations,
    RecommendationsAsked,
    SearchAsked,
    TrendingAsked,
    UserAsked,
)

MOST_ERRORS = 1_000
"""Refused lines that are told."""


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that endpoints use."""

    serving: Serving
    recommending: Together[Question, Answer]
    search: TextSearch | None
    searching: Together[Phrase, Vectors] | None
    answering: Together[Asked, Reply]
    publisher: Publishes
    topics: Topics
    limits: Limits


@dataclass(frozen=True, slots=True)
class Lines:
    """A bulk request: its body, and the trace that its records are part of."""

    body: bytes
    trace: Context = ()


async def recommendations(service: Service, asked: RecommendationsAsked) -> Recommendations:
    """What to show a shopper now."""
    rules = _filter(asked.filter) + _boost(asked.boost)
    wish = Wish(asked.n, asked.diversity, rules, tuple(asked.context))
    shopper = _shopper(service, asked.id)
    (answer,) = await service.recommending([Question(shopper, wish)])
    replica, policy = service.serving.replica, service.serving.policy
    items = answer.slate.items if asked.explain else [_unexplained(item) for item in answer.slate.items]
    named = [item.item for item in items] + [
        cited.item for item in items for reason in item.reasons for cited in reason.because
    ]
    titles = {item: replica.title(item) for item in dict.fromkeys(named)}
    return Recommendations(
        shopper, answer.time, items, titles, dict(answer.as_of), answer.model, policy.name, answer.slate.stage
    )


async def similar(service: Service, asked: ItemAsked) -> Items:
    """Items whose vectors are near to an item's."""
    _require_item(service, asked.id)
    return _near(service, await service.serving.similar(asked.id, asked.n, _filter(asked.filter)))


async def also_bought(service: Service, asked: ItemAsked) -> Items:
    """Items that are had together with an item."""
    _require_item(service, asked.id)
    return _listed(service, service.serving.also_bought(asked.id, asked.n, now_ms(), _filter(asked.filter)))


async def trending(service: Service, asked: TrendingAsked) -> Items:
    """The items that most is done with now."""
    return _listed(service, service.serving.trending(asked.n, asked.category, _filter(asked.filter)))


async def search(service: Service, asked: SearchAsked) -> Items:
    """Items whose text is near to a text."""
    if service.search is None or service.searching is None:
        raise Problem(Kind.NO_ENCODER, "this server was started without an encoder (--no-search): ask another one")
    rules = _filter(asked.filter)
    replica = service.serving.replica.pinned()
    if not replica.searchable:
        return _listed(service, [])
    try:
        await service.search.encoder(replica.model)
        (vector,) = await service.searching([Phrase(asked.text, replica.model)])
    except NoEncoderError as error:
        raise Problem(Kind.NO_ENCODER, str(error)) from None
    return _near(service, await service.serving.nearest(vector[None], asked.n, replica, rules))


async def answer(service: Service, asked: AnswersAsked) -> Reply:
    """What the catalogue answers to a question."""
    if not asked.text.strip():
        raise Problem(Kind.INVALID, "`text`: it is empty")
    shopper = None if asked.user is None else _shopper(service, asked.user, "user")
    given = asked.id or answer_id(asked.text, shopper)
    now = now_ms()
    (reply,) = await service.answering([Asked(given, asked.text, shopper, asked.language, asked.n, now)])
    return reply


async def ingest(service: Service, asked: Lines, kind: LineKind) -> Ingested:
    """Lines of JSON to their topic: those that workers accept, once all replicas have acknowledged them."""
    topic = service.topics.events if kind is LineKind.EVENTS else service.topics.catalogue
    accepted: list[Output] = []
    refused = 0
    errors: list[LineError] = []
    for line in _lines(asked.body, service.limits):
        found = parse(line, service.limits, kind, now_ms())
        if isinstance(found, Outgoing):
            accepted.append(Output(topic.name, found.key, found.value, found.partition, asked.trace))
            continue
        refused += 1
        if len(errors) < MOST_ERRORS:
            errors.append(LineError(found.line.number, found.detail))
    if accepted:
        await _published(service, accepted)
    return Ingested(len(accepted), refused, errors)


async def erase(service: Service, asked: UserAsked) -> Receipt:
    """Ask for a shopper to be forgotten; the request is on the log when this returns."""
    try:
        shopper = _shopper(service, asked.id)
        return await erasure.erase(service.publisher, service.topics, service.limits.ledger, shopper)
    except PublishError:
        raise retry_after(
            Kind.NOT_WRITTEN, "the request may not be on the log: ask again, which does no harm", 5
        ) from None


def _shopper(service: Service, given: str, field: str = "id") -> str:
    """The shopper whom a request names, by pseudonym where there are any."""
    try:
        return pseudonyms.of(service.limits.pseudonyms, given)
    except UnknownVersionError as error:
        raise Problem(Kind.INVALID, f"`{field}`: {error}") from None


async def _published(service: Service, records: list[Output]) -> None:
    try:
        await service.publisher.publish(records)
    except TooLargeError:
        raise Problem(
            Kind.TOO_LARGE, "a record is larger than the topic takes; some of the others may be written"
        ) from None
    except PublishError:
        raise retry_after(
            Kind.NOT_WRITTEN, "some of the records may be written: send all again, which counts none of them twice", 5
        ) from None


def _lines(body: bytes, limits: Limits) -> list[Line]:
    splitter = Splitter("body", max(limits.max_event_bytes, limits.max_item_bytes))
    return [*splitter.feed(body), *splitter.feed(b"")] if body else []


def _filter(text: str | None) -> tuple[Rule, ...]:
    return _rule("filter", text, parse_filter)


def _boost(text: str | None) -> tuple[Rule, ...]:
    return _rule("boost", text, parse_boost)


def _rule(name: str, text: str | None, read: Callable[[str], Rule]) -> tuple[Rule, ...]:
    try:
        return () if text is None else (read(text),)
    except RuleError as error:
        raise Problem(Kind.INVALID, f"`{name}`: {error}") from None


def _unexplained(item: RecommendedItem) -> RecommendedItem:
    return msgspec.structs.replace(item, reasons=[])


def _require_item(service: Service, item: str) -> None:
    if item not in service.serving.replica.facts:
        raise Problem(Kind.UNKNOWN_ITEM, "the catalogue has no item of this id, or has none of it any more")


def _near(service: Service, near: Near) -> Items:
    return _listed(service, near.items, near.cosines)


def _listed(service: Service, items: Sequence[str], scores: Sequence[float] = ()) -> Items:
    replica = service.serving.replica
    return Items(
        [
            ListedItem(item, facts.title, score, facts.category, facts.brand, facts.price)
            for item, score in zip_longest(items, scores)
            if (facts := replica.facts.get(item))
        ],
        dict(replica.as_of),
    )
