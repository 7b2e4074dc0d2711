"""`upwell broker`, as it is typed: on noida-db, which starts at once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.broker import local
from streams.cli import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("UPWELL_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    yield tmp_path
    local.stop(tmp_path)


def upwell(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def start(*words: str) -> Result:
    return upwell("broker", "start", "--kind", "noida-db", "--port", "0", *words)


def test_the_broker_outlives_the_command(home: Path) -> None:
    command = [sys.executable, "-c", "from streams.cli import main; main()", "broker", "start"]
    done = subprocess.run(
        [*command, "--kind", "noida-db", "--port", "0"],
        env={**os.environ, "UPWELL_DATA_DIR": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    broker = local.find(home)
    assert broker is not None
    assert done.stdout == f"KAFKA_BOOTSTRAP_SERVERS={broker.bootstrap}\n"
    assert "one worker and demo-sized data only" in done.stderr
    assert local.ready(broker)


def test_start_status_stop(home: Path) -> None:
    assert start().exit_code == 0
    told = json.loads(upwell("broker", "status", "--json").stdout)
    broker = local.find(home)
    assert broker is not None
    assert broker.process is not None
    assert told == {
        "running": True,
        "ready": True,
        "data_dir": str(home),
        "kind": "noida-db",
        "bootstrap": broker.bootstrap,
        "pid": broker.process.pid,
        "log": str(broker.log),
    }
    assert f"noida-db on {broker.bootstrap}" in upwell("broker", "status").stdout
    assert upwell("broker", "stop").stdout.startswith(f"Stopped noida-db on {broker.bootstrap}")
    assert not broker.process.alive()


def test_starting_twice_says_so(home: Path) -> None:
    first = start()
    again = start()
    assert again.exit_code == 0
    assert "runs already" in again.stdout
    assert first.stdout.splitlines()[-1] == again.stdout.splitlines()[-1]
    moved = upwell("broker", "start", "--port", "65000")
    assert moved.exit_code == 3
    assert "stop it first to move it to port 65000" in moved.output


def test_another_kind_than_the_one_that_runs_is_refused(home: Path) -> None:
    assert start().exit_code == 0
    other = upwell("broker", "start", "--kind", "apache-kafka", "--port", "0")
    assert other.exit_code == 3
    assert "noida-db" in other.stderr
    assert "stop it first to have apache-kafka" in other.stderr
    assert local.find(home)


def test_where_none_runs_status_fails_and_stop_does_not(home: Path) -> None:
    status = upwell("broker", "status")
    assert status.exit_code == 3
    assert status.output == f"No broker runs under {home}.\n"
    assert json.loads(upwell("broker", "status", "--json").stdout) == {
        "running": False,
        "ready": False,
        "data_dir": str(home),
    }
    assert upwell("broker", "stop").exit_code == 0


def test_another_data_directory_is_another_broker(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    assert start("--data-dir", str(other)).exit_code == 0
    assert local.find(home) is None
    assert upwell("broker", "status", "--data-dir", str(other)).exit_code == 0
    assert upwell("broker", "stop", "--data-dir", str(other)).exit_code == 0
    assert local.find(other) is None


def test_a_broker_nobody_would_use_is_remarked_upon(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092")
    assert "other commands use that cluster" in start().stderr
