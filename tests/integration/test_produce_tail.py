"""`upwell produce` and `upwell tail` as people use them: real processes against a real broker."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.samples import SAMPLES
from streams.settings import Settings
from streams.topics import Topics

DATA = Path(__file__).parents[2] / "examples/data"
UPWELL = [sys.executable, "-c", "from streams.cli import main; main()"]

Upwell = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def upwell(settings: Settings, bootstrap: str) -> Upwell:
    """Starts the command with the test's shop and broker."""
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "UPWELL_SHOP": settings.shop,
        "UPWELL_PARTITIONS": str(settings.partitions),
    }

    def start(*arguments: str | Path) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*UPWELL, *map(str, arguments)], env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    return start


def _run(process: "subprocess.Popen[str]", stdin: str = "") -> tuple[int, str, str]:
    out, err = process.communicate(stdin, timeout=60)
    return process.returncode, out, err


async def _ends(bootstrap: str, topic: str, partitions: int) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    ends = await consumer.end_offsets([TopicPartition(topic, partition) for partition in range(partitions)])
    await consumer.stop()
    return sum(ends.values())


async def test_files_go_to_their_topics_and_come_back_as_they_were(upwell: Upwell, shop_topics: Topics) -> None:
    files = DATA / "catalogue.jsonl", DATA / "events.jsonl"
    items, events = ([json.loads(line) for line in file.read_text().splitlines()] for file in files)
    code, out, err = _run(upwell("produce", "--json", *files))
    assert (code, err) == (0, "")
    summary = json.loads(out)
    assert summary.pop("seconds") > 0
    assert summary == {"events": len(events), "items": len(items), "deletions": 0, "questions": 0, "bad": 0}

    code, out, err = _run(upwell("tail", "catalogue", "--from", "beginning", "-n", str(len(items)), "--json"))
    assert (code, err) == (0, "")
    assert sorted(map(json.loads, out.splitlines()), key=lambda item: item["id"]) == sorted(
        items, key=lambda item: item["id"]
    )
    annas = [event for event in events if event.get("user") == "anna"]
    code, out, err = _run(
        upwell("tail", "events", "--user", "anna", "--from", "beginning", "-n", str(len(annas)), "--json")
    )
    assert (code, err) == (0, "")
    assert [json.loads(line) for line in out.splitlines()] == annas, "a shopper's events keep their order"


async def test_questions_go_to_their_topic(upwell: Upwell, shop_topics: Topics) -> None:
    question = {"id": "q-1", "text": "which saw?", "time": 1_767_607_200_000}
    code, out, err = _run(upwell("produce", "--as", "questions", "-"), json.dumps(question))
    assert (code, err) == (0, "")
    assert "Sent 1 questions, 0 events, 0 items and 0 deletions" in out
    code, out, err = _run(upwell("tail", "questions", "--from", "beginning", "-n", "1", "--json"))
    assert (code, err) == (0, "")
    assert json.loads(out) == question


@pytest.fixture
def generous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers would read larger events than the topic takes."""
    monkeypatch.setenv("UPWELL_MAX_EVENT_BYTES", "9000000")


async def test_a_record_that_its_topic_does_not_take_is_told(
    generous: None, upwell: Upwell, shop_topics: Topics
) -> None:
    event = {
        "id": "e1",
        "type": "view",
        "time": 1_767_607_200_000,
        "user": "anna",
        "item": "saw",
        "note": "x" * (3 << 20),
    }
    code, out, err = _run(upwell("produce", "-"), json.dumps(event))
    assert (code, out) == (5, "")
    assert "larger than its topic takes" in err


async def test_bad_lines_are_named_and_the_others_sent(upwell: Upwell, shop_topics: Topics, bootstrap: str) -> None:
    lines = ['{"id": "hammer", "deleted": true}', '{"id": "e1", "type": "stare", "time": 1}', "", '{"id": "hammer"']
    code, out, err = _run(upwell("produce", "-"), "\n".join(lines))
    assert code == 5
    assert "Sent 0 events, 0 items and 1 deletions" in out
    assert "<stdin>:2: Invalid enum value" in err
    assert "<stdin>:4: " in err
    assert "2 bad lines" in err
    assert await _ends(bootstrap, shop_topics.catalogue.name, shop_topics.catalogue.partitions) == 1
    code, out, _ = _run(upwell("tail", "catalogue", "--from", "beginning", "-n", "1", "--json"))
    assert json.loads(out) == {"id": "hammer", "deleted": True}


async def test_strict_sends_nothing_when_any_line_of_any_file_is_bad(
    upwell: Upwell, shop_topics: Topics, bootstrap: str
) -> None:
    code, out, err = _run(upwell("produce", "--strict", DATA / "events.jsonl", "-"), '\n{"id": 1}\n')
    assert (code, out) == (5, "")
    assert "<stdin>:2: " in err
    assert "nothing was sent" in err
    assert await _ends(bootstrap, shop_topics.events.name, shop_topics.events.partitions) == 0


async def test_strict_sends_what_is_good_from_a_pipe_too(upwell: Upwell, shop_topics: Topics, bootstrap: str) -> None:
    code, out, err = _run(upwell("produce", "--strict", "--rate", "1000", "-"), (DATA / "events.jsonl").read_text())
    assert (code, err) == (0, "")
    sent = len((DATA / "events.jsonl").read_text().splitlines())
    assert f"Sent {sent} events" in out
    assert await _ends(bootstrap, shop_topics.events.name, shop_topics.events.partitions) == sent


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("produce", "no-such-file.jsonl"), "cannot read no-such-file.jsonl: No such file"),
        (("produce", "."), "cannot read .: Is a directory"),
    ],
)
async def test_a_file_that_cannot_be_read_is_said(upwell: Upwell, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = _run(upwell(*arguments))
    assert code == 5
    assert said in err
    assert "Traceback" not in err


async def test_without_topics_both_say_what_to_run(upwell: Upwell) -> None:
    for arguments in (("produce", DATA / "events.jsonl"), ("tail", "events")):
        code, _, err = _run(upwell(*arguments))
        assert code == 4
        assert "upwell topics create" in err


async def test_user_does_not_apply_to_the_catalogue(upwell: Upwell) -> None:
    code, _, err = _run(upwell("tail", "catalogue", "--user", "anna"))
    assert code == 2
    assert "--user does not apply" in err


async def test_an_open_pipe_is_sent_as_it_comes_and_interrupting_is_clean(upwell: Upwell, shop_topics: Topics) -> None:
    watching = upwell("tail", "events", "--from", "beginning")
    sending = upwell("produce", "-")
    assert sending.stdin is not None
    assert watching.stdout is not None
    sending.stdin.write(msgspec.json.encode(SAMPLES["view"]).decode() + "\n")
    sending.stdin.flush()
    assert "u-1842  view" in watching.stdout.readline()
    for process, code in ((sending, 130), (watching, 0)):
        process.send_signal(signal.SIGINT)
        # Its standard input is still open: the reader of the pipe must not hold it up.
        assert process.wait(timeout=30) == code
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
        process.communicate()


async def test_recommendations_are_shown_with_titles(upwell: Upwell, shop_topics: Topics, bootstrap: str) -> None:
    assert _run(upwell("produce", DATA / "catalogue.jsonl"))[0] == 0
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    value = msgspec.json.encode(SAMPLES["recommendation"])
    for shopper in (b"somebody-else", b"u-1842"):
        await producer.send_and_wait(shop_topics.recommendations.name, value, key=shopper)
    await producer.stop()
    arguments = "tail", "recommendations", "--user", "u-1842", "--from", "beginning", "-n", "1"
    code, out, err = _run(upwell(*arguments))
    assert (code, err) == (0, "")
    head, first = out.splitlines()
    assert "after purchase Wire nails 50 mm, box of 500 (nails-50mm)" in head
    assert first.split()[:4] == ["1", "Rubber", "mallet,", "450"]
    code, out, _ = _run(upwell(*arguments, "--json"))
    assert msgspec.json.decode(out, type=type(SAMPLES["recommendation"])) == SAMPLES["recommendation"]


async def test_tail_ends_quietly_when_its_reader_leaves(upwell: Upwell, shop_topics: Topics) -> None:
    watching = upwell("tail", "events", "--from", "beginning", "--json")
    assert watching.stdout is not None
    assert watching.stderr is not None
    watching.stdout.close()
    assert _run(upwell("produce", DATA / "events.jsonl"))[0] == 0
    assert watching.wait(timeout=60) == 0
    assert watching.stderr.read() == ""
    watching.stderr.close()
    assert watching.stdin is not None
    watching.stdin.close()
