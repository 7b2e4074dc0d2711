"""Places and tokens: who waits, who is answered, who is sent away."""

import asyncio

import pytest

from streams.web.admission import Admission, Buckets
from streams.web.problems import Kind, Problem


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
