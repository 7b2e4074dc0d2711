"""Which broker is used: the order, what is said about it, and who stops it. On noida-db, which starts at once."""

from pathlib import Path

import pytest

from streams.broker import Broker, BrokerKind, connect, find, java, local, maven, noida, running, state
from streams.broker.local import Where
from streams.broker.maven import JarsUnavailableError
from streams.errors import BrokerError
from streams.settings import KafkaSettings, Settings
from tests.unit.test_broker_state import NOBODY

NO_CLUSTER = KafkaSettings(bootstrap_servers=None)
CLUSTER = KafkaSettings(bootstrap_servers="kafka.example:9092")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "find", lambda: None)


def test_an_existing_cluster_comes_first(settings: Settings, told: list[str]) -> None:
    with running(settings, CLUSTER, tell=told.append) as broker:
        assert broker == Broker("kafka.example:9092", BrokerKind.CLUSTER, owned=False)
    assert connect(settings, CLUSTER) == broker
    assert told == []
    assert not settings.data_dir.exists()


def test_a_broker_that_runs_already_is_used_and_left_running(settings: Settings, told: list[str]) -> None:
    where = Where(settings.data_dir, settings.cache_dir, kind=BrokerKind.NOIDA)
    started = local.start(where, tied=True, tell=told.append)
    with running(settings, NO_CLUSTER, tell=told.append) as broker:
        assert broker.process == started.process
        assert not broker.owned
    assert find(settings, NO_CLUSTER) == broker
    assert connect(settings, NO_CLUSTER) == broker
    assert local.stop(settings.data_dir) == broker
    assert find(settings, NO_CLUSTER) is None


def test_without_java_noida_serves_and_says_what_it_cannot_do(
    settings: Settings, told: list[str], no_java: None
) -> None:
    with running(settings, NO_CLUSTER, tell=told.append) as broker:
        assert broker.kind is BrokerKind.NOIDA
        assert broker.owned
        assert broker.process is not None
        assert local.ready(broker)
    assert not broker.process.alive()
    assert state.read(settings.data_dir) is None
    warnings = [line for line in told if "noida-db, not Apache Kafka" in line]
    assert len(warnings) == 1
    assert "\n" not in warnings[0]
    assert "no Java 17 or newer was found" in warnings[0]


def test_without_the_jars_noida_serves_too(
    settings: Settings, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> Path:
        raise JarsUnavailableError("Maven could not bring Apache Kafka's jars: no route to host")

    monkeypatch.setattr(java, "find", lambda: Path("/usr/bin/java"))
    monkeypatch.setattr(maven, "jars", unavailable)
    with running(settings, NO_CLUSTER, tell=told.append) as broker:
        assert broker.kind is BrokerKind.NOIDA
    assert "no route to host" in told[0]


def test_wrong_jars_are_no_reason_to_take_noida(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(*_: object) -> Path:
        raise BrokerError("Maven brought files other than the pinned")

    monkeypatch.setattr(java, "find", lambda: Path("/usr/bin/java"))
    monkeypatch.setattr(maven, "jars", changed)
    with pytest.raises(BrokerError, match="other than the pinned"), running(settings, NO_CLUSTER):
        pass


def test_with_nothing_at_hand_the_three_ways_out_are_named(
    settings: Settings, no_java: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noida, "find", lambda: None)
    with pytest.raises(BrokerError) as caught, running(settings, NO_CLUSTER):
        pass
    message = str(caught.value)
    assert "no Java 17 or newer was found" in message
    for way in ("Java 17", "KAFKA_BOOTSTRAP_SERVERS", "pip install noida-db"):
        assert way in message


def test_one_kind_can_be_insisted_on(settings: Settings, no_java: None) -> None:
    with pytest.raises(BrokerError, match="no Kafka broker can be started here: no Java"):
        local.start(Where(settings.data_dir, settings.cache_dir, kind=BrokerKind.APACHE_KAFKA), tied=True)


def test_where_none_is_wanted_to_start_the_error_says_how(settings: Settings) -> None:
    assert find(settings, NO_CLUSTER) is None
    with pytest.raises(BrokerError, match="upwell broker start"):
        connect(settings, NO_CLUSTER)


def test_what_a_dead_broker_left_behind_is_no_hindrance(settings: Settings, told: list[str]) -> None:
    state.folder(settings.data_dir).mkdir(parents=True)
    left = Broker("127.0.0.1:9092", BrokerKind.APACHE_KAFKA, False, NOBODY, settings.data_dir / "log")
    state.write(settings.data_dir, left)
    with running(settings, NO_CLUSTER, kind=BrokerKind.NOIDA, tell=told.append) as broker:
        assert broker.owned
        assert broker.process != NOBODY


def test_a_broker_that_took_the_place_of_ours_is_left_alone(settings: Settings, told: list[str]) -> None:
    where = Where(settings.data_dir, settings.cache_dir, kind=BrokerKind.NOIDA)
    with running(settings, NO_CLUSTER, kind=BrokerKind.NOIDA, tell=told.append) as ours:
        local.stop(settings.data_dir)
        theirs = local.start(where, tied=True, tell=told.append)
    assert ours.process is not None
    assert not ours.process.alive()
    assert theirs.process is not None
    assert theirs.process.alive()
    local.stop(settings.data_dir)


def test_a_broker_that_dies_at_the_start_gives_its_last_words(
    settings: Settings, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noida, "prepare", lambda *_: ["/bin/sh", "-c", "echo the disk is on fire; exit 1"])
    where = Where(settings.data_dir, settings.cache_dir, kind=BrokerKind.NOIDA)
    with pytest.raises(BrokerError, match=r"(?s)ended while it started.*the disk is on fire.*noida-db\.log"):
        local.start(where, tied=True, tell=told.append)
    assert state.read(settings.data_dir) is None


def test_a_broker_that_never_answers_is_given_up_and_ended(
    settings: Settings, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noida, "prepare", lambda *_: ["/bin/sh", "-c", "echo thinking; exec sleep 300"])
    monkeypatch.setattr(local, "READY_S", 0.5)
    where = Where(settings.data_dir, settings.cache_dir, kind=BrokerKind.NOIDA)
    with pytest.raises(BrokerError, match=r"(?s)did not answer on 127\.0\.0\.1:\d+ within.*thinking"):
        local.start(where, tied=True, tell=told.append)
    assert local.find(settings.data_dir) is None


@pytest.mark.parametrize("port", [1, 65_000])
def test_a_port_that_cannot_be_had_is_named(settings: Settings, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.broker.probe.port_is_free", lambda *_: False)
    where = Where(settings.data_dir, settings.cache_dir, port, BrokerKind.NOIDA)
    with pytest.raises(BrokerError, match=rf"port {port} on 127\.0\.0\.1 cannot be used.*--port"):
        local.start(where, tied=True)
