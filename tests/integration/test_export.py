"""`upwell export` against a real broker: what is on the topics is in the files, whole or not at all."""

import asyncio
import json
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from aiokafka import AIOKafkaProducer

from streams import codecs
from streams.codecs import Embedding
from streams.core.events import Arrival, EventType, Interaction, Known
from streams.core.profile import Profile, fold
from streams.records import ModelPlan, ServedModel
from streams.samples import SAMPLES
from streams.settings import Settings
from streams.topics import Topic, Topics
from tests.integration.upwell import Upwell, in_process

T0 = 1_700_000_000_000


@pytest.fixture
def upwell(settings: Settings, bootstrap: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Upwell:
    return in_process(settings, bootstrap, monkeypatch, tmp_path, "export")


def put(bootstrap: str, topic: Topic, *records: tuple[str, bytes | None]) -> None:
    """Send records to the first partition of a topic."""

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for key, value in records:
                await producer.send_and_wait(topic.name, value, key=key.encode(), partition=0)

    asyncio.run(send())


def profile(*items: str, offset: int = 0) -> Profile:
    arrivals = [
        Arrival(
            offset + number,
            f"e{offset + number}",
            Interaction(item, EventType.PURCHASE, 1.0, T0 + number),
            {"age": Known(T0, "33")},
        )
        for number, item in enumerate(items)
    ]
    return fold(Profile(), arrivals)


def test_the_newest_profile_of_everyone(upwell: Upwell, bootstrap: str, shop_topics: Topics, tmp_path: Path) -> None:
    put(
        bootstrap,
        shop_topics.profiles,
        ("bert", codecs.encode_profile(profile("milk"))),
        ("anna", codecs.encode_profile(profile("milk", "milk", "bread"))),
        ("anna", codecs.encode_profile(profile("milk"))),
        ("carl", codecs.encode_profile(profile("milk"))),
        ("carl", None),
    )
    code, out, err = upwell("profiles", "profiles.parquet")
    assert (code, out, err) == (0, "Wrote 2 profiles to profiles.parquet.\n", "")
    anna, bert = pq.read_table(tmp_path / "profiles.parquet").to_pylist()
    assert (anna["user"], anna["partition"], anna["offset"], anna["stage"]) == ("anna", 0, 2, "profile")
    assert anna["time"].timestamp() * 1000 == T0 + 2
    assert [(one["item"], one["type"]) for one in anna["recent"]] == [("milk", "purchase")] * 2 + [
        ("bread", "purchase")
    ]
    assert {habit["item"]: habit["purchases"] for habit in anna["habits"]} == {"milk": 2, "bread": 1}
    assert dict(anna["attributes"]) == {"age": "33"}
    assert all(weighted for _, weighted in anna["interests"])
    assert (bert["user"], bert["turned_down"], bert["in_cart"]) == ("bert", [], [])
    assert not list(tmp_path.glob("*.part"))
    assert (tmp_path / "profiles.parquet").stat().st_mode & 0o777 == 0o600


def test_the_vectors_of_the_model_that_serves(
    upwell: Upwell, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    def row(number: float, offset: int, model: str) -> bytes:
        vector = np.array([number, 1.0], np.float16)
        return codecs.encode_embedding(Embedding(offset, bytes(16), model, vector))

    put(bootstrap, shop_topics.embeddings, ("a", row(1, 0, "old")), ("b", row(2, 1, "old")), ("a", row(3, 2, "old")))
    put(bootstrap, shop_topics.embeddings_b, ("a", row(4, 2, "new")))
    assert upwell("vectors", "vectors.parquet")[0] == 0
    found = pq.read_table(tmp_path / "vectors.parquet").to_pylist()
    assert [(one["item"], one["model"], one["vector"]) for one in found] == [
        ("a", "old", [3.0, 1.0]),
        ("b", "old", [2.0, 1.0]),
    ]
    plan = ModelPlan(ServedModel("embeddings_b", "new@1", "new", "encoder-new"))
    put(bootstrap, shop_topics.models, ("encoder", msgspec.json.encode(plan)))
    code, _, err = upwell("vectors", "vectors.parquet")
    assert (code, "say --force" in err) == (5, True)
    code, out, _ = upwell("vectors", "vectors.parquet", "--force", "--json")
    assert (code, json.loads(out)["vectors"]) == (0, 1)
    (one,) = pq.read_table(tmp_path / "vectors.parquet").to_pylist()
    assert (one["model"], one["vector"], one["text_digest"]) == ("new", [4.0, 1.0], "0" * 32)


def test_the_recommendations_that_are_there(
    upwell: Upwell, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    sample = SAMPLES["recommendation"]
    put(bootstrap, shop_topics.recommendations, ("u-1842", msgspec.json.encode(sample)), ("x", b"none"), ("y", None))
    assert upwell("recommendations", "recommendations.parquet")[0] == 0
    (found,) = pq.read_table(tmp_path / "recommendations.parquet").to_pylist()
    wanted = msgspec.to_builtins(sample)
    assert all(found[name] == wanted[name] for name in ("id", "user", "model", "policy", "stage"))
    assert (found["partition"], found["offset"], found["trigger"]["event"]) == (0, 0, wanted["trigger"]["event"])
    assert [one["item"] for one in found["items"]] == [one["item"] for one in wanted["items"]]
    assert found["items"][0]["reasons"][0]["text"] == wanted["items"][0]["reasons"][0]["text"]


def test_an_empty_shop_gives_empty_files(upwell: Upwell, shop_topics: Topics, tmp_path: Path) -> None:
    for what in ("profiles", "vectors", "recommendations"):
        assert upwell(what, f"{what}.parquet")[1] == f"Wrote 0 {what} to {what}.parquet.\n"
        assert pq.read_table(tmp_path / f"{what}.parquet").num_rows == 0


def test_what_comes_to_nothing_leaves_nothing(
    upwell: Upwell, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    put(bootstrap, shop_topics.profiles, ("anna", b"\x7f" + bytes(8) + b"of the future"))
    code, _, err = upwell("profiles", "profiles.parquet")
    assert (code, "version 127" in err) == (4, True)
    assert list(tmp_path.iterdir()) == []
    code, _, err = upwell("profiles", "no/such/directory.parquet")
    assert (code, "cannot write" in err) == (5, True)
