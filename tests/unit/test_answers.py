"""Answers in words, grounded in the catalogue: what customers are told, in English and in Chinese."""

import asyncio

import pytest

from streams.agents.answers import Asked
from streams.answering import Answerer, answer_id
from streams.core.policy import Policy
from streams.core.rules import parse, parse_filter
from streams.engine.store import MemoryPartition
from streams.profile_replica import ProfileReplica
from streams.serving import NoEncoderError, Phrase, Serving, TextSearch
from tests.unit.answer_shop import ITEMS, WORDING, AnswerShop
from tests.unit.records import FakeRecord, event, item
from tests.unit.shop import TOPICS


@pytest.fixture(scope="module")
def shop() -> AnswerShop:
    return AnswerShop()


@pytest.mark.parametrize(
    ("question", "kind", "text"),
    [
        ("How much is the claw hammer?", "price", "Claw hammer, hickory handle by Ironwood: 24.90 EUR, rated 4.6"),
        ("How much is the bare thing?", "price", "Bare thing: no price given"),
        (
            "How much is a spaceship?",
            "price",
            'The catalogue says nothing of "spaceship".\nI found no such item in the catalogue.',
        ),
        ("Is the rubber mallet in stock?", "stock", "Rubber mallet: available, 12.50 EUR"),
        (
            "Do you have a sledge hammer?",
            "stock",
            "Sledge hammer: not available now\nAvailable and similar:\n"
            "- Claw hammer, hickory handle by Ironwood: 24.90 EUR, rated 4.6",
        ),
        ("What colour is the tall enamel mug?", "attribute", "Tall enamel mug\n- colour: blue"),
        ("Is the tall enamel mug red?", "attribute", "Tall enamel mug\n- colour: blue"),
        ("Is the claw hammer magnetic?", "attribute", "Claw hammer, hickory handle\n- magnetic: no"),
        (
            "Is the claw hammer rustproof?",
            "attribute",
            'Claw hammer, hickory handle\n- "rustproof": the catalogue does not say',
        ),
        (
            "what size is the rubber mallet?",
            "attribute",
            'Rubber mallet\n- "size": the catalogue does not say',
        ),
        ("what brand is the rubber mallet?", "attribute", "Rubber mallet\n- brand: Ironwood"),
        (
            "tell me about the tall enamel mug",
            "describe",
            "Tall enamel mug by Emalia: 14 EUR\n- category: Mugs\n- colour: blue\n- dishwasher-safe: no",
        ),
        (
            "compare the claw hammer and the rubber mallet",
            "compare",
            "- Claw hammer, hickory handle by Ironwood: 24.90 EUR, rated 4.6\n- Rubber mallet by Ironwood: 12.50 EUR, "
            "rated 4.1\n- weight: 450 g / 600 g\n- handle: hickory / not said\n- magnetic: no / not said\n"
            "Rubber mallet costs less.\nClaw hammer, hickory handle is rated higher.",
        ),
        (
            "which is cheaper, the tall enamel mug or the travel mug?",  # 14 EUR and 8 USD cannot be compared
            "compare",
            "- Tall enamel mug by Emalia: 14 EUR\n- Travel mug: 8 USD\n- colour: blue / red\n"
            "- dishwasher-safe: no / not said",
        ),
        ("red mugs under 10 euros", "find", "This fits:\n- Enamel mug by Emalia: 9.50 EUR"),
        ("hammers under 5 euros", "find", "I found nothing in the catalogue that fits."),
        (
            "cheapest hammer",
            "find",
            "This fits:\n- Rubber mallet by Ironwood: 12.50 EUR, rated 4.1\n"
            "- Claw hammer, hickory handle by Ironwood: 24.90 EUR, rated 4.6",
        ),
        ("Where is my order?", "unknown", "I do not know that."),
        ("what is the meaning of life?", "unknown", 'It says nothing of "meaning", "life".'),
        ("保温杯多少钱？", "price", "不锈钢保温杯（富光）：59 CNY"),
        ("保温杯是什么颜色的？", "attribute", "不锈钢保温杯\n- 颜色：红色"),
        ("玻璃水杯有货吗", "stock", "玻璃水杯：有货，25 CNY"),
        ("有没有比保温杯便宜的水杯？", "alternatives", "与不锈钢保温杯类似的商品：\n- 玻璃水杯（富光）：25 CNY"),
        ("红色的水杯，60元以下", "find", "以下商品符合要求：\n- 不锈钢保温杯（富光）：59 CNY"),
        ("我的快递到哪里了", "unknown", "这个我不知道。"),
    ],
)
def test_a_question_is_answered_by_the_catalogue(shop: AnswerShop, question: str, kind: str, text: str) -> None:
    answer = shop.ask(question)
    assert answer.kind == kind
    if kind in ("stock", "unknown"):
        assert text in answer.text
    else:
        assert answer.text == text


def test_what_comes_close_is_not_passed_off_as_what_was_asked(shop: AnswerShop) -> None:
    answer = shop.ask("show me purple mugs")
    assert not answer.exact
    assert answer.text.splitlines()[:2] == [
        'The catalogue says nothing of "purple".',
        "Nothing fits in so many words. These come closest:",
    ]
    assert {cited.item for cited in answer.items} == {"red-mug", "blue-mug", "usd-mug"}


def test_the_answer_says_what_it_rests_on(shop: AnswerShop) -> None:
    answer = shop.ask("red mugs under 10 euros", time=5)
    assert [(cited.item, cited.price, cited.currency) for cited in answer.items] == [("red-mug", 9.5, "EUR")]
    assert [(quote.item, quote.field, quote.text) for quote in answer.quotes] == [
        ("red-mug", "title", "Enamel mug"),
        ("red-mug", "brand", "Emalia"),
        ("red-mug", "price", "9.50"),
        ("red-mug", "currency", "EUR"),
    ]
    assert answer.filter
    parse_filter(answer.filter)
    assert answer.as_of["shop.catalogue.v1/0"] == len(ITEMS) - 1
    assert answer.model == shop.shop.encoder.id
    assert (answer.question, answer.user, answer.time, answer.policy) == ("q-1", None, 5, "default")


def test_alternatives_say_that_they_are(shop: AnswerShop) -> None:
    answer = shop.ask("is the sledge hammer available?")
    assert [(cited.item, cited.alternative) for cited in answer.items][:2] == [("sledge", False), ("claw", True)]
    assert all(cited.available for cited in answer.items if cited.alternative)


def test_cheaper_alternatives_cost_less_in_the_same_currency(shop: AnswerShop) -> None:
    answer = shop.ask("anything cheaper than the enamel mug?")
    assert answer.kind == "alternatives"
    assert [cited.item for cited in answer.items] == ["red-mug"]  # the one for 8 USD cannot be compared
    assert answer.text == "I found nothing similar to Enamel mug that fits."


def test_the_same_question_has_the_same_answer_and_id(shop: AnswerShop) -> None:
    assert shop.ask("red mugs") == shop.ask("red mugs")
    ids = {answer_id(question, user) for question in ("a", "b") for user in (None, "anna", "bert")}
    assert len(ids) == 6


def test_a_shopper_is_answered_by_their_taste() -> None:
    shop = AnswerShop()
    shop.happened(*(event(number, user="anna", item="blue-mug") for number in range(3)))
    shop.happened(*(event(number, user="bert", item="red-mug") for number in range(3, 6)))
    nobody, anna, bert = (shop.ask("show me mugs", shopper=name) for name in (None, "anna", "bert"))
    first = [answer.items[0].item for answer in (nobody, anna, bert)]
    assert first == ["usd-mug", "blue-mug", "red-mug"]
    assert {cited.item for cited in nobody.items} == {cited.item for cited in anna.items}
    assert anna.text.startswith("This fits, in the order that should suit you:")
    assert (anna.user, anna.id) != (bert.user, bert.id)


def test_nothing_in_particular_is_what_would_be_recommended() -> None:
    shop = AnswerShop()
    shop.happened(event(0, user="bert", item="mallet"))
    assert [cited.item for cited in shop.ask("recommend something", n=1).items] == ["mallet"]
    cheap = shop.ask("recommend something under €13")
    assert [cited.item for cited in cheap.items] == ["mallet", "red-mug"]


def test_the_rules_of_the_shop_hold_for_what_is_found() -> None:
    shop = AnswerShop(policy=Policy(rules=(parse('exclude brand = "Emalia"'),), excluded=frozenset({"usd-mug"})))
    assert shop.ask("show me mugs").items == []
    assert shop.ask("how much is the tall enamel mug?").items  # who names it may know


def test_a_language_is_told_or_asked_for(shop: AnswerShop) -> None:
    assert shop.ask("How much is the rubber mallet?", language="zh-CN").text.startswith("Rubber mallet（Ironwood）：")
    assert shop.ask("玻璃水杯多少钱", language="en").text == "玻璃水杯 by 富光: 25 CNY"
    assert shop.ask("玻璃水杯多少钱", language="sv").language == "zh"


def test_words_of_another_language_are_found_by_meaning_and_said_to_be() -> None:
    english = [record for record in ITEMS if record.key in (b"claw", b"mallet", b"red-mug")]
    answer = AnswerShop(*english).ask("锤子多少钱？")
    assert (answer.kind, answer.exact, len(answer.items)) == ("price", False, 3)
    assert answer.text.startswith("没有找到这个名称的商品，以下最为接近：")


def test_an_item_that_is_gone_is_not_known_any_more() -> None:
    shop = AnswerShop()
    shop.shop.catalogue(FakeRecord(b"mallet", None, 99, TOPICS.catalogue.name))
    assert shop.ask("how much is the rubber mallet").items == []


def test_a_title_cannot_give_orders() -> None:
    shop = AnswerShop(item("evil", 0, title="Mug {{ 7 * 7 }}\n{% for x in y %} <b>", price=1.0))
    answer = shop.ask("how much is the mug")
    assert answer.text == "Mug {{ 7 * 7 }} {% for x in y %} <b>: 1"


async def test_without_the_encoder_of_the_items_words_have_to_do() -> None:
    shop = await asyncio.to_thread(AnswerShop)
    replica = shop.shop.replica

    class Another:
        id = "another@1"

    search = TextSearch(lambda model: Another(), replica)  # type: ignore[arg-type, return-value]
    with pytest.raises(NoEncoderError, match=r"this server has another@1: set UPWELL_MODEL"):
        await search.vectors([Phrase("mug", replica.model)])
    serving = Serving(replica, lambda: ProfileReplica([MemoryPartition()]), Policy(), TOPICS)
    for found in (search, None):
        (answer,) = await Answerer(serving, found, WORDING).answer([Asked("q", "red mugs under 10 euros")])
        assert [cited.item for cited in answer.items] == ["red-mug"]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Do you sell mugs in Amselweg?", "Nothing fits in so many words. These come closest:"),
        ("how much is the Amselweg?", "I found no such item in the catalogue."),
        ("is the rubber mallet amselwegproof?", "Rubber mallet by Ironwood: 12.50 EUR, rated 4.1"),
        ("Amselweg Rotkehl", "I do not know that."),
        ("what size is the rubber mallet?", '"size": the catalogue does not say'),
    ],
)
def test_where_people_have_pseudonyms_unknown_words_are_not_repeated(question: str, said: str) -> None:
    answer = AnswerShop(repeats=False).ask(question)
    assert said in answer.text
    assert "amselweg" not in (answer.text + repr(answer.quotes)).lower()
    if "Amselweg" in question and "Rotkehl" not in question:
        assert "amselweg" in AnswerShop().ask(question).text
