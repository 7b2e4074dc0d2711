"""Settings from the environment: what is wrong is named, never shown; what is right reaches the Kafka clients."""

import inspect
import os
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from streams import settings
from streams.errors import ConfigError
from streams.settings import ApiSettings, KafkaSettings, Settings

CANARY = "kanarienvogel"
"""Stands for a secret in a value that is wrong: it must never be shown."""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("UPWELL_", "KAFKA_", "XDG_")):
            monkeypatch.delenv(name)


def refused(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The message for an environment that must be refused."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        settings.load()
    message = str(caught.value)
    assert CANARY not in message
    # A traceback must not show pydantic's own message, values and all.
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPWELL_SHOP", f"{CANARY} with spaces"),
        ("UPWELL_SHOP", ""),
        ("UPWELL_PARTITIONS", CANARY),
        ("UPWELL_PARTITIONS", "0"),
        ("UPWELL_REPLICATION", "10"),
        ("UPWELL_RECOMMEND", "-1"),
        ("UPWELL_POLICY", f"{CANARY}/"),
        ("UPWELL_EVENT_WEIGHTS", f'{{"view": "{CANARY}"}}'),
        ("UPWELL_EVENT_WEIGHTS", CANARY),
        ("UPWELL_EVENT_WEIGHTS", "[1]"),
        ("UPWELL_EVENT_WEIGHTS", "[" * 100_000),
        ("UPWELL_MAX_EVENT_BYTES", "1"),
        ("UPWELL_SESSION_TIMEOUT_S", CANARY),
        ("UPWELL_SESSION_TIMEOUT_S", "0.5"),
        ("KAFKA_SECURITY_PROTOCOL", CANARY),
        ("KAFKA_SASL_MECHANISM", CANARY),
    ],
)
def test_a_wrong_value_is_named_not_shown(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"  {name}" in refused({name: value}, monkeypatch)


def test_a_wrong_api_setting_is_named_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPWELL_API_PORT", CANARY)
    monkeypatch.setenv("UPWELL_API_RATE", "0")
    with pytest.raises(ConfigError, match=r"(?s)UPWELL_API_PORT: .*UPWELL_API_RATE: ") as caught:
        settings.load_api()
    assert CANARY not in str(caught.value)


def test_every_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"UPWELL_PARTITIONS": CANARY, "UPWELL_EVENT_WEIGHTS": CANARY, "KAFKA_SECURITY_PROTOCOL": CANARY}
    message = refused(wrong, monkeypatch)
    assert all(f"  {name}: " in message for name in wrong)
    assert len(message.splitlines()) == 1 + len(wrong)


@pytest.mark.parametrize(
    "given", [{}, {"KAFKA_SASL_USERNAME": CANARY}, {"KAFKA_SASL_PASSWORD": CANARY}, {"KAFKA_SASL_PASSWORD": ""}]
)
@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
def test_sasl_without_credentials_names_what_is_missing(
    protocol: str, given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    message = refused({"KAFKA_SECURITY_PROTOCOL": protocol, **given}, monkeypatch)
    for name in ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD", "KAFKA_SASL_PASSWORD_FILE"):
        assert name in message


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "shop"}
    message = refused({**environment, "KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "missing")}, monkeypatch)
    assert "KAFKA_SASL_PASSWORD_FILE cannot be read: No such file" in message
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + CANARY.encode())
    message = refused({**environment, "KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "binary")}, monkeypatch)
    assert message.endswith("KAFKA_SASL_PASSWORD_FILE cannot be read: it is not UTF-8 text")


@pytest.mark.parametrize("name", ["KAFKA_SSL_CAFILE", "KAFKA_SSL_CERTFILE"])
def test_tls_files_that_are_not_there_are_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv(name, str(tmp_path / "missing"))
    _, kafka = settings.load()
    with pytest.raises(ConfigError, match=f"No such file.*{name}"):
        kafka.client_options()


def test_a_key_whose_password_is_not_given_is_refused_without_asking(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("KAFKA_SSL_CERTFILE", str(certificate[0]))
    monkeypatch.setenv("KAFKA_SSL_KEYFILE", str(certificate[1]))
    _, kafka = settings.load()
    with pytest.raises(ConfigError, match="KAFKA_SSL_KEY_PASSWORD"):
        kafka.client_options()


def test_defaults_are_complete() -> None:
    configured, kafka = settings.load()
    assert configured.shop == "shop"
    assert kafka.bootstrap_servers is None
    assert kafka.client_options() == {"security_protocol": "PLAINTEXT"}


def test_directories_follow_xdg_and_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert Settings().data_dir == tmp_path / "state" / "upwell"
    assert Settings().cache_dir == tmp_path / "cache" / "upwell"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPWELL_DATA_DIR", "here")
    assert Settings().data_dir == tmp_path / "here"


def test_every_setting_says_what_it_is() -> None:
    for model in (Settings, KafkaSettings, ApiSettings):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no description"


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sasl_reaches_the_clients(mechanism: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("KAFKA_SASL_MECHANISM", mechanism)
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "shop")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", CANARY)
    _, kafka = settings.load()
    assert kafka.client_options() == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "shop",
        "sasl_plain_password": CANARY,
    }


def test_a_password_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "password"
    secret.write_text(f" {CANARY} \n")
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "shop")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD_FILE", str(secret))
    _, kafka = settings.load()
    assert kafka.client_options()["sasl_plain_password"] == f" {CANARY} "  # only the end of the line goes


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", CANARY)
    monkeypatch.setenv("KAFKA_SSL_KEY_PASSWORD", CANARY)
    _, kafka = settings.load()
    for text in (repr(kafka), str(kafka), kafka.model_dump_json(), f"{kafka.model_dump()}"):
        assert CANARY not in text


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and its key, the key under the password CANARY."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-passout", f"pass:{CANARY}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def test_tls_verifies_against_the_given_ca_and_shows_our_certificate(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("KAFKA_SSL_CAFILE", str(certificate[0]))
    monkeypatch.setenv("KAFKA_SSL_CERTFILE", str(certificate[0]))
    monkeypatch.setenv("KAFKA_SSL_KEYFILE", str(certificate[1]))
    monkeypatch.setenv("KAFKA_SSL_KEY_PASSWORD", CANARY)
    _, kafka = settings.load()
    options = kafka.client_options()
    context = options.pop("ssl_context")
    assert options == {"security_protocol": "SSL"}
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    (trusted,) = context.get_ca_certs()
    assert trusted["subject"] == ((("commonName", "localhost"),),)


def test_without_a_ca_the_systems_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SSL")
    _, kafka = settings.load()
    context = kafka.ssl_context()
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("client", [AIOKafkaProducer, AIOKafkaConsumer, AIOKafkaAdminClient])
def test_every_client_takes_the_options(client: Any) -> None:
    options = KafkaSettings(security_protocol="SASL_SSL", sasl_username="shop", sasl_password=CANARY).client_options()
    assert options.keys() <= inspect.signature(client).parameters.keys()


SECRET_IN_THE_CLEAR = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_USERNAME": "shop",
    "KAFKA_SASL_PASSWORD": CANARY,
}


@pytest.mark.parametrize(
    "brokers", ["kafka.example:9092", "127.0.0.1:9092,10.0.0.7:9092", "192.0.2.1:9092", "localhost.example:1", "::1"]
)
def test_no_password_leaves_the_machine_in_the_clear_unasked(brokers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refused(SECRET_IN_THE_CLEAR | {"KAFKA_BOOTSTRAP_SERVERS": brokers}, monkeypatch)
    assert "use SASL_SSL, or, on a network that you trust, KAFKA_ALLOW_PLAINTEXT_CREDENTIALS=true" in message
    monkeypatch.setenv("KAFKA_ALLOW_PLAINTEXT_CREDENTIALS", "true")
    assert settings.load()[1].allow_plaintext_credentials
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.delenv("KAFKA_ALLOW_PLAINTEXT_CREDENTIALS")
    settings.load()


@pytest.mark.parametrize("brokers", [None, "127.0.0.1:9092", "localhost:9092, 127.0.0.2:9093", "[::1]:9092"])
def test_on_the_loopback_a_password_may_be_in_the_clear(brokers: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SECRET_IN_THE_CLEAR | ({"KAFKA_BOOTSTRAP_SERVERS": brokers} if brokers else {})).items():
        monkeypatch.setenv(name, value)
    assert settings.load()[1].security_protocol == "SASL_PLAINTEXT"
