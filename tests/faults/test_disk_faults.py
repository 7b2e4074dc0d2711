"""Local disks that lie or fill up: the changelog has every row, so nothing is lost and the worker helps itself."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Shop, Worker

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

Start = Callable[[Worker], Worker]


def damage(path: Path) -> None:
    """Overwrite the middle of a file with something else, or write something into an empty one."""
    content = bytearray(path.read_bytes() or b"\0" * 64)
    middle = slice(len(content) // 4, len(content) // 4 + max(16, len(content) // 2))
    content[middle] = b"\xa5" * len(content[middle])
    path.write_bytes(content)


@pytest.mark.parametrize("files", ["CURRENT", "MANIFEST-*", "*.sst", "*.log"])
async def test_a_damaged_store_is_rebuilt(counting: Shop, started: Start, files: str) -> None:
    worker = started(counting.worker("a", static=True))
    await counting.produce(4_000)
    await counting.caught_up()
    await worker.stop()
    damaged = [path for path in worker.data.glob(f"tables/*/counts-?/{files}") if path.is_file()]
    assert damaged
    for path in damaged:
        damage(path)
    worker.start()
    async with counting.load():
        # A file is read when a row in it is: the worker may find out late, and then ends to be started again.
        for _ in range(40):
            await asyncio.sleep(0.25)
            if worker.ended():
                worker.start()
        await counting.progress()
    await counting.caught_up()
    await worker.stop()
    await counting.assert_exact(worker)
    if files != "*.log":  # the changelog is the log: there is nothing in RocksDB's
        assert list(worker.data.glob("tables/*/counts-*.corrupt-*"))


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
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    assert shutil.disk_usage(disk).free < 4096
    return ballast


async def test_a_full_disk_is_waited_out(counting: Shop, started: Start, small_disk: Path) -> None:
    worker = counting.worker("a", static=True)
    worker.data = small_disk / "data"
    started(worker)
    await counting.produce(2_000)
    await counting.caught_up()
    ballast = fill(small_disk)
    async with counting.load():
        await asyncio.sleep(5.0)
        worker.kill()
        worker.start()  # it cannot open its tables now
        await asyncio.sleep(8.0)
        assert not worker.ended()
        ballast.unlink()
        await counting.progress()
    await counting.caught_up()
    await worker.stop()
    await counting.assert_exact(worker)
