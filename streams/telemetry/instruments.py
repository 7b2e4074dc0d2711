"""Everything a process measures beside the engine's own counters, as Prometheus metrics."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.core.events import EventType
from streams.telemetry.clicks import ATTRIBUTE, COUNTED, ClickThrough, Place
from streams.telemetry.freshness import Freshness
from streams.telemetry.lag import Progress

LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
FRESHNESS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)

RECOMMENDING = "profiles"
"""The role whose commits are recommendations."""


@dataclass(slots=True)
class IndexState:
    """What was last seen of the index that serves. `recall` is None until it was probed; `saved` is Unix seconds."""

    items: int = 0
    pending: int = 0
    tombstones: int = 0
    bytes: int = 0
    rebuilds: int = 0
    recall: float | None = None
    probed: int = 0
    saved: float | None = None


INDEX: Sequence[tuple[str, str, Callable[[IndexState], float]]] = (
    ("upwell_index_items", "Items in the index that serves", lambda state: state.items),
    ("upwell_index_pending", "Of them, those not in the graph yet; found all the same", lambda state: state.pending),
    ("upwell_index_tombstones", "Dead nodes in the graph", lambda state: state.tombstones),
    ("upwell_index_bytes", "Memory of rows, codes and graph", lambda state: state.bytes),
)
"""Gauges of the index."""


class Telemetry(Collector):
    """The measurements of one process, collected when they are asked for.

    Args:
        now: the clock, Unix seconds.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self.roles: dict[str, Progress] = {}
        self.freshness = Freshness()
        self.clicks = ClickThrough()
        self.index: IndexState | None = None
        self.duplicates = 0
        self.heard: float | None = None
        """When a broker last answered the look at the topics' ends, Unix seconds."""
        self._latency = Histogram(
            "upwell_event_to_recommendation_seconds",
            "From the event's Kafka timestamp to its recommendation and rows acknowledged",
            buckets=LATENCY,
            registry=None,
        )
        self._freshness = Histogram(
            "upwell_item_freshness_seconds",
            "From the catalogue record's Kafka timestamp to the item's vector in this process's index",
            buckets=FRESHNESS,
            registry=None,
        )
        self._applied = Counter(
            "upwell_replica_records", "Records of shared topics applied here", ["topic"], registry=None
        )

    # Told

    def committed(self, role: str, partition: int, offset: int, timestamps: Iterable[int]) -> None:
        """A batch is done.

        Args:
            role: whose.
            partition: of the source.
            offset: of the last record.
            timestamps: Kafka's, of all its records, Unix milliseconds.
        """
        times = [timestamp / 1000 for timestamp in timestamps]
        self.roles.setdefault(role, Progress()).committed(partition, offset, max(times))
        if role == RECOMMENDING:
            now = self.now()
            for at in times:
                self._latency.observe(max(0.0, now - at))

    def fresh(self, seconds: float | None) -> None:
        """An item became searchable so many seconds after its change; None where that is not known."""
        if seconds is not None:
            self._freshness.observe(seconds)

    def applied(self, topic: str, count: int) -> None:
        """So many records of a shared topic, by its short name, are in the replica."""
        self._applied.labels(topic).inc(count)

    def event(self, kind: EventType, item: str | None, attributes: object) -> None:
        """An event was accepted; one that names a recommendation counts for it."""
        if kind in COUNTED and item is not None and isinstance(attributes, dict):
            named = attributes.get(ATTRIBUTE)
            if isinstance(named, str):
                self.clicks.happened(named, kind, item)

    def recommended(self, key: str, policy: str, places: Sequence[Place]) -> None:
        """A recommendation was made."""
        self.clicks.recommended(key, policy, places)

    # Asked

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        yield from self._latency.collect()
        yield from self._freshness.collect()
        yield from self._applied.collect()
        yield from self._progress()
        yield from self._clicks()
        yield from self._index()
        duplicates = CounterMetricFamily(
            "upwell_duplicates", "Events passed over because the profile holds them", labels=["role"]
        )
        duplicates.add_metric([RECOMMENDING], self.duplicates)
        yield duplicates
        build = GaugeMetricFamily("upwell_build_info", "1: the version that runs", labels=["version"])
        build.add_metric([version("upwell")], 1.0)
        yield build

    def _progress(self) -> Iterator[Metric]:
        now = self.now()
        records = GaugeMetricFamily("upwell_lag_records", "Records not done yet", labels=["role", "partition"])
        seconds = GaugeMetricFamily(
            "upwell_lag_seconds", "Age of the oldest record not done yet; 0 for none", labels=["role", "partition"]
        )
        watermark = GaugeMetricFamily(
            "upwell_watermark_age_seconds", "Since the Kafka timestamp of the newest record done", labels=["role"]
        )
        for role, progress in list(self.roles.items()):
            for partition, (behind, age) in progress.lag(now).items():
                records.add_metric([role, str(partition)], behind)
                seconds.add_metric([role, str(partition)], age)
            if (newest := progress.watermark()) is not None:
                watermark.add_metric([role], max(0.0, now - newest))
        yield from (records, seconds, watermark)
        if self.heard is not None:
            yield _gauge("upwell_broker_silence_seconds", "Since a broker last answered", now - self.heard)

    def _clicks(self) -> Iterator[Metric]:
        families = {
            EventType.IMPRESSION: ("upwell_impressions", "Recommended items that were shown"),
            EventType.CLICK: ("upwell_clicks", "Recommended items that were clicked"),
        }
        for kind, (name, about) in families.items():
            family = CounterMetricFamily(name, about, labels=["policy", "channel"])
            for (policy, channel, what), count in self.clicks.counts.items():
                if what is kind:
                    family.add_metric([policy, channel], count)
            yield family

    def _index(self) -> Iterator[Metric]:
        state = self.index
        if state is None:
            return
        for name, about, value in INDEX:
            yield _gauge(name, about, value(state))
        rebuilds = CounterMetricFamily("upwell_index_rebuilds", "Graphs rebuilt and swapped in")
        rebuilds.add_metric([], state.rebuilds)
        yield rebuilds
        probes = CounterMetricFamily("upwell_index_recall_probes", "Queries asked of graph and exact search alike")
        probes.add_metric([], state.probed)
        yield probes
        if state.recall is not None:
            about = "Share of the true 20 nearest that searches find, by exact search, over the newest probes"
            yield _gauge("upwell_index_recall", about, state.recall)
        if state.saved is not None:
            yield _gauge("upwell_snapshot_age_seconds", "Age of the newest snapshot", self.now() - state.saved)


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about)
    family.add_metric([], value)
    return family
