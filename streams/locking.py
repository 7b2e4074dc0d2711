"""Locks on files by which processes of one machine keep apart: who has one, and the one of a worker's data directory.

They are `fcntl` record locks, as RocksDB takes them: the kernel knows the holder, and they go with it, however it ends.
A forked child does not inherit them, so a snapshot that is still being written when its worker is killed keeps nobody
out. But a process that closes the file anywhere loses its lock: a lock has a file of its own, which only `alone` opens.
"""

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from streams.errors import DataError
from streams.private import private

NAME = "worker.lock"

_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid


def holder(lock: Path) -> int | None:
    """The process that holds a lock, −1 for one on another machine, None for nobody."""
    query = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with lock.open("rb") as file:
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, query))
    except OSError:  # it is gone, or not ours to look at
        return None
    return None if kind == fcntl.F_UNLCK else int(pid) or -1


@contextlib.contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """Keep other workers out of a data directory, which is made where it is missing.

    Two would each write the same tables and index: nothing else tells them apart while their partitions differ.

    Raises:
        DataError: another worker has it, or its file system has no locks.
        OSError: it cannot be made or written.
    """
    private(data_dir)
    path = data_dir / NAME
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            by = f" (process {pid})" if (pid := holder(path)) and pid > 0 else ""
            raise DataError(
                f"another worker{by} has {data_dir}: give each worker an UPWELL_DATA_DIR of its own"
            ) from None
        except OSError as error:
            raise DataError(
                f"{data_dir} cannot be locked ({error.strerror}): set UPWELL_DATA_DIR to a local disk"
            ) from None
        yield
    finally:
        os.close(file)
