"""The contract's topics on a live broker: created once, checked, listed."""

import json
from collections.abc import Iterable

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from click.testing import CliRunner, Result

from streams.admin import check_topics, create_topics, live_topics, require_topics
from streams.broker.base import HOST
from streams.broker.probe import free_port
from streams.cli import main
from streams.errors import BrokerError, ContractError
from streams.settings import KafkaSettings, Settings
from streams.topics import Topic, Topics, topics
from tests.brokers import until

pytestmark = pytest.mark.broker


async def test_created_topics_are_as_the_contract_says(
    shop_topics: Topics, bootstrap: str, kafka: KafkaSettings
) -> None:
    assert await check_topics(bootstrap, kafka, shop_topics) == []
    await require_topics(bootstrap, kafka, shop_topics)
    live = await live_topics(bootstrap, kafka, (topic.name for topic in shop_topics))
    assert {name: topic.partitions for name, topic in live.items()} == {
        topic.name: topic.partitions for topic in shop_topics
    }
    assert {topic.replicas for topic in live.values()} == {1}


async def test_creating_again_changes_nothing_and_says_so(
    settings: Settings, bootstrap: str, kafka: KafkaSettings
) -> None:
    contract = topics(settings.shop, settings.partitions)
    first = await create_topics(bootstrap, kafka, contract)
    again = await create_topics(bootstrap, kafka, contract)
    assert [created.topic for created in first] == [topic.name for topic in contract]
    assert all(created.new for created in first)
    assert not any(created.new for created in again)


async def test_only_what_is_missing_is_created(settings: Settings, bootstrap: str, kafka: KafkaSettings) -> None:
    contract = topics(settings.shop, settings.partitions)
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    await client.create_topics([NewTopic(contract.dlq.name, 1, 1, topic_configs=contract.dlq.broker_config())])
    await client.close()
    created = await create_topics(bootstrap, kafka, contract)
    assert [entry.topic for entry in created if not entry.new] == [contract.dlq.name]


async def test_a_topic_that_differs_is_told_apart(settings: Settings, bootstrap: str, kafka: KafkaSettings) -> None:
    contract = topics(settings.shop, settings.partitions)
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    await client.create_topics(
        [
            NewTopic(contract.catalogue.name, settings.partitions, 1, topic_configs={"cleanup.policy": "delete"}),
            NewTopic(contract.events.name, settings.partitions, 1, topic_configs={"retention.ms": "1000"}),
        ]
    )
    await create_topics(bootstrap, kafka, contract)
    await client.create_partitions({contract.profiles.name: NewPartitions(settings.partitions + 1)})
    await client.close()
    wanted = {
        f"{contract.catalogue.name}: cleanup.policy delete, wanted compact",
        f"{contract.events.name}: retention.ms 1000, wanted -1",
        f"{contract.profiles.name}: partitions {settings.partitions + 1}, wanted {settings.partitions}",
    }

    async def all_found() -> bool:  # the new partition takes a moment to be known
        return {str(difference) for difference in await check_topics(bootstrap, kafka, contract)} == wanted

    await until(all_found)
    with pytest.raises(ContractError, match="UPWELL_PARTITIONS"):
        await require_topics(bootstrap, kafka, contract)


async def test_a_topic_kafka_refuses_is_named(settings: Settings, bootstrap: str, kafka: KafkaSettings) -> None:
    contract = topics(settings.shop, settings.partitions)
    with pytest.raises(BrokerError, match=rf"refused to create {settings.shop}\.[\w-]+\.v1"):
        await create_topics(bootstrap, kafka, contract, replication=9)


async def test_nobody_at_the_address_is_an_error_in_words(settings: Settings, kafka: KafkaSettings) -> None:
    nobody = f"{HOST}:{free_port(HOST)}"
    with pytest.raises(BrokerError, match=f"the Kafka at {nobody} .* Is it running"):
        await check_topics(nobody, kafka, topics(settings.shop))


def upwell(*words: str) -> Result:
    return CliRunner().invoke(main, ["topics", *words])


@pytest.fixture
def environment(settings: Settings, bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> Topics:
    """The environment of a person whose shop has no topics yet."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap)
    monkeypatch.setenv("UPWELL_SHOP", settings.shop)
    monkeypatch.setenv("UPWELL_PARTITIONS", str(settings.partitions))
    return topics(settings.shop, settings.partitions)


def summed_up(listed: Iterable[Topic]) -> str:
    """Many topics of which one thing is to be said."""
    names = [topic.name for topic in listed]
    return f"{', '.join(names[:3])} and {len(names) - 3} more"


def test_the_commands_create_list_and_check(environment: Topics) -> None:
    events = environment.events.name
    missing = upwell("check")
    assert missing.exit_code == ContractError.exit_code
    assert f"  {summed_up(environment)} do not exist" in missing.stderr.splitlines()
    assert "upwell topics create" in missing.stderr

    assert f"{events}: created, 2 partitions, keeps forever" in upwell("create").stdout.splitlines()
    assert f"{events}: was there already" in upwell("create").stdout.splitlines()
    assert upwell("check").stdout == f"All {len(list(environment))} topics are as they should be.\n"

    rows = json.loads(upwell("list", "--json").stdout)
    assert [row["topic"] for row in rows] == [topic.name for topic in environment]
    assert all(row["exists"] and row["differences"] == [] for row in rows)
    assert (rows[0]["partitions"], rows[0]["retention_ms"]) == (2, -1)
    table = upwell("list").stdout
    assert all(topic.name in table for topic in environment)


def test_check_fails_on_other_partitions(environment: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    assert upwell("create").exit_code == 0
    monkeypatch.setenv("UPWELL_PARTITIONS", "3")
    for words in ("check", "create"):
        done = upwell(words)
        assert done.exit_code == ContractError.exit_code
        changed = [topic for topic in environment if topic.partitions == 2]
        assert f"  {summed_up(changed)}: partitions 2, wanted 3" in done.stderr.splitlines()


def test_without_a_broker_the_command_says_how_to_get_one(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("UPWELL_DATA_DIR", str(settings.data_dir))
    done = upwell("list")
    assert done.exit_code == BrokerError.exit_code
    assert "upwell broker start" in done.stderr
