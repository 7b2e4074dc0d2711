"""Pseudonyms: the same for the same id and keys, version upon version, and nothing but them behind the edge."""

import asyncio
import hmac
import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from streams import cli, client, pseudonyms
from streams.agents.answers import AnswersHandler, Asked
from streams.core.events import Alias
from streams.edge import AcceptedEvent, accept_event, erasure_of
from streams.engine.effects import Batch, Output, Rejection
from streams.errors import ConfigError, DataError
from streams.jsonl import BadLine, Kind, Line, Outgoing, parse
from streams.partitioning import partition_of
from streams.pseudonyms import Pseudonyms, UnknownVersionError
from streams.records import Answer, CatalogueItem
from streams.rekey import Move, Plan, carry_out, moves_of
from streams.settings import Settings
from tests.unit.records import LIMITS, NOW, FakeRecord, event, item
from tests.unit.shop import TOPICS, Shop
from tests.unit.test_erasure import erase

ONE = Pseudonyms(1, (b"1" * 32,))
TWO = Pseudonyms(1, (b"1" * 32, b"2" * 32))
LATER = Pseudonyms(2, (b"2" * 32,))
HIDING = replace(LIMITS, pseudonyms=TWO, partitions=7)

ids = st.text(min_size=1, max_size=40).filter(lambda text: not pseudonyms.is_pseudonym(text))


@given(ids, ids)
def test_a_pseudonym_is_a_function_of_id_and_keys(one: str, other: str) -> None:
    made = TWO.of(one)
    assert made == TWO.of(one)
    assert pseudonyms.is_pseudonym(made)
    assert made.startswith("pn2_")
    assert (TWO.of(other) == made) == (other == one)
    assert len({ONE.of(one), TWO.of(one), LATER.of(one), Pseudonyms(1, (b"x" * 32,)).of(one)}) == 4


@given(ids)
def test_a_version_is_made_from_the_one_before(shopper: str) -> None:
    old = ONE.of(shopper)
    assert TWO.of(old) == TWO.of(shopper) == TWO.of(TWO.of(shopper))
    assert TWO.all_of(shopper) == [shopper, old, TWO.of(shopper)]
    assert TWO.all_of(old) == [old, TWO.of(shopper)]


def test_it_is_hmac_sha256() -> None:
    digest = hmac.new(b"1" * 32, b"anna", sha256).digest()[:24]
    assert (
        msgspec.json.decode(f'"{ONE.of("anna").removeprefix("pn1_")}"'.replace("-", "+").replace("_", "/"), type=bytes)
        == digest
    )


def test_a_version_without_a_key_is_refused() -> None:
    for keys, shopper in ((ONE, TWO.of("anna")), (LATER, ONE.of("anna")), (TWO, "pn9_" + "a" * 32)):
        with pytest.raises(UnknownVersionError, match="the keys here are of versions"):
            keys.of(shopper)


def test_what_only_looks_like_one_is_an_id() -> None:
    for shopper in ("pn0_" + "a" * 32, "pn1_" + "a" * 31, "pn1-" + "a" * 32, " pn1_" + "a" * 32):
        assert TWO.of(shopper).startswith("pn2_")


def test_no_key_is_shown() -> None:
    assert "1111" not in repr(TWO)


def test_keys_are_read_from_their_lines(tmp_path: Path) -> None:
    lines = pseudonyms.new_line(3), pseudonyms.new_line(4)
    assert lines[0] != pseudonyms.new_line(3)
    found = pseudonyms.parse(f"# the shop's\n\n{lines[0]}  # since May\n{lines[1]}\n")
    assert (found.first, found.current, {len(key) for key in found.keys}) == (3, 4, {32})
    path = tmp_path / "pseudonyms.keys"
    path.write_text("\n".join(lines))
    path.chmod(0o640)
    assert pseudonyms.of_settings(Settings(pseudonym_keys_file=path)) == found
    assert pseudonyms.of_settings(Settings(pseudonym_keys=SecretStr("\n".join(lines)))) == found
    assert pseudonyms.of_settings(Settings()) is None
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod o-rwx,g-w"):
        pseudonyms.read(path)
    with pytest.raises(ConfigError, match="UPWELL_PSEUDONYM_KEYS_FILE cannot be read: No such file or directory"):
        pseudonyms.read(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no pseudonym key"),
        ("# nothing", "there is no pseudonym key"),
        ("1 secret", "line 1 of the pseudonym keys is not"),
        ("0 sha256hmac:" + "k" * 43, "line 1 of the pseudonym keys is not"),
        (f"{pseudonyms.new_line(1)}\n{pseudonyms.new_line(1)}", "line 2 .* is of version 1, wanted 2"),
        (f"{pseudonyms.new_line(1)}\n{pseudonyms.new_line(3)}", "line 2 .* is of version 3, wanted 2"),
    ],
)
def test_a_wrong_line_is_named_not_shown(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        pseudonyms.parse(text)
    assert "secret" not in str(caught.value)


def test_an_event_keeps_all_but_its_shopper() -> None:
    body = {"id": "e", "user": "anna", "anonymous_id": "cookie-7", "extra": [1, {"a": None}], "time": 3}
    made = json.loads(TWO.event(json.dumps(body).encode(), lambda given: 0))
    assert made == body | {"user": TWO.of("anna"), "anonymous_id": TWO.of("cookie-7")}
    assert json.loads(TWO.event(b'{"user": null, "anonymous_id": 7}', lambda given: 0)) == {
        "user": None,
        "anonymous_id": 7,
    }
    for junk in (b"[]", b"{", b"\xff", b'{"a":' * 100_000):
        with pytest.raises(DataError, match="no JSON object"):
            TWO.event(junk, lambda given: 0)


def test_a_login_says_where_the_user_is() -> None:
    login = {"id": "e", "type": "login", "time": NOW, "anonymous_id": "cookie-7", "as": "anna"}
    sent = parse(Line("f", 1, json.dumps(login).encode()), HIDING, None, NOW)
    assert isinstance(sent, Outgoing)
    home = partition_of("anna", 7)
    assert json.loads(sent.value or b"")["as"] == f"{TWO.of('anna')}@{home}"
    wanted = Alias(TWO.of("anna"), home)
    for alias in ("anna", f"{TWO.of('anna')}@{home}", f"{ONE.of('anna')}@{home}"):
        body = json.dumps(login | {"as": alias}).encode()
        accepted = accept_event(FakeRecord(b"cookie-7", body), HIDING)
        assert isinstance(accepted, AcceptedEvent)
        assert accepted.arrival.login == wanted
        assert json.loads(TWO.event(body, lambda given: home))["as"] == f"{TWO.of('anna')}@{home}"
    for alias, reason in ((TWO.of("anna"), "invalid"), ("pn3_" + "a" * 32 + "@1", "wrong-key")):
        refused = accept_event(FakeRecord(b"cookie-7", json.dumps(login | {"as": alias}).encode()), HIDING)
        assert isinstance(refused, Rejection)
        assert refused.reason == reason
    assert pseudonyms.placed("anna@3") is None
    assert pseudonyms.placed(f"{TWO.of('anna')}@03") is None


def test_the_edge_lets_pseudonyms_through_alone() -> None:
    accepted = accept_event(event(3), HIDING)
    assert isinstance(accepted, AcceptedEvent)
    assert accepted.shopper == TWO.of("anna")
    again = accept_event(event(3, user=ONE.of("anna")), HIDING)
    assert isinstance(again, AcceptedEvent)
    assert again.shopper == accepted.shopper
    asked = erasure_of(erase(4), HIDING)
    assert asked is not None
    assert asked[0] == accepted.shopper
    newer = accept_event(event(3, user="pn3_" + "a" * 32), HIDING)
    assert isinstance(newer, Rejection)
    assert (newer.reason, "key version 3" in newer.detail) == ("wrong-key", True)
    assert erasure_of(erase(4, "pn3_" + "a" * 32), HIDING) is None


async def test_answers_are_by_pseudonym() -> None:
    async def answer(asked: Sequence[Asked]) -> list[Answer]:
        return [
            Answer("a", one.id, one.shopper, one.time, "unknown", "en", "?", False, [], [], None, {}, "", "default")
            for one in asked
        ]

    body = {"id": "q1", "text": "Is there milk?", "time": NOW, "user": "anna"}
    record = FakeRecord(b"anna", json.dumps(body).encode(), topic=TOPICS.questions.name)
    effects = await AnswersHandler(TOPICS, answer, HIDING)(Batch(TOPICS.questions.name, 0, [record]), lambda *_: [])
    assert not effects.rejections
    ((output),) = effects.outputs
    assert output.key == TWO.of("anna").encode()
    assert b"anna" not in (output.value or b"")


def test_no_refusal_says_what_the_record_said() -> None:
    refused = accept_event(event(type="Anna' - at home - at `$.me`"), LIMITS)
    assert isinstance(refused, Rejection)
    assert refused.detail == "Invalid enum value - at `$.type`"


def test_no_row_and_no_output_has_the_id() -> None:
    shop = Shop(limits=HIDING)
    shop.catalogue(item("milk", 0))
    (said,) = shop.events(event(0, attributes={"name": "Anna Smith"}))
    assert said.user == TWO.of("anna")
    effects = shop._run(shop.profiles, "shop.events.v1", [event(1), erase(2), event(3, user="bert", time=NOW + 1)])
    assert set(shop.tables["profiles"]) == {TWO.of("bert").encode()}
    assert set(shop.tables["erasures"]) == {LIMITS.ledger.key(TWO.of("anna"))}
    everything = repr((said, effects.outputs, effects.deltas, shop.tables)).lower()
    assert "anna" not in everything
    assert "bert" not in everything


def test_lines_leave_by_pseudonym_for_the_home_of_the_id() -> None:
    line = Line("f", 1, event(0).value)
    sent = parse(line, HIDING, None, NOW)
    assert isinstance(sent, Outgoing)
    assert (sent.key, sent.partition) == (TWO.of("anna").encode(), partition_of("anna", 7))
    assert b"anna" not in (sent.value or b"")
    refused = parse(Line("f", 1, event(0, user="pn3_" + "a" * 32).value), HIDING, None, NOW)
    assert isinstance(refused, BadLine)
    plain = parse(line, LIMITS, Kind.EVENTS, NOW)
    assert isinstance(plain, Outgoing)
    assert (plain.value, plain.partition) == (line.text, None)
    items = parse(Line("f", 1, item("milk").value), HIDING, None, NOW)
    assert isinstance(items, Outgoing)
    assert items.value == item("milk").value


def test_rows_move_with_their_kind_and_never_onto_another() -> None:
    old, new = ONE.of("anna"), TWO.of("anna")
    rows = {
        (0, old.encode()): b"row",
        (1, b"\xff" + old.encode()): b"moved to her",
        (1, b"bert"): b"by id",
        (0, TWO.of("cleo").encode()): b"current",
        (2, ONE.of("dora").encode()): b"old",
        (2, TWO.of("dora").encode()): b"new",
    }
    moves, taken = moves_of(rows, TWO)
    assert moves == [
        Move(0, old.encode(), new.encode(), b"row"),
        Move(1, b"\xff" + old.encode(), b"\xff" + new.encode(), b"moved to her"),
        Move(1, b"bert", TWO.of("bert").encode(), b"by id"),
    ]
    assert taken == 1


async def test_a_row_and_its_tombstone_leave_together() -> None:
    moves = [Move(n % 2, b"old%d" % n, b"new%d" % n, bytes(50_000)) for n in range(7)]
    sent: list[list[Output]] = []

    async def publish(records: Sequence[Output], /) -> dict[tuple[str, int], int]:
        sent.append(list(records))
        return {}

    done: list[int] = []
    await carry_out(Plan(moves, [], 0, 0), TOPICS, publish, done.append)
    assert done[-1] == 7
    batches = [records for records in sent if records[0].topic == TOPICS.profiles.name]
    assert len(batches) > 1
    for records in batches:
        assert sum(len(record.value or b"") for record in records) <= 1 << 17
        for put, tombstone in zip(records[::2], records[1::2], strict=True):
            assert (put.key or b"").replace(b"new", b"old") == tombstone.key
            assert (put.partition, tombstone.value, tombstone.headers) == (tombstone.partition, None, ())
    for topic in (TOPICS.recommendations, TOPICS.sessions):
        void = [record.key for records in sent for record in records if record.topic == topic.name]
        assert void == [move.old for move in moves]


def test_commands_make_keys_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str, **options: str) -> Result:
        return CliRunner().invoke(cli.main, arguments, **options)

    path = tmp_path / "pseudonyms.keys"
    for version in (1, 2):
        made = run("keys", "pseudonyms", str(path))
        assert made.output.startswith(f"{version} sha256hmac:")
        with path.open("a") as file:
            file.write(made.output)
        path.chmod(0o600)
    assert run("pseudonym", "anna").exit_code == 2
    monkeypatch.setenv("UPWELL_PSEUDONYM_KEYS_FILE", str(path))
    found = pseudonyms.read(path)
    shown = run("pseudonym", "anna", "-", input="bert\n\ncleo\n")
    assert shown.output.split() == [found.of("anna"), found.of("bert"), found.of("cleo")]
    assert run("pseudonym", "pn9_" + "a" * 32).exit_code == 5


async def test_the_python_client_sends_pseudonyms(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, bytes, bytes, int | None]] = []

    class Kafka:
        async def send(self, topic: str, value: bytes, *, key: bytes, partition: int | None) -> asyncio.Future[None]:
            sent.append((topic.split(".")[1], key, value, partition))
            done = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done

    producer = client.Producer("127.0.0.1:1", limits=HIDING)
    monkeypatch.setattr(producer, "_producer", Kafka())
    await producer.events(client.event("view", user="anna", item="milk"))
    await producer.questions(client.question("Milk?", user="anna"), client.question("Milk?", id="q2"))
    await producer.items(CatalogueItem("milk", "Milk"))
    name, home = TWO.of("anna").encode(), partition_of("anna", 7)
    assert [(topic, key, at) for topic, key, _, at in sent] == [
        ("events", name, home), ("questions", name, home), ("questions", b"q2", None), ("catalogue", b"milk", None),
    ]  # fmt: skip
    assert not any(b"anna" in value for _, _, value, _ in sent)
