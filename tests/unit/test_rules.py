"""Rules: what is read, and how it is said that something is wrong."""

import pytest

from streams.core.rules import RuleError, parse, parse_boost, parse_filter, written
from streams.core.rules import syntax as s
from streams.core.rules.parser import MAX_CONDITIONS, MAX_DEPTH
from streams.core.rules.tokens import MAX_LENGTH

PRICE = s.Field("price")
DAY = 86_400_000


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("exclude price > 100", s.Exclude(s.Comparison(PRICE, s.Operator.MORE, 100.0))),
        ("boost brand = 'acme' by 1.5", s.Boost(s.Comparison(s.Field("brand"), s.Operator.EQUAL, "acme"), 1.5)),
        ("exclude purchased", s.Exclude(s.Did(s.Deed.PURCHASED))),
        ("exclude  in_cart", s.Exclude(s.Did(s.Deed.IN_CART))),
        ("exclude seen within 7d", s.Exclude(s.Did(s.Deed.SEEN, 7 * DAY))),
        ("cap category 3", s.Cap(s.Group.CATEGORY, 3)),
        ("cap brand 2", s.Cap(s.Group.BRAND, 2)),
        (
            'include category in ("toys", "games") and available',
            s.Include(s.All((
                s.Among(s.Field("category"), ("toys", "games")),
                s.Comparison(s.Field("available"), s.Operator.EQUAL, True),
            ))),
        ),
        (
            "exclude not has price or attributes.age >= 18 and attributes.\"shoe size\" != 'L'",
            s.Exclude(s.Any((
                s.Not(s.Has(PRICE)),
                s.All((
                    s.Comparison(s.Field("age", attribute=True), s.Operator.AT_LEAST, 18.0),
                    s.Comparison(s.Field("shoe size", attribute=True), s.Operator.UNEQUAL, "L"),
                )),
            ))),
        ),
        (
            "exclude (price < 1 or price > 9) and not purchased",
            s.Exclude(s.All((
                s.Any((
                    s.Comparison(PRICE, s.Operator.LESS, 1.0),
                    s.Comparison(PRICE, s.Operator.MORE, 9.0),
                )),
                s.Not(s.Did(s.Deed.PURCHASED)),
            ))),
        ),
    ],
)  # fmt: skip
def test_what_is_read(text: str, rule: s.Rule) -> None:
    assert parse(text) == rule


def test_filters_and_boosts_of_a_request_have_no_first_word() -> None:
    assert parse_filter("price < 5") == parse("include price < 5")
    assert parse_boost("price < 5 by 2") == parse("boost price < 5 by 2")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('exclude price > "abc"', "1:17: expected a number after '>', got \"abc\""),
        ("exclude price > cheap", "1:17: expected a number after '>', got 'cheap'"),
        ("exclude price >", "1:16: expected a number after '>', got the end"),
        ("exclude price", "1:14: expected a comparison or 'in' after 'price', got the end"),
        ("exclude brand < 'x'", "1:15: 'brand' holds text in quotes, which has no order: use =, != or in"),
        ("exclude brand = 5", "1:17: expected text in quotes after '=', got '5'"),
        ("exclude available = 1", "1:21: expected true or false after '=', got '1'"),
        ("exclude attributes.x in (1, 'a')", "1:29: expected a number in the list, got 'a'"),
        ("exclude attributes.x > true", "1:24: expected a number after '>', got 'true'"),
        ("exclude attributes", "1:19: expected '.' and a name after 'attributes', got the end"),
        ("exclude prize > 5", "1:9: unknown field 'prize', did you mean 'price'?"),
        ("exclude Brand = 'x'", "1:9: unknown field 'Brand', did you mean 'brand'?"),
        ("exclude qqq", "1:9: unknown field 'qqq'; there are id, category, brand, price, available, attributes,"),
        ("exclude", "1:8: expected a condition, got the end"),
        ("", "1:1: expected exclude, include, boost or cap, got the end"),
        ("drop price > 5", "1:1: expected exclude, include, boost or cap, got 'drop'"),
        ("exclude (price > 5", "1:19: expected ')', 'and' or 'or', got the end"),
        ("exclude price > 5)", "1:18: expected nothing more, got ')'"),
        ("exclude price > 5 price", "1:19: expected nothing more, got 'price'"),
        ("exclude seen within 7", "1:21: expected a duration (30s 15m 12h 7d 2w) after 'within', got '7'"),
        ("exclude seen within 0d", "1:21: a duration must be more than 0 and at most 3650d, got '0d'"),
        ("exclude seen within 7y", "1:21: this is no number (12.5) and no duration"),
        ("exclude price > 1e999", "1:17: '1e999' is too large"),
        ("exclude brand = 'x", "1:17: the text that begins here has no closing '"),
        ("exclude price > 5;", "1:18: ';' cannot stand here"),
        ("boost price > 5", "1:16: expected 'by' and a factor, got the end"),
        ("boost price > 5 by 0", "1:20: expected a factor after 'by' from 0.001 to 1000, got '0'"),
        ("cap price 3", "1:5: expected 'category' or 'brand' after 'cap', got 'price'"),
        ("cap brand 2.5", "1:11: expected a whole number after the group from 1 to 1000, got '2.5'"),
        ("exclude price > 5\n  and brand", "2:12: expected a comparison or 'in' after 'brand', got the end"),
        ("x" * (MAX_LENGTH + 1), f"{MAX_LENGTH + 1} characters, at most {MAX_LENGTH} are read"),
        ("exclude " + "(" * 500, f"more than {MAX_DEPTH} parentheses and 'not' inside one another"),
        ("exclude " + "not " * 400 + "seen", f"more than {MAX_DEPTH} parentheses and 'not' inside one another"),
        ("exclude " + " or ".join(["seen"] * 150), f"more than {MAX_CONDITIONS} conditions"),
        (f"exclude price in ({', '.join(['1'] * 150)})", f"more than {MAX_CONDITIONS} values in a list"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(RuleError) as error:
        parse(text)
    assert complaint in str(error.value)


def test_the_place_is_marked() -> None:
    with pytest.raises(RuleError) as error:
        parse("exclude price > 5\n  and\tprice < 'x'")
    assert str(error.value).split("\n")[1:] == ["    and price < 'x'", "                ^"]


def test_of_a_long_line_the_part_around_the_place_is_shown() -> None:
    with pytest.raises(RuleError) as error:
        parse(f"exclude {'price > 5 and ' * 60} brand and {'price > 5 and ' * 20} seen")
    _, shown, mark = str(error.value).split("\n")
    assert len(shown) <= 2 + 120
    assert shown[mark.index("^") :].startswith("and")


def test_text_in_quotes_is_shown_as_text() -> None:
    assert written(parse("exclude brand = 'say \"hi\" \\\\'")) == 'exclude brand = "say \\"hi\\" \\\\"'
