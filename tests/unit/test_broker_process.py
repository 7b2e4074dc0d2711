"""Server processes: known by pid and birth, stopped when asked, killed when they will not, tied to their parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from streams.broker.process import ProcessId, spawn

SLEEPER = [sys.executable, "-I", "-S", "-c", "import time; print('up', flush=True); time.sleep(300)"]
STUBBORN = [
    sys.executable, "-I", "-S", "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(300)",
]  # fmt: skip


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + 20
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < deadline, f"{text!r} was never written"
        time.sleep(0.01)


def test_a_process_is_alive_until_it_is_stopped(tmp_path: Path) -> None:
    process = spawn(SLEEPER, tmp_path / "log", tied=False)
    wait_for(tmp_path / "log", "up")
    assert process.alive()
    assert process.stop(20)
    assert not process.alive()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)  # it was reaped, too


def test_a_process_that_will_not_end_is_killed(tmp_path: Path) -> None:
    process = spawn(STUBBORN, tmp_path / "log", tied=False)
    wait_for(tmp_path / "log", "up")
    assert not process.stop(0.2)
    assert not process.alive()


def test_output_is_appended_to_the_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    command = [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)"]
    spawn(command, tmp_path / "log", tied=False)
    wait_for(tmp_path / "log", "out")
    wait_for(tmp_path / "log", "err")
    assert (tmp_path / "log").read_text().startswith("before\n")


def test_a_pid_that_was_given_to_another_process_is_not_touched(tmp_path: Path) -> None:
    process = spawn(SLEEPER, tmp_path / "log", tied=False)
    earlier = replace(process, born="1")
    assert not earlier.alive()
    assert earlier.stop(1)
    earlier.kill()
    assert process.alive()
    process.kill()


def test_a_pid_that_nobody_has_is_not_alive() -> None:
    assert not ProcessId(2**22 + 1, "1").alive()


def test_a_ctrl_c_in_the_terminal_does_not_reach_it(tmp_path: Path) -> None:
    process = spawn(SLEEPER, tmp_path / "log", tied=True)
    assert os.getsid(process.pid) == process.pid  # a session of its own, so another process group
    process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_tied_process_ends_with_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "log"
    program = (
        "import sys, time; from pathlib import Path; from streams.broker.process import spawn\n"
        f"process = spawn({SLEEPER!r}, Path({str(log)!r}), tied=True)\n"
        "print(process.pid, process.born, flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, born = parent.stdout.readline().split()
        child = ProcessId(int(pid), born)
        wait_for(log, "up")
        assert child.alive()
        parent.send_signal(number)
    deadline = time.monotonic() + 20
    while child.alive():
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.01)


def test_a_tied_process_must_come_from_the_main_thread(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def try_it() -> None:
        try:
            spawn(SLEEPER, tmp_path / "log", tied=True)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])
