"""What a log is: sets in time order, a catalogue without time, and questions that see no further than they may."""

from pathlib import Path

import pytest

from streams.core.events import EventType
from streams.evaluation.log import read
from streams.evaluation.questions import Question, Reading, Targets, ask
from streams.jsonl import BadLine, Kind, Outgoing
from tests.unit.recorded import DAY, GOODS, START, event_line, item_line, lines, log_of, shopping
from tests.unit.records import LIMITS

CATALOGUE = frozenset(GOODS)
ALL = Reading(start=0.0)
NEW = Reading(Targets.FIRST_TIME, start=0.0)

PURCHASES = [
    ("anna", 1, "milk"),
    ("bert", 1, "nails"),
    ("anna", 1, "bread"),
    ("anna", 1, "milk"),
    ("anna", 3, "milk"),
    ("anna", 3, "cheese"),
    ("bert", 2, "nails"),
]


def test_sets_are_what_one_user_did_at_one_time_in_order_of_time() -> None:
    seen = [
        [(one.user, one.time, [event.item for event in one.events]) for one in moment]
        for moment in shopping(PURCHASES).moments()
    ]
    assert seen == [
        [("anna", START + DAY, ["milk", "bread", "milk"]), ("bert", START + DAY, ["nails"])],
        [("bert", START + 2 * DAY, ["nails"])],
        [("anna", START + 3 * DAY, ["milk", "cheese"])],
    ]


def test_offsets_count_up_in_time_and_the_timestamp_is_the_events_own() -> None:
    events = shopping(PURCHASES).events
    assert [event.record.offset for event in events] == list(range(7))
    assert [event.record.timestamp for event in events] == sorted(event.time for event in events)


async def test_questions_are_no_part_of_a_log(tmp_path: Path) -> None:
    written = tmp_path / "log.jsonl"
    written.write_text('{"id": "milk", "title": "Milk"}\n{"id": "q-1", "text": "which saw?", "time": 1}\n')
    log = await read([str(written)], LIMITS, ("c", "e"), lambda bad: None)
    assert ([one.key for one in log.catalogue], log.events, log.bad) == ([b"milk"], [], 0)


def test_of_an_item_the_newest_line_holds_and_a_deleted_one_is_gone() -> None:
    log = log_of([item_line("milk", "Milk"), item_line("nails", "Nails"), item_line("milk", "Fresh milk")])
    assert [record.key for record in log.catalogue] == [b"nails", b"milk"]
    assert b"Fresh" in (log.catalogue[1].value or b"")


def test_every_set_is_asked_for_with_its_distinct_items() -> None:
    assert ask(shopping(PURCHASES), CATALOGUE, ALL) == [
        Question(0, "anna", START + DAY, ("milk", "bread"), (0, 0), 0),
        Question(1, "bert", START + DAY, ("nails",), (0,), 0),
        Question(2, "bert", START + 2 * DAY, ("nails",), (1,), 1),
        Question(3, "anna", START + 3 * DAY, ("milk", "cheese"), (2, 0), 3),
    ]


def test_first_time_asks_for_what_the_user_never_had() -> None:
    assert [(one.number, one.targets) for one in ask(shopping(PURCHASES), CATALOGUE, NEW)] == [
        (0, ("milk", "bread")),
        (1, ("nails",)),
        (3, ("cheese",)),
    ]


def test_the_first_part_is_only_learnt() -> None:
    assert [one.number for one in ask(shopping(PURCHASES), CATALOGUE, Reading(start=0.5))] == [2, 3]


def test_a_limit_draws_some_in_order_and_the_same_every_time() -> None:
    log = shopping([("anna", day, "milk") for day in range(50)])
    drawn = ask(log, CATALOGUE, Reading(start=0.0, limit=10))
    assert len(drawn) == 10
    assert [one.number for one in drawn] == sorted({one.number for one in drawn})
    assert drawn == ask(log, CATALOGUE, Reading(start=0.0, limit=10))
    assert drawn != ask(log, CATALOGUE, Reading(start=0.0, limit=10, seed=1))


def test_only_what_speaks_for_an_item_makes_it_a_target() -> None:
    written = [
        *lines([]),
        event_line(0, "anna", 1, "milk", type="impression"),
        event_line(1, "anna", 1, "nails", type="return"),
        event_line(2, "anna", 1, "bread", type="view"),
        event_line(3, "anna", 1, "unheard-of"),
    ]
    assert [one.targets for one in ask(log_of(written), CATALOGUE, ALL)] == [("bread",)]
    returns = Reading(types=frozenset({EventType.RETURN}), start=0.0)
    assert [one.targets for one in ask(log_of(written), CATALOGUE, returns)] == [("nails",)]


async def test_files_are_read_as_produce_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "shop.jsonl"
    good = '{"id":"milk","title":"Milk"}\n{"id":"e1","type":"view","time":5,"user":"anna","item":"milk"}\n'
    path.write_text(good + '{"id":"e2","type":"view","time":5}\n{"id":"milk","deleted":true}\n')
    heard: list[BadLine] = []
    log = await read([str(path)], LIMITS, ("catalogue", "events"), heard.append)
    assert [str(line) for line in heard] == [f"{path}:3: neither `user` nor `anonymous_id` is set"]
    assert (len(log.events), len(log.catalogue), log.bad) == (1, 0, 1)


def test_a_record_that_is_no_event_is_not_taken_for_one() -> None:
    from streams.errors import DataError
    from streams.evaluation.log import assemble

    with pytest.raises(DataError, match="refused now"):
        assemble([Outgoing(Kind.EVENTS, b"anna", b"{}", START)], LIMITS, ("catalogue", "events"))
