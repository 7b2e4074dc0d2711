"""One worker to a data directory: others are kept out, and what ended keeps nobody out."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.errors import DataError
from streams.locking import NAME, alone

HOLD = """
import os, sys
from pathlib import Path
from streams.locking import alone
with alone(Path(sys.argv[1])):
    if sys.argv[2:] and os.fork() == 0:  # as one that writes a snapshot
        sys.stdin.read()
        os._exit(0)
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def worker(directory: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the directory until it is told to end."""
    command = [sys.executable, "-c", HOLD, str(directory), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def test_another_process_is_named_and_kept_out(tmp_path: Path) -> None:
    home = tmp_path / "made" / "here"
    with worker(home) as first:
        said = rf"another worker \(process {first.pid}\) has {home}: .*UPWELL_DATA_DIR"
        with pytest.raises(DataError, match=said), alone(home):
            raise AssertionError("two at a time")
        with alone(tmp_path / "other"):
            pass
    with alone(home):
        assert (home / NAME).stat().st_mode & 0o777 == 0o600


def test_one_that_was_killed_keeps_nobody_out_though_its_child_goes_on(tmp_path: Path) -> None:
    with worker(tmp_path, "forks") as first:
        first.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
        assert first.stdout is not None
        os.set_blocking(first.stdout.fileno(), False)
        with pytest.raises(BlockingIOError):  # nothing to read and no end of it: its child goes on
            os.read(first.stdout.fileno(), 1)
        with alone(tmp_path):
            pass


def test_a_directory_that_cannot_be_made_is_no_defect(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), alone(tmp_path / "file"):
        raise AssertionError("it is a file")
