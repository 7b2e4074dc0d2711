"""What reaches the log, and what does not: people, what they did, and secrets."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from streams import logs
from streams.redaction import MASK, PERSONAL, exception, redact, text
from streams.repeats import WINDOW_S, Repeats
from streams.web.keys import Scope, new

CANARY = "ann-lee-1984"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Configures logging as a worker does; what was written so far, line by line."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("INFO")
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def test_a_line_is_one_json_object(lines: Any) -> None:
    structlog.get_logger("any").info("role runs", role="profiles", items=3)
    (line,) = lines()
    assert {"event": "role runs", "role": "profiles", "items": 3, "level": "info"}.items() <= line.items()
    assert line["timestamp"].endswith("Z")


def test_what_a_client_says_over_and_over_is_said_once(lines: Any) -> None:
    client = logging.getLogger("aiokafka.client")
    for number in range(2_000):
        client.error("Unable connect to node with id %s: %s", number % 3, "refused")
        client.error("Unable to update metadata from %s", [1])
    client.warning("Unable to update metadata from %s", [1])
    assert [line["event"] for line in lines()] == [
        "Unable connect to node with id 0: refused",
        *["Unable to update metadata from [1]"] * 2,
    ]


def test_how_often_it_was_said_is_told_the_next_time() -> None:
    now = 0.0
    repeats = Repeats(lambda: now)
    seen = []
    for tick in range(25):
        now = float(tick)
        record = logging.LogRecord("aiokafka.client", logging.ERROR, "", 0, "100%% of %s is gone", ("it",), None)
        if repeats.filter(record):
            seen.append((tick, record.getMessage()))
    said = "100% of it is gone"
    assert seen == [(0, said), (10, f"{said} (and 9 more like it)"), (20, f"{said} (and 9 more like it)")]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), max_size=60))
def test_of_each_kind_there_is_a_line_in_every_window_and_none_is_lost(steps: list[tuple[str, int]]) -> None:
    now, shown, counted = 0.0, dict.fromkeys("ab", -WINDOW_S), dict.fromkeys("ab", 0)
    repeats = Repeats(lambda: now)
    for kind, later in steps:
        now += later
        record = logging.LogRecord("aiokafka", logging.ERROR, "", 0, kind, (), None)
        assert repeats.filter(record) is (now - shown[kind] >= WINDOW_S)
        if now - shown[kind] >= WINDOW_S:
            held = f" (and {counted[kind]:,} more like it)" if counted[kind] else ""
            assert record.getMessage() == kind + held
            shown[kind], counted[kind] = now, 0
        else:
            counted[kind] += 1


def test_our_own_lines_and_other_libraries_are_all_written(lines: Any) -> None:
    for name in ("faust", "streams.agents.x"):
        for _ in range(3):
            logging.getLogger(name).warning("the same")
    structlog.get_logger("any").warning("the same")
    structlog.get_logger("any").warning("the same")
    assert len(lines()) == 8


def test_who_and_what_they_did_is_masked_by_name(lines: Any) -> None:
    structlog.get_logger("any").warning(
        "odd", user=CANARY, shopper=CANARY, key=CANARY.encode(), query=CANARY, session=CANARY,
        attributes={"email": CANARY}, where={"partition": 3, "user_id": CANARY, "records": [{"value": CANARY}]},
    )  # fmt: skip
    (line,) = lines()
    assert CANARY not in json.dumps(line)
    assert line["where"] == {"partition": 3, "user_id": MASK, "records": [{"value": MASK}]}


def test_secrets_are_masked_by_name_and_by_their_looks(lines: Any) -> None:
    key, _ = new("site", [Scope.QUERY])
    structlog.get_logger("any").error(
        f"refused {key}",
        sasl_password="hunter2hunter2",
        because=f"Authorization: Bearer {CANARY}{CANARY}",
        url="https://joe:hunter2hunter2@kafka:9093/v1/users/ann-lee-1984/recommendations",
        setting="KAFKA_SASL_PASSWORD=hunter2hunter2",
        mail="ann.lee@example.org",
        seen=f'{{"user": "{CANARY}", "item": "milk"}}',
        raw=b"ann-lee-1984",
    )
    (line,) = lines()
    shown = json.dumps(line)
    for secret in (key, "hunter2", CANARY, "ann.lee"):
        assert secret not in shown
    assert "milk" in line["seen"]
    assert line["raw"] == "[12 bytes]"
    assert line["url"] == f"https://{MASK}@kafka:9093/v1/users/{MASK}/recommendations"


def test_of_an_exception_kinds_and_places_are_kept(lines: Any) -> None:
    def parse() -> None:
        raise KeyError(CANARY)

    try:
        try:
            parse()
        except KeyError as error:
            raise ValueError(f"no {CANARY}") from error
    except ValueError:
        structlog.get_logger("any").exception("a defect")
        logging.getLogger("aiokafka.somewhere").exception("a library's defect")
    ours, theirs = lines()
    assert CANARY not in json.dumps([ours, theirs])
    for line in (ours, theirs):
        first, second = line["exception"]
        assert first.startswith("ValueError < test_logs.py:")
        assert second.startswith("KeyError < test_logs.py:")
        assert "parse" in second


def test_libraries_lines_go_the_same_way(lines: Any) -> None:
    logging.getLogger("faust.app").warning("cannot reach %s with token=%s", "kafka", CANARY)
    logging.getLogger("faust.app").info("chatter")
    (line,) = lines()
    assert line["event"] == f"cannot reach kafka with token={MASK}"
    assert line["level"] == "warning"


nested = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.builds(ValueError, st.text()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), nested, max_size=4), st.sampled_from(sorted(PERSONAL)))
@example({"_": b"", "__x": CANARY.encode()}, "user")
def test_whatever_is_logged_can_be_written_and_names_nobody(fields: dict[str, Any], name: str) -> None:
    event: dict[str, Any] = {"event": "x", **fields, name: CANARY, "deep": {"deep": [{name.upper(): CANARY}]}}
    told = json.dumps(redact(None, "info", event))
    assert CANARY not in told


def test_an_endless_value_ends() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert json.dumps(redact(None, "info", {"event": "x", "loop": endless}))
    assert len(text("x" * 1_000_000)) < 5_000


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    assert [line.split(" ")[0] for line in exception(first)] == ["ValueError", "KeyError"]


def test_numbers_and_names_of_parts_stay() -> None:
    kept = {"event": "x", "role": "profiles", "partition": 3, "rate": 0.5, "topic": "shop.events.v1", "offset": 12}
    assert redact(None, "info", dict(kept)) == kept
