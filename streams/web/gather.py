"""Questions that arrive together are answered together.

    ask ─┐                         ┌► answer(up to `most` questions) ─► each its own answer
    ask ─┼─► waiting ─► a moment ──┤
    ask ─┘                         └► … while one batch is answered the next one gathers

A batch of recommendations costs little more than one: vectors are looked up and the index is asked once for all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

MOMENT_S = 0.001
"""How long the first question of a batch waits for company."""


class Gatherer(Generic[Question, Answer]):
    """Answers questions in batches, one batch at a time. `run` does it; `ask` waits for the answer.

    Args:
        answer: one answer per question, in order.
        most: questions in a batch at most.
        moment_s: seconds that the first question waits.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        most: int = 64,
        moment_s: float = MOMENT_S,
    ) -> None:
        self._answer = answer
        self._most = most
        self._moment_s = moment_s
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._asked = asyncio.Event()

    async def ask(self, question: Question) -> Answer:
        """The answer. A question whose asker is cancelled before its batch begins is not answered.

        Raises:
            Exception: what the batch failed with.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        self._asked.set()
        return await future

    async def run(self) -> None:
        """Answer, until cancelled."""
        while True:
            await self._asked.wait()
            if len(self._waiting) < self._most:
                await asyncio.sleep(self._moment_s)
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            if not self._waiting:
                self._asked.clear()
            await self._answered([(question, future) for question, future in batch if not future.done()])

    async def _answered(self, batch: Sequence[tuple[Question, "asyncio.Future[Answer]"]]) -> None:
        if not batch:
            return
        try:
            answers = await self._answer([question for question, _ in batch])
        except Exception as error:  # it is the askers' to deal with; the next batch has nothing to do with it
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
