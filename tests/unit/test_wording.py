"""Templates that a shop can edit: what they may do, and what is told of one that does not work, before it is used."""

from pathlib import Path

import pytest

from streams.core.answers.grounding import Quoted, money, view, written
from streams.core.answers.plan import Kind
from streams.errors import ConfigError
from streams.replicas import Facts
from streams.wording import BUILT_IN, Answered, Wording

HAMMER = view("h", Facts("Hammer", True, "Tools", "Acme", 9.9, {"colour": "red"}, "EUR"))


def with_templates(folder: Path, **files: str) -> Wording:
    """Wording with files in the folder `en`, by their names without the ending."""
    (folder / "en").mkdir(parents=True)
    for name, text in files.items():
        (folder / "en" / f"{name}.j2").write_text(text)
    return Wording(folder)


def test_a_shop_puts_one_template_in_the_place_of_another(tmp_path: Path) -> None:
    wording = with_templates(
        tmp_path, price="{% for item in items if item.price %}Only {{ item.price }}!{% else %}Sorry.{% endfor %}"
    )
    assert wording.render("en", Kind.PRICE, Answered([HAMMER]))[0] == "Only 9.90!"
    assert wording.render("zh", Kind.PRICE, Answered([HAMMER]))[0] == "Hammer（Acme）：9.90 EUR"
    assert wording.render("en", Kind.FIND, Answered([HAMMER]))[0].startswith("This fits:")


def test_what_items_are_written_like_is_one_template(tmp_path: Path) -> None:
    built_in = (BUILT_IN / "en/item.j2").read_text()
    wording = with_templates(tmp_path, item=built_in.replace("no price given", "ask us"))
    bare = view("b", Facts("Bare", True, None, None, None, {}))
    assert wording.render("en", Kind.PRICE, Answered([bare]))[0] == "Bare: ask us"


def test_a_language_of_ones_own_needs_every_template(tmp_path: Path) -> None:
    german = tmp_path / "de"
    german.mkdir()
    for kind in Kind:
        (german / f"{kind}.j2").write_text("{% for item in items %}{{ item.title }}{% endfor %} Das war es.")
    wording = Wording(tmp_path)
    assert wording.language("de-AT", "en") == "de"
    assert wording.render("de", Kind.PRICE, Answered([HAMMER]))[0] == "Hammer Das war es."
    (german / "stock.j2").unlink()
    with pytest.raises(ConfigError, match=r"there is no template de/stock\.j2: UPWELL_ANSWER_TEMPLATES must have it"):
        Wording(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{% for item in items %}\n{{ item.title }", r"en/price\.j2:2: unexpected '}'"),
        ("One\n{{ items[0].weight }}", r"en/price\.j2:2: .*has no attribute 'weight'"),
        ("{{ item.title }}", r"en/price\.j2:1: 'item' is undefined"),
        (
            "{% for item in items %}\n{{ item.price ~ '0' }}{% endfor %}",
            r"en/price\.j2:2: it prints str, and only what",
        ),
        (
            "{% for item in items %}{{ loop.index }}{% endfor %}",
            r"en/price\.j2:1: it prints int, and only what is from",
        ),
        ("{{ 7 * 7 }}", r"it prints int"),
        ("{{ 'free delivery' }}", r"it prints str"),
        ("{% for item in items %}{{ item.available }}{% endfor %}", r"it prints bool"),
        ("{% for item in items %}{{ item.brand }}.{% endfor %}", r"it prints what an item may lack"),
        ("{% for item in items %}{{ item.price|round }}{% endfor %}", r"No filter named 'round'"),
        ("{{ items.__class__ }}", r"access to attribute '__class__' of 'list' object is unsafe"),
        ("{% for i in range(9) %}x{% endfor %}", r"'range' is undefined"),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", r"maximum recursion depth"),
        ("{% set x = items.append(1) %}x", r"unsafe"),
        ("{% include '../../../etc/passwd' %}", r"there is no template"),
        ("  \n ", r"price\.j2: it says nothing"),
    ],
)
def test_a_template_that_does_not_work_is_told_at_the_start(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        with_templates(tmp_path, price=text)


def test_what_is_misnamed_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"prize\.j2: no template is called so; there are alternatives\.j2, "):
        with_templates(tmp_path, prize="x")
    (tmp_path / "other/English").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"English: in UPWELL_ANSWER_TEMPLATES there are folders named by language"):
        Wording(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"'.*missing', which is no directory"):
        Wording(tmp_path / "missing")


def test_delivered_templates_have_no_numbers_of_their_own() -> None:
    for path in BUILT_IN.rglob("*.j2"):
        assert not any(letter.isdigit() for letter in path.read_text().replace(".j2", "")), path


def test_what_is_printed_is_told_with_its_place() -> None:
    _, quotes = Wording().render("en", Kind.PRICE, Answered([HAMMER, HAMMER]))
    assert quotes == [
        Quoted("Hammer", "h", "title"),
        Quoted("Acme", "h", "brand"),
        Quoted("9.90", "h", "price"),
        Quoted("EUR", "h", "currency"),
    ]


def test_values_are_written_for_people() -> None:
    assert [written(value) for value in (4.6, 5.0, 1e21, 1e-7, 1234567.5, 5e-324)] == [
        "4.6", "5", "1" + "0" * 21, "0.0000001", "1234567.5", "5e-324",
    ]  # fmt: skip
    assert [money(value) for value in (24.9, 25.0, 24.99, 0.005)] == ["24.90", "25", "24.99", "0.005"]
    assert written("two\nlines\u2028and\ttabs \x00") == "two lines and tabs"
    assert written("12 345 " * 200).endswith("12 345 12…")  # and not 3, which is nowhere
    assert written("9" * 400) == "…"
