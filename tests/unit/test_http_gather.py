"""Gathering questions, places and tokens: who waits, who is answered, who is sent away."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from streams.web.admission import Admission, Buckets
from streams.web.gather import Gatherer
from streams.web.problems import Kind, Problem


class Doubler:
    """Doubles numbers, when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.let = asyncio.Event()
        self.let.set()

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        await self.let.wait()
        if 13 in numbers:
            raise ValueError("unlucky")
        return [2 * number for number in numbers]


@asynccontextmanager
async def running(gatherer: Gatherer[int, int]) -> AsyncIterator[Gatherer[int, int]]:
    task = asyncio.create_task(gatherer.run())
    try:
        yield gatherer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_each_asker_gets_its_own_answer_and_batches_are_bounded() -> None:
    doubler = Doubler()
    async with running(Gatherer(doubler, most=10)) as gatherer:
        answers = await asyncio.gather(*(gatherer.ask(number) for number in range(100, 164)))
    assert answers == [2 * number for number in range(100, 164)]
    assert [len(batch) for batch in doubler.batches] == [10, 10, 10, 10, 10, 10, 4]


async def test_while_one_batch_is_answered_the_next_gathers() -> None:
    doubler = Doubler()
    doubler.let.clear()
    async with running(Gatherer(doubler, moment_s=0)) as gatherer:
        first = asyncio.create_task(gatherer.ask(1))
        while not doubler.batches:  # noqa: ASYNC110 - what is waited for is the code under test
            await asyncio.sleep(0)
        others = [asyncio.create_task(gatherer.ask(number)) for number in range(20, 48)]
        await asyncio.sleep(0)
        doubler.let.set()
        await asyncio.gather(first, *others)
    assert [len(batch) for batch in doubler.batches] == [1, 28]


async def test_a_batch_that_fails_fails_its_askers_alone() -> None:
    async with running(Gatherer(Doubler(), most=1)) as gatherer:
        outcomes = await asyncio.gather(*(gatherer.ask(number) for number in (12, 13, 14)), return_exceptions=True)
    assert outcomes[0::2] == [24, 28]
    assert isinstance(outcomes[1], ValueError)


async def test_a_question_given_up_is_not_asked() -> None:
    doubler = Doubler()
    async with running(Gatherer(doubler)) as gatherer:
        given_up = asyncio.create_task(gatherer.ask(1))
        kept = asyncio.create_task(gatherer.ask(2))
        await asyncio.sleep(0)
        given_up.cancel()
        assert await kept == 4
    assert doubler.batches == [[2]]


async def holding(admission: Admission, until: asyncio.Event) -> None:
    async with admission.place():
        await until.wait()


def kind_of(outcome: object) -> Kind:
    assert isinstance(outcome, Problem)
    assert outcome.headers["Retry-After"] == "1"
    return outcome.kind


async def test_past_capacity_it_says_so_at_once() -> None:
    admission, done = Admission(working=2, waiting=3, deadline_s=60), asyncio.Event()
    inside = [asyncio.create_task(holding(admission, done)) for _ in range(5)]
    await asyncio.sleep(0)
    assert admission.waiting == 3
    with pytest.raises(Problem) as refused:
        await holding(admission, done)
    assert kind_of(refused.value) is Kind.BUSY
    done.set()
    assert await asyncio.gather(*inside) == [None] * 5
    await holding(admission, done)


async def test_past_the_deadline_it_says_whether_it_was_begun() -> None:
    admission, never = Admission(working=1, waiting=1, deadline_s=0.05), asyncio.Event()
    outcomes = await asyncio.gather(*(holding(admission, never) for _ in range(2)), return_exceptions=True)
    assert [kind_of(outcome) for outcome in outcomes] == [Kind.DEADLINE, Kind.BUSY]
    never.set()
    await holding(admission, never)  # both places are free again


def test_a_bucket_is_full_at_first_and_refills() -> None:
    buckets = Buckets(rate=10, burst=3)
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.1]
    assert buckets.take("b", 0.0) == 0  # each key its own
    assert buckets.take("a", 0.05) == pytest.approx(0.05)
    assert buckets.take("a", 0.1) == 0
    assert [buckets.take("a", 1e6) for _ in range(4)] == [0, 0, 0, 0.1]
