"""Creates the contract's topics and compares the live ones with it.

Always the whole cluster's metadata is asked for, never a topic by name: some brokers create a topic that is asked for.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from streams.connecting import why_not
from streams.errors import BrokerError, ContractError
from streams.settings import KafkaSettings
from streams.topics import Topic, Topics

T = TypeVar("T")

_REQUEST_MS = 20_000
_CREATED_S = 20.0
_COORDINATED_S = 20.0
_POLL_S = 0.05
_SHOWN = 3
"""Topics that are named of many with the same difference."""


@dataclass(frozen=True, slots=True)
class Created:
    """What `create_topics` did about a topic. `new` is False where it was there already."""

    topic: str
    new: bool


@dataclass(frozen=True, slots=True)
class LiveTopic:
    """A topic as the cluster has it. `config` holds what the cluster tells, which may be nothing."""

    name: str
    partitions: int
    replicas: int
    config: dict[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a live topic is not what the contract says. `setting` is None for a missing topic."""

    topic: str
    setting: str | None
    got: str
    wanted: str

    def __str__(self) -> str:
        if self.setting is None:
            return f"{self.topic} does not exist"
        return f"{self.topic}: {self.setting} {self.got}, wanted {self.wanted}"


@contextlib.asynccontextmanager
async def admin_client(bootstrap: str, kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client.

    Raises:
        BrokerError: nobody answers at `bootstrap`, or it refuses us, or a request fails.
    """
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=_REQUEST_MS, **kafka.client_options())
    started = False
    try:
        await client.start()
        started = True
        yield client
    except (KafkaError, OSError) as error:
        if not started and (reason := await why_not(bootstrap, kafka)):
            raise BrokerError(f"the Kafka at {reason}") from error
        raise BrokerError(
            f"the Kafka at {bootstrap} did not do what was asked ({type(error).__name__}). Is it running, and do "
            "KAFKA_BOOTSTRAP_SERVERS and the other KAFKA_* settings fit it?"
        ) from error
    finally:
        await client.close()


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask about a group until somebody coordinates it: the first such question of all has Kafka make a topic first.

    Raises:
        KafkaError: it is refused for good, or nobody coordinates it in 20 s.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + _COORDINATED_S
    while True:
        try:
            return await ask()
        except KafkaError as error:
            if not error.retriable or loop.time() > end:
                raise
            await asyncio.sleep(_POLL_S)


async def create_topics(bootstrap: str, kafka: KafkaSettings, topics: Topics, replication: int = 1) -> list[Created]:
    """Create what is missing of the contract; on return every partition has a leader.

    A topic that exists is left as it is, whatever it looks like: `check_topics` tells.

    Returns:
        One entry per topic, in the contract's order.

    Raises:
        BrokerError: the cluster cannot be reached, or refuses a topic.
    """
    new = [NewTopic(t.name, t.partitions, replication, topic_configs=t.broker_config()) for t in topics]
    async with admin_client(bootstrap, kafka) as client:
        answer = await client.create_topics(new)
        # (name, error code[, message]), the message from version 1 of the answer on
        refused = {row[0]: (row[1], row[2] if len(row) > 2 else "") for row in answer.topic_errors if row[1]}
        existing = {name for name, (code, _) in refused.items() if code == TopicAlreadyExistsError.errno}
        for name in refused.keys() - existing:
            code, message = refused[name]
            raise BrokerError(f"Kafka refused to create {name}: {message or for_code(code).__name__}")
        # One that was there may be another process's, of a moment ago: wait for it, too, whatever its partitions.
        await _until_led(client, {t.name: 1 if t.name in existing else t.partitions for t in topics})
    return [Created(topic.name, topic.name not in existing) for topic in topics]


async def live_topics(bootstrap: str, kafka: KafkaSettings, names: Iterable[str]) -> dict[str, LiveTopic]:
    """The topics of these names that exist, by name.

    Raises:
        BrokerError: the cluster cannot be reached or does not answer.
    """
    wanted = set(names)
    async with admin_client(bootstrap, kafka) as client:
        described = {
            row["topic"]: row["partitions"] for row in await client.describe_topics() if row["topic"] in wanted
        }
        configs = await _configs(client, described)
    return {
        name: LiveTopic(
            name=name,
            partitions=len(partitions),
            replicas=min((len(partition["replicas"]) for partition in partitions), default=0),
            config=configs.get(name, {}),
        )
        for name, partitions in described.items()
    }


async def check_topics(bootstrap: str, kafka: KafkaSettings, topics: Topics) -> list[Difference]:
    """Compare the live topics with the contract: existence, partitions and every setting it names.

    A setting that the cluster does not tell (noida-db tells few) is passed over.

    Raises:
        BrokerError: the cluster cannot be reached or does not answer.
    """
    live = await live_topics(bootstrap, kafka, (topic.name for topic in topics))
    return [difference for topic in topics for difference in compare(topic, live.get(topic.name))]


def compare(topic: Topic, live: LiveTopic | None) -> list[Difference]:
    """How a live topic (None: it does not exist) differs from the contract."""
    if live is None:
        return [Difference(topic.name, None, "nothing", "a topic")]
    differences = []
    if live.partitions != topic.partitions:
        differences.append(Difference(topic.name, "partitions", str(live.partitions), str(topic.partitions)))
    for setting, wanted in topic.broker_config().items():
        got = live.config.get(setting)
        if got is not None and got != wanted:
            differences.append(Difference(topic.name, setting, got, wanted))
    return differences


async def require_topics(bootstrap: str, kafka: KafkaSettings, topics: Topics) -> None:
    """Insist that the live topics are what the contract says.

    Raises:
        ContractError: naming every difference and what to do.
        BrokerError: the cluster cannot be reached or does not answer.
    """
    if differences := await check_topics(bootstrap, kafka, topics):
        raise ContractError(explain(differences))


def explain(differences: Iterable[Difference]) -> str:
    """Differences in words, with what to do about them."""
    listed = list(differences)
    lines = ["the topics are not what this version expects:", *(f"  {line}" for line in _summed_up(listed))]
    if missing := sum(difference.setting is None for difference in listed):
        other = ", or set UPWELL_SHOP to the shop that there is" if missing > _SHOWN else ""
        lines.append(f"Missing topics: run `upwell topics create`{other}.")
    if any(difference.setting == "partitions" for difference in listed):
        lines.append(
            "Partitions: set UPWELL_PARTITIONS to what the cluster has, or use another UPWELL_SHOP. More partitions "
            "cannot be added to topics in use: keys would move away from their rows."
        )
    if any(difference.setting not in (None, "partitions") for difference in listed):
        lines.append("Settings: change them with your cluster's tools (kafka-configs.sh --alter).")
    return "\n".join(lines)


def _summed_up(listed: Sequence[Difference]) -> Iterator[str]:
    """A line for each difference; what is the same of many topics is one line."""
    alike: dict[tuple[str | None, str, str], list[Difference]] = {}
    for difference in listed:
        alike.setdefault((difference.setting, difference.got, difference.wanted), []).append(difference)
    for same in alike.values():
        if len(same) <= _SHOWN:
            yield from map(str, same)
            continue
        names = f"{', '.join(one.topic for one in same[:_SHOWN])} and {len(same) - _SHOWN} more"
        yield f"{names} do not exist" if same[0].setting is None else str(replace(same[0], topic=names))


async def _configs(client: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    configs: dict[str, dict[str, str]] = {}
    for answer in await client.describe_configs(resources):
        # (error code, message, resource type, name, entries); an entry starts with its name and value
        for _, _, _, name, entries in answer.resources:
            configs[name] = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
    return configs


async def _until_led(client: AIOKafkaAdminClient, partitions: dict[str, int]) -> None:
    """Wait until every partition of these topics has a leader: creation answers before brokers know of it."""
    waiting = dict(partitions)
    try:
        async with asyncio.timeout(_CREATED_S):
            while waiting:
                for row in await client.describe_topics():
                    led = sum(partition["leader"] >= 0 for partition in row["partitions"])
                    if led >= waiting.get(row["topic"], led + 1):
                        del waiting[row["topic"]]
                if waiting:
                    await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise BrokerError(f"Kafka created {', '.join(waiting)}, but no leader came up in {_CREATED_S:.0f} s") from None
