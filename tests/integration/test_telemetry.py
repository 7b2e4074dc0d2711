"""A worker under watch: its metrics and its traces, through a real broker and over HTTP."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest
from aiohttp import ClientSession, web
from aiokafka import AIOKafkaProducer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families

from streams.broker.probe import free_port
from streams.records import Recommendation
from streams.settings import Settings
from streams.topics import Topics
from streams.web.serve import following
from tests.brokers import until
from tests.integration.shopkeeper import desk, worker

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CANARY = "ann-lee-1984"


@asynccontextmanager
async def collector(spans: list[Span]) -> AsyncIterator[str]:
    """An OpenTelemetry collector; hands out its address."""

    async def take(request: web.Request) -> web.Response:
        told = ExportTraceServiceRequest.FromString(await request.read())
        spans.extend(span for one in told.resource_spans for scope in one.scope_spans for span in scope.spans)
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.add_routes([web.post("/v1/traces", take)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def numbers(http: ClientSession) -> dict[str, float]:
    """Metrics, summed over partitions and roles."""
    async with http.get("/metrics") as answer:
        text = await answer.text()
    assert CANARY not in text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


async def test_a_server_tells_of_its_requests_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[Span] = []
    async with collector(spans) as endpoint:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        async with AsyncExitStack() as stack:
            follow = following(stack)
            parent = (("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode()),)
            with follow("POST", "/v1/events", parent) as underway:
                underway.status = 200
    assert [(one.name, one.trace_id.hex()) for one in spans] == [("POST /v1/events", TRACE)]


async def test_an_event_is_measured_and_traced_to_its_recommendation(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    spans: list[Span] = []
    port = free_port("127.0.0.1")
    async with collector(spans) as endpoint:
        told = {
            "UPWELL_PROBE_PORT": str(port),
            "UPWELL_TRACES": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        async with (
            worker(settings, bootstrap, **told),
            desk(shop_topics, bootstrap) as shop,
            AIOKafkaProducer(bootstrap_servers=bootstrap) as producer,
            ClientSession(f"http://127.0.0.1:{port}") as http,
        ):
            for name in ("milk", "tea"):
                await shop.put(shop_topics.catalogue, name, {"id": name, "title": f"The {name}"})

            async def searchable() -> bool:
                return (await numbers(http)).get("upwell_index_items") == 2

            await until(searchable, 60)
            event = {"id": "e1", "type": "view", "item": "milk", "time": 1, "user": CANARY}
            header = ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode())
            await producer.send_and_wait(
                shop_topics.events.name, msgspec.json.encode(event), key=CANARY.encode(), headers=[header]
            )
            async for record in shop.consumer:
                answer = msgspec.json.decode(record.value, type=Recommendation)
                break
            trace, span = dict(record.headers)["traceparent"].decode().split("-")[1:3]
            assert (answer.trigger.event, trace) == ("e1", TRACE)

            async def traced() -> bool:
                ours = [one.name for one in spans if one.trace_id.hex() == TRACE]
                return sorted(ours) == ["profiles fetch", "profiles handle", "profiles publish"]

            await until(traced)
            assert span in {one.span_id.hex() for one in spans if one.name == "profiles publish"}
            assert not any(CANARY in str(one) for one in spans)

            click = {"id": "e2", "type": "click", "item": answer.items[0].item, "time": 2, "user": CANARY}
            click["attributes"] = {"recommendation": answer.id}
            await shop.put(shop_topics.events, CANARY, click)
            await shop.put(shop_topics.events, CANARY, click)

            async def counted() -> bool:
                return (await numbers(http)).get("upwell_event_to_recommendation_seconds_count") == 3

            await until(counted)
            found = await numbers(http)
            assert found["upwell_duplicates_total"] == 1
            assert found["upwell_clicks_total"] == 1
            assert found["upwell_item_freshness_seconds_count"] == 2
            assert found["upwell_ready"] == 1

            async def looked_at() -> bool:
                now = await numbers(http)
                return "upwell_lag_records" in now and now["upwell_lag_records"] == now["upwell_lag_seconds"] == 0

            await until(looked_at)
