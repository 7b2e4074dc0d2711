"""What `build_app` refuses, and what it tells Faust."""

import dataclasses
from pathlib import Path

import faust
import pytest
from faust.types.auth import AuthProtocol, SASLMechanism
from pydantic import SecretStr

from streams.engine.app import EngineApp, build_app
from streams.errors import ConfigError
from streams.settings import KafkaSettings, SaslMechanism, SecurityProtocol, Settings
from tests.faults.counting import role

PLAIN = KafkaSettings(bootstrap_servers=None, security_protocol=SecurityProtocol.PLAINTEXT)


def build(directory: Path, kafka: KafkaSettings = PLAIN, **changes: object) -> EngineApp:
    settings = Settings(shop="acme", partitions=3, data_dir=directory / "not" / "there", session_timeout_s=8.0)
    return build_app(role("acme", 3), settings, kafka, "one:1,two:2", **changes)  # type: ignore[arg-type]


def test_the_group_is_the_shops_and_the_roles(tmp_path: Path) -> None:
    conf = build(tmp_path, instance_id="worker-7").conf
    assert conf.id == "acme.upwell.counting"
    assert conf.consumer_group_instance_id == "worker-7"
    assert [f"{url.host}:{url.port}" for url in conf.broker] == ["one:1", "two:2"]


def test_what_faust_gets_wrong_for_us(tmp_path: Path) -> None:
    conf = build(tmp_path).conf
    assert conf.broker_session_timeout == 8.0
    assert conf.broker_heartbeat_interval < 8.0 / 3
    assert conf.consumer_auto_offset_reset == "earliest"
    assert (conf.stream_wait_empty, conf.table_standby_replicas, conf.web_enabled) == (False, 0, False)
    assert (conf.topic_allow_declare, conf.topic_disable_leader) == (False, True)


def test_the_changelog_is_the_public_topic(tmp_path: Path) -> None:
    app = build(tmp_path)
    assert app.tables["counts"].changelog == "acme.counts"
    assert app.tables.changelog_topics == {"acme.counts"}


def test_sasl_over_tls(tmp_path: Path) -> None:
    kafka = KafkaSettings(
        security_protocol=SecurityProtocol.SASL_SSL,
        sasl_mechanism=SaslMechanism.SCRAM_SHA_512,
        sasl_username="me",
        sasl_password=SecretStr("secret"),
    )
    credentials = build(tmp_path, kafka).conf.broker_credentials
    assert isinstance(credentials, faust.SASLCredentials)
    assert (credentials.protocol, credentials.mechanism) == (AuthProtocol.SASL_SSL, SASLMechanism.SCRAM_SHA_512)
    assert (credentials.username, credentials.password) == ("me", "secret")
    assert credentials.ssl_context is not None


def test_tls_alone(tmp_path: Path) -> None:
    credentials = build(tmp_path, KafkaSettings(security_protocol=SecurityProtocol.SSL)).conf.broker_credentials
    assert isinstance(credentials, faust.SSLCredentials)
    assert credentials.context is not None


def test_tables_are_partitioned_like_their_source(tmp_path: Path) -> None:
    good = role("acme", 3)
    bad = dataclasses.replace(good, source=dataclasses.replace(good.source, partitions=4))
    with pytest.raises(ConfigError, match=r"acme.counts has 3 partitions and the source acme.in has 4"):
        build_app(bad, Settings(data_dir=tmp_path), PLAIN, "one:1")


def test_what_is_also_read_is_partitioned_like_the_source(tmp_path: Path) -> None:
    good = role("acme", 3)
    other = dataclasses.replace(good.source, name="acme.also")
    app = build_app(dataclasses.replace(good, also=(other,)), Settings(data_dir=tmp_path), PLAIN, "one:1")
    assert app.batch_topics == {"acme.in", "acme.also"}
    bad = dataclasses.replace(good, also=(dataclasses.replace(other, partitions=4),))
    with pytest.raises(ConfigError, match=r"acme.also has 4 partitions and the source acme.in has 3"):
        build_app(bad, Settings(data_dir=tmp_path), PLAIN, "one:1")


def test_a_table_needs_a_changelog_topic(tmp_path: Path) -> None:
    good = role("acme", 3)
    with pytest.raises(ConfigError, match=r"acme.in is not the changelog of a table"):
        build_app(dataclasses.replace(good, tables=(good.source,)), Settings(data_dir=tmp_path), PLAIN, "one:1")


def test_an_unknown_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not known"):
        build(tmp_path, store="rocksdb://?block_cache_size=5")


@pytest.mark.parametrize(("collect_ms", "waits"), [(None, (20, 1)), (200, (200, 65_536))])
def test_a_role_that_collects_lets_the_broker_wait(
    tmp_path: Path, collect_ms: int | None, waits: tuple[int, int]
) -> None:
    collecting = dataclasses.replace(role("acme", 3), collect_ms=collect_ms)
    app = build_app(collecting, Settings(data_dir=tmp_path, fetch_wait_ms=20), PLAIN, "one:1")
    assert (app.fetch_wait_ms, app.fetch_min_bytes) == waits
