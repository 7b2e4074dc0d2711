"""What a broker is to the rest of Upwell: where it listens, what it is, whose it is."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from streams.broker.process import ProcessId

HOST = "127.0.0.1"
"""Where local brokers listen: nobody else on the network can reach them."""


class BrokerKind(StrEnum):
    """Where the broker comes from."""

    CLUSTER = "cluster"
    """An existing cluster, named by `KAFKA_BOOTSTRAP_SERVERS`."""
    APACHE_KAFKA = "apache-kafka"
    """Apache Kafka (KRaft, one node) on this machine, started by Upwell."""
    NOIDA = "noida-db"
    """The small Kafka-protocol server from PyPI, started by Upwell."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker to connect to.

    `owned` says that whoever got this object started the broker and stops it. `process` and `log` are set for
    brokers on this machine that Upwell started.
    """

    bootstrap: str
    kind: BrokerKind
    owned: bool
    process: ProcessId | None = None
    log: Path | None = None
