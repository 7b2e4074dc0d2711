"""POST /v1/answers gives the answers of the topic, and texts are encoded by whichever model answers."""

import asyncio
import contextlib
import json
import threading

import msgspec
import numpy as np
import pytest

from encoders.base import Vectors
from encoders.hashing import HashingEncoder
from streams import codecs, serving
from streams.agents.answers import AnswersHandler
from streams.answering import Answerer
from streams.codecs import DIGEST_SIZE, Embedding
from streams.engine.effects import Batch
from streams.errors import ConfigError
from streams.items import ItemEncoder
from streams.records import Answer, ModelPlan, ServedModel
from streams.replicas import Replica
from streams.serving import NoEncoderError, Phrase, TextSearch
from tests.brokers import until
from tests.unit.answer_shop import WORDING
from tests.unit.http_shop import Client, HttpShop
from tests.unit.records import LIMITS, FakeRecord
from tests.unit.shop import TOPICS, immediate_index
from tests.unit.test_http import problem


@pytest.fixture
def shop() -> HttpShop:
    return HttpShop()


async def answered(http: Client, **asked: object) -> Answer:
    async with http.post("/v1/answers", json=asked) as response:
        assert response.status == 200, await response.text()
        return msgspec.json.decode(await response.read(), type=Answer)


async def test_the_answer_is_that_of_the_topic(shop: HttpShop) -> None:
    asked = {"id": "q1", "text": "show me tea", "user": "anna"}
    search = TextSearch(lambda model: shop.encoder, shop.shop.replica)
    handler = AnswersHandler(TOPICS, Answerer(shop.serving, search, WORDING).answer, LIMITS)
    record = FakeRecord(b"anna", json.dumps({**asked, "time": 1}).encode(), 0, TOPICS.questions.name)
    effects = await handler(Batch(record.topic, 0, [record]), lambda table, keys: [])
    topic = msgspec.json.decode(effects.outputs[0].value or b"", type=Answer)
    async with shop.client() as http:
        found = await answered(http, **asked)
    assert msgspec.structs.replace(found, time=1) == topic
    assert {item.item for item in found.items} == {"tea", "green tea"}


async def test_the_same_question_without_an_id_has_one(shop: HttpShop) -> None:
    async with shop.client() as http:
        once, again = [await answered(http, text="is the oat milk in stock?") for _ in range(2)]
        other = await answered(http, text="is the rye bread in stock?")
    assert (once.id, once.question) == (again.id, again.question)
    assert once.id != other.id
    assert once.text == "The oat milk: available, no price given"


async def test_without_an_encoder_it_answers_by_words(shop: HttpShop) -> None:
    async with shop.client(search=False) as http:
        assert [item.item for item in (await answered(http, text="show me green tea")).items] == ["green tea"]


@pytest.mark.parametrize("asked", [{}, {"text": ""}, {"text": " "}, {"text": "x" * 1025}, {"text": "tea", "n": 21}])
async def test_a_bad_question_is_refused(shop: HttpShop, asked: dict[str, object]) -> None:
    async with shop.client() as http, http.post("/v1/answers", json=asked) as response:
        await problem(response, 400, "invalid-request")


OLD, NEW = (ServedModel(slot, name, name, name) for slot, name in (("embeddings", "old"), ("embeddings_b", "new")))
DIMS = {"old": 16, "new": 24}


class Named:
    """A hashing encoder by another name."""

    def __init__(self, name: str) -> None:
        self.id = name
        self._encoder = ItemEncoder(HashingEncoder(DIMS[name]))
        self.encode = self._encoder.encode


async def changing() -> tuple[Replica, dict[str, Vectors]]:
    """A replica whose shop changes from `old` to `new`, and the vectors of `mug` by both."""
    replica = Replica(TOPICS, immediate_index, LIMITS)
    records = [FakeRecord(b"encoder", msgspec.json.encode(ModelPlan(OLD, NEW)), 0, TOPICS.models.name)]
    await replica.apply(TOPICS.models.name, 0, records)
    vectors: dict[str, Vectors] = {}
    for served in (OLD, NEW):
        (vector,) = HashingEncoder(DIMS[served.id]).encode(["mug"])
        vectors[served.id] = vector
        row = codecs.encode_embedding(Embedding(0, bytes(DIGEST_SIZE), served.id, vector.astype(np.float16)))
        topic = TOPICS.slots[served.slot].name
        await replica.apply(topic, 0, [FakeRecord(b"mug", row, 0, topic)])
    return replica, vectors


async def test_a_text_is_held_against_the_items_of_the_model_that_was_pinned() -> None:
    replica, vectors = await changing()
    search = TextSearch(lambda model: Named(model or "old"), replica)
    await search.begin()
    before = replica.pinned()
    replica.shelves.serving = replica.shelves.of(NEW)
    after = replica.pinned()
    phrases = [Phrase("mug", after.model), Phrase("mug", before.model)]
    new, old = await search.vectors(phrases)
    assert (before.model, after.model) == ("old", "new")
    assert np.allclose(old, vectors["old"])
    assert np.allclose(new, vectors["new"])
    for pinned, vector in ((before, old), (after, new)):
        assert await pinned.nearest(vector[None], 1) == [["mug"]]


async def test_the_next_model_is_loaded_before_it_serves_and_the_last_one_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "FOLLOW_S", 0.001)
    replica, _ = await changing()
    loaded: list[str | None] = []

    def load(model: str | None) -> Named:
        loaded.append(model)
        return Named(model or "old")

    search = TextSearch(load, replica)
    await search.begin()
    following = asyncio.create_task(search.follow())

    async def has_new() -> bool:
        return "new" in search._encoders

    async def has_no_old() -> bool:
        return "old" not in search._encoders

    await until(has_new)
    replica.shelves.serving = replica.shelves.of(NEW)
    replica.shelves.obey(ModelPlan(NEW))
    await until(has_no_old)
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    assert loaded == ["old", "new"]


async def test_the_model_that_serves_is_asked_while_the_next_one_is_loaded() -> None:
    replica, vectors = await changing()
    begun, go_on = threading.Event(), threading.Event()

    def load(model: str | None) -> Named:
        if model == "new":
            begun.set()
            assert go_on.wait(60)
        return Named(model or "old")

    search = TextSearch(load, replica)
    await search.begin()
    loading = asyncio.create_task(search.encoder("new"))
    await asyncio.to_thread(begun.wait)
    (old,) = await search.vectors([Phrase("mug", "old")])
    assert not loading.done()
    assert np.allclose(old, vectors["old"])
    go_on.set()
    assert (await loading).id == "new"


async def test_a_model_that_cannot_be_loaded_is_tried_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str | None] = []

    def load(model: str | None) -> Named:
        tried.append(model)
        raise ConfigError("it is not built")

    replica, _ = await changing()
    search = TextSearch(load, replica)
    for _ in range(2):
        with pytest.raises(NoEncoderError, match="encoded by new, which cannot be loaded here: it is not built"):
            await search.encoder("new")
    assert tried == ["new"]
    monkeypatch.setattr(serving, "RETRY_S", 0.0)
    with pytest.raises(NoEncoderError):
        await search.encoder("new")
    assert tried == ["new", "new"]
