"""A process that shows every metric there is, with something of everything in it."""

import asyncio
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.metrics_core import METRIC_TYPES

from encoders.hashing import HashingEncoder
from streams.core.events import EventType
from streams.engine.effects import RejectReason
from streams.engine.stats import Stats
from streams.health import Health
from streams.items import ItemEncoder
from streams.records import CatalogueItem
from streams.telemetry.clicks import Place
from streams.telemetry.instruments import IndexState
from streams.web.metrics import HttpMetrics
from streams.web.probes import registry_of

SECRET = "ann-lee-1984"
"""Who or what nobody may find in a metric."""

FOREIGN = ("process_",)
"""Metrics of the client library, on every process."""


def everything() -> CollectorRegistry:
    """The metrics of a worker and of a serving process in one registry."""
    health = Health(starting=None)
    for role in ("profiles", "encoder", "neighbours"):
        stats = Stats(role)
        stats.rejected.update(dict.fromkeys(RejectReason, 1))
        health.parts.append(stats)
    encoder = ItemEncoder(HashingEncoder(16))
    asyncio.run(encoder.encode([CatalogueItem(SECRET, SECRET)]))
    health.encoders["encoder"] = encoder
    telemetry = health.telemetry
    telemetry.committed("profiles", 0, 5, [1_000])
    telemetry.roles["profiles"].looked(1.0, {0: 6}, {0: 9})
    telemetry.fresh(1.0)
    telemetry.heard = 1.0
    telemetry.applied("catalogue", 1)
    telemetry.recommended(SECRET, "default", [Place(SECRET, "content")])
    for kind in (EventType.IMPRESSION, EventType.CLICK):
        telemetry.event(kind, SECRET, {"recommendation": SECRET})
    telemetry.index = IndexState(items=1, recall=1.0, saved=1.0)
    registry = registry_of(health)
    http = HttpMetrics(registry)
    http.answered("/v1/users/{id}/recommendations", "GET", 200, 0.01)
    http.ingested.labels("accepted").inc()
    return registry


def families(registry: CollectorRegistry) -> Iterator[Metric]:
    """What is collected, without what says when a counter was created."""
    for family in registry.collect():
        assert family.type in METRIC_TYPES
        family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        yield family


def exported() -> dict[str, frozenset[str]]:
    """Every name that a query may use, with its labels."""
    found: dict[str, frozenset[str]] = {}
    for family in families(everything()):
        assert family.samples, f"{family.name} is never shown"
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, frozenset()) | sample.labels.keys()
    return found


def reference() -> str:
    """The table of `docs/operations.md`."""
    lines = ["| metric | type | labels | what it is |", "|---|---|---|---|"]
    for family in sorted(families(everything()), key=lambda family: family.name):
        if family.name.startswith(FOREIGN):
            continue
        labels = sorted({name for sample in family.samples for name in sample.labels} - {"le"})
        name = f"{family.name}_total" if family.type == "counter" else family.name
        shown = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{name}` | {family.type} | {shown} | {family.documentation} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(reference())
