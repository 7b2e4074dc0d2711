"""The broker: an existing cluster, or one that Upwell runs on this machine.

discover.py   which broker to use; `running()` is what demo and tests enter
local.py      start, find, stop the broker of a data directory
state.py      which broker a data directory has, for later commands
apache.py     Apache Kafka: configuration, storage, command line
maven.py      its jars: resolved from kafka-pom.xml, checked against kafka-jars.sha256, cached
java.py       a Java that is new enough
noida.py      the small stand-in
process.py    server processes: spawn, recognise, stop; tether.py ties one to its parent
probe.py      is it ready, in Kafka's own protocol
"""

from streams.broker.base import Broker, BrokerKind
from streams.broker.discover import connect, find, running

__all__ = ["Broker", "BrokerKind", "connect", "find", "running"]
