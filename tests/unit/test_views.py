"""Records as people and programs see them, whatever stands on the topic."""

import json
from dataclasses import dataclass

import click
import msgspec
import pytest

from streams import views
from streams.samples import SAMPLES

TITLES = {"hammer-16oz": "Claw hammer", "mallet-rubber": "Rubber mallet, 450 g, with a grip of ash that is very long"}


@dataclass(frozen=True)
class _Record:
    value: bytes | None
    key: bytes | None = b"k"
    headers: tuple[tuple[str, bytes], ...] = ()
    topic: str = "shop.x.v1"
    partition: int = 2
    offset: int = 17
    timestamp: int = 0


def _sample(name: str) -> _Record:
    return _Record(msgspec.json.encode(SAMPLES[name]))


def _seen(text: str) -> list[str]:
    return click.unstyle(text).splitlines()


def test_recommendation_is_a_block_with_rank_title_channel_and_reason() -> None:
    assert _seen(views.recommendation(_sample("recommendation"), TITLES)) == [
        "u-1842 · 2026-01-05 10:01:35 · after purchase nails-50mm · profile",
        "    1  Rubber mallet, 450 g, with a grip of ash th…  mallet-rubber  content    "
        "like Claw hammer, 16 oz, hickory handle, viewed on 2026-01-05",
    ]


def test_recommendation_without_items_says_so() -> None:
    empty = msgspec.structs.replace(SAMPLES["recommendation"], items=[])
    assert _seen(views.recommendation(_Record(msgspec.json.encode(empty)), {}))[1] == "  (nothing to recommend yet)"


def test_event_is_a_line() -> None:
    assert _seen(views.event(_sample("view"), TITLES)) == [
        "2026-01-05 10:00:00  u-1842  view        Claw hammer (hammer-16oz)"
    ]
    assert _seen(views.event(_sample("purchase"), {})) == ["2026-01-05 10:01:35  u-1842  purchase    nails-50mm  (2)"]
    assert _seen(views.event(_sample("login"), {})) == ["2026-01-05 10:02:00  cookie-5e1  login       as u-1842"]


def test_questions_are_lines_and_answers_blocks() -> None:
    asked = views.question(_sample("question"), TITLES)
    assert _seen(asked) == ["2026-01-05 10:00:00  u-1842  q-77  'How much is the claw hammer?'"]
    assert _seen(views.answer(_sample("answer"), TITLES)) == [
        "u-1842 · q-77 · price · en",
        "  Claw hammer, 16 oz, hickory handle: 24.90 EUR.",
    ]


def test_item_is_a_line_and_so_is_its_deletion() -> None:
    assert _seen(views.catalogue_item(_sample("item"), {})) == [
        "hammer-16oz  Claw hammer, 16 oz, hickory handle  Tools › Hand tools › Hammers  24.90 EUR"
    ]
    assert _seen(views.catalogue_item(_Record(None), {})) == ["k  deleted"]


REFUSED = (
    ("trace", b"abc"),
    ("upwell.reason", b"invalid"),
    ("upwell.detail", b"`item` is missing"),
    ("upwell.topic", b"shop.events.v1"),
    ("upwell.partition", b"1"),
    ("upwell.offset", b"4"),
    ("upwell.timestamp", b"-1"),
)


def test_dead_letter_says_whence_and_why_and_what_it_looks_like() -> None:
    assert _seen(views.dead_letter(_Record(b'{"id": "e1", "time": 3, "name": "Anna"}', headers=REFUSED), {})) == [
        "shop.events.v1/1 @ 4  invalid: `item` is missing",
        "  {id: text of 2, time: number, 1 other fields}",
    ]
    assert _seen(views.dead_letter(_Record(b"\xff\x00"), {})) == ["?/? @ ?  ?: ", "  2 bytes, no JSON"]


def test_an_outline_says_nothing_of_what_was_said() -> None:
    said = {"id": "Anna", "user": None, "attributes": {"Anna": "Anna"}, "category": ["Anna"], "available": True}
    assert views.outline(json.dumps(said | {"Anna": 1}).encode()) == (
        "{id: text of 4, user: null, attributes: object of 1, category: list of 1, available: bool, 1 other fields}"
    )
    assert views.outline(b'"Anna"') == "6 bytes, JSON text of 4"
    assert views.outline(None) == "(null)"
    for shown in (views.dead_letter_outlined, views.dead_letter_outlined_as_json):
        text = shown(_Record(json.dumps(said).encode(), key=b"Anna", headers=(("by", b"Anna"), *REFUSED)))
        assert "Anna" not in str(text)
        assert "text of 4" in str(text)
    assert views.plain_detail("handler-error", "KeyError: 'Anna'") == "KeyError"


def test_dead_letter_as_json_keeps_bytes_that_are_no_text() -> None:
    shown = json.loads(views.dead_letter_as_json(_Record(b"\xff", headers=REFUSED)))
    assert shown == {
        "reason": "invalid",
        "detail": "`item` is missing",
        "topic": "shop.events.v1",
        "partition": 1,
        "offset": 4,
        "timestamp": -1,
        "key": "k",
        "value_base64": "/w==",
    }
    assert json.loads(views.dead_letter_as_json(_Record(None, headers=(("upwell.offset", b"x"),))))["offset"] is None


def test_json_is_one_line_as_it_was_and_a_deletion_in_the_form_that_produce_reads() -> None:
    assert views.as_json(_Record(b'{\n "b": 1,\n "a": 2\n}')) == b'{"b":1,"a":2}'
    assert views.as_json(_Record(None, key=b"hammer")) == b'{"id":"hammer","deleted":true}'
    assert views.as_json(_Record(b"{")) is None


SHOWN = [views.recommendation, views.event, views.catalogue_item, views.question, views.answer]


@pytest.mark.parametrize("show", SHOWN)
@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"\xff", b'{"id":' * 100_000])
def test_what_is_no_such_record_is_shown_as_that(show: views.Show, value: bytes) -> None:
    (line,) = _seen(show(_Record(value), {}))
    assert line.startswith("(no ")
    assert line.endswith(f"{len(value)} bytes at shop.x.v1/2 @ 17)")
