"""The encoder agent's logic: what is encoded, and what is not encoded again."""

import asyncio

import numpy as np
import pytest

from streams import codecs
from streams.engine.effects import Batch, RejectReason
from tests.unit.records import FakeRecord, item
from tests.unit.shop import Shop


def test_new_items_are_encoded_and_become_searchable() -> None:
    shop = Shop()
    shop.catalogue(item("milk", 3), item("tea", 4))
    assert shop.encoder.texts == ["The milk", "The tea"]
    row = codecs.decode_embedding(shop.tables["embeddings"][b"milk"])
    assert (row.offset, row.model) == (3, shop.encoder.id)
    assert np.array_equal(row.vector, shop.encoder.encode(["The milk"])[0].astype(np.float16))
    assert shop.replica.searchable == 2


def test_an_unchanged_text_is_not_encoded_again() -> None:
    shop = Shop()
    shop.catalogue(item("milk", 0, price=1.0))
    before = codecs.decode_embedding(shop.tables["embeddings"][b"milk"])
    shop.catalogue(item("milk", 1, price=2.0, available=False))
    after = codecs.decode_embedding(shop.tables["embeddings"][b"milk"])
    assert shop.encoder.texts == ["The milk"]
    assert (after.offset, after.digest) == (1, before.digest)
    assert np.array_equal(after.vector, before.vector)


def test_a_changed_text_is_encoded_again() -> None:
    shop = Shop()
    shop.catalogue(item("milk", 0))
    shop.catalogue(item("milk", 1, title="Oat drink"))
    assert shop.encoder.texts == ["The milk", "Oat drink"]


def test_the_same_text_of_another_item_is_encoded_once() -> None:
    shop = Shop()
    shop.catalogue(item("milk", 0, title="Oat milk"), item("more", 1, title="Oat milk"))
    shop.catalogue(item("most", 2, title="Oat milk"))
    assert shop.encoder.texts == ["Oat milk"]
    vectors = [codecs.decode_embedding(row).vector.tobytes() for row in shop.tables["embeddings"].values()]
    assert len(vectors) == 3
    assert len(set(vectors)) == 1


def test_another_model_encodes_everything_again() -> None:
    shop = Shop()
    shop.catalogue(item("milk", 0))
    row = codecs.decode_embedding(shop.tables["embeddings"][b"milk"])
    stale = codecs.Embedding(row.offset, row.digest, "another", row.vector)
    shop.tables["embeddings"][b"milk"] = codecs.encode_embedding(stale)
    shop.catalogue(item("milk", 1))
    row = codecs.decode_embedding(shop.tables["embeddings"][b"milk"])
    assert (row.model, row.offset) == (shop.encoder.id, 1)
    assert len(shop.encoder.texts) == 1, "its own vector of this text is still at hand"


def test_of_several_records_of_an_item_the_last_counts() -> None:
    shop = Shop()
    shop.catalogue(item("milk", 0), item("tea", 1), item("milk", 2, title="Oat milk"), FakeRecord(b"tea", None, 3))
    assert shop.encoder.texts == ["Oat milk"]
    assert set(shop.tables["embeddings"]) == {b"milk"}


def test_a_deleted_item_is_gone() -> None:
    shop = Shop()
    shop.catalogue(item("milk", 0))
    shop.catalogue(FakeRecord(b"milk", None, 1))
    assert shop.tables["embeddings"] == {}
    assert shop.replica.searchable == 0


def test_bad_items_are_rejected_and_the_rest_goes_on() -> None:
    shop = Shop()
    bad = FakeRecord(b"tea", b"}", 1)
    effects = shop.catalogue(item("milk", 0), bad)
    assert [(r.record, r.reason) for r in effects.rejections] == [(bad, RejectReason.UNDECODABLE)]
    assert shop.replica.searchable == 1


def test_vectors_of_a_second_model_never_reach_the_index() -> None:
    shop = Shop()
    shop.catalogue(item("milk", 0))
    row = codecs.decode_embedding(shop.tables["embeddings"][b"milk"])
    other = codecs.encode_embedding(codecs.Embedding(1, row.digest, "another", row.vector))
    asyncio.run(shop.replica.apply("shop.embeddings.v1", 0, [FakeRecord(b"tea", other, 9)]))
    assert (shop.replica.searchable, shop.replica.ignored_vectors) == (1, 1)


async def test_partitions_share_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("streams.agents.encoder.asyncio.sleep", sleep)
    monkeypatch.setattr("streams.agents.encoder.time.monotonic", lambda: 100.0)
    shop = Shop()
    shop.items.rate = 4.0
    for partition, names in enumerate((("milk", "tea"), ("rice",), ("oats",))):
        records = [item(name, offset) for offset, name in enumerate(names)]
        await shop.items(Batch("shop.catalogue.v1", partition, records), lambda table, keys: [None] * len(keys))
    assert slept == [0.0, 0.5, 0.75]


def test_a_second_models_role_leaves_bad_records_to_the_first() -> None:
    shop = Shop()
    shop.items.rejects = False
    assert shop.catalogue(FakeRecord(b"tea", b"}", 1)).rejections == []
