"""`/livez`, `/readyz` and `/metrics` of a worker, on 127.0.0.1 unless told otherwise."""

import contextlib
from collections.abc import AsyncIterator, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.errors import ConfigError
from streams.health import Health
from streams.web.door import Bounds, Door, Site

HOST = "127.0.0.1"

BOUNDS = Bounds(most=64, most_each=64, patience_s=75.0)
"""Of connections: a few scrapers, which ask at least every minute, and whoever looks."""

HEALTH = web.AppKey("health", Health)
REGISTRY = web.AppKey("registry", CollectorRegistry)

COUNTERS = {
    "batches": "Micro-batches committed",
    "records": "Source records committed",
    "rows": "Table rows written",
    "outputs": "Records published",
    "recovered": "Rows read from changelogs",
    "ignored_old_rows": "Changelog rows older than what was there",
    "abandoned": "Batches given up because their partition was revoked",
    "retries": "Steps tried again because of the broker or the disk",
    "busy_seconds": "Seconds spent on batches",
}
"""Counters of `streams.engine.stats.Stats` and what they count."""


class StatsCollector(Collector):
    """The engine's numbers as Prometheus metrics, read when they are asked for."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Every metric, by role."""
        for name, about in COUNTERS.items():
            family = CounterMetricFamily(f"upwell_{name}", about, labels=["role"])
            for stats in self._health.parts:
                family.add_metric([stats.role], getattr(stats, name))
            yield family
        rejected = CounterMetricFamily("upwell_rejected", "Records sent to the dead letters", labels=["role", "reason"])
        healthy = GaugeMetricFamily("upwell_healthy", "1 while nothing keeps the role from working", labels=["role"])
        for stats in self._health.parts:
            healthy.add_metric([stats.role], float(stats.healthy))
            for reason, count in stats.rejected.items():
                rejected.add_metric([stats.role, reason.value], count)
        yield rejected
        yield healthy
        ready = GaugeMetricFamily("upwell_ready", "1 while the process does all of its work: `/readyz`")
        ready.add_metric([], 0.0 if self._health.troubles() else 1.0)
        yield ready


ENCODING = {
    "windows": "Windows of texts encoded",
    "texts": "Texts of items asked for",
    "cache_hits": "Texts whose vector was at hand",
    "seconds": "Seconds spent in the encoder",
}
"""Counters of `encoders.microbatch.EncodingStats` and what they count."""


class EncoderCollector(Collector):
    """The encoders' numbers as Prometheus metrics, and what they run on: a GPU that failed shows here."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Every metric, by role."""
        encoders = list(self._health.encoders.items())
        for name, about in ENCODING.items():
            family = CounterMetricFamily(f"upwell_encoder_{name}", about, labels=["role"])
            for role, encoder in encoders:
                family.add_metric([role], getattr(encoder.stats, name))
            yield family
        window = GaugeMetricFamily("upwell_encoder_last_window", "Texts of the newest window", labels=["role"])
        about = "1: the model, and the execution provider that runs it at present"
        info = GaugeMetricFamily("upwell_encoder_info", about, labels=["role", "model", "provider"])
        for role, encoder in encoders:
            window.add_metric([role], encoder.stats.last_window)
            info.add_metric([role, encoder.id, encoder.provider], 1.0)
        yield window
        yield info


def registry_of(health: Health) -> CollectorRegistry:
    """The metrics of one process."""
    registry = CollectorRegistry()
    registry.register(StatsCollector(health))
    registry.register(EncoderCollector(health))
    registry.register(health.telemetry)
    ProcessCollector(registry=registry)
    return registry


async def livez(_: web.Request) -> web.Response:
    """The event loop turns, or nobody would hear this."""
    return web.json_response({"alive": True})


async def readyz(request: web.Request) -> web.Response:
    """What keeps it from its work, if anything does."""
    troubles = request.app[HEALTH].troubles()
    return web.json_response({"ready": not troubles, "troubles": troubles}, status=503 if troubles else 200)


async def metrics(request: web.Request) -> web.Response:
    """Prometheus text."""
    body = generate_latest(request.app[REGISTRY])
    return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})


def application(health: Health) -> web.Application:
    """The three routes."""
    app = web.Application()
    app[HEALTH], app[REGISTRY] = health, registry_of(health)
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


@contextlib.asynccontextmanager
async def probes(health: Health, port: int, host: str = HOST) -> AsyncIterator[int]:
    """Serve the probes; hands out the port (a free one for 0).

    Raises:
        ConfigError: the port is taken, or the address is none of this machine's.
    """
    runner = web.AppRunner(application(health))
    await runner.setup()
    try:
        site = Site(runner, Door(BOUNDS), (host, port), access_log=None, keepalive_timeout=BOUNDS.patience_s)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"port {port} on {host} cannot be used for the probes ({error.strerror}): choose another with "
                "UPWELL_PROBE_PORT or UPWELL_PROBE_HOST, or leave it unset"
            ) from None
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
