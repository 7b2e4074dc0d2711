"""A run's own directory: fresh state every time, and nothing left over.

    root/run-4711-9f2c/lock        held while the run lives
                      /broker/     the broker's data, where the run starts one
                      /worker/     the worker's tables
                      /worker.log

Every run starts from nothing, so that two runs do not see each other and a broken one spoils nothing later. A run
that ends well removes its directory. One that failed keeps it, so that its logs can be read, until the next run
sweeps what nobody holds any more.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

_PATTERN = "run-*"


@contextlib.contextmanager
def fresh(root: Path) -> Iterator[Path]:
    """A new directory under `root`, removed at the end unless the block fails with an error."""
    sweep(root)
    home = root / f"run-{os.getpid()}-{secrets.token_hex(2)}"
    home.mkdir(parents=True, mode=0o700)
    with _held(home):
        try:
            yield home
        except Exception:
            raise
        except BaseException:  # interrupted: nothing to look into
            remove(home)
            raise
        remove(home)


def sweep(root: Path) -> None:
    """Remove the directories of runs that are over."""
    for home in sorted(root.glob(_PATTERN)):
        with contextlib.suppress(BlockingIOError, FileNotFoundError), _held(home):
            remove(home)


def remove(home: Path) -> None:
    """Remove a directory, as far as it can be: a process that is just ending may still write into it."""
    shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def _held(home: Path) -> Iterator[None]:
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
