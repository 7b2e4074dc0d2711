"""The engine on a real broker, its apps in this process: start, work, stop, come back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from streams.admin import admin_client
from streams.engine.app import EngineApp, Role, build_app
from streams.engine.effects import Batch, Effects, Output, Reader
from streams.engine.publisher import Publisher
from streams.engine.rows import header, newest, tombstone_headers
from streams.engine.store import StoreKind
from streams.engine.table import Held
from streams.errors import ContractError
from streams.settings import KafkaSettings, Settings
from tests.faults.counting import count, topic
from tests.faults.counting_worker import counting_app
from tests.faults.harness import PARTITIONS, Shop

pytestmark = pytest.mark.broker


@pytest.fixture
async def counting(bootstrap: str, shop: str, tmp_path: Path) -> Shop:
    """Topics of the counting role."""
    return await Shop(bootstrap, shop, tmp_path).create()


def app_of(counting: Shop, name: str = "a") -> EngineApp:
    return counting_app(counting.bootstrap, counting.name, PARTITIONS, counting.directory / name)


@asynccontextmanager
async def running(*apps: EngineApp) -> AsyncIterator[None]:
    """Apps beside each other on this event loop."""
    async with AsyncExitStack() as stack:
        for app in apps:
            await app.start()
            stack.push_async_callback(app.stop)
        yield


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - counters are read, not awaited
            await asyncio.sleep(0.02)


async def test_a_run_and_a_second_one(counting: Shop) -> None:
    await counting.produce(3_000)
    first = app_of(counting)
    async with running(first):
        await until(lambda: first.stats.records == 3_000)
        assert first.stats.healthy
    await counting.caught_up()  # stopping committed: nobody runs any more
    await counting.assert_exact(counting.worker("a"))
    await counting.produce(500, seed=2)
    second = app_of(counting)
    async with running(second):
        await until(lambda: second.stats.records == 500)
    assert second.stats.recovered == 0  # its store was closed with everything in it
    await counting.assert_exact(counting.worker("a"))


async def test_an_app_can_be_stopped_at_any_moment_of_its_start(counting: Shop) -> None:
    await counting.produce(1_000)
    for delay in (0.3, 0.6, 1.0, 1.05, 1.1, 1.2, 1.4):
        app = app_of(counting)
        starting = asyncio.create_task(app.start())
        await asyncio.sleep(delay)
        async with asyncio.timeout(20):  # far below the request timeout, which it took when the group was not left
            await app.stop()
            await starting
    last = app_of(counting)
    async with running(last):
        await counting.caught_up()
    await counting.assert_exact(counting.worker("a"))


async def test_a_lost_disk_comes_back_from_the_changelog(counting: Shop) -> None:
    await counting.produce(2_000)
    first = app_of(counting)
    async with running(first):
        await until(lambda: first.stats.records == 2_000)
    second = app_of(counting, "elsewhere")
    async with running(second):
        pass
    changelog = await counting.read(counting.role.tables[0].name)
    assert second.stats.recovered == len(changelog)
    assert second.stats.records == 0
    assert dict(counting.worker("elsewhere").stored()) == await counting.expected()


async def test_roles_beside_each_other_on_one_loop(counting: Shop) -> None:
    """The second role, without a table, reads what the first one publishes."""

    async def look(batch: Batch, read: Reader) -> Effects:
        return Effects()

    first = app_of(counting)
    settings = Settings(shop=counting.name, partitions=PARTITIONS, data_dir=counting.directory / "looking")
    role = Role("looking", topic(counting.out, PARTITIONS), (), counting.role.dlq, look)
    second = build_app(role, settings, KafkaSettings(), counting.bootstrap, store=StoreKind.MEMORY)
    await counting.produce(1_000)
    async with running(first, second):
        await until(lambda: first.stats.records == 1_000)
        await until(lambda: second.stats.records == first.stats.outputs)
    await counting.assert_exact(counting.worker("a"))


async def test_two_members_of_one_group_share_the_partitions(counting: Shop) -> None:
    first, second = app_of(counting, "a"), app_of(counting, "b")
    async with running(first, second):
        await until(lambda: not (first.rebalancing or second.rebalancing))
        await counting.produce(2_000)
        await counting.caught_up()
        assert first.stats.records > 0
        assert second.stats.records > 0
    await counting.assert_exact(counting.worker("a"), counting.worker("b"))


async def test_a_store_is_closed_when_its_partition_goes(counting: Shop) -> None:
    """Two members use one data directory, which RocksDB allows only to one at a time, partition by partition."""
    first, second = app_of(counting), app_of(counting)
    await counting.produce(1_000)
    async with running(first):
        await until(lambda: first.stats.records == 1_000)
        async with running(second):
            await until(lambda: not (first.rebalancing or second.rebalancing))
            await counting.produce(1_000, seed=2)
            await counting.caught_up()
        await until(lambda: not first.rebalancing)
        await counting.produce(1_000, seed=3)
        await counting.caught_up()
    assert second.stats.records > 0
    assert first.stats.recovered + second.stats.recovered < 1_000  # the stores had nearly everything
    await counting.assert_exact(counting.worker("a"))


async def test_a_row_that_a_zombie_wrote_late_does_not_win(counting: Shop) -> None:
    await counting.produce(2_000)
    first = app_of(counting)
    async with running(first):
        await until(lambda: first.stats.records == 2_000)
    expected = await counting.expected()
    changelog = await counting.read(counting.role.tables[0].name)
    oldest = {record.key: record for record in reversed(changelog)}
    late = [Output(r.topic, r.key, r.value, r.partition) for r in oldest.values() if r.value != expected[r.key]]
    late += [Output(r.topic, r.key, None, r.partition, tombstone_headers(0)) for r in oldest.values()]
    publisher = Publisher({"bootstrap_servers": counting.bootstrap})
    await publisher.publish(late)
    await publisher.stop()

    async def compacted() -> dict[bytes | None, bytes | None]:
        return {record.key: record.value for record in await counting.read(counting.role.tables[0].name)}

    # The control: whoever takes the last record of a key for the row, as compaction does, loses.
    assert await compacted() != expected
    heir = app_of(counting, "heir")
    async with running(heir):
        pass
    assert dict(counting.worker("heir").stored()) == expected
    assert heir.stats.ignored_old_rows >= len(late)
    assert await compacted() == expected


@pytest.mark.parametrize("epochs", [True, False])
async def test_a_batch_that_outlives_its_epoch_comes_to_nothing(
    counting: Shop, monkeypatch: pytest.MonkeyPatch, *, epochs: bool
) -> None:
    """Not so in the control: what was made of rows as they were is written over what another one made of them."""
    first, second = app_of(counting, "a"), app_of(counting, "b")
    handle, commit = first.committer._handler, first.committer.commit
    held_back, free = [], asyncio.Event()

    async def hold_back(batch: Batch, read: Reader) -> Effects:
        made = await handle(batch, read)
        held_back.append(batch.partition)
        await free.wait()
        return made

    if not epochs:
        monkeypatch.setattr(first.committer, "commit", lambda batch, _: commit(batch, lambda: True))
    async with running(first):
        await counting.produce(400)
        await until(lambda: first.stats.records == 400)
        monkeypatch.setattr(first.committer, "_handler", hold_back)
        await counting.produce(400, seed=2)
        await until(lambda: len(held_back) == PARTITIONS)
        async with running(second):
            await until(lambda: bool(second.positions()) and not (first.rebalancing or second.rebalancing))
            await counting.produce(400, seed=3)
            ends = {record.partition: record.offset + 1 for record in await counting.read(counting.role.source.name)}
            await until(lambda: all(ends[number] == offset for number, offset in second.positions().items()))
        assert second.stats.records > 0
        await until(lambda: len(first.positions()) == PARTITIONS and not first.rebalancing)
        free.set()
        await counting.caught_up()
    stored = dict(counting.worker("a").stored())
    assert (stored == await counting.expected()) is epochs


@pytest.mark.parametrize("vouches_for_itself", [False, True])
async def test_rows_of_an_heir_in_front_of_a_zombies_last_batch_are_recovered(
    counting: Shop, monkeypatch: pytest.MonkeyPatch, *, vouches_for_itself: bool
) -> None:
    """Not so in the control, where a store takes what it wrote for all that there is."""
    if vouches_for_itself:
        monkeypatch.setattr(Held, "write", Held.recover)
    await counting.produce(2_000)
    zombie = app_of(counting)

    async def refused(offsets: object) -> bool:
        return False

    async with running(zombie):
        await until(lambda: zombie.stats.records == 2_000)
        # It freezes; the group gives its partitions to another one, and takes no commit from it any more.
        monkeypatch.setattr(zombie.consumer._thread, "commit", refused)
        last = {record.key: record for record in await counting.read(counting.role.tables[0].name)}
        heirs = [Output(r.topic, r.key, header(1, 10_000) + bytes(12), r.partition) for r in list(last.values())[:50]]
        publisher = Publisher({"bootstrap_servers": counting.bootstrap})
        await publisher.publish(heirs)
        await publisher.stop()
        await counting.produce(200, seed=3)  # the batch at hand when it thaws
        await until(lambda: zombie.stats.records == 2_200)
    back = app_of(counting)
    async with running(back):
        await counting.caught_up()  # or else a batch may end between its changelog and its store
    rows, _ = newest(await counting.read(counting.role.tables[0].name), lambda keys: [None] * len(keys))
    stored = dict(counting.worker("a").stored())
    assert (stored == rows) is not vouches_for_itself


async def test_a_changelog_that_was_created_again_is_told(counting: Shop) -> None:
    await counting.produce(500)
    first = app_of(counting)
    async with running(first):
        await until(lambda: first.stats.records == 500)
    changelog = counting.role.tables[0]
    async with admin_client(counting.bootstrap, KafkaSettings()) as admin:
        await admin.delete_topics([changelog.name])
        async with asyncio.timeout(30):
            while changelog.name in await admin.list_topics():  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(0.1)
        await admin.create_topics([NewTopic(changelog.name, PARTITIONS, 1, topic_configs=changelog.broker_config())])
    second = app_of(counting)
    async with running(second):
        await until(lambda: second.crash_reason is not None)
    assert isinstance(second.crash_reason, ContractError)
    assert "created again" in str(second.crash_reason)


async def test_an_operators_tombstone_makes_a_key_new(counting: Shop) -> None:
    await counting.produce(500)
    first = app_of(counting)
    async with running(first):
        await until(lambda: first.stats.records == 500)
    victim = (await counting.read(counting.role.tables[0].name))[0]
    producer = AIOKafkaProducer(bootstrap_servers=counting.bootstrap)
    await producer.start()
    await producer.send_and_wait(victim.topic, None, key=victim.key, partition=victim.partition)
    second = app_of(counting)
    async with running(second):
        assert second.stats.recovered == 1
        await producer.send_and_wait(counting.role.source.name, b"x", key=victim.key)
        await until(lambda: second.stats.records == 1)
    await producer.stop()
    assert count(dict(counting.worker("a").stored())[victim.key]) == 1


async def test_the_changelog_offset_is_that_of_the_last_record_of_large_batches(counting: Shop) -> None:
    """More rows than one record batch holds."""
    rows = [Output(counting.role.tables[0].name, b"k%d" % n, header(1, n) + bytes(9_000), 2) for n in range(200)]
    publisher = Publisher({"bootstrap_servers": counting.bootstrap})
    assert await publisher.publish(rows) == {(counting.role.tables[0].name, 2): 199}
    assert await publisher.publish(rows[:3]) == {(counting.role.tables[0].name, 2): 202}
    await publisher.stop()
