"""A shopper is forgotten, and stays so: whatever comes late, again, or from a replay."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import codecs, erasure
from streams.core.erasure import Erasure, Ledger
from streams.core.policy import Policy
from streams.core.profile import Profile, fold
from streams.edge import ERASE, AcceptedEvent, accept_event, erasure_of
from streams.engine import rows
from streams.engine.effects import Batch, Output
from streams.engine.store import RocksPartition
from streams.replay import Replay
from streams.topics import topics
from tests.unit.records import LIMITS, NOW, FakeRecord, event, item
from tests.unit.shop import TOPICS, Shop

ANNA = b"anna"


def erase(offset: int, user: str = "anna", timestamp: int = NOW) -> FakeRecord:
    return FakeRecord(user.encode(), None, offset, TOPICS.events.name, timestamp=timestamp, headers=((ERASE, b"1"),))


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    shop.catalogue(item("milk", 0), item("bread", 1))
    return shop


def at(timestamp: int, record: FakeRecord) -> FakeRecord:
    return replace(record, timestamp=timestamp)


def _handled(shop: Shop, *records: FakeRecord) -> dict[bytes, bytes]:
    """Rows of profiles after the records."""
    shop._run(shop.profiles, TOPICS.events.name, records)
    return shop.tables["profiles"]


def test_nothing_is_left_of_a_shopper_but_a_keyed_hash(shop: Shop) -> None:
    assert set(_handled(shop, event(0), event(1, user="bert"))) == {ANNA, b"bert"}
    effects = shop._run(shop.profiles, TOPICS.events.name, [erase(2)])
    assert set(shop.tables["profiles"]) == {b"bert"}
    void = TOPICS.recommendations.name, TOPICS.sessions.name
    assert effects.outputs == [Output(topic, ANNA, None, 0) for topic in void]
    assert not effects.rejections
    ((key, row),) = shop.tables["erasures"].items()
    assert codecs.decode_erasure(row) == Erasure(2, NOW)
    assert key == LIMITS.ledger.key("anna")
    for table in shop.tables.values():
        for key, row in table.items():
            assert b"anna" not in key + row


def test_late_and_redelivered_events_bring_nobody_back(shop: Shop) -> None:
    _handled(shop, event(0), event(1), erase(2))
    assert ANNA not in _handled(shop, event(0), event(1))
    assert ANNA not in _handled(shop, at(NOW + 5_000, event(3, time=NOW - 1)))
    assert ANNA not in _handled(shop, at(NOW - 1, event(4, time=NOW + 1)))
    assert ANNA not in _handled(shop, event(0), event(1), erase(2), event(3, time=NOW - 1))
    assert codecs.decode_erasure(shop.tables["erasures"][LIMITS.ledger.key("anna")]) == Erasure(2, NOW)


def test_popularity_keeps_what_was_counted_and_counts_nothing_of_the_erased_anew(shop: Shop) -> None:
    _handled(shop, event(0))
    counted = dict(shop.tables["trending"])
    _handled(shop, erase(1))
    assert shop.tables["trending"] == counted != {}
    rebuilt, together = Shop(), Shop()
    rebuilt.tables["erasures"] = dict(shop.tables["erasures"])  # a reset leaves the ledger
    _handled(rebuilt, event(0), erase(1))
    _handled(together, event(0), erase(1))
    assert (rebuilt.tables["trending"], together.tables["trending"]) == ({}, {})


def test_what_comes_after_is_a_new_shopper(shop: Shop) -> None:
    shop.events(event(0, item="milk"), event(1, item="milk"))
    effects = shop._run(shop.profiles, TOPICS.events.name, [
        event(2, item="milk"), erase(3), at(NOW + 1, event(4, item="bread", time=NOW + 1))
    ])  # fmt: skip
    profile = codecs.decode_profile(shop.tables["profiles"][ANNA])
    assert [interaction.item for interaction in profile.recent] == ["bread"]
    assert (profile.offset, len(profile.seen), set(profile.habits)) == (4, 1, {"bread"})
    assert [output.value is None for output in effects.outputs] == [False, False]
    # The request again, after a crash: the new shopper stays.
    again = _handled(shop, erase(3))
    assert codecs.decode_profile(again[ANNA]) == profile


def test_a_null_event_without_the_header_erases_nobody(shop: Shop) -> None:
    before = dict(_handled(shop, event(0)))
    effects = shop._run(shop.profiles, TOPICS.events.name, [FakeRecord(ANNA, None, 1, TOPICS.events.name)])
    assert [rejection.reason for rejection in effects.rejections] == ["invalid"]
    assert shop.tables["profiles"] == before
    assert erasure_of(event(2), LIMITS) is None
    assert erasure_of(FakeRecord(None, None, 3, headers=((ERASE, b"1"),)), LIMITS) is None
    assert erasure_of(FakeRecord(b"\xff", None, 3, headers=((ERASE, b"1"),)), LIMITS) is None


steps = st.lists(st.tuples(st.sampled_from(["anna", "bert"]), st.booleans(), st.integers(-3, 3)), max_size=12)


@given(steps, st.data())
def test_a_profile_is_the_fold_of_what_came_after(log: list[tuple[str, bool, int]], data: st.DataObject) -> None:
    records = [
        erase(place, user, NOW + 10 * place)
        if erases
        else at(NOW + 10 * place, event(place, user=user, time=NOW + 10 * (place + early)))
        for place, (user, erases, early) in enumerate(log)
    ]
    shop = Shop()
    done = 0
    while done < len(records):
        # Batches of any size, some of them delivered again from an earlier place on.
        size = data.draw(st.integers(1, 4))
        shop._run(shop.profiles, TOPICS.events.name, records[done : done + size])
        done = min(done + size, len(records))
        if data.draw(st.booleans()):
            done = data.draw(st.integers(max(0, done - 3), done))
            if done < len(records):
                shop._run(shop.profiles, TOPICS.events.name, records[done : done + 1])
                done += 1
    for user in ("anna", "bert"):
        mine = [record for record in records if record.key == user.encode()]
        asked = [erasure for record in mine if (erasure := erasure_of(record, LIMITS))]
        erased = asked[-1][1] if asked else Erasure()
        accepted = [accept_event(record, LIMITS) for record in mine if record.value is not None]
        left = [event.arrival for event in accepted if isinstance(event, AcceptedEvent) and not event.erased_by(erased)]
        row = shop.tables["profiles"].get(user.encode())
        assert codecs.decode_profile(row) == fold(Profile(), left)


async def test_a_replay_tells_nothing_of_who_asked_to_be_forgotten() -> None:
    records = [event(0), event(1, user="bert"), erase(2), at(NOW + 9, event(3, time=NOW + 9))]

    async def told(ledger: dict[tuple[int, bytes], bytes]) -> tuple[list[int], str]:
        said: list[int] = []

        async def sink(output: Output) -> None:
            said.append(-1 if output.value is None else json.loads(output.value)["trigger"]["offset"])

        async def units() -> AsyncIterator[list[FakeRecord]]:
            for record in records:
                yield [record]

        replay = Replay(TOPICS, Policy(), LIMITS, sink, None, ledger)
        await replay.run(units(), lambda record: True)
        return said, replay.digests()["profiles"]

    entered = {(0, LIMITS.ledger.key("anna")): codecs.encode_erasure(Erasure(2, NOW))}
    (everything, state), (rest, same) = await told({}), await told(entered)
    assert everything == [0, 1, -1, 3]
    assert rest == [1, 3]
    assert state == same


def test_another_secret_is_another_ledger() -> None:
    assert Ledger(b"one").key("anna") != Ledger(b"two").key("anna")
    assert len(Ledger(b"one").key("anna")) == 32
    assert "one" not in repr(Ledger(b"one"))


def test_the_files_of_the_local_store_forget(tmp_path: Path) -> None:
    shopper = b"anna-5f0e3c7d"
    store = RocksPartition(tmp_path / "0", 8)
    store.write([(b"user-%d" % n, b"x" * 200) for n in range(50)] + [(shopper, b"y" * 200)], 0)
    store._db.flush()
    assert any(shopper in path.read_bytes() for path in tmp_path.rglob("*.sst"))
    store.write([(shopper, None)], 1)
    store.compact()
    store.close()
    # The manifest names the first and the last key of every file there was; it is written anew when a store is opened.
    RocksPartition(tmp_path / "0", 8).close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    found = {path.name for path in files if shopper in path.read_bytes()}
    assert not found
    assert any(b"user-0" in path.read_bytes() for path in files)


async def test_every_partition_is_asked_and_the_receipt_names_nobody() -> None:
    sent: list[Output] = []

    class Publisher:
        async def publish(self, records: Sequence[Output], /) -> dict[tuple[str, int], int]:
            sent.extend(records)
            return {(record.topic, record.partition or 0): 7 + (record.partition or 0) for record in records}

    contract = topics("books", partitions=3)
    receipt = await erasure.erase(Publisher(), contract, Ledger(b"secret"), "anna")
    assert [(record.topic, record.key, record.value, record.partition) for record in sent] == [
        ("books.events.v1", ANNA, None, number) for number in range(3)
    ]
    assert all(record.headers == ((ERASE, b"1"),) for record in sent)
    assert receipt.requested == {"books.events.v1/0": 7, "books.events.v1/1": 8, "books.events.v1/2": 9}
    assert receipt.ledger_key == Ledger(b"secret").key("anna").hex()
    assert "anna" not in repr(receipt)
    assert {fate.place for fate in receipt.fates} >= {"books.profiles.v1", "books.recommendations.v1", "books.dlq.v1"}


def test_a_row_of_the_ledger_says_how_far_it_is() -> None:
    assert rows.source_offset(codecs.encode_erasure(Erasure(9, NOW))) == 9


def test_the_handler_reads_no_ledger_for_nobody(shop: Shop) -> None:
    asked: list[str] = []

    def read(table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        asked.extend([table] * len(keys))
        return [None] * len(keys)

    asyncio.run(shop.profiles(Batch(TOPICS.events.name, 0, [FakeRecord(b"?", b"junk", 0, TOPICS.events.name)]), read))
    assert not asked
