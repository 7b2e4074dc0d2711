"""KAFKA_* settings against a Kafka that wants TLS and a password: what is right gets in, what is wrong does not."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import SecretStr

from streams.admin import check_topics, create_topics
from streams.broker import apache, java, maven, probe
from streams.broker.base import HOST
from streams.broker.local import READY_S, STOP_S, to_stderr
from streams.broker.probe import free_port
from streams.broker.process import spawn
from streams.errors import BrokerError
from streams.settings import KafkaSettings, SaslMechanism, SecurityProtocol, Settings
from streams.topics import topics
from tests.integration.test_broker_apache import pytestmark as needs_apache_kafka

pytestmark = needs_apache_kafka

USER, PASSWORD = "shop", "correct-horse"

SECURED = """
listeners=PLAINTEXT://{host}:{plain},SASL_SSL://{host}:{secured},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{plain},SASL_SSL://{host}:{secured}
controller.quorum.voters=1@{host}:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that is its own CA; its key is beside it."""
    home = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "1", "-subj", "/CN=kafka"]
    command += ["-addext", f"subjectAltName=IP:{HOST}", "-keyout", str(home / "key"), "-out", str(home / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    return home / "cert"


@pytest.fixture(scope="module")
def secured(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a TLS listener that wants a password: PLAIN or SCRAM-SHA-512."""
    home = tmp_path_factory.mktemp("secured")
    runtime = java.find()
    assert runtime is not None
    jars = maven.jars(Settings().cache_dir, to_stderr)
    keystore = home / "keystore.pem"
    keystore.write_text(certificate.with_name("key").read_text() + certificate.read_text())
    plain, port = free_port(HOST), free_port(HOST)
    command = apache.prepare(runtime, jars, home, plain)
    properties = home / "server.properties"
    overrides = SECURED.format(
        host=HOST,
        plain=plain,
        secured=port,
        controller=free_port(HOST),
        user=USER,
        password=PASSWORD,
        keystore=keystore,
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
    yield f"{HOST}:{port}"
    process.stop(STOP_S)


def settings_for(certificate: Path, mechanism: str, password: str = PASSWORD) -> KafkaSettings:
    return KafkaSettings(
        security_protocol=SecurityProtocol.SASL_SSL,
        sasl_mechanism=SaslMechanism(mechanism),
        sasl_username=USER,
        sasl_password=SecretStr(password),
        ssl_cafile=certificate,
    )


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_the_right_password_gets_in(secured: str, certificate: Path, shop: str, mechanism: str) -> None:
    kafka = settings_for(certificate, mechanism)
    contract = topics(shop, 1)
    await create_topics(secured, kafka, contract)
    assert await check_topics(secured, kafka, contract) == []
    async with AIOKafkaProducer(bootstrap_servers=secured, **kafka.client_options()) as producer:
        await producer.send_and_wait(contract.events.name, b"sealed")
    async with AIOKafkaConsumer(
        contract.events.name, bootstrap_servers=secured, auto_offset_reset="earliest", **kafka.client_options()
    ) as consumer:
        assert (await consumer.getone()).value == b"sealed"


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_refused_and_not_shown(
    secured: str, certificate: Path, shop: str, mechanism: str
) -> None:
    with pytest.raises(BrokerError, match="KAFKA_") as caught:
        await check_topics(secured, settings_for(certificate, mechanism, "wrong-horse"), topics(shop, 1))
    assert "wrong-horse" not in str(caught.value)


async def test_a_broker_of_another_ca_is_refused(secured: str, shop: str, certificate: Path) -> None:
    stranger = settings_for(certificate, "PLAIN").model_copy(update={"ssl_cafile": None})
    with pytest.raises(BrokerError, match="KAFKA_"):
        await check_topics(secured, stranger, topics(shop, 1))
