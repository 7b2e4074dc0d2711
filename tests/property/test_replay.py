"""A replay is a function of what is on the topics: twice the same, however it was cut, and what a worker holds."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.hashing import HashingEncoder
from streams import codecs
from streams.core import profile, trending
from streams.core.policy import Policy
from streams.core.profile import Profile
from streams.core.trending import Popularity
from streams.edge import AcceptedEvent, accept_event
from streams.engine.effects import Output, Record
from streams.items import ItemEncoder
from streams.replay import Replay, Unit, baskets, in_order, singly
from streams.topics import topics
from tests.unit.records import LIMITS, NOW, FakeRecord

TOPICS = topics("shop", partitions=2)
ITEMS = ["milk", "oat milk", "cheese", "hammer"]
Partition = list[FakeRecord]


async def each(records: Sequence[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record


async def given_units(units: Sequence[Unit]) -> AsyncIterator[Unit]:
    for unit in units:
        yield unit


@st.composite
def partitions(draw: st.DrawFn) -> list[Partition]:
    """The catalogue and two partitions of events: bad records, duplicates of ids, clocks that go backwards."""
    clock = st.integers(NOW, NOW + 20)
    catalogue = [
        FakeRecord(
            name.encode(), json.dumps({"id": name, "title": name}).encode(), offset, TOPICS.catalogue.name, 0, at
        )
        for offset, (name, at) in enumerate(draw(st.lists(st.tuples(st.sampled_from(ITEMS), clock), max_size=6)))
    ]
    events = []
    for number, users in enumerate((["anna", "bert"], ["cleo"])):
        log = []
        for offset in range(draw(st.integers(0, 12))):
            user, kind = draw(st.sampled_from(users)), draw(st.sampled_from(["purchase", "view", "dislike"]))
            body = {
                "id": f"e{draw(st.integers(0, 30))}", "type": kind, "time": NOW + draw(st.integers(0, 3)),
                "user": user, "item": draw(st.sampled_from(ITEMS)),
            }  # fmt: skip
            value = b"}" if draw(st.integers(0, 9)) == 0 else json.dumps(body).encode()
            log.append(FakeRecord(user.encode(), value, offset, TOPICS.events.name, number, draw(clock)))
        events.append(log)
    return [catalogue, *events]


async def replayed(streams: Sequence[AsyncIterator[Unit]], start: int = 0) -> tuple[Replay, list[Output]]:
    said: list[Output] = []

    async def sink(output: Output) -> None:
        said.append(output)

    replay = Replay(TOPICS, Policy(size=3), LIMITS, sink, ItemEncoder(HashingEncoder(dim=32)))
    await replay.run(in_order(streams), lambda record: record.offset >= start)
    return replay, said


def as_baskets(log: list[Partition], *, every_event: bool = False) -> list[AsyncIterator[Unit]]:
    catalogue, *events = log
    return [singly(each(catalogue)), *(baskets(each(records), every_event=every_event) for records in events)]


def oracle(log: list[Partition]) -> tuple[dict[tuple[int, bytes], bytes], dict[tuple[int, bytes], bytes]]:
    """Profile and popularity rows, folded event by event."""
    people: dict[tuple[int, bytes], Profile] = {}
    sums: dict[tuple[int, bytes], Popularity] = {}
    for record in (record for records in log[1:] for record in records):
        accepted = accept_event(record, LIMITS)
        if isinstance(accepted, AcceptedEvent):
            who, arrival = (record.partition, accepted.shopper.encode()), accepted.arrival
            before = people.get(who, Profile())
            for fresh in profile.fresh(before, [arrival]):
                if fresh.interaction is not None and fresh.interaction.weight > 0:
                    what = record.partition, fresh.interaction.item.encode()
                    found = profile.absorbed(before, [fresh], fresh.offset).discoveries
                    sums[what] = trending.fold(sums.get(what, Popularity()), [fresh], found)
            people[who] = profile.fold(before, [arrival])
    return (
        {who: codecs.encode_profile(row) for who, row in people.items()},
        {what: codecs.encode_popularity(row) for what, row in sums.items()},
    )


@settings(max_examples=30, deadline=None)
@given(partitions(), st.booleans())
def test_twice_gives_the_same(log: list[Partition], every_event: bool) -> None:
    one, said = asyncio.run(replayed(as_baskets(log, every_event=every_event)))
    two, again = asyncio.run(replayed(as_baskets(log, every_event=every_event)))
    assert said == again
    assert one.digests() == two.digests()
    assert one.recommendations == len(said)
    assert (one.tables["profiles"].rows(), one.tables["trending"].rows()) == oracle(log)


@settings(max_examples=30, deadline=None)
@given(partitions(), st.randoms(use_true_random=False), st.integers(0, 12))
def test_however_it_is_cut_and_wherever_it_begins_to_speak_the_rows_are_the_same(
    log: list[Partition], chance: random.Random, start: int
) -> None:
    def cut(records: Partition) -> AsyncIterator[Unit]:
        places = sorted(chance.sample(range(1, len(records)), chance.randrange(len(records)))) if records else []
        ends = [*places, len(records)]
        return given_units([records[a:b] for a, b in zip([0, *places], ends, strict=True) if a < b])

    replay, _ = asyncio.run(replayed([cut(records) for records in log], start))
    assert (replay.tables["profiles"].rows(), replay.tables["trending"].rows()) == oracle(log)


@settings(max_examples=30, deadline=None)
@given(partitions(), st.integers(0, 12))
def test_what_is_said_from_somewhere_on_is_what_was_said_there(log: list[Partition], start: int) -> None:
    _, whole = asyncio.run(replayed(as_baskets(log)))
    _, tail = asyncio.run(replayed(as_baskets(log), start))
    assert tail == [output for output in whole if json.loads(output.value or b"")["trigger"]["offset"] >= start]


@settings(max_examples=50, deadline=None)
@given(partitions())
def test_ids_depend_on_the_partition_of_the_events_alone(log: list[Partition]) -> None:
    def ids(said: list[Output]) -> set[str]:
        return {json.loads(output.value or b"")["id"] for output in said}

    _, whole = asyncio.run(replayed(as_baskets(log)))
    apart: set[str] = set()
    for events in log[1:]:
        _, part = asyncio.run(replayed(as_baskets([[], events])))
        apart |= ids(part)
    assert ids(whole) == apart


@settings(max_examples=100)
@given(partitions())
def test_order_is_by_time_where_clocks_are_right_and_never_breaks_a_partition(log: list[Partition]) -> None:
    async def run(streams: list[Partition]) -> list[Record]:
        return [unit[0] async for unit in in_order([singly(each(records)) for records in streams])]

    mixed = asyncio.run(run(log))
    for records in log:
        ours = [r for r in mixed if records and (r.topic, r.partition) == (records[0].topic, records[0].partition)]
        assert ours == records
    assert asyncio.run(run(log[::-1])) == mixed
    right = [
        [replace(r, timestamp=at) for r, at in zip(records, sorted(r.timestamp for r in records), strict=True)]
        for records in log
    ]
    expected = sorted(chain(*right), key=lambda r: (r.timestamp, r.topic, r.partition, r.offset))
    assert asyncio.run(run(right)) == expected


def test_a_basket_brings_one_recommendation_and_every_event_its_own() -> None:
    def line(offset: int, user: str, time: int) -> FakeRecord:
        body = {"id": f"e{offset}", "type": "purchase", "time": NOW + time, "user": user, "item": "milk"}
        return FakeRecord(user.encode(), json.dumps(body).encode(), offset, TOPICS.events.name)

    log = [[], [line(0, "anna", 1), line(1, "anna", 1), line(2, "bert", 1), line(3, "anna", 1), line(4, "anna", 2)]]

    def offsets(said: list[Output]) -> list[int]:
        return [json.loads(output.value or b"")["trigger"]["offset"] for output in said]

    assert offsets(asyncio.run(replayed(as_baskets(log)))[1]) == [1, 2, 3, 4]
    assert offsets(asyncio.run(replayed(as_baskets(log, every_event=True)))[1]) == [0, 1, 2, 3, 4]
