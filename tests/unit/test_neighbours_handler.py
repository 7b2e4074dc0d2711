"""The neighbours agent's logic: rows of items from what the profiles agent sends."""

import asyncio
import math

import pytest

from streams import codecs
from streams.agents.neighbours import NeighboursHandler, pair_records
from streams.core.cooccurrence import HALF_LIFE_MS, Delta
from streams.core.policy import Channel, Policy
from streams.engine.effects import Batch, Effects, RejectReason
from streams.topics import item_partition, topics
from tests.unit.records import NOW, FakeRecord, event, item
from tests.unit.shop import Shop

PAIRS = topics("shop", partitions=3).pairs
GOODS = ("milk", "tea", "bread", "jam")


def _delta(offset: int, name: str, *partners: str) -> Delta:
    return Delta(offset, NOW, name, 1.0, partners, (0.5,) * len(partners))


def _added(*parcels: bytes | None, partition: int) -> Effects:
    records = [FakeRecord(None, value, offset, PAIRS.name, partition) for offset, value in enumerate(parcels)]
    batch = Batch(PAIRS.name, partition, records)
    return asyncio.run(NeighboursHandler(PAIRS)(batch, lambda _, keys: [None for _ in keys]))


def _weights(log_masses: dict[str, float]) -> dict[str, float]:
    return {name: math.exp(mass - NOW / HALF_LIFE_MS * math.log(2)) for name, mass in log_masses.items()}


def test_every_item_has_its_row_on_its_own_partition_once() -> None:
    outputs = pair_records(PAIRS, 1, [_delta(7, "milk", "tea", "bread", "jam"), _delta(9, "tea", "milk")])
    assert len({output.partition for output in outputs}) == len(outputs)
    found = {}
    for output in outputs:
        assert output.partition is not None
        for key, row in _added(output.value, partition=output.partition).rows["neighbours"]:
            assert key.decode() not in found
            assert item_partition(key.decode(), 3) == output.partition
            found[key.decode()] = codecs.decode_neighbours(row)
    assert {name: _weights(row.partners) for name, row in found.items()} == {
        "milk": pytest.approx({"tea": 1.0, "bread": 0.5, "jam": 0.5}),
        "tea": pytest.approx({"milk": 1.0}),
        "bread": pytest.approx({"milk": 0.5}),
        "jam": pytest.approx({"milk": 0.5}),
    }
    assert {name: row.applied for name, row in found.items()} == {
        "milk": {1: 9}, "tea": {1: 9}, "bread": {1: 7}, "jam": {1: 7},
    }  # fmt: skip


def test_an_item_without_company_has_its_mass() -> None:
    (output,) = pair_records(PAIRS, 0, [_delta(0, "milk")])
    ((key, row),) = _added(output.value, partition=output.partition or 0).rows["neighbours"]
    assert (key, codecs.decode_neighbours(row).partners) == (b"milk", {})
    assert _weights({"milk": codecs.neighbours_mass(row)}) == pytest.approx({"milk": 1.0})


def test_what_is_sent_again_puts_the_same_row_under_its_newer_offset() -> None:
    (output,) = pair_records(PAIRS, 0, [_delta(0, "milk"), _delta(1, "milk")])
    at = output.partition or 0
    ((_, first),) = _added(output.value, partition=at).rows["neighbours"]
    ((_, second),) = _added(output.value, output.value, partition=at).rows["neighbours"]
    once, twice = codecs.decode_neighbours(first), codecs.decode_neighbours(second)
    assert (once.offset, twice.offset) == (0, 1)
    assert (once.log_mass, once.partners, once.applied) == (twice.log_mass, twice.partners, twice.applied)


@pytest.mark.parametrize("value", [None, b"", b"\x09", b"\x01 what is this"])
def test_what_is_no_pairs_record_is_refused_and_the_rest_goes_on(value: bytes | None) -> None:
    (good,) = pair_records(PAIRS, 0, [_delta(0, "milk")])
    effects = _added(value, good.value, partition=good.partition or 0)
    assert [rejection.reason for rejection in effects.rejections] == [RejectReason.UNDECODABLE]
    assert [key for key, _ in effects.rows["neighbours"]] == [b"milk"]


@pytest.fixture
def shop() -> Shop:
    shop = Shop(Policy(channel_weights={Channel.NEIGHBOURS: 1.0}, diversity=1.0))
    shop.catalogue(*(item(name, offset, title=name.title()) for offset, name in enumerate(GOODS)))
    return shop


def test_what_was_bought_together_is_recommended_with_its_reason(shop: Shop) -> None:
    shop.events(*(event(n, user="bert", item=name, time=NOW) for n, name in enumerate(("milk", "tea", "jam"))))
    shop.events(*(event(n, user="carl", item=name, time=NOW) for n, name in enumerate(("milk", "tea"), start=3)))
    (recommendation,) = shop.events(event(5, item="milk"))
    assert [entry.item for entry in recommendation.items] == ["tea", "jam"]
    (reason,) = recommendation.items[0].reasons
    assert (reason.channel, reason.text) == ("neighbours", "often bought with Milk, which you bought on 2023-11-14")
    assert [(cited.item, cited.time) for cited in reason.because] == [("milk", NOW + 5)]
    (viewed,) = shop.events(event(6, user="dora", type="view", item="jam"))
    assert viewed.items[0].reasons[0].text == "often goes with Jam, which you viewed on 2023-11-14"


def test_a_crash_between_pairs_and_profiles_counts_once(shop: Shop) -> None:
    """The pairs are out and the profile is not written: they are made again, and alike."""
    batch = [event(0), event(1, item="tea"), event(2, user="bert"), event(3, item="jam")]
    shop.events(*batch)
    before = {key: codecs.decode_neighbours(row) for key, row in shop.tables["neighbours"].items()}
    shop.tables["profiles"].clear()
    shop.events(*batch[:2])
    shop.events(*batch[2:])
    after = {key: codecs.decode_neighbours(row) for key, row in shop.tables["neighbours"].items()}
    assert len(shop.pairs_sent) == 3
    for key, row in before.items():
        assert (row.log_mass, row.partners, row.applied) == (
            after[key].log_mass, after[key].partners, after[key].applied,
        )  # fmt: skip


def test_duplicates_make_no_pairs(shop: Shop) -> None:
    shop.events(event(0), event(1, item="tea"))
    assert shop._run(shop.profiles, "shop.events.v1", [event(0), event(1, item="tea")]).deltas == []
    assert shop._run(shop.profiles, "shop.events.v1", [event(2, id="e1", item="tea")]).deltas == []
