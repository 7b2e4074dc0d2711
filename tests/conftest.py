"""Fixtures for every test: one broker for the run, and a shop of its own for each test that wants one."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from streams.admin import create_topics
from streams.broker import Broker
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics, topics
from tests import brokers, surroundings

PARTITIONS = 2

surroundings.forget()

# No test asserts a time, and a machine that is busy is no defect of what is tested.
hypothesis_settings.register_profile("upwell", deadline=None)
hypothesis_settings.load_profile("upwell")


@pytest.fixture(scope="session", autouse=True)
def byte_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where Python is told to keep no byte code, what the tests start would compile everything again each time."""
    with pytest.MonkeyPatch.context() as environment:
        if os.environ.get("PYTHONDONTWRITEBYTECODE"):
            environment.delenv("PYTHONDONTWRITEBYTECODE")
            environment.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("byte-code")))
        yield


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker of this run."""
    with brokers.suite_broker(tmp_path_factory.mktemp("broker")) as shared:
        yield shared


@pytest.fixture(scope="session")
def bootstrap(broker: Broker) -> str:
    """host:port of the broker of this run."""
    return broker.bootstrap


@pytest.fixture(scope="session")
def kafka() -> KafkaSettings:
    """How to talk to the broker of this run."""
    return KafkaSettings()


@pytest.fixture
def shop() -> str:
    """A shop nobody else has: its topics and consumer groups are this test's alone."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def settings(shop: str, tmp_path: Path) -> Settings:
    """Settings for this test's shop, with a data directory of its own."""
    return Settings(shop=shop, partitions=PARTITIONS, data_dir=tmp_path / "data")


@pytest.fixture
async def shop_topics(settings: Settings, bootstrap: str, kafka: KafkaSettings) -> Topics:
    """The contract's topics for this test's shop, created."""
    contract = topics(settings.shop, settings.partitions)
    await create_topics(bootstrap, kafka, contract, settings.replication)
    return contract


@pytest.fixture
def private_broker(tmp_path: Path) -> Iterator[brokers.PrivateBroker]:
    """A broker of this test's own, to kill and start again."""
    own = brokers.PrivateBroker(tmp_path / "private")
    yield own
    own.stop()
