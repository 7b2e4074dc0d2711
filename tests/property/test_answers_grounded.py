"""No answer invents anything, whatever is asked of whatever catalogue.

Every number and every value in the text is in the record of an item that the answer cites, or in the question.

The oracle knows nothing of plans and templates. Values of the catalogue are made of syllables that no template has, so
that one that turns up where it was not given can only be invented or another item's.
"""

import re
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.records import Answer
from tests.unit.answer_shop import AnswerShop
from tests.unit.records import item

SYLLABLES = ["ba", "ko", "zu", "mi", "xa", "qe", "vo", "ju"]
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")

names = st.lists(st.sampled_from(SYLLABLES), min_size=3, max_size=3).map("".join)
numbers = st.one_of(st.integers(0, 10**6).map(float), st.decimals(0, 10_000, places=2).map(float), st.floats(0, 1e25))
values = st.one_of(names, numbers, st.booleans(), st.sampled_from(["红色", "蓝色", "red", "blue"]))
bodies = st.fixed_dictionaries(
    {"title": st.lists(names, min_size=1, max_size=3).map(" ".join)},
    optional={
        "category": st.lists(names, max_size=2),
        "brand": names,
        "price": numbers,
        "currency": st.sampled_from(["EUR", "USD", "CNY"]),
        "available": st.booleans(),
        "rating": st.floats(0, 5),
        "attributes": st.dictionaries(
            st.one_of(names, st.sampled_from(["colour", "size", "颜色"])), values, max_size=3
        ),
    },
)
catalogues = st.lists(bodies, min_size=1, max_size=6)
TURNS = [
    "how much is the {0}?", "is the {0} in stock?", "what colour is the {0}?", "is the {0} {1}?", "tell me about {0}",
    "compare the {0} and {1}", "which is cheaper, {0} or {1}?", "something like {0} but cheaper", "cheapest {0}",
    "show me {0} under {2} euros", "{0} but not {1}", "recommend something between {2} and 900", "{0} purple {1}",
    "where is my {0} order", "{0}多少钱？", "{0}有货吗", "{0}是什么颜色", "比较{0}和{1}", "比{0}便宜的", "介绍一下{0}",
    "推荐{2}元以下的红色{0}", "{0}", "最便宜的{1}",
]  # fmt: skip


def said(body: dict[str, Any]) -> list[str]:
    """All that a record says, as texts."""
    attributes = body.get("attributes", {})
    parts = [body["title"], body.get("brand"), body.get("currency"), *body.get("category", ()), *attributes]
    return [part for part in (*parts, *attributes.values()) if isinstance(part, str)]


def counted(body: dict[str, Any]) -> set[float]:
    """All numbers of a record, those in its texts included."""
    given_numbers = [body.get("price"), body.get("rating"), *body.get("attributes", {}).values()]
    own = {float(number) for number in given_numbers if isinstance(number, float)}
    return own | {float(found) for text in said(body) for found in NUMBER.findall(text)}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(catalogues, st.sampled_from(TURNS), st.data())
def test_nothing_is_invented(catalogue: list[dict[str, Any]], turn: str, data: st.DataObject) -> None:
    vocabulary = sorted({word for body in catalogue for text in said(body) for word in text.split()})
    words = [data.draw(st.one_of(st.sampled_from(vocabulary), names)) for _ in range(2)]
    question = turn.format(*words, data.draw(st.integers(0, 999)))
    by_id = {f"i-{chr(97 + place)}": body for place, body in enumerate(catalogue)}
    shop = AnswerShop(*(item(name, place, **body) for place, (name, body) in enumerate(by_id.items())))
    answer = shop.ask(question)
    assert answer.text
    cited = [by_id[one.item] for one in answer.items]
    _no_number_of_nowhere(answer, question, cited)
    _no_value_of_nowhere(answer, question, cited, vocabulary)
    _every_quote_is_one(answer, question, by_id)


def _no_number_of_nowhere(answer: Answer, question: str, cited: list[dict[str, Any]]) -> None:
    known = {float(number) for number in NUMBER.findall(question)}.union(*map(counted, cited))
    assert {float(number) for number in NUMBER.findall(answer.text)} <= known


def _no_value_of_nowhere(answer: Answer, question: str, cited: list[dict[str, Any]], vocabulary: list[str]) -> None:
    text = answer.text.lower()
    for word in vocabulary:
        if word.lower() in text and word not in ("red", "colour", "size"):  # those are in words of templates
            here = word.lower() in question.lower()
            assert here or any(word.lower() in " ".join(said(body)).lower() for body in cited), word


def _every_quote_is_one(answer: Answer, question: str, by_id: dict[str, dict[str, Any]]) -> None:
    for quote in answer.quotes:
        assert quote.text in answer.text
        if not quote.item:
            assert quote.text.lower() in question.lower()
            continue
        assert quote.item in {one.item for one in answer.items}
        body = by_id[quote.item]
        if quote.field.startswith("attributes."):
            name = quote.field.removeprefix("attributes.")
            assert quote.text == name or _same(quote.text, body["attributes"][name])
        elif quote.field == "category":
            assert quote.text == body["category"][-1]
        else:
            assert _same(quote.text, body[quote.field])


def _same(text: str, value: object) -> bool:
    return float(text) == value if isinstance(value, float) else text == value
