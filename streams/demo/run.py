"""One run of the demo: broker, topics, model, worker, catalogue, events, and everything away again."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from encoders.models import HASHING, locate
from streams import admin
from streams.broker import Broker, BrokerKind, connect, running
from streams.demo import child, dataset, following, home
from streams.demo.dataset import Dataset, Slice
from streams.demo.display import Display
from streams.demo.feed import Speed
from streams.demo.outcome import Outcome
from streams.demo.score import AT
from streams.demo.session import Place, Session, dispatch, until
from streams.demo.stop import Stop, Stopped
from streams.demo.view import Stage
from streams.errors import ConfigError
from streams.settings import KafkaSettings, Settings
from streams.topics import topics

_NAMES = {
    BrokerKind.CLUSTER: "your Kafka",
    BrokerKind.APACHE_KAFKA: "Apache Kafka",
    BrokerKind.NOIDA: "noida-db",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for."""

    slice: Slice
    speed: Speed
    follow: str | None = None


def run(plan: Plan, settings: Settings, kafka: KafkaSettings, display: Display, stop: Stop) -> Outcome:
    """Run the demo until its time is over, its data is out or somebody stops it.

    Raises:
        ConfigError: an extra is missing, or nobody is called `plan.follow`.
        BrokerError: no broker can be had, or it went away.
        UpwellError: the worker ended by itself.
    """
    outcome = Outcome(model=settings.model)
    with contextlib.suppress(Stopped):
        data = read(plan.slice, display)
        outcome.households = data.households
        follow = _followed(plan, data)
        _ensure_model(settings, display)
        with home.fresh(settings.data_dir / "demo") as place, contextlib.ExitStack() as stack:
            broker = stack.enter_context(running(settings, kafka, data_dir=place, tell=display.tell))
            shop = stack.enter_context(_shop(broker, kafka))
            outcome.broker, outcome.shop = broker.kind.value, shop
            target = Place(broker, kafka, topics(shop, settings.partitions))
            creating = admin.create_topics(broker.bootstrap, kafka, target.topics, settings.replication)
            asyncio.run(until(stop, creating))
            worker = stack.enter_context(child.worker(_told(settings, broker, shop, place), place / "worker.log"))
            display.tell(f"The worker's log: {worker.log}")
            stage = Stage(
                broker=f"{_NAMES[broker.kind]} on {broker.bootstrap}",
                bootstrap=broker.bootstrap,
                shop=shop,
                model=settings.model,
                items={item.id: item for item in data.items},
                events=len(data.purchases),
                follow=follow,
            )
            session = Session(data, plan.speed, stage, display, worker)
            try:
                asyncio.run(until(stop, session.run(target)))
            finally:
                _conclude(outcome, session)
                with display.step("Stopping the worker"):
                    stack.close()
    return _ended(outcome, stop)


def send(plan: Plan, settings: Settings, kafka: KafkaSettings, display: Display, stop: Stop) -> Outcome:
    """Only send the data: to the broker that is there, and the shop of the settings. `items` are those sent.

    Raises:
        ConfigError: the extra `demo` is missing.
        BrokerError: no broker is there, or it went away.
        ContractError: the topics are not there, or not what the contract says.
    """
    outcome = Outcome(shop=settings.shop)
    with contextlib.suppress(Stopped):
        broker = connect(settings, kafka)
        outcome.broker = broker.kind.value
        place = Place(broker, kafka, topics(settings.shop, settings.partitions))
        asyncio.run(until(stop, admin.require_topics(broker.bootstrap, kafka, place.topics)))
        data = read(plan.slice, display)
        outcome.households = data.households
        asyncio.run(until(stop, dispatch(data, plan.speed, place, display, outcome)))
    return _ended(outcome, stop)


def read(wanted: Slice, display: Display) -> Dataset:
    """Read the data set, and say what it is."""
    with display.step("Reading a year of a grocer's receipts (The Complete Journey)"):
        data = dataset.load(wanted)
    display.tell(f"{len(data.purchases):,} purchases of {len(data.items):,} products by {data.households:,} households")
    return data


def _told(settings: Settings, broker: Broker, shop: str, place: Path) -> dict[str, str]:
    """What the worker has to know beside the environment that it inherits."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
        "UPWELL_SHOP": shop,
        "UPWELL_PARTITIONS": str(settings.partitions),
        "UPWELL_DATA_DIR": str(place / "worker"),
        "UPWELL_CACHE_DIR": str(settings.cache_dir),
        "UPWELL_RECOMMEND": str(AT),
        **({"UPWELL_PROBE_PORT": str(settings.probe_port)} if settings.probe_port else {}),
        # Threads that spin for small products take the cores from everything else on a small machine.
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1"),
    }


def _ended(outcome: Outcome, stop: Stop) -> Outcome:
    outcome.interrupted = stop.requested
    return outcome


def _conclude(outcome: Outcome, session: Session) -> None:
    outcome.items = len(session.searchable)
    if session.tracker is not None:
        outcome.conclude(session.tracker.whole(time.monotonic()))


def _followed(plan: Plan, data: Dataset) -> str | None:
    if plan.follow is None:
        return following.choose(data.baskets(), plan.speed.rate)
    for basket in data.baskets():
        if plan.follow in (basket.user, basket.user.removeprefix("household-")):
            return basket.user
    raise ConfigError("--follow names a household that is not in this slice of the data: choose another, or --full")


def _ensure_model(settings: Settings, display: Display) -> None:
    if settings.model != HASHING:
        with display.step(f"Making sure of the encoder {settings.model}"):
            locate(settings.model, settings.cache_dir, build=True)


@contextlib.contextmanager
def _shop(broker: Broker, kafka: KafkaSettings) -> Iterator[str]:
    """A shop of this run's own. On a broker that stays, its topics are deleted at the end."""
    if broker.owned:
        yield "demo"  # its directory goes
        return
    shop = f"demo-{secrets.token_hex(4)}"
    try:
        yield shop
    finally:
        asyncio.run(_delete_topics(broker.bootstrap, kafka, shop))


async def _delete_topics(bootstrap: str, kafka: KafkaSettings, shop: str) -> None:
    async with admin.admin_client(bootstrap, kafka) as client:
        # Whatever is named after the shop: the framework's own topics too.
        await client.delete_topics([name for name in await client.list_topics() if shop in name])
