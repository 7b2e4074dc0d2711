"""Answers agent: questions in plain words in, answers grounded in the catalogue out."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from streams.edge import Limits, accept_question
from streams.engine.effects import Batch, Effects, Output, Reader, Rejection
from streams.records import Answer
from streams.topics import Topics

_encode = msgspec.json.Encoder(order="deterministic").encode


class Asked(NamedTuple):
    """A question. `shopper` is whose taste counts, if anybody's; `time` in Unix milliseconds."""

    id: str
    text: str
    shopper: str | None = None
    language: str | None = None
    n: int = 3
    time: int = 0


class AnswersHandler:
    """Answers questions. Keeps nothing: one that comes again is answered again, by the catalogue as it is then.

    The id of an answer is a function of question and shopper, so whoever reads answers can drop what is sent again.

    Args:
        topics: of the shop.
        answer: gives one answer per question, in order (`streams.answering`).
        limits: what the edge lets through.
    """

    def __init__(
        self, topics: Topics, answer: Callable[[Sequence[Asked]], Awaitable[list[Answer]]], limits: Limits
    ) -> None:
        self._topic = topics.answers.name
        self._answer = answer
        self._limits = limits

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """Answer a batch of the questions topic; one that is in it twice is answered once."""
        await self._limits.formats.learn(batch.records)
        asked: dict[tuple[str | None, str], tuple[bytes, Asked]] = {}
        rejections = []
        for record in batch.records:
            accepted = accept_question(record, self._limits)
            if isinstance(accepted, Rejection):
                rejections.append(accepted)
                continue
            shopper, question = accepted
            key = question.id if shopper is None else shopper
            one = Asked(question.id, question.text, shopper, question.language, question.n, question.time)
            asked[shopper, question.id] = key.encode(), one
        answers = await self._answer([one for _, one in asked.values()]) if asked else []
        outputs = [
            Output(self._topic, key, _encode(answer), batch.partition)
            for (key, _), answer in zip(asked.values(), answers, strict=True)
        ]
        return Effects(outputs=outputs, rejections=rejections)
