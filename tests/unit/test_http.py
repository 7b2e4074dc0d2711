"""The addresses of the HTTP service: what they answer, and what they refuse in which words."""

import asyncio
import gzip
import json
import threading
import zlib
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse

from streams.engine.publisher import PublishError
from streams.web import admission
from streams.web.admission import Buckets
from streams.web.probes import HEALTH
from tests.brokers import until
from tests.unit.http_shop import Company, HttpShop, TitleEncoder
from tests.unit.records import NOW, event

LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def shop() -> HttpShop:
    return HttpShop()


async def problem(response: ClientResponse, status: int, slug: str) -> str:
    """The detail of a problem of this status and type."""
    body = await response.json(content_type="application/problem+json")
    assert (response.status, body["status"], body["type"]) == (status, status, f"urn:upwell:problem:{slug}"), body
    return str(body["detail"])


@pytest.mark.parametrize("shopper", ["anna", "bert"])
async def test_the_answer_is_that_of_the_topic(shop: HttpShop, shopper: str) -> None:
    async with shop.client() as http, http.get(f"/v1/users/{shopper}/recommendations") as response:
        assert response.status == 200
        found = await response.json()
    topic = msgspec.to_builtins(shop.topic[shopper])
    for field in ("user", "items", "time", "model", "policy", "stage"):
        assert found[field] == topic[field]
    assert found["as_of"].items() >= {"shop.events.v1/0": topic["trigger"]["offset"]}.items()
    assert set(found["as_of"]) == set(topic["as_of"]) | set(shop.shop.replica.as_of)


async def test_a_shopper_nobody_knows_is_shown_what_is_popular(shop: HttpShop) -> None:
    async with shop.client() as http, http.get("/v1/users/nobody/recommendations?n=2") as response:
        found = await response.json()
    assert {item["channel"] for item in found["items"]} <= {"popular", "discovered"}
    assert len(found["items"]) == 2
    assert (found["stage"], found["time"]) == ("popularity", 0)
    assert "shop.events.v1/0" not in found["as_of"]


async def test_context_tells_of_a_shopper_nobody_knows(shop: HttpShop) -> None:
    async with shop.client() as http:
        async with http.get("/v1/users/nobody/recommendations?context=coffee&context=rye bread") as response:
            found = await response.json()
        assert found["stage"] == "profile"
        cited = [
            cited["item"]
            for item in found["items"]
            for reason in item["reasons"]
            for cited in reason.get("because", [])
        ]
        assert "rye bread" in cited
        async with http.get("/v1/users/nobody/recommendations") as response:
            assert (await response.json())["stage"] == "popularity"  # nothing of it was kept


async def test_for_a_shopper_nobody_knows_it_is_now(shop: HttpShop, monkeypatch: pytest.MonkeyPatch) -> None:
    now = NOW + 3_600_000
    monkeypatch.setattr("streams.serving.now_ms", lambda: now)
    path = "/v1/users/nobody/recommendations"
    async with shop.client() as http, http.get(path) as cold, http.get(f"{path}?context=coffee") as warm:
        reasons = [
            [reason for item in (await response.json())["items"] for reason in item["reasons"]]
            for response in (cold, warm)
        ]
    assert "arrivals" in {reason["channel"] for reason in reasons[0]}
    cited = [(reason["text"], one["time"]) for reason in reasons[1] for one in reason.get("because", [])]
    assert cited
    assert all(time == now and "viewed on 2023-11-14" in text for text, time in cited)


async def test_what_a_request_wants_is_heard(shop: HttpShop) -> None:
    async def items(query: str) -> list[dict[str, Any]]:
        async with http.get(f"/v1/users/anna/recommendations?{query}") as response:
            assert response.status == 200, await response.text()
            found: list[dict[str, Any]] = (await response.json())["items"]
            return found

    async with shop.client() as http:
        assert len(await items("n=3")) == 3
        assert all(item["reasons"] == [] for item in await items("explain=false"))
        assert "rye bread" in {item["item"] for item in await items("n=10")}
        assert "rye bread" not in {item["item"] for item in await items("n=10&context=rye bread")}
        alike = [item["score"] for item in await items("diversity=1")]
        assert alike == sorted(alike, reverse=True)


async def test_requests_that_come_together_are_recommended_together(shop: HttpShop) -> None:
    shop.company = Company(shop, 64)
    async with shop.client() as http:
        asked = [asyncio.create_task(http.get(f"/v1/users/shopper-{number}/recommendations")) for number in range(64)]
        answers = await asyncio.gather(*asked)
        assert {answer.status for answer in answers} == {200}
        users = [(await answer.json())["user"] for answer in answers]
    assert users == [f"shopper-{number}" for number in range(64)]
    assert sum(shop.calls) == 64
    assert len(shop.calls) <= 2  # those that had come when the first batch began, and the others


async def test_past_the_deadline_and_past_the_queue_it_says_so(shop: HttpShop) -> None:
    shop.company = Company(shop, 1_000)  # who never come
    path = "/v1/users/anna/recommendations"
    async with shop.client(deadline_ms=50) as http, http.get(path) as response:
        assert "not done within 0.05 s" in await problem(response, 504, "deadline")
    shop.company = Company(shop, 1_000)
    async with shop.client(concurrency=1, queue=0, deadline_ms=60_000) as http:
        first = asyncio.create_task(http.get(path))
        while not shop.company.asked:  # noqa: ASYNC110 - what is waited for is the code under test
            await asyncio.sleep(0)
        async with http.get(path) as response:
            await problem(response, 503, "busy")
            assert response.headers["Retry-After"] == "1"
        shop.company.arrived.set()
        assert (await first).status == 200


async def test_until_the_topics_are_read_it_is_not_ready(shop: HttpShop) -> None:
    async with shop.client() as http:
        assert http.app is not None
        http.app[HEALTH].starting = "reading the topics"
        async with http.get("/v1/trending") as response:
            await problem(response, 503, "not-ready")
        async with http.get("/readyz") as response:
            assert response.status == 503
        async with http.get("/livez") as response:
            assert response.status == 200


async def test_similar_items_leave_out_the_item_and_what_cannot_be_bought(shop: HttpShop) -> None:
    async with shop.client() as http:
        async with http.get("/v1/items/milk/similar?n=20") as response:
            found = (await response.json())["items"]
        assert found[0]["item"] == "oat milk"
        assert not {"milk", "gone"} & {item["item"] for item in found}
        scores = [item["score"] for item in found]
        assert scores == sorted(scores, reverse=True)
        async with http.get("/v1/items/caviar/similar") as response:
            await problem(response, 404, "unknown-item")


async def test_what_is_bought_together_and_can_be_bought(shop: HttpShop) -> None:
    neighbourhood = shop.shop.replica.neighbourhood
    neighbourhood.update("milk", 2.0, lambda: {"bread": 1.0, "gone": 3.0, "tea": 2.0})
    for item in ("bread", "gone", "tea"):
        neighbourhood.update(item, 2.0, dict)
    async with shop.client() as http:
        async with http.get("/v1/items/milk/also-bought") as response:
            assert [item["item"] for item in (await response.json())["items"]] == ["tea", "bread"]
        async with http.get("/v1/items/coffee/also-bought") as response:
            assert (await response.json())["items"] == []
        async with http.get("/v1/items/caviar/also-bought") as response:
            await problem(response, 404, "unknown-item")


async def test_trending_is_by_what_is_done_and_by_category(shop: HttpShop) -> None:
    async with shop.client() as http:
        async with http.get("/v1/trending") as response:
            assert [item["item"] for item in (await response.json())["items"]] == ["bread", "milk", "tea"]
        async with http.get("/v1/trending?category=drinks") as response:
            assert [item["item"] for item in (await response.json())["items"]] == ["tea"]


async def test_a_search_finds_by_text(shop: HttpShop) -> None:
    async with shop.client() as http, http.post("/v1/search", json={"text": "green tea", "n": 1}) as response:
        (found,) = (await response.json())["items"]
    assert found["item"] == "green tea"


async def test_a_search_without_the_items_encoder_is_refused(shop: HttpShop) -> None:
    async with shop.client(search=False) as http, http.post("/v1/search", json={"text": "tea"}) as response:
        assert "--no-search" in await problem(response, 503, "no-encoder")
    shop.shop.replica.shelf.model = "another@1"
    async with shop.client() as http, http.post("/v1/search", json={"text": "tea"}) as response:
        assert "another@1" in await problem(response, 503, "no-encoder")


async def test_an_encoder_that_takes_long_to_load_is_loaded_once(shop: HttpShop) -> None:
    """A request whose time is up leaves the loading to those after it."""
    let_go, loads = threading.Event(), []

    def load(model: str | None) -> TitleEncoder:
        loads.append(model)
        assert let_go.wait(30)
        return shop.encoder

    shop.load = load
    async with shop.client(deadline_ms=50) as http:
        for _ in range(3):
            async with http.post("/v1/search", json={"text": "tea"}) as response:
                await problem(response, 504, "deadline")
        let_go.set()

        async def found() -> bool:
            async with http.post("/v1/search", json={"text": "green tea", "n": 1}) as response:
                return response.status == 200

        await until(found)
    assert len(loads) == 1


async def test_events_reach_the_topic_and_bad_lines_are_told(shop: HttpShop) -> None:
    good = event(9).value or b""
    body = b"\n".join([good, b"{", b"", b'{"id": "x", "type": "view", "time": 1}', good])
    async with shop.client() as http, http.post("/v1/events", data=body, headers=LINES) as response:
        assert response.status == 200
        found = await response.json()
    assert (found["accepted"], found["refused"]) == (2, 2)
    assert [error["line"] for error in found["errors"]] == [2, 4]
    assert "neither `user` nor `anonymous_id`" in found["errors"][1]["detail"]
    assert [(out.topic, out.key, out.value) for out in shop.log.written] == [("shop.events.v1", b"anna", good)] * 2


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "deflate"])
async def test_packed_events_reach_the_topic(shop: HttpShop, coding: str) -> None:
    good = event(9).value or b""
    body = zlib.compress(good) if coding == "deflate" else gzip.compress(good)
    headers = LINES | {"Content-Encoding": coding}
    async with shop.client() as http, http.post("/v1/events", data=body, headers=headers) as response:
        assert (await response.json())["accepted"] == 1
    assert [out.value for out in shop.log.written] == [good]


@pytest.mark.parametrize(
    ("coding", "body", "status", "slug"),
    [
        ("gzip", gzip.compress(b'{"id": "jam", "title": "Jam"}\n' * 100)[:-9], 400, "invalid-request"),
        ("gzip", gzip.compress(bytes(9 << 20)), 413, "too-large"),
        ("br", b"?", 415, "media-type"),
    ],
    ids=["cut off", "too large", "unknown"],
)
async def test_of_a_packed_body_that_is_not_whole_nothing_is_written(
    shop: HttpShop, coding: str, body: bytes, status: int, slug: str
) -> None:
    headers = LINES | {"Content-Encoding": coding}
    async with shop.client() as http, http.post("/v1/items", data=body, headers=headers) as response:
        await problem(response, status, slug)
    assert shop.log.written == []


async def test_items_reach_the_topic_and_deletions_do(shop: HttpShop) -> None:
    body = b'{"id": "jam", "title": "Jam"}\n{"id": "milk", "deleted": true}'
    async with shop.client() as http, http.post("/v1/items", data=body, headers=LINES) as response:
        assert (await response.json())["accepted"] == 2
    assert [(out.topic, out.key) for out in shop.log.written] == [
        ("shop.catalogue.v1", b"jam"),
        ("shop.catalogue.v1", b"milk"),
    ]
    assert shop.log.written[1].value is None


async def test_what_kafka_does_not_take_is_said(shop: HttpShop) -> None:
    shop.log.failure = PublishError("no broker")
    async with shop.client() as http, http.post("/v1/events", data=event(9).value, headers=LINES) as response:
        detail = await problem(response, 503, "not-written")
        assert response.headers["Retry-After"] == "5"
        assert "send all again" in detail


async def test_a_shopper_is_forgotten_on_request(shop: HttpShop) -> None:
    async with shop.client() as http:
        async with http.delete("/v1/users/anna") as response:
            assert response.status == 202
            receipt = await response.json()
        assert "anna" not in json.dumps(receipt)
        assert receipt["requested"] == {"shop.events.v1/0": 0}
        assert {fate["place"] for fate in receipt["fates"]} >= {"shop.profiles.v1", "shop.recommendations.v1"}
        (request,) = shop.log.written
        assert (request.topic, request.key, request.value) == ("shop.events.v1", b"anna", None)
        shop.log.failure = PublishError("no broker")
        async with http.delete("/v1/users/anna") as response:
            assert "ask again" in await problem(response, 503, "not-written")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/users/anna/recommendations?m=5", "`m` is not a parameter here"),
        ("/v1/users/anna/recommendations?n=5&n=6", "`n` is given 2 times"),
        ("/v1/users/anna/recommendations?n=0", "`n`: Expected `int` >= 1"),
        ("/v1/users/anna/recommendations?n=many", "`n`: Expected `int | null`, got `str`"),
        ("/v1/users/anna/recommendations?diversity=nan", "`diversity`: Expected `float`"),
        ("/v1/users/anna/recommendations?id=bert", "`id` is part of the path"),
        ("/v1/users/anna/recommendations?filter=price+%3C", "`filter`: "),
        ("/v1/users/anna/recommendations?boost=price+%3C+5", "`boost`: "),
        (f"/v1/users/{'x' * 257}/recommendations", "`id`: Expected `str` of length <= 256"),
        ("/v1/users/%00/recommendations", "`id` is not plain UTF-8 text"),
        ("/v1/users/anna/recommendations?" + "&".join(["context=a"] * 11), "`context`: Expected `array`"),
    ],
)
async def test_a_wrong_parameter_is_named(shop: HttpShop, path: str, said: str) -> None:
    async with shop.client() as http, http.get(path) as response:
        assert said in await problem(response, 400, "invalid-request")


@pytest.mark.parametrize(
    ("body", "content_type", "status", "slug", "said"),
    [
        (b'{"text": "tea", "limit": 3}', "application/json", 400, "invalid-request", "unknown field `limit`"),
        (b'{"text": ""}', "application/json", 400, "invalid-request", "`text`: "),
        (b"{", "application/json", 400, "invalid-request", "not JSON"),
        (b"[" * 1_000, "application/json", 400, "invalid-request", "Expected `object`"),
        (b'{"text": "tea"}', "text/plain", 415, "media-type", "application/json"),
        (b" " * 2_000, "application/json", 413, "too-large", "1024 bytes"),
    ],
)
async def test_a_wrong_body_is_refused(
    shop: HttpShop, body: bytes, content_type: str, status: int, slug: str, said: str
) -> None:
    async with (
        shop.client(max_body_bytes=1024) as http,
        http.post("/v1/search", data=body, headers={"Content-Type": content_type}) as response,
    ):
        assert said in await problem(response, status, slug)


async def test_a_body_that_does_not_say_how_long_it_is_ends_at_the_limit(shop: HttpShop) -> None:
    async def endless():  # type: ignore[no-untyped-def]
        while True:
            yield b" " * 4096

    async with (
        shop.client(max_body_bytes=65_536) as http,
        http.post("/v1/events", data=endless(), headers=LINES) as response,
    ):
        await problem(response, 413, "too-large")
    assert shop.log.written == []


async def test_other_addresses_and_methods_are_problems_too(shop: HttpShop) -> None:
    async with shop.client() as http:
        async with http.get("/v2/users") as response:
            await problem(response, 404, "no-route")
        async with http.delete("/v1/trending") as response:
            await problem(response, 405, "method-not-allowed")
            assert response.headers["Allow"] == "GET"


async def test_a_defect_shows_nothing_of_the_inside(shop: HttpShop, capsys: pytest.CaptureFixture[str]) -> None:
    async def broken(_: object) -> list[Any]:
        raise ZeroDivisionError("anna's secret")

    shop.serving.recommend = broken  # type: ignore[method-assign]
    async with shop.client() as http, http.get("/v1/users/anna/recommendations") as response:
        text = await response.text()
        assert response.status == 500
    assert "secret" not in text
    assert "Traceback" not in text
    logged = capsys.readouterr()
    assert "anna" not in logged.out + logged.err
    assert "/v1/users/{id}/recommendations" in logged.out + logged.err
    assert "ZeroDivisionError" in logged.out + logged.err


async def test_metrics_know_templates_not_shoppers(shop: HttpShop) -> None:
    async with shop.client() as http:
        await (await http.get("/v1/users/anna/recommendations")).read()
        await (await http.get("/v1/users/anna/recommendations?n=0")).read()
        await (await http.get("/nothing/anna")).read()
        async with http.get("/metrics") as response:
            text = await response.text()
    template = 'route="/v1/users/{id}/recommendations"'
    assert f'upwell_http_requests_total{{method="GET",{template},status="200"}} 1.0' in text
    assert f'upwell_http_requests_total{{method="GET",{template},status="400"}} 1.0' in text
    assert 'route="unmatched",status="404"} 1.0' in text
    assert f"upwell_http_request_seconds_count{{{template}}} 2.0" in text
    assert "anna" not in text


def test_buckets_that_are_full_again_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_TIDY_AT", 10)
    buckets = Buckets(rate=1.0, burst=2)
    for number in range(1_000):
        assert buckets.take(f"passer-by {number}", float(number)) == 0
        assert buckets.take("regular", float(number)) == 0
    assert len(buckets) <= 20
    assert [buckets.take("regular", 999.0) == 0 for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize(
    ("method", "path", "options", "found"),
    [
        ("GET", "/v1/items/milk/similar?n=3&filter=category+%3D+%22drinks%22", {}, {"tea", "green tea"}),
        ("GET", "/v1/items/milk/also-bought?filter=category+%3D+%22drinks%22", {}, set()),
        ("GET", "/v1/items/milk/also-bought?filter=category+%3D+%22food%22", {}, {"bread"}),
        ("GET", "/v1/trending?filter=category+%3D+%22drinks%22", {}, {"tea"}),
        ("GET", "/v1/trending?n=1&filter=not+purchased+and+category+%3D+%22food%22", {}, {"bread"}),
        ("POST", "/v1/search", {"json": {"text": "The milk", "n": 2, "filter": 'category = "drinks"'}}, None),
    ],
)
async def test_lists_are_filtered_by_rules(
    shop: HttpShop, method: str, path: str, options: dict[str, Any], found: set[str] | None
) -> None:
    async with shop.client() as http, http.request(method, path, **options) as response:
        items = [item["item"] for item in (await response.json())["items"]]
    if found is None:
        assert set(items) == {"tea", "green tea"}
    else:
        assert set(items) == found


@pytest.mark.parametrize("path", ["/v1/items/milk/similar", "/v1/items/milk/also-bought", "/v1/trending"])
async def test_a_wrong_filter_of_a_list_is_told(shop: HttpShop, path: str) -> None:
    async with shop.client() as http, http.get(f"{path}?filter=price") as response:
        assert (await problem(response, 400, "invalid-request")).startswith("`filter`: ")
