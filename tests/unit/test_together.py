"""Questions of many callers in as few rounds as can be, and everybody gets their own answers."""

import asyncio
from collections.abc import Sequence

import pytest

from streams.together import Together


class Rounds:
    """Answers n by n², one round at a time as the test lets it; fails on a negative number."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.gate = asyncio.Semaphore(0)

    async def __call__(self, questions: Sequence[int]) -> list[int]:
        self.asked.append(list(questions))
        await self.gate.acquire()
        if any(question < 0 for question in questions):
            raise ValueError(min(questions))
        return [question * question for question in questions]


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_comes_meanwhile_goes_together() -> None:
    rounds = Rounds()
    together = Together(rounds, full=10)
    first = asyncio.create_task(together([1]))
    await _settle()
    others = [asyncio.create_task(together(questions)) for questions in ([2, 3], [4], [5])]
    await _settle()
    assert rounds.asked == [[1]]
    rounds.gate.release()
    assert list(await first) == [1]
    await _settle()
    rounds.gate.release()
    assert [list(await other) for other in others] == [[4, 9], [16], [25]]
    assert rounds.asked == [[1], [2, 3, 4, 5]]
    assert list(await together([])) == []


async def test_a_full_round_does_not_wait() -> None:
    rounds = Rounds()
    together = Together(rounds, full=3)
    calls = [asyncio.create_task(together(questions)) for questions in ([1], [2], [3, 4], [5])]
    await _settle()
    assert rounds.asked == [[1], [2, 3, 4]]
    for _ in range(3):
        rounds.gate.release()
    assert [list(await call) for call in calls] == [[1], [4], [9, 16], [25]]
    assert rounds.asked[-1] == [5]


async def test_a_failure_is_of_whoever_asked_for_it() -> None:
    rounds = Rounds()
    together = Together(rounds, full=10)
    calls = [asyncio.create_task(together(questions)) for questions in ([1], [2], [-3], [4])]
    for _ in range(5):
        rounds.gate.release()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [list(answers) for answers in found if not isinstance(answers, BaseException)] == [[1], [4], [16]]
    with pytest.raises(ValueError, match="-3"):
        await calls[2]
    assert rounds.asked == [[1], [2, -3, 4], [2], [-3], [4]]


async def test_who_stops_waiting_stops_nobody_else() -> None:
    rounds = Rounds()
    together = Together(rounds, full=10)
    first = asyncio.create_task(together([1]))
    await _settle()
    gone, other = asyncio.create_task(together([2])), asyncio.create_task(together([3]))
    await _settle()
    first.cancel()
    gone.cancel()
    await asyncio.gather(first, gone, return_exceptions=True)
    rounds.gate.release()
    rounds.gate.release()
    assert list(await other) == [9]
    assert first.cancelled()
    assert gone.cancelled()
