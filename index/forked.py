"""Snapshots written by a forked child: it has the memory of the moment of the fork, and the parent goes on.

hnswlib holds the interpreter while it writes a graph, a second or two for 100,000 vectors; a child's interpreter is
another one. Memory is shared until the parent changes it (copy on write), as when Redis saves in the background.

Copying the table of the process's pages is what a fork takes; `index.pages` makes it shorter. The child runs nothing
but `snapshot.save`, at a lower priority, and ends without cleaning up what it inherited. Forking a process with threads
is safe where the child needs no lock that another thread may hold; OpenBLAS must have been calmed before, see
`index.blas`.
"""

import gc
import json
import os
import select
import signal
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from index.exact import ExactIndex
from index.hnsw import HnswIndex
from index.snapshot import SnapshotError, SnapshotMeta, save

_PATIENCE_S = 600.0
_NICENESS = 5  # a third of the share of a processor that others have who wait for it


@dataclass(frozen=True)
class Child:
    """A child that is writing a snapshot.

    Attributes:
        pid: its process id.
        pipe: it says here how it went.
    """

    pid: int
    pipe: int

    def wait(self) -> Path:
        """Where the snapshot is, once it is written. Blocks; call it once.

        Raises:
            SnapshotError: the child failed, died or took longer than ten minutes.
        """
        said = b""
        try:
            while select.select([self.pipe], [], [], _PATIENCE_S)[0]:
                part = os.read(self.pipe, 65_536)
                if not part:
                    break
                said += part
            else:
                os.kill(self.pid, signal.SIGKILL)
                raise SnapshotError(f"a snapshot took longer than {_PATIENCE_S:.0f} s and was given up")
        finally:
            os.close(self.pipe)
            os.waitpid(self.pid, 0)
        if not said:
            raise SnapshotError("the process that wrote a snapshot died; the snapshots before it are untouched")
        result = json.loads(said)
        if "error" in result:
            raise SnapshotError(result["error"])
        return Path(result["path"])


def save_in_child(index: ExactIndex | HnswIndex, directory: Path, meta: SnapshotMeta) -> Child:
    """Fork a child that saves `index` as it is now; it may change as soon as this returns.

    No other thread may be changing the index at this moment, or waiting for OpenBLAS's own threads (`index.blas`).

    Raises:
        SnapshotError: there is no memory or no process left for a child.
    """
    receiving, sending = os.pipe()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads: see above
            pid = os.fork()
    except OSError as error:
        os.close(receiving)
        os.close(sending)
        raise SnapshotError(f"no process could be started to write a snapshot: {error}") from error
    if not pid:
        _save_and_exit(index, directory, meta, sending)
    os.close(sending)
    return Child(pid, receiving)


def _save_and_exit(index: ExactIndex | HnswIndex, directory: Path, meta: SnapshotMeta, pipe: int) -> NoReturn:
    result = {"error": f"no snapshot could be written in {directory}"}
    try:
        gc.disable()  # it might finalise what belongs to the parent
        os.nice(_NICENESS)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        # Sockets and files of the parent: should it die and start again, its ports must be free.
        os.closerange(3, pipe)
        os.closerange(pipe + 1, os.sysconf("SC_OPEN_MAX"))
        result = {"path": str(save(index, directory, meta))}
    except BaseException as error:  # nothing may get back into the parent's code
        result = {"error": f"{type(error).__name__}: {error}"}
    finally:
        os.write(pipe, json.dumps(result).encode())
        os._exit(0)
