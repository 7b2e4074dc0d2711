"""The head agent: what it writes and when, once however often it is told, and what a replica makes of it."""

import asyncio
import json
from collections.abc import Sequence

import numpy as np
import pytest

from encoders.hashing import HashingEncoder
from index.exact import ExactIndex
from streams import codecs, headrows
from streams.agents.head import HeadHandler
from streams.agents.neighbours import pair_records
from streams.codecs import DIGEST_SIZE, Embedding
from streams.core import head as heads
from streams.core.cooccurrence import Delta
from streams.core.head import BATCH, ENOUGH, HELD_OUT
from streams.core.policy import Policy
from streams.engine.effects import Batch, Row
from streams.errors import ContractError
from streams.headrows import HeadRow
from streams.inprocess import InProcess
from streams.items import ItemEncoder
from streams.replicas import Immediate, Replica
from streams.shelves import ReplicaIndex
from streams.topics import Topic, item_partition, topics
from tests.unit.records import LIMITS, NOW, FakeRecord

TOPICS = topics("shop", partitions=2)
DIM = 8
NAMES = [f"i{number}" for number in range(60)]
HOME = [name for name in NAMES if item_partition(name, 2) == 0]


async def exact(dim: int) -> ReplicaIndex:
    return Immediate(ExactIndex(dim))


def embedded(replica: Replica, model: str = "m@1", topic: Topic = TOPICS.embeddings) -> None:
    rows = np.random.default_rng(0).standard_normal((len(NAMES), DIM))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    records = [
        FakeRecord(
            name.encode(),
            codecs.encode_embedding(Embedding(0, bytes(DIGEST_SIZE), model, row.astype(np.float16))),
            place,
            topic.name,
        )
        for place, (name, row) in enumerate(zip(NAMES, rows, strict=True))
    ]
    asyncio.run(replica.apply(topic.name, 0, records))


class Desk:
    """A handler over a replica, a row as a table would keep it, and a log of pairs of partition 0."""

    def __init__(self, written: int = 1) -> None:
        self.replica = Replica(TOPICS, exact, LIMITS)
        embedded(self.replica)
        self.handler = HeadHandler(TOPICS.pairs, self.replica, written)
        self.row: bytes | None = None
        self.log: list[FakeRecord] = []

    def append(self, pairs: int, partition: int = 0) -> None:
        """Records of ten deltas each: after `i0`, `i1` came `i2`, and so on."""
        rng = np.random.default_rng(len(self.log))
        for _ in range(pairs // 10):
            chosen = [rng.choice(len(NAMES), 3, replace=False) for _ in range(10)]
            deltas = [Delta(0, NOW, HOME[a % len(HOME)], 1.0, (NAMES[b], NAMES[c]), (1.0, 0.5)) for a, b, c in chosen]
            (output,) = [one for one in pair_records(TOPICS.pairs, 0, deltas) if one.partition == partition]
            self.log.append(FakeRecord(None, output.value, len(self.log), TOPICS.pairs.name, partition))

    def handle(self, start: int = 0, stop: int | None = None) -> Sequence[Row]:
        records = self.log[start:stop]
        effects = asyncio.run(self.handler(Batch(TOPICS.pairs.name, 0, records), lambda table, keys: [self.row]))
        assert (effects.outputs, effects.deltas, effects.rejections) == ([], [], [])
        rows = effects.rows.get("head", [])
        for key, value in rows:
            assert key == headrows.KEY
            self.row = value
        return rows

    @property
    def head(self) -> HeadRow:
        assert self.row is not None
        return headrows.decode(self.row)


def test_a_head_is_written_after_so_many_batches_of_pairs() -> None:
    desk = Desk(written=2)
    desk.append(3 * BATCH)
    assert [len(desk.handle(place, place + 1)) for place in range(len(desk.log))].count(1) == 1
    assert (desk.head.model, desk.head.head.batches) == ("m@1", 2)
    assert desk.head.offset == -(-2 * BATCH // 10) - 1, "the last record that is in it"
    assert desk.head.head.up.any()


def test_what_is_sent_again_is_not_learnt_again() -> None:
    desk = Desk()
    desk.append(2 * BATCH)
    desk.handle()
    once = desk.row
    assert desk.handle() == []
    # Another worker, which has the row alone.
    desk.handler = HeadHandler(TOPICS.pairs, desk.replica, 1)
    assert desk.handle() == []
    assert desk.row == once
    other = Desk()
    other.log = desk.log
    for place in range(len(other.log)):
        other.handle(place, place + 1)
    assert other.head.head.up.tobytes() == headrows.decode(once or b"").head.up.tobytes(), "however it is cut"


def test_a_worker_goes_on_from_the_row_that_another_wrote() -> None:
    one = Desk()
    one.append(6 * BATCH)
    half = len(one.log) // 2
    one.handle(0, half)
    other = HeadHandler(TOPICS.pairs, one.replica, 1)
    mine, one.handler = one.handler, other
    one.handle(half)
    batches = one.head.head.batches
    one.handler = mine
    one.append(2 * BATCH)
    one.handle(half)
    assert one.head.head.batches >= batches + 1
    assert one.head.offset == len(one.log) - 1


def test_what_is_not_at_home_or_has_no_vector_or_no_sense_is_passed_over() -> None:
    desk = Desk()
    strange = [Delta(0, NOW, name, 1.0, ("nobody",), (1.0,)) for name in HOME] * BATCH
    strange += [Delta(0, NOW, HOME[0], 1.0, (), ())]
    for output in pair_records(TOPICS.pairs, 0, strange):
        desk.log.append(FakeRecord(None, output.value, len(desk.log), TOPICS.pairs.name))
    for value in (None, b"", b"\x09", b"\x01 what is this"):
        desk.log.append(FakeRecord(None, value, len(desk.log), TOPICS.pairs.name))
    away = [name for name in NAMES if name not in HOME]
    foreign = [Delta(0, NOW, name, 1.0, (HOME[0],), (1.0,)) for name in away] * BATCH
    for output in pair_records(TOPICS.pairs, 0, foreign):
        desk.log.append(FakeRecord(None, output.value, len(desk.log), TOPICS.pairs.name))
    assert desk.handle() == []


def test_another_model_begins_anew() -> None:
    desk = Desk()
    desk.append(2 * BATCH)
    desk.handle()
    before = desk.head
    desk.replica.shelves.disown()
    assert desk.handle() == [], "nothing serves"
    desk.replica = Replica(TOPICS, exact, LIMITS)
    embedded(desk.replica, "other@1")
    desk.handler = HeadHandler(TOPICS.pairs, desk.replica, 1)
    assert desk.handle() == [], "what the old one saw is over"
    desk.append(BATCH + 10)
    desk.handle()
    assert (desk.head.model, desk.head.head.batches) == ("other@1", 1)
    assert desk.head.offset > before.offset


def test_a_row_is_read_as_it_was_written() -> None:
    desk = Desk()
    desk.append((ENOUGH * HELD_OUT + 1) * BATCH)
    desk.handle()
    row = desk.head
    assert row.head.judged == ENOUGH
    assert headrows.encode(row) == desk.row
    assert (row.head.down.shape, row.head.up.shape) == ((heads.RANK, DIM), (DIM, heads.RANK))
    for value in (b"", b"\x07" + bytes(8), (desk.row or b"")[:-3], (desk.row or b"")[:9] + b"\x90"):
        with pytest.raises(ContractError, match="row of the head"):
            headrows.decode(value)


def told(replica: Replica, partition: int, row: HeadRow | None) -> None:
    value = None if row is None else headrows.encode(row)
    record = FakeRecord(headrows.KEY, value, 0, TOPICS.head.name, partition)
    asyncio.run(replica.apply(TOPICS.head.name, partition, [record]))


def test_a_replica_turns_queries_by_the_heads_of_its_model_that_help() -> None:
    desk = Desk()
    queries = np.eye(DIM, dtype=np.float32)
    untaught = heads.untaught(DIM)
    up = np.random.default_rng(2).standard_normal((DIM, heads.RANK)).astype(np.float32)
    helping = heads.Head(untaught.down, up, untaught.down, up, 30, ENOUGH, 0.2, 0.1)
    assert desk.replica.steered(queries) is queries
    told(desk.replica, 1, HeadRow(5, "other@1", helping))
    assert desk.replica.steered(queries) is queries
    told(desk.replica, 0, HeadRow(5, "m@1", helping))
    turned = desk.replica.steered(queries)
    assert np.abs(turned - queries).max() > 0.1
    assert desk.replica.as_of[f"{TOPICS.head.name}/0"] == 0
    told(desk.replica, 0, None)
    assert desk.replica.steered(queries) is queries


@pytest.mark.parametrize("teaches", [False, True])
def test_in_one_process_it_learns_where_it_is_asked_to(teaches: bool) -> None:
    contract = topics("shop", partitions=1)
    shop = InProcess(contract, Policy(), LIMITS, ItemEncoder(HashingEncoder(dim=32)), teaches=teaches)
    catalogue = [
        FakeRecord(name.encode(), json.dumps({"id": name, "title": name}).encode(), place, contract.catalogue.name)
        for place, name in enumerate(NAMES)
    ]
    events = []
    for number in range(9 * BATCH):
        user = f"u{number % 7}"
        body = {
            "id": f"e{number}", "type": "purchase", "time": NOW + number // 4, "user": user,
            "item": NAMES[number * 7 % len(NAMES)],
        }  # fmt: skip
        events.append(FakeRecord(user.encode(), json.dumps(body).encode(), number, contract.events.name))

    async def run() -> None:
        await shop.apply(contract.catalogue.name, 0, catalogue)
        for start in range(0, len(events), 500):
            await shop.apply(contract.events.name, 0, events[start : start + 500])

    asyncio.run(run())
    found = shop.tables["head"].rows()
    assert len(found) == teaches
    if teaches:
        assert headrows.decode(found[0, headrows.KEY]).head.batches == 8
        assert shop.replica._heads.keys() == {0}
