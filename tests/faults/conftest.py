"""A shop with topics of its own for each fault test, and no worker left behind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Shop, Worker


@pytest.fixture
async def counting(bootstrap: str, shop: str, tmp_path: Path) -> Shop:
    """Topics of the counting role on the broker of this run."""
    return await Shop(bootstrap, shop, tmp_path).create()


@pytest.fixture
def started() -> Iterator[Callable[[Worker], Worker]]:
    """Starts a worker and sees to its end."""
    workers: list[Worker] = []

    def start(worker: Worker) -> Worker:
        workers.append(worker)
        return worker.start()

    yield start
    for worker in workers:
        worker.discard()
