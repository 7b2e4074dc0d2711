"""Questions that come while others are being answered, answered together by the next round.

    partition 0 ─► question ─┐
    partition 1 ─► question ─┼─► one round ─► an answer each
    HTTP        ─► question ─┘

One shopper costs as much as ten where most of the work is the same for all, so nobody starts a round of their own while
one is under way: they wait for it and go together, as transactions do in a group commit (DeWitt et al., "Implementation
techniques for main memory database systems", SIGMOD 1984). The busier it is, the larger the rounds and the cheaper a
question; whoever comes alone is answered at once. What fills a round by itself does not wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class _Call(NamedTuple, Generic[Q, A]):
    questions: Sequence[Q]
    answers: "asyncio.Future[Sequence[A]]"


class Together(Generic[Q, A]):
    """Asks on behalf of many callers.

    Args:
        answer: answers questions, each by itself: an answer each, in their order.
        full: so many questions gain nothing from more.
    """

    def __init__(self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], full: int) -> None:
        self._answer = answer
        self._full = full
        self._waiting: list[_Call[Q, A]] = []
        self._rounds: set[asyncio.Task[None]] = set()

    async def __call__(self, questions: Sequence[Q]) -> Sequence[A]:
        """An answer each, in their order.

        Raises:
            Exception: what answering these questions raised; what others asked does not matter.
        """
        if not questions:
            return []
        call = _Call(questions, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        self._begin()
        return await call.answers

    def _begin(self) -> None:
        if self._waiting and (not self._rounds or sum(len(call.questions) for call in self._waiting) >= self._full):
            calls, self._waiting = [call for call in self._waiting if not call.answers.done()], []
            task = asyncio.get_running_loop().create_task(self._round(calls))
            self._rounds.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._rounds.discard(task)
        self._begin()

    async def _round(self, calls: Sequence[_Call[Q, A]]) -> None:
        try:
            answers = await self._answer([question for call in calls for question in call.questions])
        except Exception as error:
            if len(calls) > 1:  # it is one's fault, and must not be the others'
                for call in calls:
                    await self._round([call])
            elif not calls[0].answers.done():
                calls[0].answers.set_exception(error)
        else:
            begin = 0
            for call in calls:
                end = begin + len(call.questions)
                if not call.answers.done():  # nobody waits any more
                    call.answers.set_result(answers[begin:end])
                begin = end
        finally:
            for call in calls:  # the round was cancelled
                call.answers.cancel()
