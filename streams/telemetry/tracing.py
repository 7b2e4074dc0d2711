"""What becomes of an event, as OpenTelemetry spans in the trace that its producer began.

    event (header `traceparent`) ─► fetch ─► handle ─► publish ─► recommendation (header `traceparent`)

    fetch    from the record's Kafka timestamp to the moment that its batch is taken up
    handle   the agent's handler, on the batch
    publish  until rows and outputs are acknowledged and stored

A span belongs to a record, though its times are those of the batch that the record was in. Of a batch the newest 32
records that carry a trace get spans; where none does, the newest record begins a trace of its own, if the sampler
(`OTEL_TRACES_SAMPLER`) takes it. Spans carry topic, partition and offset, never key or value.

Imported only where `UPWELL_TRACES` is set: without it nothing of this runs.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streams.engine.effects import Batch, Effects, Handler, Output, Reader, Record
from streams.errors import ConfigError
from streams.telemetry.requests import Context, Underway

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise ConfigError(
        "UPWELL_TRACES needs OpenTelemetry, which is not installed: pip install 'upwell[otel]', or leave it unset"
    ) from error

if TYPE_CHECKING:
    from streams.engine.app import Commits

HEADERS = ("traceparent", "tracestate")
"""W3C Trace Context, as headers of Kafka records."""

MOST = 32

_propagator = TraceContextTextMapPropagator()


@dataclass(slots=True)
class _Followed:
    """A record that has spans, as long as its batch is under way."""

    key: bytes | None
    offset: int
    fetch: Span
    publish: Span | None = None


_batch: ContextVar[list[_Followed] | None] = ContextVar("followed", default=None)


def provider() -> TracerProvider:
    """Tells an OTLP collector over HTTP; OTEL_* variables say where it is, and what is sampled."""
    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "upwell")})
    made = TracerProvider(resource=resource, shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return made


class Tracing:
    """Follows records through the role of one app; its methods go around that app's handler and committer."""

    def __init__(self, role: str, provider: TracerProvider) -> None:
        self._role = role
        self._tracer = provider.get_tracer("upwell")

    def handler(self, handler: Handler) -> Handler:
        """A handler that gives handling its spans, and outputs the trace of the record that has their key."""

        async def handle(batch: Batch, read: Reader) -> Effects:
            followed = _within(_batch.get(), batch)
            if not followed:
                return await handler(batch, read)
            spans = [self._child("handle", one.fetch, batch.topic) for one in followed]
            try:
                effects = await handler(batch, read)
            except BaseException as error:
                for span in spans:
                    span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise
            finally:
                for span in spans:
                    span.end()
            for one, span in zip(followed, spans, strict=True):
                _ended(one)
                one.publish = self._child("publish", span, batch.topic, SpanKind.PRODUCER)
            return replace(effects, outputs=_stamped(effects.outputs, followed))

        return handle

    def committer(self, committer: "Commits") -> "Commits":
        """A committer that begins and ends what its batches are followed by."""
        return _Committer(committer, self._begin)

    def _begin(self, batch: Batch) -> list[_Followed]:
        carried = [record for record in batch.records if record.headers and _carrier(record)][-MOST:]
        return [self._fetched(record) for record in carried or batch.records[-1:]]

    def _fetched(self, record: Record) -> _Followed:
        now = time.time_ns()
        span = self._tracer.start_span(
            f"{self._role} fetch",
            context=_propagator.extract(_carrier(record)),
            kind=SpanKind.CONSUMER,
            start_time=min(now, record.timestamp * 1_000_000),
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.name": "fetch",
                "messaging.destination.name": record.topic,
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
            },
        )
        span.end(now)
        return _Followed(record.key, record.offset, span)

    def _child(self, name: str, parent: Span, topic: str, kind: SpanKind = SpanKind.INTERNAL) -> Span:
        return self._tracer.start_span(
            f"{self._role} {name}",
            context=set_span_in_context(parent),
            kind=kind,
            attributes={"messaging.system": "kafka", "messaging.destination.name": topic},
        )


class Requests:
    """Follows requests over HTTP, from their clients' spans to the headers of the records that they write."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("upwell")

    @contextlib.contextmanager
    def follow(self, method: str, route: str, context: Context) -> Iterator[Underway]:
        """A span for a request; its parent is what the client sent. See `streams.telemetry.requests.Follow`."""
        span = self._tracer.start_span(
            f"{method} {route}",
            context=_propagator.extract({name: value.decode() for name, value in context}),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route},
        )
        request = Underway(_headers_of(span), status=500)
        try:
            yield request
        finally:
            span.set_attribute("http.response.status_code", request.status)
            if request.status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            span.end()


class _Committer:
    def __init__(self, committer: "Commits", begin: Callable[[Batch], list[_Followed]]) -> None:
        self._committer = committer
        self._begin = begin

    async def commit(self, batch: Batch, current: Callable[[], bool]) -> bool:
        """See `Committer.commit`."""
        followed = self._begin(batch)
        token = _batch.set(followed)
        done = False
        try:
            done = await self._committer.commit(batch, current)
        finally:
            _batch.reset(token)
            for one in followed:
                _ended(one, None if done else "given up: its partition went elsewhere, or the worker ends")
        return done


def _within(followed: list[_Followed] | None, batch: Batch) -> list[_Followed]:
    """Those of a batch, which may be a half of the one that was begun with."""
    first, last = batch.records[0].offset, batch.records[-1].offset
    return [one for one in followed or () if first <= one.offset <= last]


def _ended(one: _Followed, trouble: str | None = None) -> None:
    """End the publishing of a record, if it was under way."""
    if one.publish is not None:
        if trouble is not None:
            one.publish.set_status(Status(StatusCode.ERROR, trouble))
        one.publish.end()
        one.publish = None


def _carrier(record: Record) -> Mapping[str, str]:
    """The trace context of a record; header names are compared as HTTP's are."""
    return {
        name.lower(): value.decode("ascii", "replace")
        for name, value in record.headers
        if name.lower() in HEADERS and value is not None
    }


def _stamped(outputs: Iterable[Output], followed: Iterable[_Followed]) -> list[Output]:
    """Outputs with the trace of the newest record of their key."""
    newest = {one.key: one for one in followed}
    stamped = []
    for output in outputs:
        one = newest.get(output.key)
        if one is None or one.publish is None:
            stamped.append(output)
            continue
        stamped.append(replace(output, headers=(*output.headers, *_headers_of(one.publish))))
    return stamped


def _headers_of(span: Span) -> Context:
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, set_span_in_context(span))
    return tuple((name, value.encode()) for name, value in carrier.items())
