"""The live view at several sizes: it fills the terminal exactly, and shows what it should."""

import io

import pytest
from rich.console import Console

from streams.demo.following import Moment, Scene
from streams.demo.tracker import Figures
from streams.demo.view import Stage, View
from tests.unit.demo_shop import DAY, basket, catalogue, recommendation

BEFORE = recommendation("ann", "b1-i00", [f"i{n:02}" for n in range(20)])
AFTER = recommendation("ann", "b2-i03", [f"i{n:02}" for n in (3, 0, 1, 40, *range(4, 20))])
SCENE = Scene(Moment(basket("ann", ["i30", "i03", "i31"], 400 * DAY, "b2"), BEFORE, AFTER), BEFORE)
FIGURES = Figures(12.0, 2_400, 200.2, 310, 27.1, 3, 9.2, 31.3, 0.1423, 0.0712, 1_234, 400 * DAY, SCENE)
STAGE = Stage("Apache Kafka on h:1", "h:1", "demo", "hashing", catalogue([f"i{n:02}" for n in range(50)]), 9_000, "ann")


def frame(view: View, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None, force_terminal=True)
    lines = console.render_lines(view, console.options.update(height=height), pad=False)
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


@pytest.mark.parametrize(("width", "height"), [(60, 12), (80, 24), (100, 50), (120, 24), (140, 40), (220, 60)])
@pytest.mark.parametrize("scene", [SCENE, SCENE._replace(previous=None), None], ids=["changed", "first", "waiting"])
def test_a_frame_fills_the_terminal_exactly(width: int, height: int, scene: Scene | None) -> None:
    lines = frame(View(STAGE, FIGURES._replace(scene=scene), 42), width, height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    assert lines[-1].endswith("Ctrl-C ends")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 40)])
def test_a_frame_tells_what_was_bought_and_what_changed(width: int, height: int) -> None:
    text = "\n".join(frame(View(STAGE, FIGURES, 42), width, height))
    for wanted in (
        "1971-02-05 in the shop", "200", "27", "9 ms", "p99 31 ms", "14.2%", "popularity 7.1%", "2,400 of 9,000",
        "3 items, 1 recommended before", "no. 4  Title of i03", "because of i03", "Title of i02", "new",
        "1 new, 3 moved, 1 gone",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_before_the_first_figures_there_are_dashes() -> None:
    empty = Figures(0.0, 0, 0.0, 0, 0.0, 0, None, None, None, None, 0, None, None)
    text = "\n".join(frame(View(STAGE, empty, 0), 80, 24))
    assert "p99 –" in text
    assert "waiting until ann buys something" in text


def test_a_wide_frame_says_how_to_look_from_elsewhere() -> None:
    text = "\n".join(frame(View(STAGE, FIGURES, 42), 140, 40))
    assert "KAFKA_BOOTSTRAP_SERVERS=h:1 UPWELL_SHOP=demo upwell tail recommendations" in text


def test_an_item_that_the_catalogue_lacks_goes_by_its_id() -> None:
    unknown = Stage("", "h:1", "demo", "hashing", {}, 1, "ann")
    assert "i40" in "\n".join(frame(View(unknown, FIGURES, 42), 80, 24))
