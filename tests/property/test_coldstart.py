"""What is known of a shopper does not depend on the order of arrival, and its segments name it exactly."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.coldstart import MAX_VALUE, by_segment, learn, segments, told
from streams.core.events import Arrival, Attributes, Known

NAMES = ("age", "country")
values = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=70)
tellings = st.dictionaries(st.sampled_from([*NAMES, "device"]), values)
histories = st.lists(st.tuples(tellings, st.integers(0, 5)), max_size=8)


def _learnt(history: list[tuple[dict[str, str | float | bool | None], int]]) -> Attributes:
    known: Attributes = {}
    for attributes, time in history:
        known = learn(known, told(attributes, NAMES, time))
    return known


@given(histories, st.randoms(use_true_random=False))
def test_any_order_of_arrival_tells_the_same(
    history: list[tuple[dict[str, str | float | bool | None], int]], chance: object
) -> None:
    shuffled = list(history)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert _learnt(history) == _learnt(shuffled)
    assert _learnt(history) == _learnt([*history, *shuffled])


@given(histories)
def test_the_newest_value_is_kept(history: list[tuple[dict[str, str | float | bool | None], int]]) -> None:
    for name, known in _learnt(history).items():
        times = [time for attributes, time in history if _short(attributes.get(name))]
        assert name in NAMES
        assert known.time == max(times)
        assert 0 < len(known.value) <= MAX_VALUE


def _short(value: object) -> bool:
    return value not in (None, "") and not (isinstance(value, str) and len(value) > MAX_VALUE)


texts = st.text(alphabet="ab&=%26", min_size=1, max_size=6)


@given(texts, texts, texts, texts)
def test_segments_are_apart_when_values_are(age: str, country: str, other_age: str, other_country: str) -> None:
    one = segments({"age": Known(0, age), "country": Known(1, country)}, NAMES)
    two = segments({"country": Known(7, other_country), "age": Known(3, other_age)}, NAMES)
    assert (one[0] == two[0]) == ((age, country) == (other_age, other_country))
    assert (one[1] == two[1]) == (age == other_age)
    assert len({*one}) == 3


def test_the_finest_segment_comes_first() -> None:
    event = {"age": 30.0, "country": "CH", "member": True, "device": "phone"}
    known = told(event, ("country", "member", "age"), 1)
    assert segments(known, ("country", "member", "age")) == [
        "country=CH&member=true&age=30", "country=CH", "member=true", "age=30"
    ]  # fmt: skip
    assert segments(known, ("age",)) == ["age=30"]
    assert segments({}, NAMES) == []


def test_nothing_new_changes_nothing() -> None:
    known: Attributes = {"age": Known(5, "30")}
    assert learn(known, told({"age": "20"}, NAMES, 4)) is known
    assert learn(known, told({"device": "phone", "country": None, "age": "x" * (MAX_VALUE + 1)}, NAMES, 6)) is known


def test_an_arrival_counts_for_the_segments_known_by_then() -> None:
    arrivals = [
        Arrival(1, "a", None),
        Arrival(2, "b", None, told({"age": "30"}, NAMES, 5)),
        Arrival(3, "c", None, told({"age": "20", "country": "CH"}, NAMES, 4)),
    ]
    found = [(segment, arrival.offset) for segment, arrival in by_segment({}, arrivals, NAMES)]
    assert found == [
        (None, 1), (None, 2), ("age=30", 2), (None, 3), ("age=30&country=CH", 3), ("age=30", 3), ("country=CH", 3)
    ]  # fmt: skip
