"""Dead letters go back once: run twice, by two at a time, interrupted, and past the window of event ids."""

import asyncio
import json
import threading
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerFenced

from streams import changelogs, codecs, follow
from streams.core.profile import Profile
from streams.engine.deadletters import dead_letter
from streams.engine.effects import Record, Rejection, RejectReason
from streams.redrive import REDRIVEN, Fate, earlier
from streams.redriver import Decided, FencedError, Selection, send_back, transactional_id
from streams.settings import KafkaSettings, Settings
from streams.topics import Topic, Topics
from tests.brokers import until
from tests.integration.shopkeeper import Desk, desk, worker
from tests.integration.upwell import upwell
from tests.unit.records import FakeRecord

T0 = 1_700_000_000_000


async def rows(bootstrap: str, changelog: Topic) -> changelogs.Rows:
    async with follow.reader(bootstrap, KafkaSettings()) as consumer:
        return await changelogs.rows_of(consumer, changelog)


async def records(bootstrap: str, topics: Topics) -> list[Record]:
    """Everything on the events topic."""
    async with follow.reader(bootstrap, KafkaSettings()) as consumer:
        topic = topics.events
        return [record async for record in follow.until_now(consumer, topic.name, topic.partitions)]


async def refuse(bootstrap: str, topics: Topics, count: int) -> None:
    """So many events, and a dead letter of each."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5) as producer:
        for number in range(count):
            key, value = f"u{number}".encode(), f"refused {number}".encode()
            at = {"partition": number % 2, "headers": [("trace", b"%d" % number)]}
            future = await producer.send(topics.events.name, value, key, **at)
            sent = await future if number >= count - 2 else None
            record = FakeRecord(key, value, number // 2, topics.events.name, number % 2, headers=at["headers"])
            letter = dead_letter(topics.dlq.name, Rejection(record, RejectReason.HANDLER_ERROR, "a defect"))
            await producer.send(topics.dlq.name, letter.value, letter.key, headers=list(letter.headers))
            assert sent is None or sent.offset == number // 2
        await producer.flush()


async def go_back(bootstrap: str, topics: Topics, settings: Settings, **options: Any) -> list[Decided]:
    return await send_back(bootstrap, KafkaSettings(), topics, transactional_id(settings.shop), Selection(), **options)


def copies(found: list[Record]) -> list[str]:
    return sorted(place for record in found for place in earlier(record.headers))


async def test_once_however_many_run_it_at_once(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    await refuse(bootstrap, shop_topics, 1_200)
    outcomes = await asyncio.gather(
        *(go_back(bootstrap, shop_topics, settings) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(outcome, list | FencedError) for outcome in outcomes), outcomes
    last = await go_back(bootstrap, shop_topics, settings)
    found = await records(bootstrap, shop_topics)
    assert copies(found) == sorted(f"{shop_topics.events.name}/{n % 2}@{n // 2}" for n in range(1_200))
    assert len(found) == 2_400
    assert {decided.fate for decided in await go_back(bootstrap, shop_topics, settings)} == {Fate.REDRIVEN}
    assert len(last) == 1_200


async def test_one_that_is_overtaken_writes_nothing_more(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    await refuse(bootstrap, shop_topics, 1_200)
    overtaking: list[Decided] = []

    def overtake(done: int, total: int) -> None:
        """Another operator begins and ends while the first one is in the middle."""
        assert (done, total) == (500, 1_200)
        other = threading.Thread(
            target=lambda: overtaking.extend(asyncio.run(go_back(bootstrap, shop_topics, settings)))
        )
        other.start()
        other.join()

    with pytest.raises(FencedError, match="took over"):
        await go_back(bootstrap, shop_topics, settings, progress=overtake)
    assert sum(decided.fate is Fate.SEND for decided in overtaking) == 700
    found = await records(bootstrap, shop_topics)
    assert copies(found) == sorted(f"{shop_topics.events.name}/{n % 2}@{n // 2}" for n in range(1_200))
    originals = {(r.partition, r.key, r.value, r.headers[0]) for r in found if not earlier(r.headers)}
    assert {(r.partition, r.key, r.value, r.headers[0]) for r in found if earlier(r.headers)} == originals


async def test_what_one_that_died_had_sent_counts_as_sent(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    """Its transaction is aborted, and workers, who read everything, have the record all the same."""
    await refuse(bootstrap, shop_topics, 4)
    name = shop_topics.events.name
    dead = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=transactional_id(settings.shop))
    await dead.start()
    await dead.begin_transaction()
    mark = [(REDRIVEN, f"{name}/1@0".encode())]
    await dead.send_and_wait(name, b"refused 1", b"u1", partition=1, headers=mark)
    decided = await go_back(bootstrap, shop_topics, settings)
    assert [one.fate for one in decided] == [Fate.SEND, Fate.SEND, Fate.REDRIVEN, Fate.SEND]
    assert copies(await records(bootstrap, shop_topics)) == [f"{name}/0@0", f"{name}/0@1", f"{name}/1@0", f"{name}/1@1"]
    with pytest.raises(ProducerFenced):
        await dead.send_and_wait(name, b"refused 3", b"u3", partition=1, headers=mark)
    await dead.stop()


async def shopping(shop: Desk, first: int, count: int) -> None:
    for number in range(first, first + count):
        event = {"id": f"e{number}", "type": "view", "time": T0 + number, "user": "anna", "item": f"item-{number % 7}"}
        await shop.put(shop.topics.events, "anna", event)


async def test_a_refused_event_counts_once_when_it_is_redriven_twice(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    """The window of event ids is closed in between: only the redrive itself can tell that it was there before."""
    large = {
        "id": "large",
        "type": "purchase",
        "time": T0,
        "user": "anna",
        "item": "drill",
        "attributes": {"x": "y" * 900},
    }
    redrive = "dlq", "redrive", "--reason", "oversize", "--json"
    async with desk(shop_topics, bootstrap) as shop:

        async def profile_at(offset: int) -> Profile:
            found = Profile()

            async def there() -> bool:
                nonlocal found
                (row,) = (await rows(bootstrap, shop_topics.profiles)).values() or (None,)
                found = codecs.decode_profile(row)
                return found.offset == offset

            await until(there)
            return found

        async with worker(settings, bootstrap, UPWELL_MAX_EVENT_BYTES="512"):
            await shopping(shop, 0, 5)
            await shop.put(shop_topics.events, "anna", large)
            await shopping(shop, 5, 5)
            refused = await profile_at(10)
            # Refused again: the copy's letter says where it was first.
            assert json.loads(upwell(settings, bootstrap, *redrive)[1])["send"] == 1

            async def refused_again() -> bool:
                return json.loads(upwell(settings, bootstrap, "dlq", "list", "--json")[1])["total"] == 2

            await until(refused_again)
            shown = upwell(settings, bootstrap, "dlq", "show", "0/1", "--raw")[1]
        place = f"{shop_topics.events.name}/"
        assert f"refused    oversize: {len(json.dumps(large, separators=(',', ':')))} bytes, at most 512" in shown
        assert "before     " + place in shown
        assert '"item":"drill"' in shown
        assert "drill" not in refused.habits

        async with worker(settings, bootstrap):
            dry = json.loads(upwell(settings, bootstrap, *redrive, "--dry-run")[1])
            assert (dry["send"], dry["redriven"]) == (1, 1)
            assert json.loads(upwell(settings, bootstrap, *redrive)[1])["send"] == 1
            await shopping(shop, 10, 80)
            ends = await shop.ends(shop_topics.events)
            once = await profile_at(max(ends.values()))
            assert once.habits["drill"].purchases == 1
            popularity = await rows(bootstrap, shop_topics.trending)
            again = await asyncio.gather(*(asyncio.to_thread(upwell, settings, bootstrap, *redrive) for _ in range(2)))
            assert {code for code, _, _ in again} <= {0, 1}
            assert json.loads(upwell(settings, bootstrap, *redrive)[1])["send"] == 0
            await shopping(shop, 90, 1)
            after = await profile_at(max(ends.values()) + 1)
            assert after.habits == once.habits
            drills = {place: row for place, row in popularity.items() if place[1] == b"drill"}
            assert len(drills) == 1
            assert drills.items() <= (await rows(bootstrap, shop_topics.trending)).items()


async def test_list_show_and_selection(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    assert "No record was refused" in upwell(settings, bootstrap, "dlq", "list")[1]
    await refuse(bootstrap, shop_topics, 3)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(shop_topics.dlq.name, b"\xff\xfe", headers=[("by", b"somebody else")])
    listed = json.loads(upwell(settings, bootstrap, "dlq", "list", "-n", "2", "--json")[1])
    assert (listed["total"], len(listed["newest"])) == (4, 2)
    assert listed["counts"][0] == {"topic": shop_topics.events.name, "reason": "handler-error", "count": 3}
    assert [row["offset"] for row in listed["newest"]] == [3, 2]
    words = upwell(settings, bootstrap, "dlq", "list")[1]
    assert "4 refused records" in words
    assert "a defect" in words
    assert "2 bytes, no JSON" in upwell(settings, bootstrap, "dlq", "show", "0/3")[1]
    assert "(2 bytes, no UTF-8) fffe" in upwell(settings, bootstrap, "dlq", "show", "0/3", "--raw")[1]
    for wrong, code in (("0/4", 5), ("1/0", 5), ("0", 2), ("a/b", 2)):
        assert upwell(settings, bootstrap, "dlq", "show", wrong)[0] == code
    assert upwell(settings, bootstrap, "dlq", "redrive")[0] == 2
    none = json.loads(upwell(settings, bootstrap, "dlq", "redrive", "--reason", "oversize", "--json")[1])
    assert none["selected"] == 0
    out = upwell(settings, bootstrap, "dlq", "redrive", "--from", "1", "--until", "2", "--dry-run")[1]
    assert out == "1 would be sent back\n"
    assert copies(await records(bootstrap, shop_topics)) == []
    assert upwell(settings, bootstrap, "dlq", "redrive", "--from", "1", "--until", "2")[1] == "1 sent back\n"
    assert copies(await records(bootstrap, shop_topics)) == [f"{shop_topics.events.name}/1@0"]
