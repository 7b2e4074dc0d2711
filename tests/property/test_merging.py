"""Anonymous shoppers log in: however it all interleaves and crashes, users have the profile of one history.

The real handler of the profiles role, over several partitions of events and merges, each with its own tables.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import codecs
from streams.agents.profiles import ProfilesHandler
from streams.core.policy import Policy
from streams.core.profile import Profile, fold
from streams.edge import ERASE, AcceptedEvent, accept_event
from streams.engine.effects import Batch, Output
from streams.partitioning import partition_of
from streams.replicas import Replica
from streams.topics import topics
from tests.unit.records import LIMITS, NOW, FakeRecord
from tests.unit.shop import immediate_index

PARTITIONS = 3
TOPICS = topics("shop", PARTITIONS)
EVENTS, MERGES = TOPICS.events.name, TOPICS.merges.name
SHOP_LIMITS = replace(LIMITS, partitions=PARTITIONS, segments=("country",))
USERS = ["anna", "bert"]
COOKIES = ["cookie-0", "cookie-1", "cookie-2"]
TYPES = ["impression", "view", "cart", "uncart", "purchase", "return", "dislike", "search"]


class CrashError(Exception):
    """The process dies here."""


@dataclass
class Part:
    """One partition of everything: logs, how far they are committed, rows by table."""

    logs: dict[str, list[FakeRecord]] = field(default_factory=lambda: {EVENTS: [], MERGES: []})
    done: dict[str, int] = field(default_factory=lambda: {EVENTS: 0, MERGES: 0})
    committed: dict[str, int] = field(default_factory=lambda: {EVENTS: 0, MERGES: 0})
    tables: dict[str, dict[bytes, bytes]] = field(
        default_factory=lambda: {"profiles": {}, "trending": {}, "erasures": {}}
    )

    def read(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.tables[table].get(key) for key in keys]


class World:
    """A shop whose worker may die between any two of the engine's steps."""

    def __init__(self) -> None:
        replica = Replica(TOPICS, immediate_index, SHOP_LIMITS)
        self.handler = ProfilesHandler(TOPICS, replica, Policy(), SHOP_LIMITS)
        self.parts = [Part() for _ in range(PARTITIONS)]
        self.sent: list[Output] = []
        self.time = NOW

    def put(self, key: str, value: bytes | None, **more: Any) -> None:
        number = partition_of(key, PARTITIONS)
        self._append(EVENTS, number, key.encode(), value, **more)

    def event(self, key: str, body: dict[str, Any]) -> None:
        self.time += 60_000
        body = {"id": f"e{self.time}", "time": self.time, **body}
        self.put(key, json.dumps(body).encode(), timestamp=self.time)

    def _append(self, topic: str, number: int, key: bytes | None, value: bytes | None, **more: Any) -> None:
        log = self.parts[number].logs[topic]
        log.append(FakeRecord(key, value, len(log), topic, number, **more))

    def handle(self, topic: str, number: int, count: int, steps: int | None = None) -> None:
        """One batch; the process dies after so many steps, and everything starts again from what is committed."""
        part = self.parts[number]
        start = part.done[topic]
        if records := part.logs[topic][start : start + count]:
            try:
                self._make_true(part, Batch(topic, number, records), steps)
            except CrashError:
                for other in self.parts:
                    other.done = dict(other.committed)
            else:
                part.done[topic] += len(records)

    def commit(self, number: int) -> None:
        self.parts[number].committed = dict(self.parts[number].done)

    def _make_true(self, part: Part, batch: Batch, steps: int | None) -> None:
        effects = asyncio.run(self.handler(batch, part.read))
        assert not effects.rejections
        left = steps

        def step() -> None:
            nonlocal left
            if left is not None:
                if left == 0:
                    raise CrashError
                left -= 1

        for delta in effects.deltas:
            if delta.topic in (EVENTS, MERGES):
                step()
                assert delta.partition is not None
                headers = {"headers": list(delta.headers), "timestamp": self.time}
                self._append(delta.topic, delta.partition, delta.key, delta.value, **headers)
        for table, rows in effects.rows.items():
            step()
            for key, row in rows:
                if row is None:
                    part.tables[table].pop(key, None)
                else:
                    part.tables[table][key] = row
        self.sent += [output for output in effects.outputs if output.topic == TOPICS.recommendations.name]
        step()

    def drain(self) -> None:
        while any(len(part.logs[topic]) > part.done[topic] for part in self.parts for topic in part.logs):
            for number, part in enumerate(self.parts):
                for topic in part.logs:
                    self.handle(topic, number, 3)

    def profile(self, user: str) -> Profile:
        part = self.parts[partition_of(user, PARTITIONS)]
        return codecs.decode_whole(*part.read("profiles", codecs.profile_keys(user)))

    def history(self, user: str) -> Profile:
        """Of the oracle: all events that are the user's, under the user's own id, in order of time."""
        events: list[AcceptedEvent] = []
        for key in (*USERS, *COOKIES):
            log = self.parts[partition_of(key, PARTITIONS)].logs[EVENTS]
            accepted = [accept_event(record, SHOP_LIMITS) for record in log if record.key == key.encode()]
            mine = [event for event in accepted if isinstance(event, AcceptedEvent)]
            first = next((event.event.alias for event in mine if event.event.alias), None)
            whose = key if key in USERS else first
            for event in mine:
                whose = event.event.alias or whose
                if whose == user:
                    events.append(event)
        events.sort(key=lambda event: event.event.time)
        arrivals = [event.arrival._replace(offset=n, login=None) for n, event in enumerate(events)]
        return fold(Profile(), arrivals)


def alike(found: Profile, wanted: Profile) -> None:
    assert (found.recent, found.shown, found.against) == (wanted.recent, wanted.shown, wanted.against)
    assert (found.attributes, set(found.seen)) == (wanted.attributes, set(wanted.seen))
    for mine, whole in ((found.habits, wanted.habits), (found.past, wanted.past)):
        assert mine.keys() == whole.keys()
        assert all(mine[item][:-1] == whole[item][:-1] for item in mine)
        assert [mine[item][-1] for item in mine] == pytest.approx([whole[item][-1] for item in mine])


partitions = st.integers(0, PARTITIONS - 1)
happened = st.one_of(
    st.tuples(
        st.just("event"), st.sampled_from([*USERS, *COOKIES]), st.sampled_from(TYPES), st.sampled_from("abc"),
        st.sampled_from(["", "at", "ch"]),
    ),
    st.tuples(st.just("login"), st.sampled_from(COOKIES), st.sampled_from(USERS)),
    st.tuples(
        st.just("handle"), st.sampled_from([EVENTS, MERGES]), partitions, st.integers(1, 4),
        st.none() | st.integers(0, 5),
    ),
    st.tuples(st.just("commit"), partitions),
)  # fmt: skip


def played(steps: Sequence[tuple[Any, ...]]) -> World:
    world = World()
    for kind, *rest in steps:
        if kind == "event":
            who, what, item, country = rest
            body = {"type": what, ("user" if who in USERS else "anonymous_id"): who}
            body |= {} if what == "search" else {"item": item}
            world.event(who, body | ({"attributes": {"country": country}} if country else {}))
        elif kind == "login":
            world.event(rest[0], {"type": "login", "anonymous_id": rest[0], "as": rest[1]})
        elif kind == "handle":
            world.handle(*rest)
        else:
            world.commit(*rest)
    world.drain()
    return world


@settings(max_examples=150, deadline=None)
@given(st.lists(happened, max_size=50))
def test_a_user_has_the_profile_of_one_history(steps: list[tuple[Any, ...]]) -> None:
    world = played(steps)
    for user in USERS:
        alike(world.profile(user), world.history(user))


def test_the_oracle_sees_what_was_applied_twice() -> None:
    """The comparison can fail: a move that is applied without its watermark counts twice."""
    world = played([
        ("event", "cookie-0", "purchase", "a", ""), ("login", "cookie-0", "anna"),
        *(("handle", EVENTS, number, 4, None) for number in range(PARTITIONS)),
    ])  # fmt: skip
    part = world.parts[partition_of("anna", PARTITIONS)]
    key = codecs.profile_keys("anna")[1]
    joined = codecs.decode_joined(part.tables["profiles"][key])
    part.tables["profiles"][key] = codecs.encode_joined(replace(joined, applied={}))
    for record in list(part.logs[MERGES]):
        world._append(MERGES, record.partition, record.key, record.value)
    world.drain()
    with pytest.raises(AssertionError):
        alike(world.profile("anna"), world.history("anna"))


def test_a_user_is_recommended_to_after_the_merge() -> None:
    world = played([
        ("event", "anna", "view", "b", ""), ("event", "cookie-0", "purchase", "a", ""),
        *(("handle", EVENTS, number, 9, None) for number in range(PARTITIONS)),
        ("login", "cookie-0", "anna"),
    ])  # fmt: skip
    told = [json.loads(output.value) for output in world.sent if output.key == b"anna" and output.value]
    own, merged = told
    assert (merged["trigger"]["type"], merged["trigger"]["topic"]) == ("login", EVENTS)
    # Readers keep the newest by the offset of the user's own events, and drop an id that they hold.
    assert merged["trigger"]["offset"] == own["trigger"]["offset"]
    assert merged["id"] != own["id"]
    home = partition_of("anna", PARTITIONS)
    assert merged["as_of"][f"{MERGES}/{home}"] == 0
    assert {output.partition for output in world.sent if output.key == b"anna"} == {home}


def test_what_is_sent_again_has_the_id_it_had() -> None:
    world = played([("event", "cookie-0", "view", "a", ""), ("login", "cookie-0", "anna")])
    home = partition_of("anna", PARTITIONS)
    once = [output for output in world.sent if output.key == b"anna"]
    world.parts[home].done[MERGES] = 0
    world.drain()
    again = [output for output in world.sent if output.key == b"anna"][len(once) :]
    assert [json.loads(o.value or b"")["id"] for o in again] == [json.loads(o.value or b"")["id"] for o in once]


def _rows(world: World) -> dict[bytes, bytes]:
    return {key: row for part in world.parts for table in part.tables.values() for key, row in table.items()}


@settings(max_examples=80, deadline=None)
@given(st.lists(happened.filter(lambda step: step[0] != "commit"), max_size=30))
def test_an_erased_user_leaves_no_trace_in_any_row(steps: list[tuple[Any, ...]]) -> None:
    """Neither do anonymous ids that logged in as nobody else, whatever was under way."""
    world = played(steps)
    logins = {(step[1], step[2]) for step in steps if step[0] == "login"}
    gone = {"anna"} | {who for who in COOKIES if (who, "anna") in logins and (who, "bert") not in logins}
    world.time += 60_000
    for number in range(PARTITIONS):
        world._append(EVENTS, number, b"anna", None, timestamp=world.time, headers=[(ERASE, b"1")])
    world.drain()
    for key, row in _rows(world).items():
        assert not any(name.encode() in key + row for name in gone)
    # The whole log once more, as after a reset, which keeps the ledger: nobody comes back.
    for part in world.parts:
        part.tables["profiles"].clear()
        part.done = {EVENTS: 0, MERGES: len(part.logs[MERGES])}
        part.committed = dict(part.done)
    world.drain()
    for key, row in _rows(world).items():
        assert not any(name.encode() in key + row for name in gone)


def test_a_login_that_comes_behind_the_erasure_of_the_user_is_forgotten() -> None:
    world = played([("event", "cookie-0", "view", "a", ""), ("login", "cookie-0", "anna")])
    other = World()
    other.time = world.time
    for number in range(PARTITIONS):
        other._append(EVENTS, number, b"anna", None, timestamp=world.time, headers=[(ERASE, b"1")])
    other.drain()
    for number, part in enumerate(world.parts):
        for record in part.logs[EVENTS]:
            other._append(EVENTS, number, record.key, record.value, timestamp=record.timestamp)
    other.drain()
    assert not any(b"cookie-0" in key + row or b"anna" in key + row for key, row in _rows(other).items())


def test_a_second_login_takes_along_only_what_comes_after() -> None:
    world = played([
        ("event", "cookie-0", "view", "a", ""), ("login", "cookie-0", "anna"), ("event", "cookie-0", "view", "b", ""),
        ("login", "cookie-0", "bert"), ("event", "cookie-0", "view", "c", ""),
    ])  # fmt: skip
    assert [interaction.item for interaction in world.profile("anna").recent] == ["a", "b"]
    assert [interaction.item for interaction in world.profile("bert").recent] == ["c"]
    # Pairs and segments stay with the anonymous shopper, whose profile is whole.
    assert [interaction.item for interaction in world.profile("cookie-0").recent] == ["a", "b", "c"]
