"""The cluster: does it answer, are the topics what they should be, and do its clock and ours agree?"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from streams import admin, broker, follow
from streams.clock import now_ms
from streams.doctor.finding import Finding, fail, ok, warn
from streams.errors import BrokerError, ConfigError
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics, topics

CLOCK_WARN_MS, CLOCK_FAIL_MS = 1_000, 60_000
"""Beyond the first, delays that are measured across machines mislead; beyond the second, so do records' timestamps."""

_LOG_APPEND_TIME = 1
_PROBES = 3
_LOOKS, _LOOK_AGAIN_S = 200, 0.05


async def examine_cluster(settings: Settings, kafka: KafkaSettings, *, probe: bool) -> list[Finding]:
    """The broker, and where it answers the topics and the clock."""
    contract = topics(settings.shop, settings.partitions)
    try:
        bootstrap = broker.connect(settings, kafka).bootstrap
        answer, brokers = await _brokers(bootstrap, kafka)
        found = [answer]
    except (BrokerError, ConfigError) as error:
        return [fail("broker", str(error), "upwell config shows the settings that are in force")]
    try:
        found += [finding async for finding in _topics(bootstrap, kafka, contract, brokers)]
        if probe:
            found.append(await _measured(bootstrap, kafka, f"{settings.shop}.upwell.doctor"))
        else:
            found.append(await _seen(bootstrap, kafka, contract))
    except BrokerError as error:
        found.append(fail("broker", str(error), "look at the broker's log; run upwell doctor again"))
    return found


async def _brokers(bootstrap: str, kafka: KafkaSettings) -> tuple[Finding, int]:
    """The finding, and how many brokers there are."""
    async with admin.admin_client(bootstrap, kafka) as client:
        began = time.perf_counter()
        brokers = len((await client.describe_cluster())["brokers"])
        took = 1000 * (time.perf_counter() - began)
    return ok("broker", f"{bootstrap} answers in {took:.0f} ms; {brokers} broker{'s' * (brokers != 1)}"), brokers


async def _topics(bootstrap: str, kafka: KafkaSettings, contract: Topics, brokers: int) -> AsyncIterator[Finding]:
    live = await admin.live_topics(bootstrap, kafka, (topic.name for topic in contract))
    differences = [each for topic in contract for each in admin.compare(topic, live.get(topic.name))]
    for difference in differences:
        yield fail("topics", str(difference), admin.explain([difference]).splitlines()[-1])
    if not differences:
        yield ok("topics", f"all {len(list(contract))} are as the contract says")
    if live:
        yield replication(brokers, min(topic.replicas for topic in live.values()))


def replication(brokers: int, fewest: int) -> Finding:
    """The verdict about the fewest replicas that a topic has, on so many brokers."""
    found = f"every topic has {fewest} or more, on {brokers} broker{'s' * (brokers != 1)}"
    if fewest > 1 or brokers == 1:
        return ok("replicas", found)
    return warn(
        "replicas",
        f"there are topics with one replica, on {brokers} brokers: a disk that is lost takes their records with it",
        "have your cluster's tools make more (kafka-reassign-partitions.sh), and set UPWELL_REPLICATION for new topics",
    )


async def _seen(bootstrap: str, kafka: KafkaSettings, contract: Topics) -> Finding:
    """Without writing: a record of the future says that this clock is behind."""
    newest = 0
    async with follow.reader(bootstrap, kafka) as consumer:
        there = await admin.live_topics(bootstrap, kafka, (topic.name for topic in contract))
        for topic in there.values():
            spans = await follow.whole(consumer, topic.name, topic.partitions)
            last = await follow.last(consumer, spans)
            newest = max([newest, *(record.timestamp for record in last.values())])
    if not newest:
        return ok("clock", "not compared: there is no record yet (--probe measures it)")
    return behind(newest - now_ms())


def behind(ahead_ms: int) -> Finding:
    """The verdict about a newest record that is `ahead_ms` ahead of this clock; below 0 it is of the past."""
    if ahead_ms <= CLOCK_WARN_MS:
        return ok("clock", "no record is of the future (--probe measures it exactly)")
    return (fail if ahead_ms > CLOCK_FAIL_MS else warn)(
        "clock",
        f"the newest record is {ahead_ms / 1000:,.1f} s ahead of this clock",
        "let NTP set the clocks of this machine and of the producers (timedatectl)",
    )


async def _measured(bootstrap: str, kafka: KafkaSettings, name: str) -> Finding:
    """With a record that the broker stamps itself, on a topic that is made for it and deleted."""
    config = {"message.timestamp.type": "LogAppendTime", "retention.ms": "3600000"}
    async with admin.admin_client(bootstrap, kafka) as client:
        await client.create_topics([NewTopic(name, 1, 1, topic_configs=config)])
        try:
            offsets = await _stamped(bootstrap, kafka, name)
        except (KafkaError, OSError) as error:
            return warn("clock", f"no record could be written to {name} ({type(error).__name__})", "look at the ACLs")
        finally:
            await client.delete_topics([name])
            await _until_gone(client, name)
    return skew(offsets)


async def _stamped(bootstrap: str, kafka: KafkaSettings, topic: str) -> list[tuple[float, float]]:
    """How far the broker's clock was ahead of ours, with the error of either sign, in milliseconds; a few times."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", **kafka.client_options())
    await producer.start()
    found = []
    try:
        for _ in range(_PROBES):
            sent = time.time_ns() / 1e6
            stamp = await producer.send_and_wait(topic, b"upwell doctor")
            received = time.time_ns() / 1e6
            if stamp.timestamp_type == _LOG_APPEND_TIME:
                found.append((stamp.timestamp - (sent + received) / 2, (received - sent) / 2))
    finally:
        await producer.stop()
    return found


def skew(measured: Iterable[tuple[float, float]]) -> Finding:
    """The verdict about measurements of (broker's clock − ours, error) in milliseconds: the sharpest one counts."""
    best = min(measured, key=lambda one: one[1], default=None)
    if best is None:
        return warn("clock", "not measured: this broker does not stamp records", "compare the clocks by hand: date")
    ahead, error = best
    found = f"the broker's clock is {abs(ahead):,.0f} ms {'ahead of' if ahead >= 0 else 'behind'} ours (± {error:.0f})"
    if abs(ahead) - error <= CLOCK_WARN_MS:
        return ok("clock", found)
    advice = "let NTP set both clocks (timedatectl)"
    return (fail if abs(ahead) - error > CLOCK_FAIL_MS else warn)("clock", found, advice)


async def _until_gone(client: AIOKafkaAdminClient, topic: str) -> None:
    """Wait until nobody knows the topic any more, so that the next run does not meet it."""
    for _ in range(_LOOKS):
        if topic not in await client.list_topics():
            return
        await asyncio.sleep(_LOOK_AGAIN_S)
