"""The answers agent's logic: what goes out after what came in, and what is refused."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from streams.agents.answers import AnswersHandler
from streams.engine.effects import Batch, Effects, RejectReason
from streams.pseudonyms import Pseudonyms
from streams.records import Answer
from tests.unit.answer_shop import AnswerShop
from tests.unit.records import LIMITS, FakeRecord
from tests.unit.shop import TOPICS


def question(offset: int = 0, key: str | None = None, **changes: Any) -> FakeRecord:
    """`How much is the rubber mallet?`, asked by anna; changed by keyword, a None drops the field."""
    body = {"id": f"q{offset}", "text": "How much is the rubber mallet?", "time": 7, "user": "anna", **changes}
    body = {name: value for name, value in body.items() if value is not None}
    given = key or str(body.get("user") or body.get("id"))
    return FakeRecord(given.encode(), json.dumps(body).encode(), offset, TOPICS.questions.name, partition=3)


@pytest.fixture(scope="module")
def shop() -> AnswerShop:
    return AnswerShop()


def handled(shop: AnswerShop, *records: FakeRecord, limits: Any = LIMITS) -> Effects:
    handler = AnswersHandler(TOPICS, shop.answerer.answer, limits)

    def read(table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        raise AssertionError("there is no table")

    return asyncio.run(handler(Batch(TOPICS.questions.name, 3, records), read))


def answers(effects: Effects) -> list[Answer]:
    return [msgspec.json.decode(output.value or b"", type=Answer) for output in effects.outputs]


def test_an_answer_is_under_the_key_and_on_the_partition_of_its_question(shop: AnswerShop) -> None:
    effects = handled(shop, question(0), question(1, user=None))
    where = [(output.topic, output.key, output.partition) for output in effects.outputs]
    assert where == [("shop.answers.v1", b"anna", 3), ("shop.answers.v1", b"q1", 3)]
    first, second = answers(effects)
    assert (first.question, first.user, first.time, first.kind) == ("q0", "anna", 7, "price")
    assert (second.question, second.user) == ("q1", None)
    assert first.text == second.text == "Rubber mallet by Ironwood: 12.50 EUR, rated 4.1"
    assert not effects.rows


def test_a_question_that_comes_again_is_answered_under_the_same_id(shop: AnswerShop) -> None:
    (once,) = answers(handled(shop, question(0), question(5, id="q0")))
    (again,) = answers(handled(shop, question(9, id="q0")))
    assert once == again
    (other,) = answers(handled(shop, question(0, user="bert")))
    assert other.id != once.id


@pytest.mark.parametrize(
    ("record", "reason", "said"),
    [
        (question(text=""), RejectReason.INVALID, "text"),
        (question(text="   "), RejectReason.INVALID, "`text` is empty"),
        (question(text=None), RejectReason.INVALID, "text"),
        (question(id=None), RejectReason.INVALID, "id"),
        (question(time="now"), RejectReason.INVALID, "time"),
        (question(n=0), RejectReason.INVALID, "n"),
        (question(language="?"), RejectReason.INVALID, "language"),
        (question(key="bert"), RejectReason.WRONG_KEY, "`user` (else `id`)"),
        (replace(question(), key=None), RejectReason.WRONG_KEY, "no key"),
        (replace(question(), value=None), RejectReason.INVALID, "null"),
        (replace(question(), value=b"{"), RejectReason.UNDECODABLE, "truncated"),
        (replace(question(), value=b"[" * 900), RejectReason.INVALID, "object"),
        (replace(question(), value=b'"' + b"x" * 2_000 + b'"'), RejectReason.OVERSIZE, "2002 bytes"),
    ],
)
def test_a_bad_question_is_refused_and_the_others_are_answered(
    shop: AnswerShop, record: FakeRecord, reason: RejectReason, said: str
) -> None:
    effects = handled(shop, record, question(1))
    (rejection,) = effects.rejections
    assert (rejection.record, rejection.reason) == (record, reason)
    assert said in rejection.detail
    assert [answer.question for answer in answers(effects)] == ["q1"]


def test_a_batch_of_nothing_but_bad_questions_says_nothing(shop: AnswerShop) -> None:
    effects = handled(shop, question(text=""))
    assert (effects.outputs, len(effects.rejections)) == ([], 1)


def test_who_asks_is_named_by_pseudonym(shop: AnswerShop) -> None:
    limits = replace(LIMITS, pseudonyms=Pseudonyms(1, (b"k" * 32,)))
    effects = handled(shop, question(0), limits=limits)
    (output,) = effects.outputs
    assert b"anna" not in (output.value or b"") + (output.key or b"")
    (answer,) = answers(effects)
    assert (output.key or b"").decode() == answer.user == limits.pseudonyms.of("anna")
