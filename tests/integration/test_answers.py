"""Questions on their topic, answers on theirs: a worker with the role on a real broker."""

from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.records import Answer
from streams.settings import Settings
from streams.topics import Topic, Topics
from tests.brokers import until
from tests.integration.shopkeeper import dead_letters, desk, worker

HAMMER = {"id": "claw", "title": "Claw hammer", "price": 24.9, "currency": "EUR", "attributes": {"handle": "hickory"}}
MALLET = {"id": "mallet", "title": "Rubber mallet", "price": 12.5, "currency": "EUR", "attributes": {"colour": "red"}}


def question(name: str, text: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "text": text, "time": 1_700_000_000_000, **more}


async def answers(bootstrap: str, topic: Topic, wanted: int) -> list[tuple[bytes, Answer]]:
    """The first answers on the topic, with their keys."""
    found: list[tuple[bytes, Answer]] = []
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        consumer.assign(partitions)
        for partition, begin in (await consumer.beginning_offsets(partitions)).items():
            consumer.seek(partition, begin)

        async def enough() -> bool:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found.extend((record.key, msgspec.json.decode(record.value, type=Answer)) for record in records)
            return len(found) >= wanted

        await until(enough, 60)
    return found


async def test_questions_are_answered_and_bad_ones_are_dead_letters(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    async with worker(settings, bootstrap, roles="encoder,answers"), desk(shop_topics, bootstrap) as shop:
        for item in (HAMMER, MALLET):
            await shop.put(shop_topics.catalogue, item["id"], item)
        probes: list[Answer] = []

        async def the_replica_has_it() -> bool:
            await shop.put(shop_topics.questions, "probe", question("probe", "show me a rubber mallet"))
            probes[:] = [answer for _, answer in await answers(bootstrap, shop_topics.answers, len(probes) + 1)]
            return bool(probes[-1].exact and probes[-1].items and probes[-1].model)

        await until(the_replica_has_it, 60)
        assert len({answer.id for answer in probes}) == 1  # the same question, the same id
        await shop.put(shop_topics.questions, "anna", {"id": "bad"})
        asked = question("q1", "compare the claw hammer and the rubber mallet", user="anna")
        await shop.put(shop_topics.questions, "anna", asked)
        await shop.put(shop_topics.questions, "q2", question("q2", "橡皮锤多少钱"))

        async def both() -> bool:
            found = {answer.question: (key, answer) for key, answer in await answers(bootstrap, shop_topics.answers, 1)}
            if not {"q1", "q2"} <= found.keys():
                return False
            key, answer = found["q1"]
            assert (key, answer.user, answer.kind) == (b"anna", "anna", "compare")
            assert "Rubber mallet costs less." in answer.text
            assert found["q2"][0] == b"q2"
            assert (found["q2"][1].language, found["q2"][1].exact) == ("zh", False)
            return True

        await until(both, 60)
        (headers,) = await dead_letters(bootstrap, shop_topics)
        assert headers["upwell.reason"] == b"invalid"
        assert headers["upwell.topic"] == shop_topics.questions.name.encode()
