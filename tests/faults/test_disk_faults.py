"""Local disks that lie or fill up: the changelog has every row, so nothing is lost and the worker helps itself."""

import asyncio
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers import until
from tests.faults.harness import PARTITIONS, Scenario, Shop, Shops, assert_goes_wrong
from tests.faults.processes import PATIENCE_S, EndedError, Worker
from tests.faults.without import Protection

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

SST = "*.sst"
LOG = "*.log"


def damage(path: Path) -> None:
    """Overwrite the middle of a file with something else, or write something into an empty one."""
    content = bytearray(path.read_bytes() or b"\0" * 64)
    middle = slice(len(content) // 4, len(content) // 4 + max(16, len(content) // 2))
    content[middle] = b"\xa5" * len(content[middle])
    path.write_bytes(content)


def damaged(files: str) -> Scenario[Shop]:
    """Files of a worker's stores are overwritten while it does not run.

    Its data files are read when a row in them is: such damage is found late, on one partition after the other, and each
    time the worker ends to be started again. Other files are read when a store is opened.
    """
    restarts = PARTITIONS if files == SST else 0

    async def scenario(shop: Shop, seed: int) -> None:
        worker = shop.worker("a", static=True).start()
        for part in (0, 1):  # with the second, the store notes what the group has agreed to after the first
            await shop.produce(2_000, seed=2 * seed + part)
            await shop.caught_up()
        if files == LOG:
            worker.kill()  # with rows that are in no other file yet
        else:
            await worker.stop()
        found = [path for path in worker.data.glob(f"tables/*/counts-?/{files}") if path.is_file()]
        assert found
        for path in found:
            damage(path)
        shop.note("damaged files", len(found))
        worker.start()
        async with shop.load(seed, at_least=4_000):
            await restarting(worker, shop.progress, restarts)
        await restarting(worker, shop.caught_up, restarts)
        await worker.stop()
        await shop.assert_exact(worker)

    return scenario


async def restarting(worker: Worker, wait: Callable[[], Awaitable[None]], times: int) -> None:
    """Wait, with the worker started again when it ends, but not more often than that."""
    for _ in range(times):
        try:
            return await wait()
        except EndedError:
            worker.start()
    return await wait()


@pytest.mark.parametrize("files", ["CURRENT", "MANIFEST-*", SST])
async def test_a_damaged_store_is_rebuilt(shops: Shops[Shop], seed: int, files: str) -> None:
    shop = await shops()
    await damaged(files)(shop, seed)
    assert list(shop.directory.glob("a/tables/*/counts-*.corrupt-*"))


@pytest.mark.parametrize("files", ["CURRENT", "MANIFEST-*", SST])
async def test_damaged_without_quarantine(shops: Shops[Shop], files: str) -> None:
    await assert_goes_wrong(damaged(files), shops, Protection.QUARANTINE, how=EndedError)


async def test_a_damaged_log_loses_nothing(shops: Shops[Shop], seed: int) -> None:
    """The changelog is the log: there is nothing in RocksDB's."""
    await damaged(LOG)(await shops(), seed)


async def test_damaged_log_without_offset_in_batch(shops: Shops[Shop]) -> None:
    await assert_goes_wrong(damaged(LOG), shops, Protection.OFFSET_IN_BATCH)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB; where the machine lets nobody mount one, these tests cannot run."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "upwell-test", str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room there is."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    assert shutil.disk_usage(disk).free < 4096
    return ballast


def full(disk: Path, *, while_it_runs: bool) -> Scenario[Shop]:
    """The disk is full while a worker runs, or when it starts; then there is room again."""

    async def scenario(shop: Shop, seed: int) -> None:
        worker = shop.worker("a", static=True)
        worker.data = disk / shop.name
        worker.start()
        await shop.produce(2_000, seed=seed)
        await shop.caught_up()
        await until(worker.is_ready, PATIENCE_S)
        if not while_it_runs:
            worker.kill()
        ballast = fill(disk)
        shop.note("full disks")
        try:
            if not while_it_runs:
                worker.start()
            async with shop.load(seed):
                await until(worker.is_troubled, PATIENCE_S)
                await asyncio.sleep(1.0)
                assert await worker.is_troubled(), "readiness comes and goes on a full disk"
                ballast.unlink()
                await shop.progress()
            await shop.caught_up()
            await until(worker.is_ready, PATIENCE_S)
            await worker.stop()
            await shop.assert_exact(worker)
        finally:
            ballast.unlink(missing_ok=True)

    return scenario


@pytest.mark.parametrize("while_it_runs", [True, False], ids=["running", "starting"])
async def test_a_full_disk_is_waited_out(shops: Shops[Shop], seed: int, small_disk: Path, while_it_runs: bool) -> None:
    await full(small_disk, while_it_runs=while_it_runs)(await shops(), seed)


@pytest.mark.parametrize("while_it_runs", [True, False], ids=["running", "starting"])
async def test_full_disk_without_patience(shops: Shops[Shop], small_disk: Path, while_it_runs: bool) -> None:
    scenario = full(small_disk, while_it_runs=while_it_runs)
    await assert_goes_wrong(scenario, shops, Protection.PATIENCE, how=EndedError)
