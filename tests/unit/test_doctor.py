"""What the doctor says about a machine, a model and a clock, each in good order and out of it."""

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from encoders.models import build_model
from streams.cli import main
from streams.doctor import Finding, Verdict, locks, machine
from streams.doctor.cluster import behind, replication, skew
from streams.doctor.environment import examine_environment
from streams.doctor.model import device, examine_model
from streams.doctor.policy import examine_policy
from streams.locking import holder
from streams.settings import Settings
from streams.topics import topics
from tests import tinybert

TABLES = len({topic.table for topic in topics()} - {None})
NEEDED = 128 * TABLES * 4 + 256

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(lock: Path) -> Iterator[int]:
    """The lock, held as RocksDB does it by another process; its id."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate()


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_the_installed_libraries_are_the_pinned_ones_and_others_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    good = only(machine.versions())
    assert good.verdict is Verdict.OK, good
    monkeypatch.setattr(machine, "_installed", {"aiokafka": "0.1", "faust-streaming": "0.15.3"}.get)
    bad = only(machine.versions())
    assert bad.verdict is Verdict.FAIL
    assert "aiokafka 0.1, wanted 0.14.0" in bad.found
    assert "rocksdict missing" in bad.found
    assert "faust-streaming" not in bad.found


def test_variables_that_are_no_settings_are_told_with_what_may_be_meant() -> None:
    given = {
        "UPWELL_SHOP": "books", "UPWELL_API_PORT": "1", "upwell_model": "hashing", "KAFKA_HEAP_OPTS": "-Xmx1g",
        "UPWELL_TAG": "local", "UPWELL_DATADIR": "secret", "UPWELL_WAT": "secret",
    }  # fmt: skip
    found = list(examine_environment(given))
    assert [(one.check, one.verdict, one.found) for one in found] == [
        ("settings", Verdict.WARN, f"UPWELL_{name} is no setting, so it changes nothing") for name in ("DATADIR", "WAT")
    ]
    assert found[0].advice == "UPWELL_DATA_DIR is meant?"
    assert "docs/configuration.md" in found[1].advice


@pytest.mark.parametrize(
    ("text", "verdict", "found"),
    [
        (None, [], ""),
        ("rules = ['exclude purchased']", [Verdict.OK], "mine@"),
        ("diversty = 1", [Verdict.FAIL], "unknown field 'diversty'"),
        ("rules = ['exclude prize > 1']", [Verdict.FAIL], "rule 1, 1:9: unknown field 'prize'"),
    ],
)
def test_the_policy_is_read(text: str | None, verdict: list[Verdict], found: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text or "")
    findings = list(examine_policy(Settings(policy_file=path if text else None)))
    assert [one.verdict for one in findings] == verdict
    assert all(found in one.found and "\n" not in one.found for one in findings)


def test_a_policy_that_is_not_there_fails(tmp_path: Path) -> None:
    (finding,) = examine_policy(Settings(policy_file=tmp_path / "none.toml"))
    assert finding.verdict is Verdict.FAIL
    assert "cannot read the policy" in finding.found


def test_pins_are_told_from_other_requirements() -> None:
    lines = ["aiokafka==0.14.0", "numpy>=2.0", "demo==1; extra == 'demo'", "noida-db==0.2; sys_platform == 'linux'"]
    assert list(machine.pinned(lines)) == [("aiokafka", "0.14.0")]


def test_a_data_directory_that_others_can_read_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "data"
    assert only(machine.directory(closed)).found == f"{closed} will be created"
    closed.mkdir(mode=0o700)
    assert only(machine.directory(closed)).verdict is Verdict.OK
    assert not machine.others_read(closed)
    closed.chmod(0o755)
    assert not machine.others_read(closed), "pytest keeps others out further up"
    assert machine.others_read(Path("/usr"))
    told = only(machine.directory(Path("/usr"))) if os.access("/usr", os.W_OK) else None
    assert told is None or (told.verdict, "chmod 700" in told.advice) == (Verdict.WARN, True)


def test_a_file_in_the_place_of_the_directory_fails(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert only(machine.directory(tmp_path / "data")).verdict is Verdict.FAIL


def test_a_directory_that_cannot_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = only(machine.directory(tmp_path))
    assert found.verdict is Verdict.FAIL
    assert "UPWELL_DATA_DIR" in found.advice


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(0, Verdict.FAIL), (machine.DISK_FAIL, Verdict.WARN), (machine.DISK_WARN, Verdict.OK)],
)
def test_free_space(free: int, verdict: Verdict) -> None:
    assert machine.space("UPWELL_DATA_DIR", Path("/data"), free).verdict is verdict


def test_one_file_system_is_looked_at_once(tmp_path: Path) -> None:
    assert len(list(machine.disk({"UPWELL_DATA_DIR": tmp_path, "UPWELL_CACHE_DIR": tmp_path / "cache"}))) == 1


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [
        (resource.RLIM_INFINITY, Verdict.OK),
        (NEEDED, Verdict.OK),
        (NEEDED - 1, Verdict.WARN),
        (255, Verdict.FAIL),
    ],
)
def test_the_limit_of_open_files_is_held_against_the_partitions(limit: int, verdict: Verdict) -> None:
    found = machine.file_limit(limit, 4)
    assert found.verdict is verdict
    assert verdict is Verdict.OK or f"ulimit -n {NEEDED}" in found.advice


def test_the_files_of_a_store_are_those_that_the_engine_opens() -> None:
    from streams.engine import store

    assert machine.STORE_FILES == store._OPEN_FILES
    assert locks.CONDEMNED == store._CONDEMNED


def test_locks_of_ended_processes_hinder_nobody_and_held_ones_name_their_process(tmp_path: Path) -> None:
    assert only(locks.examine_locks(tmp_path)).found == "no store has been made yet"
    for name in ("0", "1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "LOCK").touch()
    assert "2 left by processes that ended" in only(locks.examine_locks(tmp_path)).found
    with held(tmp_path / "1" / "LOCK") as pid:
        found = only(locks.examine_locks(tmp_path))
        assert found.verdict is Verdict.OK
        assert f"1 in use by process {pid}; 1 left" in found.found
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        stopped = only(locks.examine_locks(tmp_path))
        assert stopped.verdict is Verdict.WARN
        assert f"process {pid}, which is stopped" in stopped.found
        assert f"kill -CONT {pid}" in stopped.advice


def test_rocksdb_takes_the_lock_that_is_looked_at(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from streams.engine.store import RocksPartition\n"
        "store = RocksPartition(Path(sys.argv[1]), 8); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "0")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        assert holder(tmp_path / "0" / "LOCK") == process.pid
        process.communicate()
    assert holder(tmp_path / "0" / "LOCK") is None


def test_a_store_that_was_found_damaged_is_told(tmp_path: Path) -> None:
    (tmp_path / "CONDEMNED").touch()
    _, damaged = locks.examine_locks(tmp_path)
    assert (damaged.check, damaged.verdict) == ("stores", Verdict.WARN)
    assert str(tmp_path) in damaged.found


def test_a_lock_that_vanishes_is_held_by_nobody(tmp_path: Path) -> None:
    assert holder(tmp_path / "LOCK") is None
    with (tmp_path / "LOCK").open("wb") as own:
        fcntl.lockf(own, fcntl.LOCK_EX)
        assert holder(tmp_path / "LOCK") is None, "the kernel does not tell us of our own"


def test_a_model_is_sound_missing_or_changed(tmp_path: Path) -> None:
    directory = tinybert.write(tmp_path / "tiny")
    settings = Settings(model=str(directory), cache_dir=tmp_path / "cache")
    assert only(examine_model(settings)).advice.startswith("upwell model build")
    built = build_model(str(directory), tmp_path / "cache", lambda step: None)
    model, runs_on = examine_model(settings)
    assert (model.verdict, runs_on.verdict) == (Verdict.OK, Verdict.OK)
    assert runs_on.found.endswith("ExecutionProvider")
    (built / "tokenizer.json").write_bytes(b"{}")
    changed = only(examine_model(settings))
    assert changed.verdict is Verdict.FAIL
    assert "was changed" in changed.found


def test_the_hashing_model_is_no_model() -> None:
    assert only(examine_model(Settings(model="hashing"))).verdict is Verdict.WARN


def test_a_gpu_that_is_required_and_missing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = device(b"", require_gpu=True)
    assert found.verdict is Verdict.FAIL
    assert "upwell[gpu]" in found.advice


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [(-5_000, Verdict.OK), (1_000, Verdict.OK), (1_001, Verdict.WARN), (60_001, Verdict.FAIL)],
)
def test_records_of_the_future_say_that_this_clock_is_behind(ahead: int, verdict: Verdict) -> None:
    assert behind(ahead).verdict is verdict


@pytest.mark.parametrize(
    ("measured", "verdict", "said"),
    [
        ([(12.0, 3.0)], Verdict.OK, "12 ms ahead of"),
        ([(-12.0, 3.0)], Verdict.OK, "12 ms behind"),
        ([(9_000.0, 9_000.0), (1_500.0, 2.0)], Verdict.WARN, "1,500 ms"),
        ([(1_200.0, 100.0), (1_500.0, 2.0)], Verdict.WARN, "1,500 ms"),
        ([(1_500.0, 600.0)], Verdict.OK, "± 600"),
        ([(-61_000.0, 2.0)], Verdict.FAIL, "61,000 ms behind"),
        ([], Verdict.WARN, "does not stamp"),
    ],
)
def test_the_sharpest_measurement_of_the_clock_counts(
    measured: list[tuple[float, float]], verdict: Verdict, said: str
) -> None:
    found = skew(measured)
    assert found.verdict is verdict
    assert said in found.found


@pytest.mark.parametrize(
    ("brokers", "fewest", "verdict"), [(1, 1, Verdict.OK), (3, 1, Verdict.WARN), (3, 2, Verdict.OK), (3, 3, Verdict.OK)]
)
def test_one_replica_among_several_brokers_is_told(brokers: int, fewest: int, verdict: Verdict) -> None:
    found = replication(brokers, fewest)
    assert found.verdict is verdict
    assert verdict is Verdict.OK or "UPWELL_REPLICATION" in found.advice


@pytest.mark.parametrize("name", ["UPWELL_PARTITIONS", "KAFKA_SASL_MECHANISM", "UPWELL_API_PORT"])
def test_wrong_settings_are_findings_without_their_values(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "kanarienvogel")
    done = CliRunner().invoke(main, ["doctor", "--json"])
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["ok"] is False
    assert told["findings"][0]["check"] == "settings"
    assert name in told["findings"][0]["found"]
    assert "kanarienvogel" not in done.output
