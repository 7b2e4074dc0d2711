"""Cells of files as values of fields: what is read, and what is refused without being shown."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.importers import values
from streams.importers.values import UnfitError

MOMENT = 1_577_840_461_001
"""2020-01-01 01:01:01.001 UTC"""


@pytest.mark.parametrize(
    "value",
    [
        MOMENT,
        str(MOMENT),
        float(MOMENT),
        MOMENT * 1_000,
        MOMENT * 1_000_000,
        MOMENT / 1_000,
        "1577840461.001",
        "2020-01-01T01:01:01.001Z",
        "2020-01-01 01:01:01.001",
        "2020-01-01T02:01:01.001+01:00",
        "2020-01-01 01:01:01.001000001 +0000 UTC",
        "2020-01-01 02:01:01.001 +0100 CET",
        datetime(2020, 1, 1, 1, 1, 1, 1_000),
        datetime(2020, 1, 1, 2, 1, 1, 1_000, timezone(timedelta(hours=1))),
    ],
)
def test_a_time_is_told_by_its_value(value: Any) -> None:
    assert values.millis(value) == MOMENT


@pytest.mark.parametrize(
    ("value", "form", "wanted"),
    [
        (5, "s", 5_000), ("5", "ms", 5), (5_000, "us", 5), (5_000_000, "ns", 5),
        ("01.02.2020", "%d.%m.%Y", 1_580_515_200_000), (date(2020, 2, 1), None, 1_580_515_200_000),
    ],
)  # fmt: skip
def test_a_time_is_what_its_format_says(value: Any, form: str | None, wanted: int) -> None:
    assert values.millis(value, form) == wanted


@given(st.datetimes(datetime(1974, 1, 1), datetime(5000, 1, 1)))
def test_every_moment_is_the_same_in_every_form(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1_000 * 1_000, tzinfo=UTC)
    wanted = round(moment.timestamp() * 1_000)
    forms = (wanted, str(wanted), wanted * 1_000, f"{wanted / 1_000:.3f}", moment, moment.isoformat())
    assert {values.millis(form) for form in forms} == {wanted}


CANARY = "kanarienvogel"


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (values.millis, CANARY), (values.millis, -5), (values.millis, True), (values.millis, None),
        (values.millis, "0001-01-01 00:00:00 +0000 UTC"), (values.millis, float("nan")), (values.millis, [CANARY]),
        (lambda value: values.millis(value, "ms"), CANARY), (lambda value: values.millis(value, "%Y"), CANARY),
        (values.number, CANARY), (values.number, "inf"), (values.number, True), (values.number, [1]),
        (values.text, True), (values.text, [CANARY]), (values.text, {CANARY: 1}),
        (values.truth, CANARY), (values.truth, 2),
        (values.numbers, CANARY), (values.numbers, [CANARY]),
        (lambda value: values.texts(value, ">"), 5), (values.scalar, {CANARY: 1}), (values.scalar, None),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_not_shown(read: Any, value: Any) -> None:
    with pytest.raises(UnfitError) as caught:
        read(value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "wanted"), [("  a b ", "a b"), (17, "17"), (17.0, "17"), (1.5, "1.5"), (10**20, "100000000000000000000")]
)
def test_text(value: Any, wanted: str) -> None:
    assert values.text(value) == wanted


@pytest.mark.parametrize("value", [True, "true", "Yes", "1", 1, 1.0, "t"])
def test_yes(value: Any) -> None:
    assert values.truth(value)


@pytest.mark.parametrize("value", [False, "FALSE", "no", "0", 0, 0.0, "f"])
def test_no(value: Any) -> None:
    assert not values.truth(value)


def test_lists_and_scalars() -> None:
    assert values.texts(" Tools > Hammers >", ">") == ["Tools", "Hammers"]
    assert values.texts(["a", None, 5], ">") == ["a", "5"]
    assert values.numbers([1, "2.5"]) == [1.0, 2.5]
    assert values.scalar(["a", 5]) == "a, 5"
    assert values.scalar(date(2020, 1, 2)) == "2020-01-02"
    assert [values.missing(value) for value in (None, " ", float("nan"), 0, False, "0")] == [True] * 3 + [False] * 3
