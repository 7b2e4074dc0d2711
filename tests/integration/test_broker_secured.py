"""KAFKA_* settings against a Kafka that wants TLS, passwords, certificates: who is right gets in."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from cryptography.hazmat.primitives import serialization
from pydantic import SecretStr

from streams.admin import check_topics, create_topics
from streams.broker import apache, java, maven, probe
from streams.broker.base import HOST
from streams.broker.local import READY_S, STOP_S, to_stderr
from streams.broker.probe import free_port
from streams.broker.process import spawn
from streams.connecting import why_not
from streams.errors import BrokerError
from streams.records import Recommendation
from streams.settings import KafkaSettings, SaslMechanism, SecurityProtocol, Settings
from streams.topics import topics
from tests.integration.shopkeeper import worker
from tests.integration.test_broker_apache import pytestmark as needs_apache_kafka

pytestmark = needs_apache_kafka

USER, PASSWORD = "shop", "correct-horse"

SECURED = """
listeners=PLAINTEXT://{host}:{plain},SASL_SSL://{host}:{sasl},MUTUAL://{host}:{mutual},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{plain},SASL_SSL://{host}:{sasl},MUTUAL://{host}:{mutual}
controller.quorum.voters=1@{host}:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,MUTUAL:SSL,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
listener.name.mutual.ssl.client.auth=required
"""


@dataclass(frozen=True)
class Certificates:
    """PEM files: our CA and a client that it has signed, with the key; and the same of strangers."""

    ca: Path
    client: Path
    client_key: Path
    other_ca: Path
    stranger: Path
    stranger_key: Path
    server: Path


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    home = tmp_path_factory.mktemp("tls")
    made = Certificates(*(home / name for name in ("ca", "client", "key", "other-ca", "stranger", "its-key", "server")))
    ours, others = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(made.ca)
    others.cert_pem.write_to_path(made.other_ca)
    for authority, certificate, key in (
        (ours, made.client, made.client_key),
        (others, made.stranger, made.stranger_key),
    ):
        issued = authority.issue_cert("shop.example")
        issued.private_key_pem.write_to_path(key)
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    server = ours.issue_cert(HOST)
    # Java reads keys in PKCS #8 alone.
    key = serialization.load_pem_private_key(server.private_key_pem.bytes(), None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made.server.write_bytes(key + b"".join(blob.bytes() for blob in server.cert_chain_pems))
    return made


@dataclass(frozen=True)
class Kafka:
    """host:port of each listener."""

    plain: str
    sasl: str
    mutual: str


@pytest.fixture(scope="module")
def secured(pem: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Apache Kafka with a listener for passwords (PLAIN or SCRAM-SHA-512) over TLS, one for client certificates."""
    home = tmp_path_factory.mktemp("secured")
    runtime = java.find()
    assert runtime is not None
    jars = maven.jars(Settings().cache_dir, to_stderr)
    plain, sasl, mutual = (free_port(HOST) for _ in range(3))
    command = apache.prepare(runtime, jars, home, plain)
    properties = home / "server.properties"
    overrides = SECURED.format(
        host=HOST,
        plain=plain,
        sasl=sasl,
        mutual=mutual,
        controller=free_port(HOST),
        user=USER,
        password=PASSWORD,
        keystore=pem.server,
        truststore=pem.ca,
    )
    properties.write_text(properties.read_text() + overrides)  # the last word on a key counts
    # Kafka keeps SCRAM users in its storage: format it again, with one.
    shutil.rmtree(home / "log")
    scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
    formatted = [*command[:-2], "kafka.tools.StorageTool", "format", "--cluster-id=MkU3OEVBNTcwNTJENDM2Qk"]
    subprocess.run([*formatted, f"--config={properties}", "--add-scram", scram], check=True, capture_output=True)
    process = spawn(command, home / "kafka.log", tied=True)
    deadline = time.monotonic() + READY_S
    while not probe.answers(HOST, plain):
        assert process.alive(), (home / "kafka.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield Kafka(*(f"{HOST}:{port}" for port in (plain, sasl, mutual)))
    process.stop(STOP_S)


def by_password(pem: Certificates, **changes: Any) -> KafkaSettings:
    given = {
        "security_protocol": SecurityProtocol.SASL_SSL,
        "sasl_mechanism": SaslMechanism.SCRAM_SHA_512,
        "sasl_username": USER,
        "sasl_password": SecretStr(PASSWORD),
        "ssl_cafile": pem.ca,
    }
    return KafkaSettings(**(given | changes))


def by_certificate(pem: Certificates, **changes: Any) -> KafkaSettings:
    given = {
        "security_protocol": SecurityProtocol.SSL,
        "ssl_cafile": pem.ca,
        "ssl_certfile": pem.client,
        "ssl_keyfile": pem.client_key,
    }
    return KafkaSettings(**(given | changes))


@pytest.mark.parametrize("way", ["PLAIN", "SCRAM-SHA-512", "certificate"])
async def test_who_is_right_gets_in(secured: Kafka, pem: Certificates, shop: str, way: str) -> None:
    mutual = way == "certificate"
    kafka = by_certificate(pem) if mutual else by_password(pem, sasl_mechanism=SaslMechanism(way))
    bootstrap = secured.mutual if mutual else secured.sasl
    contract = topics(shop, 1)
    await create_topics(bootstrap, kafka, contract)
    assert await check_topics(bootstrap, kafka, contract) == []
    assert await why_not(bootstrap, kafka) is None
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, **kafka.client_options()) as producer:
        await producer.send_and_wait(contract.events.name, b"sealed")
    async with AIOKafkaConsumer(
        contract.events.name, bootstrap_servers=bootstrap, auto_offset_reset="earliest", **kafka.client_options()
    ) as consumer:
        assert (await consumer.getone()).value == b"sealed"


@pytest.mark.parametrize("mutual", [False, True])
async def test_workers_work_sealed(
    secured: Kafka, pem: Certificates, settings: Settings, mutual: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    named = {
        "KAFKA_SSL_CAFILE": pem.ca,
        **(
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CERTFILE": pem.client, "KAFKA_SSL_KEYFILE": pem.client_key}
            if mutual
            else {
                "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                "KAFKA_SASL_USERNAME": USER,
                "KAFKA_SASL_PASSWORD_FILE": password,
            }
        ),
    }
    for name, value in named.items():
        monkeypatch.setenv(name, str(value))
    bootstrap, kafka = secured.mutual if mutual else secured.sasl, KafkaSettings()
    contract = topics(settings.shop, settings.partitions)
    await create_topics(bootstrap, kafka, contract)
    options = {"bootstrap_servers": bootstrap, **kafka.client_options()}
    event = {"id": "e1", "type": "purchase", "time": 1_700_000_000_000, "user": "anna", "item": "milk"}
    async with (
        worker(settings, bootstrap),
        AIOKafkaProducer(**options) as producer,
        AIOKafkaConsumer(contract.recommendations.name, auto_offset_reset="earliest", **options) as consumer,
    ):
        await producer.send_and_wait(contract.events.name, msgspec.json.encode(event), key=b"anna")
        async with asyncio.timeout(60):
            told = await consumer.getone()
    assert msgspec.json.decode(told.value, type=Recommendation).user == "anna"


async def refusal(bootstrap: str, kafka: KafkaSettings) -> str:
    with pytest.raises(BrokerError) as caught:
        await check_topics(bootstrap, kafka, topics("shop", 1))
    assert bootstrap in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_told_and_not_shown(secured: Kafka, pem: Certificates, mechanism: str) -> None:
    wrong = by_password(pem, sasl_mechanism=SaslMechanism(mechanism), sasl_password=SecretStr("wrong-horse"))
    said = await refusal(secured.sasl, wrong)
    assert f"does not let in the user of KAFKA_SASL_USERNAME with this password ({mechanism})" in said
    assert "wrong-horse" not in said


async def test_a_mechanism_that_is_not_offered_is_told(secured: Kafka, pem: Certificates) -> None:
    said = await refusal(secured.sasl, by_password(pem, sasl_mechanism=SaslMechanism.SCRAM_SHA_256))
    assert "does not take KAFKA_SASL_MECHANISM=SCRAM-SHA-256" in said


@pytest.mark.parametrize("other", [False, True])
async def test_a_broker_of_another_ca_is_refused(secured: Kafka, pem: Certificates, other: bool) -> None:
    said = await refusal(secured.sasl, by_password(pem, ssl_cafile=pem.other_ca if other else None))
    assert "shows a certificate that is not trusted" in said
    assert "KAFKA_SSL_CAFILE" in said


async def test_a_broker_of_another_name_is_refused(secured: Kafka, pem: Certificates) -> None:
    said = await refusal(secured.sasl.replace(HOST, "localhost"), by_password(pem))
    assert "Hostname mismatch" in said


@pytest.mark.parametrize("stranger", [False, True])
async def test_a_client_without_a_certificate_of_theirs_is_told(
    secured: Kafka, pem: Certificates, stranger: bool
) -> None:
    given = {"ssl_certfile": pem.stranger, "ssl_keyfile": pem.stranger_key} if stranger else {"ssl_certfile": None}
    said = await refusal(secured.mutual, by_certificate(pem, **given))
    assert "turns our certificate down" in said
    assert "KAFKA_SSL_CERTFILE" in said


async def test_a_protocol_that_is_not_the_ports_is_told(secured: Kafka, pem: Certificates) -> None:
    assert "does not speak TLS there" in await refusal(secured.plain, by_password(pem))
    assert "another KAFKA_SECURITY_PROTOCOL than PLAINTEXT" in await refusal(secured.sasl, KafkaSettings())
