"""A canary of personal data, sent through everything, is found nowhere; pseudonyms, and new keys for them."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner, Result

from streams import changelogs, cli, follow, pseudonyms
from streams.broker.probe import free_port
from streams.settings import KafkaSettings, Settings
from streams.topics import Topic, Topics
from tests.brokers import until
from tests.integration.shopkeeper import caught_up, desk, worker
from tests.integration.test_serve import LINES, PATIENCE_S, known, served

T0 = 1_700_000_000_000
USER, NAME, ADDRESS = "kanari-7f3a@voliere.example", "Zilpzalp Rotkehl", "Amselweg 17b"
CANARY = [text.lower().encode() for text in (USER, USER.replace("@", "%40"), NAME, ADDRESS, "voliere", "amselweg")]


def sings(said: str | bytes) -> bool:
    """Whether something of the canary is in there."""
    lower = (said if isinstance(said, bytes) else said.encode()).lower()
    return any(part in lower for part in CANARY)


def purchase(number: int, user: str = USER, **more: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "type": "purchase", "time": T0 + number, "user": user, "item": "milk", **more}


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with one key, in the environment of every command."""
    path = tmp_path / "pseudonyms.keys"
    path.write_text(pseudonyms.new_line(1) + "\n")
    path.chmod(0o600)
    monkeypatch.setenv("UPWELL_PSEUDONYM_KEYS_FILE", str(path))
    return path


def commanding(settings: Settings, bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs commands in this process, one at a time; for the shop of these settings."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap)
    monkeypatch.setenv("UPWELL_SHOP", settings.shop)
    monkeypatch.setenv("UPWELL_PARTITIONS", str(settings.partitions))
    monkeypatch.setenv("UPWELL_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("UPWELL_MODEL", "hashing")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli.main, arguments)

    return run


async def everything(bootstrap: str, topics: Sequence[Topic]) -> dict[str, list[bytes]]:
    """Keys, values and headers of all records, by topic."""
    found: dict[str, list[bytes]] = {}
    async with follow.reader(bootstrap, KafkaSettings()) as consumer:
        for topic in topics:
            said = found.setdefault(topic.name, [])
            async for record in follow.until_now(consumer, topic.name, topic.partitions):
                headers = b" ".join(name.encode() + value for name, value in record.headers)
                said.append(b" ".join([record.key or b"", record.value or b"", headers]))
    return found


async def answers(http: ClientSession) -> list[str]:
    """What HTTP says to requests that name the canary, good and bad."""
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"/v1/users/{USER}/recommendations", {}),
        ("GET", f"/v1/users/{USER}/recommendations?n=0", {}),
        ("GET", f"/v1/users/{USER}/profile", {}),
        ("GET", f"/v1/items/{USER}/similar", {}),
        ("POST", "/v1/search", {"json": {"text": NAME}}),
        ("POST", "/v1/answers", {"json": {"text": f"Do you sell milk in {ADDRESS}?", "user": USER}}),
        ("POST", "/v1/events", {"data": msgspec.json.encode(purchase(4, type=ADDRESS)), "headers": LINES}),
        ("POST", "/v1/events", {"data": msgspec.json.encode(purchase(5)), "headers": LINES}),
        ("POST", "/v1/events", {"data": ADDRESS, "headers": LINES}),
        ("POST", "/v1/items", {"data": json.dumps({"id": NAME, "title": [ADDRESS]}), "headers": LINES}),
        ("GET", "/metrics", {}),
        ("GET", "/readyz", {}),
    ]
    said = []
    for method, path, options in requests:
        async with http.request(method, path, **options) as response:
            assert response.status < 500
            said.append(await response.text())
    return said


async def test_the_canary_is_nowhere(
    settings: Settings, bootstrap: str, shop_topics: Topics, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = commanding(settings, bootstrap, monkeypatch)

    heard: list[str] = []
    told: list[str] = []
    port = free_port("127.0.0.1")
    loud = {"UPWELL_LOG_LEVEL": "DEBUG", "UPWELL_SEGMENTS": "country"}
    name = pseudonyms.read(keys).of(USER)
    async with (
        desk(shop_topics, bootstrap) as shop,
        worker(settings, bootstrap, heard=heard, UPWELL_PROBE_PORT=str(port), **loud),
        served(settings, bootstrap, heard=heard, **loud) as http,
    ):
        await shop.put(shop_topics.catalogue, "milk", {"id": "milk", "title": "Milk"})
        events = shop_topics.events
        await shop.put(events, USER, purchase(0, attributes={"name": NAME, "country": "at"}, anonymous_id=USER))
        await shop.put(events, USER, purchase(1, type=ADDRESS))
        await shop.put(events, USER, ADDRESS.encode())
        await shop.put(events, USER, purchase(2, user=NAME))
        await shop.put(events, USER, purchase(3, time=10**13))
        await shop.put(shop_topics.catalogue, NAME, {"id": USER, "title": ADDRESS})
        await known(http, USER, stage="profile")
        told += await answers(http)
        await until(lambda: caught_up(settings, bootstrap, "profiles", events), PATIENCE_S)
        commands = [
            ["profile", USER], ["profile", USER, "--json"], ["profile", USER, "--at", "99"],
            ["why", USER, "milk"], ["tail", "events", "--from", "beginning", "-n", "2"],
            ["tail", "recommendations", "--from", "beginning", "-n", "1", "--user", USER],
            ["tail", "dlq", "--from", "beginning", "-n", "4"], ["dlq", "list"], ["dlq", "list", "--json"],
            ["dlq", "show", "0/0"], ["dlq", "show", "0/1", "--json"], ["dlq", "redrive", "--all", "--dry-run"],
            ["replay", "--check"], ["status"], ["status", "--json"], ["pseudonym", USER],
        ]  # fmt: skip
        told += [(await asyncio.to_thread(command, *arguments)).output for arguments in commands]
        assert name in "".join(told)
        raw = await asyncio.to_thread(command, "dlq", "show", "0/0", "--raw")
        assert sings(raw.output)  # it is there for who asks: a refused record goes back as it came
        async with ClientSession() as probes, probes.get(f"http://127.0.0.1:{port}/metrics") as response:
            measured = await response.text()
        async with http.get("/metrics") as response:
            measured += await response.text()
        told.append(measured)
        rows = await everything(bootstrap, [shop_topics.profiles])
        assert any(name.encode() in row for row in rows[shop_topics.profiles.name])

        before = [path for path in settings.data_dir.rglob("*") if path.is_file()]
        assert [path.name for path in before if sings(path.read_bytes())] == []
        async with http.delete(f"/v1/users/{USER}") as response:
            told.append(await response.text())
        await known(http, USER, stage="popularity")
        told.append((await asyncio.to_thread(command, "erase", USER)).output)
    scrubbed = await asyncio.to_thread(command, "scrub", USER)
    assert scrubbed.exit_code == 0, scrubbed.output
    told.append(scrubbed.output)

    assert [said for said in told if sings(said)] == []
    # Logs and metrics do not even have the pseudonym: so they would not have the id where there are none.
    assert [line for line in "".join(heard).splitlines() if sings(line) or name in line] == []
    assert measured.count("upwell_") > 50
    assert name not in measured
    made = [topic for topic in shop_topics if topic not in (shop_topics.events, shop_topics.catalogue, shop_topics.dlq)]
    records = await everything(bootstrap, made)
    assert any(name.encode() in said for said in records[shop_topics.recommendations.name])
    assert {topic for topic, said in records.items() if any(map(sings, said))} == set()
    # Nor is there anything of them in a file, by pseudonym either, since the erasure; and something was looked at.
    files = {path: path.read_bytes() for path in settings.data_dir.rglob("*") if path.is_file()}
    assert any(b"milk" in content for content in files.values())
    assert [path.name for path, content in files.items() if sings(content) or name.encode() in content] == []


async def test_what_is_sent_over_http_and_by_file_is_on_the_topic_by_pseudonym(
    settings: Settings,
    bootstrap: str,
    shop_topics: Topics,
    keys: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "events.jsonl").write_text(json.dumps(purchase(0)))
    run = commanding(settings, bootstrap, monkeypatch)
    done = await asyncio.to_thread(run, "produce", str(tmp_path / "events.jsonl"))
    assert done.exit_code == 0, done.output
    async with (
        served(settings, bootstrap) as http,
        http.post("/v1/events", data=json.dumps(purchase(1)), headers=LINES) as response,
    ):
        assert (await response.json())["accepted"] == 1
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        home = (await producer.send_and_wait(shop_topics.events.name, b"{}", key=USER.encode())).partition
    async with follow.reader(bootstrap, KafkaSettings()) as consumer:
        events = shop_topics.events
        found = [record async for record in follow.until_now(consumer, events.name, events.partitions)]
    name = pseudonyms.read(keys).of(USER).encode()
    assert [(record.key, record.partition) for record in found] == [(name, home), (name, home), (USER.encode(), home)]
    assert not any(sings(record.value or b"") for record in found)


async def test_state_moves_to_new_keys(
    settings: Settings, bootstrap: str, shop_topics: Topics, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = commanding(settings, bootstrap, monkeypatch)

    def command(*arguments: str) -> dict[str, Any]:
        done = run(*arguments, "--json")
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    async def rows() -> changelogs.Rows:
        async with follow.reader(bootstrap, KafkaSettings()) as consumer:
            return await changelogs.rows_of(consumer, shop_topics.profiles)

    async def profiles() -> dict[bytes, int]:
        return {key: part for part, key in await rows()}

    async def works(*user: str, erasing: str | None = None) -> None:
        async with worker(settings, bootstrap):
            early = (await asyncio.to_thread(run, "rekey")).stderr
            assert "workers are running" in early or "there are no pseudonyms here" in early
            for number, one in enumerate(user):
                await shop.put(shop_topics.events, one, purchase(number, one))
            if erasing:
                await asyncio.to_thread(command, "erase", erasing)
            await until(lambda: caught_up(settings, bootstrap, "profiles", shop_topics.events), PATIENCE_S)

    async with desk(shop_topics, bootstrap) as shop:
        with monkeypatch.context() as plain:
            plain.delenv("UPWELL_PSEUDONYM_KEYS_FILE")
            await works("anna", "bert", "cleo", erasing="cleo")
        before = await profiles()
        assert set(before) == {b"anna", b"bert"}
        first = pseudonyms.read(keys)

        # Pseudonyms are turned on.
        plan = await asyncio.to_thread(command, "rekey")
        # An erasure is asked of every partition, and entered on each.
        assert (plan["done"], plan["moved"], plan["erasures"], plan["taken"]) == (False, 2, settings.partitions, 0)
        assert await profiles() == before
        assert (await asyncio.to_thread(command, "rekey", "--yes"))["moved"] == 2
        assert await profiles() == {first.of(user.decode()).encode(): part for user, part in before.items()}

        # A worker goes on from them, and knows whom to leave forgotten.
        await works("anna", erasing="bert")
        known_of = await asyncio.to_thread(command, "profile", "anna")
        assert [habit["purchases"] for habit in known_of["habits"]] == [1]  # what she did again is a duplicate
        await shop.put(shop_topics.events, "cleo", purchase(9, "cleo"))
        await works()
        assert set(await profiles()) == {first.of("anna").encode()}

        # The key changes. Old names are understood; what was forgotten stays so, in a rebuild from the log too.
        with keys.open("a") as file:
            file.write(pseudonyms.new_line(2))
        second = pseudonyms.read(keys)
        moved = await asyncio.to_thread(command, "rekey", "--yes")
        assert (moved["version"], moved["moved"], moved["erasures"]) == (2, 1, 2 * settings.partitions)
        assert (await asyncio.to_thread(command, "rekey"))["current"] == 1
        assert set(await profiles()) == {second.of("anna").encode()}
        assert (await asyncio.to_thread(command, "profile", first.of("anna")))["user"] == second.of("anna")
        await asyncio.to_thread(command, "reset", "--yes")
        await works()
        assert set(await profiles()) == {second.of("anna").encode()}

        # A row that somebody has put where another would go is left alone, and told.
        (((partition, _), row),) = (await rows()).items()
        await shop.producer.send_and_wait(shop_topics.profiles.name, row, key=b"anna", partition=partition)
        done = await asyncio.to_thread(run, "rekey", "--yes")
        assert (done.exit_code, "Profiles moved to version 2: 0" in done.stdout) == (1, True)
        assert "1 shoppers have a row under their current pseudonym as well" in done.stderr
