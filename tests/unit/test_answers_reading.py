"""Questions become plans: what is asked, of which items, under which conditions, in English and Chinese."""

import json

import pytest

from streams.core.answers.lexicon import Lexicon
from streams.core.answers.plan import Kind, Order, Plan
from streams.core.answers.reading import read
from streams.core.answers.words import language, telling, words
from streams.core.rules import parse_filter, written
from streams.core.rules.syntax import Condition, Include
from streams.records import CatalogueItem
from tests.unit.answer_shop import ITEMS


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    filled = Lexicon()
    for record in ITEMS:
        body = json.loads(record.value or b"{}")
        filled.put(body["id"], CatalogueItem(**{name: body[name] for name in body if name in _FIELDS}))
    return filled


_FIELDS = {"id", "title", "category", "brand", "price", "currency", "rating", "available", "attributes"}


def rules(condition: Condition | None) -> str | None:
    return None if condition is None else written(Include(condition)).removeprefix("include ")


@pytest.mark.parametrize(
    ("question", "kind", "named"),
    [
        ("How much is the claw hammer?", Kind.PRICE, "claw"),
        ("what's the price of the rubber mallet", Kind.PRICE, "mallet"),
        ("claw hammer: what does it cost?", Kind.PRICE, "claw"),
        ("Is the sledge hammer in stock?", Kind.STOCK, "sledge"),
        ("is the rubber mallet available", Kind.STOCK, "mallet"),
        ("What colour is the tall enamel mug?", Kind.ATTRIBUTE, "blue-mug"),
        ("how heavy is the claw hammer?", Kind.ATTRIBUTE, "claw"),
        ("what brand is the rubber mallet?", Kind.ATTRIBUTE, "mallet"),
        ("is the claw hammer magnetic?", Kind.ATTRIBUTE, "claw"),
        ("tell me about the claw hammer", Kind.DESCRIBE, "claw"),
        ("compare the claw hammer and the rubber mallet", Kind.COMPARE, "claw mallet"),
        ("which is cheaper, the rubber mallet or the claw hammer?", Kind.COMPARE, "mallet claw"),
        ("rubber mallet vs claw hammer", Kind.COMPARE, "mallet claw"),
        ("something like the claw hammer", Kind.ALTERNATIVES, "claw"),
        ("do you have anything cheaper than the claw hammer?", Kind.ALTERNATIVES, "claw"),
        ("alternatives to the rubber mallet", Kind.ALTERNATIVES, "mallet"),
        ("show me a rubber mallet", Kind.FIND, "mallet"),
        ("rubber mallet", Kind.FIND, "mallet"),
        ("what hammers with a handle of hickory do you have?", Kind.FIND, "claw"),
        ("How much is a spaceship?", Kind.PRICE, ""),
        ("Where is my order?", Kind.UNKNOWN, ""),
        ("what is the meaning of life", Kind.UNKNOWN, ""),
        ("?!", Kind.UNKNOWN, ""),
        ("保温杯多少钱?", Kind.PRICE, "flask"),
        ("玻璃水杯有货吗", Kind.STOCK, "cup"),
        ("保温杯是什么颜色的?", Kind.ATTRIBUTE, "flask"),
        ("比较保温杯和玻璃水杯", Kind.COMPARE, "flask cup"),
        ("有没有比保温杯便宜的水杯", Kind.ALTERNATIVES, "flask"),
        ("有没有和保温杯类似的", Kind.ALTERNATIVES, "flask"),
        ("介绍一下保温杯", Kind.DESCRIBE, "flask"),
        ("推荐一个保温杯", Kind.FIND, "flask"),
        ("我的快递到哪里了", Kind.UNKNOWN, ""),
        ("人生的意义是什么", Kind.UNKNOWN, ""),
    ],
)
def test_what_is_asked_of_which_items(lexicon: Lexicon, question: str, kind: Kind, named: str) -> None:
    plan = read(question, lexicon)
    assert (plan.kind, " ".join(plan.named)) == (kind, named)


@pytest.mark.parametrize(
    ("question", "condition"),
    [
        ("mugs under 10 euros", "price < 10.0"),
        ("mugs up to €1,000.50", "price <= 1000.5"),
        ("a hammer for at least 20 EUR", "price >= 20.0"),
        ("hammers over $5", "price > 5.0"),
        ("hammers between 10 and 30 euros", "price >= 10.0 and price <= 30.0"),
        ("hammers 10-30 euros", "price >= 10.0 and price <= 30.0"),
        ("a mug, 9,50 € at most", "price <= 9.5"),
        ("mug 10-30", None),
        ("hammers under 500 g", None),
        ("dishwasher-safe mugs", "attributes.dishwasher-safe = true"),
        ("hammers by Ironwood", 'brand = "Ironwood"'),
        ("hammers but not by Ironwood", 'not brand = "Ironwood"'),
        ("mugs that are red or blue", 'attributes.colour in ("red", "blue") or attributes."颜色" = "红色"'),
        ("which mugs are dishwasher-safe?", "attributes.dishwasher-safe = true"),
        ("show me mugs in stock", "available = true"),
        ("50元以下的水杯", "price <= 50.0"),
        ("水杯不超过50块", "price <= 50.0"),
        ("低于50元的水杯", "price < 50.0"),
        ("20到60元的水杯", "price >= 20.0 and price <= 60.0"),
        ("至少20元的水杯", "price >= 20.0"),
        ("富光的水杯", 'brand = "富光"'),
        ("不要红色的水杯", 'not attributes."颜色" = "红色" and not attributes.colour = "red"'),
    ],
)
def test_what_items_have_to_be(lexicon: Lexicon, question: str, condition: str | None) -> None:
    found = rules(read(question, lexicon).condition)
    assert found == condition
    if found:
        assert rules(parse_filter(found).condition) == found


@pytest.mark.parametrize(
    ("question", "currencies"),
    [
        ("mugs under 10 euros", {"EUR"}),
        ("mugs under £10", {"GBP"}),
        ("50元以下的水杯", {"CNY"}),
        ("mugs under 10", set()),
    ],
)
def test_a_limit_is_of_the_currency_it_names(lexicon: Lexicon, question: str, currencies: set[str]) -> None:
    assert read(question, lexicon).currencies == currencies


@pytest.mark.parametrize(
    ("question", "order"),
    [
        ("the cheapest hammer", Order.CHEAPEST),
        ("most expensive mug", Order.DEAREST),
        ("best rated hammer", Order.BEST_RATED),
        ("最便宜的水杯", Order.CHEAPEST),
        ("最贵的水杯", Order.DEAREST),
        ("a hammer", None),
    ],
)
def test_how_items_are_to_be_ordered(lexicon: Lexicon, question: str, order: Order | None) -> None:
    assert read(question, lexicon).order is order


@pytest.mark.parametrize(
    ("question", "unmet"),
    [
        ("show me purple mugs", ("purple",)),
        ("how much is the golden claw hammer", ("golden",)),
        ("有没有紫色的水杯", ("紫",)),
        ("show me red mugs", ()),
    ],
)
def test_what_the_catalogue_does_not_know_is_said(lexicon: Lexicon, question: str, unmet: tuple[str, ...]) -> None:
    assert read(question, lexicon).unmet == unmet


def test_items_that_have_most_of_what_is_asked_for_come_first(lexicon: Lexicon) -> None:
    plan = read("do you have any rubber hammers for beginners?", lexicon)
    assert (plan.named, plan.partly, plan.unmet) == ((), ("mallet",), ("beginners",))
    assert read("a rubber thing for beginners and experts", lexicon).partly == ()


def test_what_is_asked_of_an_item(lexicon: Lexicon) -> None:
    def focus(question: str) -> list[tuple[str, str, tuple[str, ...]]]:
        return [(one.asked, one.field, one.names) for one in read(question, lexicon).focus]

    assert focus("what colour is the enamel mug?") == [("colour", "", ("colour", "颜色"))]
    assert focus("what size is the enamel mug?") == [("size", "", ())]
    assert focus("what brand is the enamel mug?") == [("brand", "brand", ())]
    assert focus("is the claw hammer magnetic?") == [("magnetic", "", ("magnetic",))]
    assert focus("is the claw hammer rustproof?") == [("rustproof", "", ())]
    assert focus("is the tall enamel mug red?") == [("red", "", ("colour", "颜色"))]
    assert focus("保温杯的容量是多少?") == [("容量", "", ("容量",))]


def test_words_of_another_language_are_left_to_meaning() -> None:
    english = Lexicon()
    english.put("claw", CatalogueItem("claw", "Claw hammer"))
    plan = read("锤子多少钱?", english)
    assert (plan.kind, plan.foreign, plan.named, plan.unmet) == (Kind.PRICE, True, (), ())
    assert not read("how much is a spaceship?", english).foreign


def test_what_an_item_was_called_is_forgotten() -> None:
    lexicon = Lexicon()
    mug = CatalogueItem("mug", "Red mug", brand="Acme", category=["Mugs"], attributes={"colour": "red", "tall": True})
    empty = _state(lexicon)
    lexicon.put("mug", mug)
    lexicon.put("mug", CatalogueItem("mug", "Green bowl", brand="Bolt"))
    assert not lexicon.match(["red"]).items
    assert lexicon.match(["green", "bowl"]).items == ["mug"]
    lexicon.put("mug", None)
    assert _state(lexicon) == empty


def _state(lexicon: Lexicon) -> list[object]:
    return [dict(lexicon._items), dict(lexicon._meanings), dict(lexicon._names), +lexicon._scripts, lexicon._known]


def test_words_are_compared_without_case_width_and_plural() -> None:
    assert words("HAMMERS, Boxes & Ｂａｔｔｅｒｉｅｓ 24.9") == ["hammer", "box", "battery", "24.9"]
    assert words("glass") == ["glass"]
    assert telling("I would like a red mug, please") == ["red", "mug"]
    assert [language(text) for text in ("mug", "杯子", "コップを見る")] == ["en", "zh", "en"]


def test_any_text_is_read(lexicon: Lexicon) -> None:
    for text in ("", " ", "；；", "(" * 500, "9" * 900, "between and", "像" * 1000, "比" * 1000, "a or " * 200):
        assert isinstance(read(text, lexicon), Plan)
