"""The helper for programs in Python, against a real broker: what it sends, what it hands out, and what it remembers."""

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

from streams.client import Answers, Producer, Recommendations, event, question
from streams.core.events import WEIGHTS
from streams.edge import Limits, accept_event, accept_item, accept_question
from streams.engine.effects import Rejection
from streams.errors import ContractError, DataError
from streams.records import Answer, CatalogueItem, Recommendation
from streams.samples import SAMPLES
from streams.settings import Settings
from streams.topics import Topic, Topics

LIMITS = Limits(65_536, 262_144, 86_400_000, WEIGHTS)


async def everything(bootstrap: str, topic: Topic) -> list[object]:
    """All records of a topic, by partition and offset."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[object] = []
        for partition, begin in (await consumer.beginning_offsets(partitions)).items():
            consumer.seek(partition, begin)
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found.extend(records)
    return found


def recommendation(offset: int, **changes: object) -> Recommendation:
    sample = SAMPLES["recommendation"]
    assert isinstance(sample, Recommendation)
    trigger = msgspec.structs.replace(sample.trigger, offset=offset)
    return msgspec.structs.replace(sample, **{"id": f"{offset:032}", "trigger": trigger, **changes})


async def write(bootstrap: str, topic: Topic, *records: tuple[str, msgspec.Struct | bytes | None]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for key, record in records:
            value = msgspec.json.encode(record) if isinstance(record, msgspec.Struct) else record
            await producer.send_and_wait(topic.name, value, key=key.encode())


async def test_what_it_sends_is_what_workers_accept(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    async with Producer(bootstrap, settings.shop) as producer:
        happened = [event("view", user="anna", item="milk", value=None), event("purchase", user="anna", item="milk")]
        await producer.events(*happened, event("search", anonymous_id="cookie", query="tea"))
        await producer.items(CatalogueItem("milk", "Whole milk", price=1.5))
        await producer.delete_items("bread")
        await producer.questions(question("how much is the milk?"), question("and now?", user="anna", id="q1"))
    for topic, accept, keys in (
        (shop_topics.events, accept_event, [b"anna", b"anna", b"cookie"]),
        (shop_topics.catalogue, accept_item, [b"bread", b"milk"]),
    ):
        records = await everything(bootstrap, topic)
        assert sorted(record.key for record in records) == keys  # type: ignore[attr-defined]
        assert not any(isinstance(accept(record, LIMITS), Rejection) for record in records)  # type: ignore[arg-type]
        partitioner, partitions = DefaultPartitioner(), list(range(topic.partitions))
        for record in records:
            assert record.partition == partitioner(record.key, partitions, partitions)  # type: ignore[attr-defined]
    asked = [accept_question(record, LIMITS) for record in await everything(bootstrap, shop_topics.questions)]  # type: ignore[arg-type]
    assert {one[1].text for one in asked if not isinstance(one, Rejection)} == {"how much is the milk?", "and now?"}
    assert len({one.id for one in happened}) == 2


async def test_what_workers_would_refuse_is_not_sent(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    async with Producer(bootstrap, settings.shop) as producer:
        with pytest.raises(DataError, match="record 2 of 2 would be refused: `item` is missing"):
            await producer.events(event("view", user="anna", item="milk"), event("view", user="anna"))
        with pytest.raises(DataError, match="the record has no key"):
            await producer.events(event("view", item="milk"))
        with pytest.raises(DataError, match=r"record 1 of 1 would be refused: .*title"):
            await producer.items(CatalogueItem("milk", ""))
    with pytest.raises(DataError, match="no type of event is called so; there are impression"):
        event("looked", user="anna")
    assert await everything(bootstrap, shop_topics.events) == []


async def test_recommendations_come_once_newest_first_and_are_committed(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    def reader() -> Recommendations:
        return Recommendations(bootstrap, f"{settings.shop}-website", settings.shop)

    first, second = recommendation(1, user="anna"), recommendation(2, user="anna")
    other = recommendation(1, user="anna", policy="other", id="f" * 32)
    await write(
        bootstrap, shop_topics.recommendations, *(("anna", one) for one in (first, first, second, first, other))
    )
    taken: list[str] = []
    async with reader() as recommendations:
        async for one in recommendations:
            taken.append(one.id)
            if one.id == second.id:
                await write(bootstrap, shop_topics.recommendations, ("anna", recommendation(3, user="anna")))
            if one.trigger.offset == 3:
                assert recommendations.latest["anna"].id == one.id
                break
    assert taken == [first.id, second.id, f"{3:032}"]
    await write(bootstrap, shop_topics.recommendations, ("anna", recommendation(4, user="anna")))

    async def end_while_busy() -> None:
        async with reader() as recommendations:
            async for one in recommendations:
                assert one.trigger.offset == 4  # what was taken before was committed
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await end_while_busy()
    await write(bootstrap, shop_topics.recommendations, ("anna", None), ("bert", recommendation(9, user="bert")))
    async with reader() as recommendations:
        seen = []
        async for one in recommendations:
            seen.append(one.trigger.offset)
            if one.user == "bert":
                break
        assert seen.count(4) == 1  # the program ended while it was busy with it


async def test_an_erased_shopper_is_forgotten_and_few_are_remembered(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    topic = shop_topics.recommendations
    await write(
        bootstrap,
        topic,
        ("anna", recommendation(1, user="anna")),
        ("anna", None),
        ("anna", recommendation(2, user="anna")),
    )
    async with Recommendations(bootstrap, f"{settings.shop}-a", settings.shop) as recommendations:
        assert (await anext(recommendations)).trigger.offset == 1
        assert list(recommendations.latest) == ["anna"]
        assert (await anext(recommendations)).trigger.offset == 2
    few = Recommendations(bootstrap, shop=settings.shop, remembered=2)
    assert [few.is_new(recommendation(1, user=name)) for name in ("a", "b", "c", "a")] == [True] * 4
    assert list(few.latest) == ["c", "a"]


async def test_without_a_group_it_reads_from_now_on(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    answer = SAMPLES["answer"]
    assert isinstance(answer, Answer)
    later = msgspec.structs.replace(answer, id="later")
    await write(bootstrap, shop_topics.answers, ("anna", answer))
    async with Answers(bootstrap, shop=settings.shop) as answers:
        await write(bootstrap, shop_topics.answers, ("anna", later), ("anna", later), ("anna", answer))
        assert [(await anext(answers)).id for _ in range(2)] == ["later", answer.id]


async def test_what_is_none_of_the_topic_is_told(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    await write(bootstrap, shop_topics.recommendations, ("anna", b"{}"))
    with pytest.raises(ContractError, match=rf"{shop_topics.recommendations.name}/\d @ 0 is not what this version"):
        async with Recommendations(bootstrap, f"{settings.shop}-b", settings.shop) as recommendations:
            await anext(recommendations)


async def test_it_is_used_in_async_with(bootstrap: str) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Producer(bootstrap).delete_items("milk")
    with pytest.raises(RuntimeError, match="async with"):
        await anext(Answers(bootstrap))
