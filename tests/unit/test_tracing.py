"""An event's trace, from its header to that of the recommendation; spans are collected in memory."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler
from opentelemetry.trace import SpanKind, StatusCode

from streams.engine.commit import Committer
from streams.engine.effects import Batch, Effects, Handler, Output, Reader, Rejection, RejectReason
from streams.engine.publisher import TopicPartition
from streams.engine.stats import Stats
from streams.telemetry.requests import carried
from streams.telemetry.tracing import MOST, Requests, Tracing
from tests.unit.http_shop import HttpShop
from tests.unit.records import NOW, FakeRecord, event

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def shop() -> HttpShop:
    return HttpShop()


def traced(number: int, key: str = "ann", trace: str = TRACE, flags: str = "01") -> FakeRecord:
    header = ("traceparent", f"00-{trace}-{PARENT}-{flags}".encode())
    return FakeRecord(key.encode(), b"{}", number, headers=[("shop", b"x"), header])


async def answering(batch: Batch, read: Reader) -> Effects:
    """An output for every key, a rejection for values that are not `{}`."""
    keys = dict.fromkeys(record.key for record in batch.records)
    return Effects(
        outputs=[Output("out", key, b"answer", headers=(("kind", b"a"),)) for key in keys],
        rejections=[Rejection(r, RejectReason.INVALID, "no") for r in batch.records if r.value != b"{}"],
    )


class Rig:
    """The real committer with its outputs in a list and its spans in another."""

    def __init__(self, handler: Handler = answering, sampler: Sampler | None = None) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        tracing = Tracing("profiles", provider)
        self.sent: list[Output] = []
        committer = Committer(tracing.handler(handler), {}, "dlq", self._publish, Stats("profiles"))
        self.committer = tracing.committer(committer)

    async def _publish(self, records: Sequence[Output], /) -> dict[TopicPartition, int]:
        self.sent += records
        return {(record.topic, 0): len(self.sent) for record in records}

    async def commit(self, *records: FakeRecord, current: bool = True) -> bool:
        return await self.committer.commit(Batch("shop.events.v1", 0, records), lambda: current)

    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans() if span.name == f"profiles {name}"]


def trace_of(output: Output) -> tuple[str, str]:
    _, trace, span, _ = dict(output.headers)["traceparent"].decode().split("-")
    return trace, span


def ids(span: ReadableSpan) -> tuple[str, str, str | None]:
    return (
        format(span.context.trace_id, "032x"),
        format(span.context.span_id, "016x"),
        format(span.parent.span_id, "016x") if span.parent else None,
    )


async def test_one_trace_from_the_event_to_the_recommendation() -> None:
    rig = Rig()
    assert await rig.commit(traced(7))
    (fetch,), (handle,), (publish,) = rig.named("fetch"), rig.named("handle"), rig.named("publish")
    assert ids(fetch)[::2] == (TRACE, PARENT)
    assert ids(handle)[::2] == (TRACE, ids(fetch)[1])
    assert ids(publish)[::2] == (TRACE, ids(handle)[1])
    (output,) = rig.sent
    assert trace_of(output) == (TRACE, ids(publish)[1])
    assert output.headers[0] == ("kind", b"a"), "headers that were there stay"
    assert (fetch.kind, publish.kind) == (SpanKind.CONSUMER, SpanKind.PRODUCER)
    assert fetch.start_time == NOW * 1_000_000
    assert fetch.end_time <= handle.start_time <= handle.end_time <= publish.start_time <= publish.end_time


async def test_each_shopper_is_answered_in_the_trace_of_their_newest_event() -> None:
    rig, other = Rig(), "a" * 32
    assert await rig.commit(traced(1), traced(2, "bob", "b" * 32), traced(3, trace=other), FakeRecord(b"cy", b"{}", 4))
    traces = {output.key: trace_of(output)[0] for output in rig.sent if "traceparent" in dict(output.headers)}
    assert traces == {b"ann": other, b"bob": "b" * 32}
    assert {ids(span)[0] for span in rig.named("publish")} == {TRACE, other, "b" * 32}


async def test_spans_tell_of_nobody() -> None:
    rig = Rig()
    await rig.commit(replace(traced(1, "ann-lee-1984"), value=b"ann-lee-1984"))
    assert len(rig.spans()) == 3
    assert "ann-lee" not in " ".join(span.to_json() for span in rig.spans())


async def test_a_dead_letter_keeps_the_trace() -> None:
    rig = Rig()
    await rig.commit(replace(traced(1), value=b"bad"))
    letters = [output for output in rig.sent if output.topic == "dlq"]
    assert [trace_of(letter) for letter in letters] == [(TRACE, PARENT)]


async def test_what_was_not_sampled_where_it_began_is_not_here_and_says_so() -> None:
    rig = Rig()
    await rig.commit(traced(1, flags="00"))
    assert rig.spans() == []
    assert dict(rig.sent[0].headers)["traceparent"].startswith(f"00-{TRACE}-".encode())
    assert dict(rig.sent[0].headers)["traceparent"].endswith(b"-00")


async def test_without_a_trace_the_newest_record_begins_one() -> None:
    rig = Rig()
    await rig.commit(FakeRecord(b"ann", b"{}", 1), FakeRecord(b"bob", b"{}", 2))
    (fetch,) = rig.named("fetch")
    assert fetch.parent is None
    assert fetch.attributes is not None
    assert fetch.attributes["messaging.kafka.offset"] == 2
    assert [trace_of(o)[0] for o in rig.sent if "traceparent" in dict(o.headers)] == [ids(fetch)[0]]
    unsampled = Rig(sampler=ParentBased(ALWAYS_OFF))
    await unsampled.commit(FakeRecord(b"ann", b"{}", 1))
    assert unsampled.spans() == []


@pytest.mark.parametrize("header", [b"", b"00-xyz", b"\xff\xfe", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"])
async def test_a_header_that_is_none_begins_a_trace(header: bytes) -> None:
    rig = Rig()
    assert await rig.commit(replace(traced(1), headers=[("traceparent", header)]))
    assert rig.named("fetch")[0].parent is None


async def test_spans_of_a_batch_are_bounded() -> None:
    rig = Rig()
    await rig.commit(*(traced(number, f"k{number}") for number in range(100)))
    assert len(rig.spans()) == 3 * MOST
    assert [output.key for output in rig.sent if "traceparent" in dict(output.headers)] == [
        f"k{number}".encode() for number in range(100 - MOST, 100)
    ]


async def test_a_record_that_the_handler_fails_on_is_an_error_and_the_others_are_not() -> None:
    async def failing(batch: Batch, read: Reader) -> Effects:
        if any(record.key == b"bad" for record in batch.records):
            raise KeyError("ann-lee-1984")
        return await answering(batch, read)

    rig = Rig(failing)
    assert await rig.commit(traced(1), traced(2, "bad", "b" * 32))
    errors = [span for span in rig.spans() if span.status.status_code is StatusCode.ERROR]
    assert {span.status.description for span in errors} == {"KeyError"}
    assert {span.name for span in errors} == {"profiles handle"}
    assert [ids(span)[0] for span in rig.named("publish")] == [TRACE]
    assert trace_of(rig.sent[0])[0] == TRACE
    assert all(span.end_time for span in rig.spans())


async def test_a_batch_that_is_given_up_ends_its_spans() -> None:
    async def slow(batch: Batch, read: Reader) -> Effects:
        answers.append(False)
        return await answering(batch, read)

    answers: list[bool] = []
    rig = Rig(slow)
    done = await rig.committer.commit(Batch("shop.events.v1", 0, [traced(1)]), lambda: not answers)
    assert not done
    (publish,) = rig.named("publish")
    assert publish.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("path", ["/v1/events", "/v1/items"])
async def test_what_a_client_began_goes_on_in_what_it_writes(shop: HttpShop, path: str) -> None:
    lines = event(9).value if path == "/v1/events" else b'{"id": "x", "title": "X"}'
    sent = {"Content-Type": "application/x-ndjson", "traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "shop=7"}
    async with shop.client() as http, http.post(path, data=lines, headers=sent) as response:
        assert response.status == 200
    (output,) = shop.log.written
    assert dict(output.headers) == {"traceparent": sent["traceparent"].encode(), "tracestate": b"shop=7"}


@pytest.mark.parametrize(
    ("parent", "state", "kept"),
    [
        (f"00-{TRACE}-{PARENT}-00", "", 1),
        (f"01-{TRACE}-{PARENT}-00-more", "a=1,b=2", 2),
        (f"00-{TRACE}-{PARENT}-01", "a=\u00fc", 1),
        (f"00-{TRACE}-{PARENT}-01", "a" * 513, 1),
        (f"ff-{TRACE}-{PARENT}-01", "a=1", 0),
        (f"00-{'0' * 32}-{PARENT}-01", "a=1", 0),
        (f"00-{TRACE}-{'0' * 16}-01", "a=1", 0),
        (f"00-{TRACE.upper()}-{PARENT}-01", "a=1", 0),
        (f"00-{TRACE}-{PARENT}-01-{'x' * 81}", "", 0),
        ("anna", "anna", 0),
        ("", "a=1", 0),
    ],
)
def test_only_a_sound_context_is_carried(parent: str, state: str, kept: int) -> None:
    assert len(carried({"traceparent": parent, "tracestate": state})) == kept


async def test_a_request_has_a_span_between_its_client_and_its_records(shop: HttpShop) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    lines = {"Content-Type": "application/x-ndjson", **trace}
    async with shop.client(follow=Requests(provider).follow) as http:
        await http.post("/v1/events", data=event(9).value, headers=lines)
        await http.get("/v1/users/anna/recommendations?n=0", headers=trace)
        shop.serving.recommend = None  # type: ignore[assignment, method-assign]
        await http.get("/v1/users/anna/recommendations", headers=trace)
    spans = {span.attributes["http.response.status_code"]: span for span in exporter.get_finished_spans()}  # type: ignore[index]
    assert {status: span.name for status, span in spans.items()} == {
        200: "POST /v1/events",
        400: "GET /v1/users/{id}/recommendations",
        500: "GET /v1/users/{id}/recommendations",
    }
    assert {ids(span)[::2] for span in spans.values()} == {(TRACE, PARENT)}
    assert {span.kind for span in spans.values()} == {SpanKind.SERVER}
    assert [status for status, span in spans.items() if span.status.status_code is StatusCode.ERROR] == [500]
    assert trace_of(shop.log.written[0]) == (TRACE, ids(spans[200])[1])
    assert "anna" not in " ".join(span.to_json() for span in spans.values())


def test_nothing_of_it_is_loaded_unless_it_is_wanted() -> None:
    loaded = "any(name.startswith('opentelemetry') for name in sys.modules)"
    seen = f"import sys, streams.worker, streams.web.serve; print({loaded})"
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_the_extra_it_says_what_to_install() -> None:
    missing = "import sys; sys.modules['opentelemetry.sdk.trace'] = None\nimport streams.telemetry.tracing"
    done = subprocess.run([sys.executable, "-c", missing], capture_output=True, text=True, check=False)
    assert "ConfigError: UPWELL_TRACES needs OpenTelemetry" in done.stderr
