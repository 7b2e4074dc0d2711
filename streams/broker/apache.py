"""Apache Kafka as one process: KRaft, broker and controller in one node, on the loopback interface.

data_dir/server.properties   rewritten at every start
data_dir/log/                formatted once, then Kafka's own
data_dir/kafka.log           what Kafka prints
"""

import base64
import subprocess
import uuid
from pathlib import Path

from streams.broker.base import HOST
from streams.broker.probe import free_port
from streams.errors import BrokerError

_HEAP = ("-Xms96m", "-Xmx512m")
# The class archive, the serial collector and the first compiler only: a broker for one machine starts in
# seconds and leaves the cores to the workers.
_JVM = (
    "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)  # fmt: skip
_FORMAT_TIMEOUT_S = 120

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={log_dir}

# A consumer's first look must not create a topic with the wrong number of partitions.
auto.create.topics.enable=false

# One node: nothing to replicate to, nobody to wait for.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0

# After a crash the controller takes the broker back only when its last session has run out (default 9 s).
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500

# Small machine, small data: few threads, a small cleaner, and both cleaner and retention look often.
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.backoff.ms=1000
log.retention.check.interval.ms=10000
log.initial.task.delay.ms=5000
"""


def prepare(java: Path, jars: Path, data_dir: Path, port: int) -> list[str]:
    """Write the configuration, format the storage if that was not done, and return the command that serves.

    Raises:
        BrokerError: the storage could not be formatted.
    """
    log_dir = data_dir / "log"
    properties = data_dir / "server.properties"
    data_dir.mkdir(parents=True, exist_ok=True)
    text = _PROPERTIES.format(host=HOST, port=port, controller_port=free_port(HOST), log_dir=log_dir)
    properties.write_text(text)
    jvm = [str(java), *_HEAP, *_JVM, "-cp", f"{jars}/*"]
    if not (log_dir / "meta.properties").exists():
        _format([*jvm, "kafka.tools.StorageTool"], properties)
    return [*jvm, "kafka.Kafka", str(properties)]


def _format(tool: list[str], properties: Path) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = [*tool, "format", "--ignore-formatted", f"--cluster-id={cluster}", f"--config={properties}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise BrokerError(f"Apache Kafka did not format its storage within {_FORMAT_TIMEOUT_S} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise BrokerError(
            f"Apache Kafka could not format {properties.parent}: {said[-1] if said else 'no reason given'}"
        )
