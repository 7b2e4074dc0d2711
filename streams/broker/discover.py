"""Which broker to use: an existing cluster, the one that runs here already, or one started now."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from streams.broker import local
from streams.broker.base import Broker, BrokerKind
from streams.broker.local import Where, to_stderr
from streams.broker.maven import Tell
from streams.errors import BrokerError
from streams.settings import KafkaSettings, Settings


def find(settings: Settings, kafka: KafkaSettings) -> Broker | None:
    """The broker that is there without starting one: `KAFKA_BOOTSTRAP_SERVERS`, then Upwell's own that runs."""
    if kafka.bootstrap_servers:
        return Broker(kafka.bootstrap_servers, BrokerKind.CLUSTER, owned=False)
    return local.find(settings.data_dir)


def connect(settings: Settings, kafka: KafkaSettings) -> Broker:
    """The broker that is there.

    Raises:
        BrokerError: none is; the message says how to get one.
    """
    if (broker := find(settings, kafka)) is not None:
        return broker
    raise BrokerError(
        f"no Kafka broker: KAFKA_BOOTSTRAP_SERVERS is not set, and none that Upwell started runs under "
        f"{settings.data_dir}. Start one with `upwell broker start`, or set KAFKA_BOOTSTRAP_SERVERS=host:port."
    )


@contextlib.contextmanager
def running(
    settings: Settings,
    kafka: KafkaSettings,
    *,
    data_dir: Path | None = None,
    port: int | None = None,
    kind: BrokerKind | None = None,
    tell: Tell = to_stderr,
) -> Iterator[Broker]:
    """A broker for as long as the block lasts: the one that is there, else one started now and stopped at the end.

    Enter it from the main thread, before the event loop: starting takes seconds, and the broker is tied to the
    thread that starts it.

    Args:
        settings: where data and cached jars are.
        kafka: the existing cluster, if there is one.
        data_dir: where a broker that is started here keeps its data, instead of the settings' directory.
        port: where a broker that is started here listens; None takes a free port.
        kind: insist on one kind of broker.
        tell: shows what takes time.

    Raises:
        BrokerError: there is none and none can be started; the message names the ways out.
    """
    if kafka.bootstrap_servers:
        yield Broker(kafka.bootstrap_servers, BrokerKind.CLUSTER, owned=False)
        return
    where = Where(data_dir or settings.data_dir, settings.cache_dir, port, kind)
    broker = local.start(where, tied=True, tell=tell)
    try:
        yield broker
    finally:
        if broker.owned:
            local.stop(where.data_dir, only=broker, tell=tell)
