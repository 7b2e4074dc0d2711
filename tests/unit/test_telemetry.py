"""What a process shows of itself: every metric, its labels, and nothing of anybody in them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from index.crossover import Crossover
from index.hnsw import HnswIndex
from index.live import LiveIndex
from index.snapshot import SnapshotMeta
from streams.engine.effects import Batch
from streams.telemetry.indexing import MOST_PROBES, Applied, RecallProbe, seen
from streams.telemetry.instruments import Telemetry
from streams.telemetry.observing import Heard, Observed
from tests.brokers import until
from tests.unit.observed import SECRET, everything, families, reference
from tests.unit.records import FakeRecord, event, item
from tests.unit.shop import TOPICS, Shop

ROOT = Path(__file__).parents[2]


def shown(telemetry: Telemetry) -> dict[str, float]:
    """Samples by `name{labels}`."""
    registry = CollectorRegistry()
    registry.register(telemetry)
    return {
        f"{sample.name}{sample.labels}": sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


class Commits:
    """A committer that does nothing, as often as it is told."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)

    async def commit(self, batch: Batch, current: Any) -> bool:
        return self.answers.pop(0)


def records(*timestamps: int) -> list[FakeRecord]:
    return [FakeRecord(b"k", b"v", offset, timestamp=at) for offset, at in enumerate(timestamps)]


async def test_latency_runs_from_kafkas_timestamp_to_the_commit() -> None:
    telemetry = Telemetry(now=lambda: 10.0)
    observed = Observed(Commits(True, False, True), "profiles", "t", telemetry)
    assert await observed.commit(Batch("t", 0, records(9_970, 8_000)), lambda: True)
    assert not await observed.commit(Batch("t", 0, records(1_000)), lambda: True)
    assert await observed.commit(Batch("another", 0, records(1_000)), lambda: True)
    found = shown(telemetry)
    assert found["upwell_event_to_recommendation_seconds_count{}"] == 2, (
        "what was not committed, or is of another topic, does not count"
    )
    assert found["upwell_event_to_recommendation_seconds_sum{}"] == pytest.approx(2.03)
    assert found["upwell_event_to_recommendation_seconds_bucket{'le': '0.05'}"] == 1
    assert found["upwell_watermark_age_seconds{'role': 'profiles'}"] == pytest.approx(0.03)


async def test_other_roles_recommend_nothing() -> None:
    telemetry = Telemetry(now=lambda: 10.0)
    assert await Observed(Commits(True), "encoder", "t", telemetry).commit(Batch("t", 0, records(1)), lambda: True)
    assert shown(telemetry)["upwell_event_to_recommendation_seconds_count{}"] == 0


def test_the_lag_of_every_partition_is_shown() -> None:
    telemetry = Telemetry(now=lambda: 30.0)
    telemetry.committed("profiles", 0, 6, [1_000])
    telemetry.roles["profiles"].looked(20.0, {0: 7, 1: 0}, {0: 10, 1: 0})
    found = shown(telemetry)
    assert found["upwell_lag_records{'partition': '0', 'role': 'profiles'}"] == 3
    assert found["upwell_lag_seconds{'partition': '0', 'role': 'profiles'}"] == 29.0
    assert found["upwell_lag_records{'partition': '1', 'role': 'profiles'}"] == 0
    assert found["upwell_lag_seconds{'partition': '1', 'role': 'profiles'}"] == 0.0


def told(offset: int, what: str, at: str, recommendation: str | None = None, **changes: Any) -> FakeRecord:
    attributes = {"recommendation": recommendation} if recommendation else None
    return event(offset, type=what, item=at, attributes=attributes, **changes)


def test_clicks_and_duplicates_are_counted_where_events_are_folded() -> None:
    telemetry, shop = Telemetry(), Shop()
    shop.profiles.observer = Heard(telemetry)
    shop.catalogue(*(item(name, offset) for offset, name in enumerate(("milk", "tea", "rye", "oats"))))
    (sent,) = shop.events(event(1))
    first, second = sent.items[0], sent.items[1]
    shop.events(
        told(2, "impression", first.item, sent.id),
        told(3, "impression", second.item, sent.id),
        told(4, "click", first.item, sent.id),
        told(5, "click", first.item, sent.id, id="e4"),
        told(6, "click", first.item, "not-a-recommendation"),
        told(7, "click", first.item),
    )
    found = shown(telemetry)
    clicked = {key: value for key, value in found.items() if key.startswith("upwell_clicks_total")}
    assert clicked == {
        f"upwell_clicks_total{{'channel': '{first.channel}', 'policy': 'default'}}": 1,
        "upwell_clicks_total{'channel': 'unknown', 'policy': 'unknown'}": 1,
    }
    assert sum(value for key, value in found.items() if key.startswith("upwell_impressions_total")) == 2
    assert found["upwell_duplicates_total{'role': 'profiles'}"] == 1


def test_freshness_runs_from_the_change_to_the_vector() -> None:
    telemetry, shop = Telemetry(now=lambda: 100.0), Shop()
    applied = Applied(telemetry, TOPICS, shop.replica)
    change = replace(item("i1", 5), timestamp=97_000)
    ((key, row),) = shop.catalogue(change).rows["embeddings"]
    applied(TOPICS.catalogue.name, [change])
    applied(TOPICS.embeddings.name, [FakeRecord(key, row, 0, TOPICS.embeddings.name)])
    found = shown(telemetry)
    assert found["upwell_item_freshness_seconds_count{}"] == 1
    assert found["upwell_item_freshness_seconds_sum{}"] == pytest.approx(3.0)
    assert found["upwell_replica_records_total{'topic': 'catalogue'}"] == 1
    assert found["upwell_replica_records_total{'topic': 'embeddings'}"] == 1


def test_what_is_refused_or_deleted_is_never_fresh() -> None:
    telemetry, shop = Telemetry(now=lambda: 100.0), Shop()
    applied = Applied(telemetry, TOPICS, shop.replica)
    ((key, row),) = shop.catalogue(item("i1", 5)).rows["embeddings"]
    applied(TOPICS.catalogue.name, [replace(item("i1", 5), timestamp=1)])
    applied(TOPICS.catalogue.name, [FakeRecord(b"i1", None, 6), FakeRecord(b"bad", b"{", 7)])
    applied(TOPICS.embeddings.name, [FakeRecord(key, row, 0), FakeRecord(key, None, 1)])
    assert shown(telemetry)["upwell_item_freshness_seconds_count{}"] == 0


@asynccontextmanager
async def alive(rows: int, crossover: Crossover | None = None) -> AsyncIterator[LiveIndex]:
    async with LiveIndex(HnswIndex(16, crossover=crossover)) as index:
        vectors = np.random.default_rng(1).normal(size=(rows, 16)).astype(np.float32)
        await index.upsert([f"i{number}" for number in range(rows)], vectors)
        yield index


async def test_the_index_is_looked_at_with_its_recall_and_snapshot(tmp_path: Path) -> None:
    probe = RecallProbe()
    async with alive(50) as index:
        state = await seen(index, probe, tmp_path)
        assert (state.items, state.recall, state.probed, state.saved) == (50, 1.0, MOST_PROBES, None)
        again = await seen(index, probe, tmp_path)
        assert again.probed == MOST_PROBES, "it is not time for another probe"
        before = time.time()
        await index.snapshot(tmp_path, SnapshotMeta("m"))
        saved = (await seen(index, probe, tmp_path)).saved
        assert saved is not None
        assert before - 5 < saved < before + 60


async def test_a_probe_sees_a_graph_that_finds_too_little() -> None:
    class Poor:
        def __len__(self) -> int:
            return 100_000

        async def recall(self, probes: int, k: int, seed: int = 0) -> float:
            asked.append((probes, seed))
            return 0.5

    asked: list[tuple[int, int]] = []
    probe = RecallProbe(pause_s=60.0)
    for now in (1.0, 30.0, 61.5, 400.0):
        await probe.probe(Poor(), now)  # type: ignore[arg-type]
    assert asked == [(4, 0), (4, 1), (4, 2)], "as many rows as for a small index, never twice within the pause"
    assert probe.recall == 0.5
    probe.forget()
    assert probe.recall is None


async def test_rebuilds_are_counted() -> None:
    async with alive(300, Crossover(((1, 0),))) as index:
        assert (await index.stats()).rebuilds == 0
        await index.rebuild()

        async def rebuilt() -> bool:
            return (await index.stats()).rebuilds == 1

        await until(rebuilt)


# All there is


def test_every_metric_is_in_the_runbook_as_it_is() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    table = text.split("<!-- metrics: made by tests/unit/test_telemetry.py -->\n")[1].split("\n<!-- end -->")[0]
    assert table == reference()


def test_labels_are_few_and_tell_of_nobody() -> None:
    registry = everything()
    allowed = {
        "role", "partition", "reason", "policy", "channel", "topic", "model", "provider", "version", "route", "method",
        "status", "outcome", "le", "implementation", "major", "minor", "patchlevel", "generation",
    }  # fmt: skip
    for family in families(registry):
        for sample in family.samples:
            assert sample.labels.keys() <= allowed, family.name
            assert not any(SECRET in value for value in sample.labels.values()), family.name
    assert SECRET not in generate_latest(registry).decode()


def test_whatever_comes_in_no_new_series_come_of_it() -> None:
    telemetry, shop = Telemetry(), Shop()
    shop.profiles.observer = Heard(telemetry)
    shop.catalogue(item("milk"))
    before = len(shown(telemetry))
    for number in range(200):
        shop.events(told(number, "click", f"item-{number}", f"id-{number}", user=f"user-{number}"))
    assert len(shown(telemetry)) == before + 1, "clicks on what nobody recommended are one series"
