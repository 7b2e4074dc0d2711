"""Server processes: spawn one, know it again later by pid and birth, stop it.

A pid alone does not name a process: pids are reused. A pid with its start time does.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TETHER = Path(__file__).with_name("tether.py")
_POLL_S = 0.05
_KILL_S = 10.0
_STATE, _NUM_THREADS, _STARTTIME = 0, 17, 19
"""Fields of /proc/PID/stat, counted from behind the command name; see proc_pid_stat(5)."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process, this one and no later one with the same pid."""

    pid: int
    born: str
    """When it started, in the unit the system tells it; compared, never read."""

    def alive(self) -> bool:
        """Whether it still runs. A child that has ended is reaped on the way."""
        status = _status(self.pid)
        if status is None or status.born != self.born:
            return False
        if status.ended:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
            return False
        return True

    def kill(self) -> None:
        """End it at once, without a chance to clean up."""
        self._signal(signal.SIGKILL)
        self._gone_within(_KILL_S)

    def stop(self, grace_s: float) -> bool:
        """Ask it to stop, kill it after `grace_s` seconds; return whether it stopped when asked."""
        self._signal(signal.SIGTERM)
        if self._gone_within(grace_s):
            return True
        self.kill()
        return False

    def _signal(self, number: signal.Signals) -> None:
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True


def spawn(command: Sequence[str], log: Path, *, tied: bool) -> ProcessId:
    """Start a server in a session of its own, its output appended to `log`.

    Its own session keeps a Ctrl-C in the terminal from reaching the broker before the programs that use it.

    Args:
        command: program (an absolute path) and arguments.
        log: file for stdout and stderr.
        tied: the server is told to stop when this process ends, however it ends (Linux).

    Raises:
        RuntimeError: `tied`, and this is not the main thread: Linux ties a child to the thread that made it.
    """
    if tied and threading.current_thread() is not threading.main_thread():
        raise RuntimeError("a tied server must be started from the main thread: it ends with the thread that starts it")
    argv = [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *command] if tied else list(command)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions, setsid=True)
    status = _status(pid)
    return ProcessId(pid, status.born if status else "")


@dataclass(frozen=True, slots=True)
class _Status:
    born: str
    ended: bool


def _status(pid: int) -> _Status | None:
    """State of a pid, None where there is no such process."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The command name, in parentheses, may hold anything: the fields are counted from behind it.
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # A process whose first thread has ended shows as a zombie while its other threads still hold its sockets.
        return _Status(born=fields[_STARTTIME], ended=fields[_STATE] in "ZX" and int(fields[_NUM_THREADS]) <= 1)
    shown = subprocess.run(["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, born = shown.stdout.strip().partition(" ")
    return _Status(born=born.strip(), ended=state.startswith("Z")) if state else None
