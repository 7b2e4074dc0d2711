"""The committer with plain objects: the order of effects, bisecting, waiting out trouble, epochs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import pytest

from streams.engine.commit import Committer
from streams.engine.effects import Batch, Effects, Output, Reader, Rejection, RejectReason, Row
from streams.engine.publisher import PublishError, TooLargeError, TopicPartition
from streams.engine.rows import TOMBSTONE_HEADER
from streams.engine.stats import Stats
from streams.engine.store import StoreError
from tests.unit.records import FakeRecord

SECRET = "anna@example.org"

IN_ORDER = ["publish dlq", "publish counts deltas out", "publish counts", "store", "store"]


class Bench:
    """A committer whose world is lists. `happened` is what became durable, in order."""

    def __init__(self, handler: Callable[[Batch, Reader], Awaitable[Effects]], burials: int = 100) -> None:
        self.happened: list[str] = []
        self.published: list[Output] = []
        self.rows: dict[bytes, bytes | None] = {}
        self.troubles: list[Exception] = []
        self.seen_trouble: list[str | None] = []
        self.epoch_lasts = True
        self.largest = 1_000_000
        self.changelog = "counts"
        self.stats = Stats("test")
        self.committer = Committer(
            handler, {"a": self, "b": self}, "dlq", self.publish, self.stats, self.pause, burials
        )

    async def commit(self, *records: FakeRecord) -> bool:
        return await self.committer.commit(Batch("in", 3, records), lambda: self.epoch_lasts)

    async def publish(self, records: Sequence[Output]) -> dict[TopicPartition, int]:
        if self.troubles:
            raise self.troubles.pop(0)
        if any(len(record.value or b"") > self.largest for record in records):
            raise TooLargeError("too large")
        self.published += records
        self.happened.append("publish " + " ".join(dict.fromkeys(record.topic for record in records)))
        return {(record.topic, 3): 7 for record in records}

    def get(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        assert partition == 3
        return [self.rows.get(key) for key in keys]

    def write(self, partition: int, rows: Sequence[Row], changelog_offset: int) -> None:
        assert (partition, changelog_offset) == (3, 7)
        self.rows.update(rows)
        self.happened.append("store")

    async def pause(self, seconds: float) -> None:
        self.seen_trouble.append(self.stats.trouble)


def records(count: int) -> list[FakeRecord]:
    return [FakeRecord(b"k", b"v%d" % offset, offset) for offset in range(count)]


async def everything(batch: Batch, read: Reader) -> Effects:
    return Effects(
        deltas=[Output("deltas", b"k", b"+1")],
        rows={"a": [(b"k", b"row")], "b": [(b"l", None)]},
        outputs=[Output("out", b"k", b"v", 3)],
        rejections=[Rejection(batch.records[0], RejectReason.INVALID, "why")],
    )


async def fails_on_seven(batch: Batch, read: Reader) -> Effects:
    if any(record.value == b"v7" for record in batch.records):
        raise ValueError(SECRET)
    (before,) = read("a", [b"k"])
    return Effects(rows={"a": [(b"k", (before or b"") + b"".join(r.value[1:] for r in batch.records if r.value))]})


async def test_effects_come_true_in_their_order() -> None:
    bench = Bench(everything)
    assert await bench.commit(*records(2))
    assert bench.happened == IN_ORDER
    assert (bench.stats.batches, bench.stats.records, bench.stats.rows, bench.stats.outputs) == (1, 2, 2, 1)
    assert bench.stats.rejected == {RejectReason.INVALID: 1}


async def test_the_last_table_goes_out_after_all_others_even_if_it_has_no_rows_this_time() -> None:
    async def handler(batch: Batch, read: Reader) -> Effects:
        return Effects(rows={"a": [(b"k", b"row")], "b": []}, outputs=[Output("out", b"k", b"v", 3)])

    bench = Bench(handler)
    assert await bench.commit(*records(1))
    assert bench.happened == ["publish counts out", "store"]


async def test_one_table_and_its_outputs_go_out_together() -> None:
    async def handler(batch: Batch, read: Reader) -> Effects:
        return Effects(rows={"a": [(b"k", b"row")]}, outputs=[Output("out", b"k", b"v", 3)])

    bench = Bench(handler)
    assert await bench.commit(*records(1))
    assert bench.happened == ["publish counts out", "store"]


@pytest.mark.parametrize("tables", [["a"], ["a", "b"]])
async def test_rows_are_kept_where_an_output_is_too_large(tables: list[str]) -> None:
    """A changelog must not have what its store has not, when the record is refused in the end."""

    async def handler(batch: Batch, read: Reader) -> Effects:
        return Effects(rows={table: [(b"k", b"row")] for table in tables}, outputs=[Output("out", b"k", bytes(101), 3)])

    bench = Bench(handler)
    bench.largest = 100
    assert await bench.commit(*records(1))
    assert bench.happened == ["publish counts" for _ in tables] + ["store" for _ in tables] + ["publish dlq"]
    assert bench.stats.outputs == 0


async def test_partitions_are_committed_beside_each_other() -> None:
    both = asyncio.Barrier(2)

    async def handler(batch: Batch, read: Reader) -> Effects:
        await both.wait()
        return Effects()

    bench = Bench(handler)
    batches = (Batch("in", partition, records(1)) for partition in (0, 1))
    async with asyncio.timeout(5):
        assert all(await asyncio.gather(*(bench.committer.commit(batch, lambda: True) for batch in batches)))
    assert bench.stats.records == 2


async def test_trouble_lasts_until_it_is_over_for_every_partition() -> None:
    stats = Stats("test")
    stats.tell("one", "no room")
    stats.tell("two", "no broker")
    assert stats.trouble == "no room; no broker"
    stats.tell("one", None)
    assert (stats.trouble, stats.healthy) == ("no broker", False)
    stats.tell("two", None)
    stats.tell("two", None)
    assert (stats.trouble, stats.healthy) == (None, True)


async def test_a_handler_that_fails_on_everything_empties_no_topic() -> None:
    works = False

    async def handler(batch: Batch, read: Reader) -> Effects:
        if not works:
            raise ModuleNotFoundError(SECRET)
        return Effects(rows={"a": [(b"k", batch.records[-1].value)]})

    async def pause(seconds: float) -> None:
        nonlocal works
        assert [record.value for record in bench.published] == [b"v0", b"v1", b"v2"]
        bench.seen_trouble.append(bench.stats.trouble)
        works = len(bench.seen_trouble) == 2

    bench = Bench(handler, burials=3)
    bench.committer._pause = pause
    assert await bench.commit(*records(8))
    assert len(bench.seen_trouble) == 2
    assert bench.seen_trouble[0] is not None
    assert "failed on 4 records in a row, at last with ModuleNotFoundError" in bench.seen_trouble[0]
    assert SECRET not in bench.seen_trouble[0]
    assert bench.rows == {b"k": b"v7"}
    assert bench.stats.rejected == {RejectReason.HANDLER_ERROR: 3}
    assert bench.stats.healthy


async def test_records_that_are_handled_in_between_reset_the_count() -> None:
    async def handler(batch: Batch, read: Reader) -> Effects:
        if any(record.offset % 2 for record in batch.records):
            raise ValueError
        return Effects()

    bench = Bench(handler, burials=1)
    assert await bench.commit(*records(64))
    assert bench.stats.rejected == {RejectReason.HANDLER_ERROR: 32}
    assert bench.seen_trouble == []


async def test_waiting_for_a_handler_ends_with_the_epoch() -> None:
    async def handler(batch: Batch, read: Reader) -> Effects:
        raise ValueError

    async def pause(seconds: float) -> None:
        bench.epoch_lasts = False

    bench = Bench(handler, burials=1)
    bench.committer._pause = pause
    assert not await bench.commit(*records(2))
    assert bench.stats.rejected == {RejectReason.HANDLER_ERROR: 1}
    assert bench.stats.healthy


async def test_a_tombstone_says_how_old_it_is() -> None:
    bench = Bench(everything)
    await bench.commit(*records(6))
    (tombstone,) = [record for record in bench.published if record.topic == "counts" and record.value is None]
    assert tombstone.headers == ((TOMBSTONE_HEADER, (5).to_bytes(8, "little")),)


@pytest.mark.parametrize("size", [8, 9, 16])
async def test_only_the_poisoned_record_is_lost_and_the_others_stay_in_order(
    size: int, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(fails_on_seven)
    with caplog.at_level(logging.DEBUG):
        assert await bench.commit(*records(size))
    assert bench.rows == {b"k": b"".join(b"%d" % n for n in range(size) if n != 7)}
    (letter,) = [record for record in bench.published if record.topic == "dlq"]
    assert letter.value == b"v7"
    assert dict(letter.headers)["upwell.reason"] == b"handler-error"
    assert dict(letter.headers)["upwell.detail"] == f"ValueError: {SECRET}".encode()
    assert "offset=7 error=ValueError" in caplog.text
    assert SECRET not in caplog.text
    assert bench.stats.records == size


@pytest.mark.parametrize("defect", [TooLargeError("too large"), TypeError("not bytes")])
async def test_effects_that_kafka_can_never_take_are_the_handlers_fault(defect: Exception) -> None:
    async def handler(batch: Batch, read: Reader) -> Effects:
        return Effects(rows={"a": [(b"k", b"row")]})

    bench = Bench(handler)
    bench.troubles = [defect]
    assert await bench.commit(*records(1))
    (letter,) = bench.published
    assert dict(letter.headers)["upwell.reason"] == b"handler-error"
    assert bench.stats.healthy


async def test_a_record_too_large_for_the_dead_letters_is_named_there() -> None:
    async def handler(batch: Batch, read: Reader) -> Effects:
        return Effects(rejections=[Rejection(record, RejectReason.INVALID, "why") for record in batch.records])

    bench = Bench(handler)
    bench.largest = 100
    assert await bench.commit(*records(2), FakeRecord(b"k", bytes(101), 2, headers=[("own", b"1")]))
    *whole, stripped = bench.published
    assert [letter.value for letter in whole] == [b"v0", b"v1"]
    assert (stripped.key, stripped.value) == (None, None)
    headers = dict(stripped.headers)
    assert headers["upwell.offset"] == b"2"
    assert headers["upwell.reason"] == b"invalid"
    assert "own" not in headers
    assert bench.stats.rejected == {RejectReason.INVALID: 3}


async def test_rows_for_an_unknown_table_are_the_handlers_fault() -> None:
    async def handler(batch: Batch, read: Reader) -> Effects:
        return Effects(rows={"nobody's": [(b"k", b"v")]})

    bench = Bench(handler)
    assert await bench.commit(*records(1))
    assert bench.happened == ["publish dlq"]


async def test_broker_trouble_is_waited_out_and_no_step_is_done_twice() -> None:
    bench = Bench(everything)
    bench.troubles = [PublishError("Kafka did not acknowledge")] * 3
    assert await bench.commit(*records(1))
    assert bench.seen_trouble == ["Kafka did not acknowledge"] * 3
    assert bench.happened == IN_ORDER
    assert bench.stats.retries == 3
    assert bench.stats.healthy


async def test_a_disk_that_cannot_be_read_is_waited_out_and_blames_no_record() -> None:
    failures = [StoreError("no room")]

    async def handler(batch: Batch, read: Reader) -> Effects:
        if failures:
            raise failures.pop()
        return Effects()

    bench = Bench(handler)
    assert await bench.commit(*records(4))
    assert bench.published == []
    assert bench.seen_trouble == ["no room"]


async def test_nothing_is_done_once_the_epoch_is_over() -> None:
    bench = Bench(everything)
    bench.epoch_lasts = False
    assert not await bench.commit(*records(1))
    assert bench.happened == []
    assert (bench.stats.batches, bench.stats.abandoned) == (0, 1)


async def test_an_epoch_that_ends_on_the_way_leaves_the_rest_undone() -> None:
    async def handler(batch: Batch, read: Reader) -> Effects:
        bench.epoch_lasts = False
        return await everything(batch, read)

    bench = Bench(handler)
    assert not await bench.commit(*records(1))
    assert bench.happened == []


async def test_trouble_ends_with_its_epoch() -> None:
    async def pause(seconds: float) -> None:
        bench.epoch_lasts = False

    bench = Bench(everything)
    bench.committer._pause = pause
    bench.troubles = [PublishError("down")] * 100
    assert not await bench.commit(*records(1))
    assert bench.stats.retries == 1
    assert bench.stats.healthy


async def test_a_defect_of_the_engine_is_no_records_fault() -> None:
    bench = Bench(everything)
    bench.troubles = [KeyError("a defect")]
    with pytest.raises(KeyError):
        await bench.commit(*records(4))
    assert bench.published == []
