"""The capacity model: rows as large as it says, costs as they were measured, and plans that make sense."""

import asyncio
import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from streams.capacity import LADDER, Plan, Workload, following_us, plan, profile_bytes, working_us
from streams.cli import main
from streams.core.cooccurrence import MOST
from streams.costs import MEASURED
from streams.engine.effects import Batch
from streams.errors import ConfigError
from streams.topics import topics
from tests.unit.records import FakeRecord, event, item
from tests.unit.shop import TOPICS, Shop, told

SCALING = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()

TOLERANCE = 0.25
"""How far the model may be from what was measured, by docs/scaling.md."""

SIZES = 0.25
"""And from real rows."""

workloads = st.builds(
    Workload,
    events_per_second=st.floats(0.1, 500),
    users=st.integers(1, 10_000_000),
    items=st.integers(1, 100_000),
    answers_per_event=st.floats(0.01, 1),
    requests_per_second=st.floats(0, 100),
)


# Sizes


@pytest.fixture(scope="module")
def lived() -> Shop:
    """A shop of three hundred items whose shoppers have each done a hundred things."""
    shop = Shop()
    shop.catalogue(*(_item(number) for number in range(300)))
    for visit in range(10):
        shop.events(*(_event(visit * 40 + number) for number in range(40)))
    return shop


def _item(number: int) -> FakeRecord:
    group = number % 200
    return item(
        f"item-{number:05d}", number, title=f"Article {number} of range {group}", brand=f"Brand {number % 37}",
        category=[f"Department {group % 20}", f"Range {group}"], price=1.0 + number % 90, currency="EUR",
    )  # fmt: skip


def _event(number: int) -> FakeRecord:
    kind = ("view", "view", "view", "view", "view", "view", "click", "click", "cart", "purchase")[number % 10]
    turn, user = divmod(number, 4)
    step = turn + 9 * user  # what one does, the others did or will do
    return event(
        number, id=f"e-{number:012d}", user=f"u-{user:05d}", item=f"item-{7 * step % 300:05d}", type=kind,
        session=f"s-{number:016x}", attributes={"device": "phone", "page": f"/p/{number:08x}"},
    )  # fmt: skip


def _near(told: float, real: float, within: float = SIZES) -> bool:
    return abs(told / real - 1) <= within


def test_rows_and_records_are_as_large_as_the_model_says(lived: Shop) -> None:
    rows = list(lived.tables["profiles"].values())
    assert _near(profile_bytes(100), sum(map(len, rows)) / len(rows))
    assert _near(MEASURED.event, len(_event(7).value or b""))
    assert _near(MEASURED.item, len(_item(7).value or b""))
    effects = asyncio.run(lived.profiles(Batch(TOPICS.events.name, 0, [_event(5_000)]), lived.read))
    (answer,) = told(effects)
    said = json.loads(answer.value or b"")["items"]
    assert len(said) == 20
    assert _near(20 * MEASURED.recommendation_item + 500, len(answer.value or b""))
    (embedding,) = {len(row) for row in lived.tables["embeddings"].values()}
    vector = lived.encoder.dim
    assert _near(2 * vector + 34, embedding, 0.4)


def test_a_row_of_neighbours_is_at_most_as_large_as_the_model_says(lived: Shop) -> None:
    fullest = max(map(len, lived.tables["neighbours"].values()))
    assert fullest < MEASURED.neighbours * 1.1
    assert MEASURED.neighbours < MOST * 30


def test_a_profile_grows_and_then_hardly_does() -> None:
    assert profile_bytes(1) < profile_bytes(20) < profile_bytes(100)
    assert profile_bytes(2_000) < 6 * profile_bytes(200)


# Costs


def _table(heading: str) -> list[list[float]]:
    """The rows of a table of docs/scaling.md that are numbers."""
    section = SCALING.split(f"### {heading}\n")[1].split("\n#")[0]
    found = re.findall(r"(?m)^\| *[\d,.]+ *\|.*$", section)
    assert found
    return [[float(cell.replace(",", "")) for cell in re.findall(r"[\d,.]+", line)] for line in found]


@pytest.mark.parametrize("row", _table("Batches"), ids=lambda row: "-".join(f"{cell:g}" for cell in row[:3]))
def test_the_model_is_near_every_batch_that_was_measured(row: list[float]) -> None:
    items, events, answers, measured, told = row
    model = MEASURED.handling.batch_us(events, answers, items)
    assert _near(model, measured, TOLERANCE)
    assert round(model) == told, "the table shows another model"


@pytest.mark.parametrize("row", _table("Workers"), ids=lambda row: f"{row[0]:g} a second")
def test_the_model_is_near_every_worker_that_was_measured(row: list[float]) -> None:
    rate, items, partitions, answers, wait_ms, measured, told = row
    workload = Workload(rate, users=5_000, items=int(items), answers_per_event=answers)
    costs = replace(MEASURED, wait_s=wait_ms / 1000)
    cores = (working_us(workload, costs, int(partitions)) + following_us(workload, costs)) / 1e6
    assert _near(cores, measured, TOLERANCE)
    assert round(cores, 2) == told, "the table shows another model"


# Plans


def _size(found: Plan) -> tuple[float, ...]:
    return found.partitions, found.cores, found.stored, sum(role.busy_cores for role in found.roles)


@given(workloads)
def test_workers_are_busy_as_planned_and_have_partitions(workload: Workload) -> None:
    try:
        found = plan(workload)
    except ConfigError:
        return
    workers = found.roles[0]
    assert workers.busy_cores <= workers.processes * workload.utilisation * 1.0001
    assert found.partitions in LADDER
    assert found.partitions >= 2 * workers.processes
    assert all(value > 0 for role in found.roles for value in (role.processes, role.memory, role.disk))
    assert [role.role for role in found.roles][2:] == (["serve"] if workload.requests_per_second else [])
    assert found.cores == sum(role.processes for role in found.roles)


@given(workloads, st.sampled_from(["events_per_second", "users", "items", "answers_per_event"]), st.floats(1, 3))
def test_more_of_anything_takes_no_less(workload: Workload, what: str, times: float) -> None:
    larger = getattr(workload, what) * times
    more = replace(
        workload, **{what: min(1.0, larger) if what == "answers_per_event" else type(getattr(workload, what))(larger)}
    )
    try:
        large = plan(more)
    except ConfigError:
        return
    small = plan(workload)
    assert large.stored >= small.stored * 0.999
    assert large.memory >= small.memory * 0.999
    assert large.roles[0].processes >= small.roles[0].processes


def test_every_topic_with_state_or_traffic_is_in_the_plan() -> None:
    named = {topic.name for topic in plan(Workload(100, 1_000, 1_000)).topics}
    left_out = {topic.name.removeprefix("shop.") for topic in topics("shop") if topic.name not in named}
    assert left_out >= {"models.v1", "dlq.v1"}
    assert {
        "shop.events.v1",
        "shop.profiles.v1",
        "shop.recommendations.v1",
        "shop.neighbours.v1",
        "shop.sessions.v1",
        "shop.examples.v1",
    } <= named


def test_copies_and_days_count() -> None:
    one = plan(Workload(100, 1_000, 1_000, replication=1))
    three = plan(Workload(100, 1_000, 1_000, replication=3))
    assert three.stored == pytest.approx(3 * one.stored)
    events = {days: plan(Workload(100, 1_000, 1_000, event_days=days)).topics[0].bytes for days in (10, 20)}
    assert events[20] == pytest.approx(2 * events[10])
    assert events[10] > 10 * 86_400 * 100 * 0.4 * MEASURED.event * 3


def test_faster_cores_are_fewer_and_take_the_same_memory() -> None:
    workload = Workload(200, 100_000, 20_000)
    slow, fast = plan(workload), plan(workload, MEASURED.on(2.0))
    assert fast.roles[0].busy_cores == pytest.approx(slow.roles[0].busy_cores / 2, rel=0.1)
    assert fast.roles[0].memory == slow.roles[0].memory
    assert fast.load_s == slow.load_s / 2


def test_what_cannot_be_done_is_said() -> None:
    with pytest.raises(ConfigError, match="to follow the shared topics alone takes"):
        plan(Workload(1_000_000, 1_000, 1_000))
    with pytest.raises(ConfigError, match="would need more than 1024 partitions"):
        plan(Workload(2_000, 1_000, 1_000), replace(MEASURED, engine_event=500_000.0))


# The command


def test_the_command_shows_processes_and_topics() -> None:
    told = ["plan", "--events-per-second", "200", "--users", "100000", "--items", "20000", "--requests-per-second", "5"]
    shown = CliRunner().invoke(main, told, env={"COLUMNS": "150"})
    assert shown.exit_code == 0, shown.output
    for expected in ("profiles,neighbours", "encoder", "serve", "shop.events.v1", "UPWELL_PARTITIONS=", "worst case"):
        assert expected in shown.output


def test_roles_and_topics_have_their_whole_names_in_80_columns() -> None:
    told = ["plan", "--events-per-second", "50", "--users", "1000", "--items", "500"]
    shown = CliRunner().invoke(main, told, env={"COLUMNS": "80"}).output
    assert "profiles,neighbours,ranker" in shown
    assert "shop.recommendations.v1" in shown
    assert "…" not in shown


def test_the_command_gives_json_that_is_the_plan() -> None:
    told = [
        "plan",
        "--events-per-second",
        "50",
        "--users",
        "1000",
        "--items",
        "500",
        "--answers-per-event",
        "0.5",
        "--json",
    ]
    shown = json.loads(CliRunner().invoke(main, told).output)
    expected = plan(Workload(50, 1_000, 500, answers_per_event=0.5))
    assert shown["partitions"] == expected.partitions
    assert shown["totals"]["cores"] == expected.cores
    assert [role["role"] for role in shown["roles"]] == [role.role for role in expected.roles]
    assert [asdict(topic) for topic in expected.topics] == shown["topics"]


@pytest.mark.parametrize(
    ("told", "code", "says"),
    [
        (["--users", "1", "--items", "1"], 2, "--events-per-second"),
        (["--events-per-second", "0", "--users", "1", "--items", "1"], 2, "0"),
        (["--events-per-second", "1", "--users", "no", "--items", "1"], 2, "integer"),
        (["--events-per-second", "9999999", "--users", "1", "--items", "1"], 2, "no number of workers is enough"),
    ],
)
def test_bad_input_is_a_line(told: list[str], code: int, says: str) -> None:
    shown = CliRunner().invoke(main, ["plan", *told])
    assert shown.exit_code == code
    assert says in shown.output
    assert "Traceback" not in shown.output
