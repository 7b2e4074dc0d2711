"""Users' files and pipes of JSON lines, opened and read into checked lines."""

import asyncio
import contextlib
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from streams.clock import now_ms
from streams.edge import Limits
from streams.errors import DataError
from streams.jsonl import BadLine, Kind, Outgoing, Splitter, parse

CHUNK = 1 << 18
"""Bytes read at a time."""

_CHUNKS_AHEAD = 4
_WHITE_SPACE = 1_024
"""Bytes of white space around a record that are forgiven."""


@dataclass(frozen=True, slots=True)
class Source:
    """An opened file or pipe, and its name for messages. `size` in bytes is None for a pipe."""

    name: str
    stream: BinaryIO
    size: int | None


@contextlib.contextmanager
def opened(path: str, *, twice: bool = False) -> Iterator[Source]:
    """Open a file, or standard input for "-".

    Without a buffer: a reader thread that waits on a pipe must not hold a buffer's lock when the process ends.

    Args:
        path: the file.
        twice: it will be read twice; a pipe is read to its end and copied first.

    Raises:
        DataError: it cannot be opened.
    """
    name = "<stdin>" if path == "-" else path
    with contextlib.ExitStack() as stack:
        try:
            target: str | int = 0 if path == "-" else path
            stream: Any = stack.enter_context(open(target, "rb", buffering=0, closefd=path != "-"))
            about = os.fstat(stream.fileno())
            size = about.st_size if stat.S_ISREG(about.st_mode) else None
            if twice and size is None:
                copy: Any = stack.enter_context(tempfile.TemporaryFile(buffering=0))
                shutil.copyfileobj(stream, copy)
                copy.seek(0)
                stream = copy
        except OSError as error:
            raise DataError(f"cannot read {name}: {error.strerror}") from None
        yield Source(name, stream, size)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads sources into checked lines; `kind` says what the lines are, None to tell by their fields."""

    limits: Limits
    kind: Kind | None = None

    def insist(self, source: Source) -> None:
        """Check all of a source, and go back to its start.

        Raises:
            DataError: naming the first bad line.
        """
        splitter = self._splitter(source)
        more = True
        while more:
            chunk = source.stream.read(CHUNK)
            for line in splitter.feed(chunk):
                if isinstance(bad := parse(line, self.limits, self.kind, now_ms()), BadLine):
                    raise DataError(f"{bad} (nothing was sent)")
            more = bool(chunk)
        source.stream.seek(0)

    async def read(self, source: Source) -> AsyncIterator[tuple[list[Outgoing | BadLine], int]]:
        """The checked lines as they come, with the number of bytes read for them.

        Raises:
            DataError: the source cannot be read on.
        """
        splitter = self._splitter(source)
        try:
            async for chunk in _chunks(source.stream):
                now = now_ms()
                yield [parse(line, self.limits, self.kind, now) for line in splitter.feed(chunk)], len(chunk)
        except OSError as error:
            raise DataError(f"cannot read on in {source.name}: {error.strerror}") from None

    def _splitter(self, source: Source) -> Splitter:
        longest = max(self.limits.max_event_bytes, self.limits.max_item_bytes)
        return Splitter(source.name, longest + _WHITE_SPACE)


async def _chunks(stream: BinaryIO) -> AsyncIterator[bytes]:
    """Chunks up to and with the empty one at the end. Read in a thread: a silent pipe must not hold the loop."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    room = threading.Semaphore(_CHUNKS_AHEAD)

    def pump() -> None:
        # The loop may be closed already (RuntimeError) when a pipe speaks after the user has interrupted.
        with contextlib.suppress(RuntimeError):
            chunk: bytes | OSError = b"more"
            while chunk and not isinstance(chunk, OSError):
                room.acquire()
                try:
                    chunk = stream.read(CHUNK)
                except OSError as error:
                    chunk = error
                loop.call_soon_threadsafe(queue.put_nowait, chunk)

    threading.Thread(target=pump, name="read-lines", daemon=True).start()
    while True:
        chunk = await queue.get()
        room.release()
        if isinstance(chunk, OSError):
            raise chunk
        yield chunk
        if not chunk:
            return
