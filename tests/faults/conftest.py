"""Shops for the fault tests with no worker left behind, seeds, and how to repeat what went wrong."""

from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from tests.brokers import PrivateBroker
from tests.faults.harness import LONG, PAUSES_MS, ROUNDS, SEED, Shop, Shops
from tests.faults.processes import SURVIVED
from tests.faults.real import RealShop
from tests.faults.without import Protection


@pytest.fixture(params=range(SEED, SEED + ROUNDS))
def seed(request: pytest.FixtureRequest) -> int:
    """Says when the faults happen and what is produced: one for each round."""
    chosen: int = request.param
    return chosen


@pytest.fixture
async def shops(bootstrap: str, shop: str, tmp_path: Path) -> AsyncIterator[Shops[Shop]]:
    """Shops on the broker of this run, each with topics of the counting role."""
    async with AsyncExitStack() as stack:
        yield _maker(stack, Shop, bootstrap, shop, tmp_path)


@pytest.fixture
async def real_shops(bootstrap: str, shop: str, tmp_path: Path) -> AsyncIterator[Shops[RealShop]]:
    """Shops on the broker of this run, each with the topics and workers that Upwell has."""
    async with AsyncExitStack() as stack:
        yield _maker(stack, RealShop, bootstrap, shop, tmp_path)


@pytest.fixture
async def own_shops(private_broker: PrivateBroker, shop: str, tmp_path: Path) -> AsyncIterator[Shops[Shop]]:
    """Shops on a broker of this test's own."""
    async with AsyncExitStack() as stack:
        yield _maker(stack, Shop, private_broker.bootstrap, shop, tmp_path)


M = TypeVar("M", Shop, RealShop)


def _maker(stack: AsyncExitStack, kind: type[M], bootstrap: str, name: str, directory: Path) -> Shops[M]:
    made: list[M] = []

    async def make(without: Sequence[Protection] = ()) -> M:
        place = directory / f"shop-{len(made)}"
        place.mkdir()
        made.append(kind(bootstrap, f"{name}-{len(made)}", place, without))
        stack.callback(made[-1].discard)
        return await made[-1].create()

    return make


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `long` are for `make faults`."""
    if not LONG:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure says how to repeat it: the same load, the same moments of the same faults."""
    report = yield
    if report.failed:
        chosen = item.callspec.params.get("seed", SEED) if hasattr(item, "callspec") else SEED
        name = item.nodeid.split("::")[-1].split("[")[0]
        command = f'make faults ROUNDS=1 SEED={chosen} ARGS="{item.path.relative_to(item.config.rootpath)} -k {name}"'
        report.sections.append(("to repeat", f"seed {chosen}: {command}"))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What this run did to workers, to be written down where nothing failed."""
    if SURVIVED:
        terminalreporter.section("faults")
        terminalreporter.line(", ".join(f"{count} {what}" for what, count in sorted(SURVIVED.items())))
        if PAUSES_MS:
            pauses = ", ".join(f"{pause / 1000:.1f}" for pause in sorted(PAUSES_MS))
            terminalreporter.line(
                f"longest pause of a partition from one worker to three and back, in seconds: {pauses}"
            )
