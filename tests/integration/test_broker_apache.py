"""Apache Kafka as Upwell runs it: settings, restarts, ends. Always the embedded one, whatever the suite runs on."""

import contextlib
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.broker import BrokerKind, java, local, maven, running, state
from streams.broker.local import Where
from streams.broker.process import ProcessId
from streams.errors import BrokerError
from streams.settings import KafkaSettings, Settings
from tests.brokers import PrivateBroker, until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        java.find() is None or not (maven.find_maven() or maven.cached(Settings().cache_dir)),
        reason="no Java 17 with Maven or cached jars",
    ),
]

LONG_AGO_MS = 1_000_000_000_000


@pytest.fixture(scope="module")
def kafka_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    node = PrivateBroker(tmp_path_factory.mktemp("node"), BrokerKind.APACHE_KAFKA)
    yield node
    node.stop()


async def create(bootstrap: str, name: str, **config: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    settings = {key.replace("_", "."): value for key, value in config.items()}
    await client.create_topics([NewTopic(name, 1, 1, topic_configs=settings)])
    await client.close()


async def offsets(bootstrap: str, *topics: str) -> list[tuple[int, int]]:
    """First and next offset of partition 0 of each topic."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        partitions = [TopicPartition(topic, 0) for topic in topics]
        first, following = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        return [(first[partition], following[partition]) for partition in partitions]


async def test_retention_forever_keeps_old_timestamps(kafka_node: PrivateBroker) -> None:
    """The second topic keeps an hour: that it loses records shows that retention ran over both."""
    await create(kafka_node.bootstrap, "forever", retention_ms="-1", segment_bytes="1048576")
    await create(kafka_node.bootstrap, "hour", retention_ms="3600000", segment_bytes="1048576")
    async with AIOKafkaProducer(bootstrap_servers=kafka_node.bootstrap) as producer:
        for topic in ("forever", "hour"):
            for _ in range(4):
                await producer.send_and_wait(topic, bytes(500_000), timestamp_ms=LONG_AGO_MS)

    async def retention_ran() -> bool:
        return (await offsets(kafka_node.bootstrap, "hour"))[0][0] > 0

    await until(retention_ran, seconds=60)
    assert await offsets(kafka_node.bootstrap, "forever") == [(0, 4)]


async def test_asking_for_a_topic_does_not_create_it(kafka_node: PrivateBroker) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_node.bootstrap)
    await client.start()
    (asked,) = await client.describe_topics(["missing"])  # a request that allows creation, as consumers send it
    names = await client.list_topics()
    await client.close()
    assert asked["error_code"] == 3  # UNKNOWN_TOPIC_OR_PARTITION
    assert "missing" not in names


def test_it_listens_on_the_loopback_interface_only(kafka_node: PrivateBroker) -> None:
    assert kafka_node.broker.process is not None
    listening = _listening(kafka_node.broker.process)
    assert len(listening) == 2  # clients, controller
    assert {address for address, _ in listening} == {"0000000000000000FFFF00000100007F"}  # ::ffff:127.0.0.1
    assert int(kafka_node.bootstrap.rpartition(":")[2]) in {port for _, port in listening}


def _listening(process: ProcessId) -> set[tuple[str, int]]:
    """Address (as the kernel prints it) and port of the process's listening sockets; see proc_pid_net(5)."""
    sockets = set()
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the broker opens and closes files all the time
            sockets.add(str(descriptor.readlink()))
    rows = [line.split() for line in Path(f"/proc/{process.pid}/net/tcp6").read_text().splitlines()[1:]]
    return {
        (row[1].split(":")[0], int(row[1].split(":")[1], 16))
        for row in rows
        if row[3] == "0A" and f"socket:[{row[9]}]" in sockets
    }


async def test_what_was_written_is_there_after_a_stop_and_after_a_crash(tmp_path: Path) -> None:
    node = PrivateBroker(tmp_path, BrokerKind.APACHE_KAFKA)
    storage = state.folder(tmp_path) / "apache-kafka" / "log"
    await create(node.bootstrap, "kept")
    formatted = (storage / "meta.properties").read_text()
    async with AIOKafkaProducer(bootstrap_servers=node.bootstrap) as producer:
        await producer.send_and_wait("kept", b"before the stop")
    node.stop()
    assert (storage / ".kafka_cleanshutdown").exists()  # Kafka's own mark of a controlled shutdown

    node.start()
    async with AIOKafkaProducer(bootstrap_servers=node.bootstrap) as producer:
        await producer.send_and_wait("kept", b"before the crash")
    node.kill()
    assert local.find(tmp_path) is None
    assert not (storage / ".kafka_cleanshutdown").exists()

    node.start()
    assert await offsets(node.bootstrap, "kept") == [(0, 2)]
    assert (storage / "meta.properties").read_text() == formatted
    node.stop()


def test_a_broker_that_runs_is_returned_not_started_twice(kafka_node: PrivateBroker) -> None:
    process = kafka_node.broker.process
    again = kafka_node.start()
    assert not again.owned
    assert again.process == process


def test_a_taken_port_is_named_with_the_ways_out(kafka_node: PrivateBroker, tmp_path: Path) -> None:
    port = int(kafka_node.bootstrap.rpartition(":")[2])
    with pytest.raises(BrokerError, match=rf"port {port} .* another Kafka broker answers .* --port") as caught:
        local.start(Where(tmp_path, Settings().cache_dir, port), tied=True)
    assert f"KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:{port}" in str(caught.value)
    assert state.read(tmp_path) is None


def test_storage_of_something_else_is_told_in_kafkas_words(tmp_path: Path) -> None:
    storage = state.folder(tmp_path) / "apache-kafka" / "log"
    storage.mkdir(parents=True)
    (storage / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=MkU3OEVBNTcwNTJENDM2Qk\n")
    with pytest.raises(BrokerError, match=r"(?s)ended while it started.*node id.*apache-kafka\.log"):
        local.start(Where(tmp_path, Settings().cache_dir, kind=BrokerKind.APACHE_KAFKA), tied=True)
    assert local.find(tmp_path) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_it_ends_in_good_order_when_its_owner_dies(tmp_path: Path, number: signal.Signals) -> None:
    with _owner(tmp_path) as owner:
        started = local.find(tmp_path)
        assert started is not None
        assert started.process is not None
        owner.send_signal(number)
    assert owner.returncode == -number
    process = started.process

    async def gone() -> bool:
        return not process.alive()

    await until(gone)
    assert (state.folder(tmp_path) / "apache-kafka" / "log" / ".kafka_cleanshutdown").exists()
    assert local.find(tmp_path) is None


@contextlib.contextmanager
def _owner(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that started a broker for itself and sleeps."""
    command = [sys.executable, "-c", _OWNER, str(home), str(Settings().cache_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        yield owner


_OWNER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from streams.broker import BrokerKind, running
    from streams.settings import KafkaSettings, Settings

    data, cache = map(Path, sys.argv[1:])
    with running(Settings(data_dir=data, cache_dir=cache), KafkaSettings(bootstrap_servers=None),
                 kind=BrokerKind.APACHE_KAFKA):
        print("ready", flush=True)
        time.sleep(300)
    """
)


def test_a_broker_of_another_process_is_left_running(kafka_node: PrivateBroker) -> None:
    assert kafka_node.broker.process is not None
    with running(Settings(data_dir=kafka_node.home), KafkaSettings(bootstrap_servers=None)) as found:
        assert found.bootstrap == kafka_node.bootstrap
        assert not found.owned
    assert kafka_node.broker.process.alive()
