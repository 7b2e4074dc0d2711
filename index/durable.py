"""Directories of files that are there whole or not at all, and are checked before a byte of them is believed.

    parent/
      00000012/        the two newest are kept
        …              files
        MANIFEST       SHA-256 of the line below it; one line of JSON: each file's size and SHA-256 digests, and a body
      .writing-…/      what a crash left behind; removed by the next writer

A directory gets its name by a rename, after everything in it has reached the disk. A file has one digest for every
4 MiB of it, so that several threads can verify it at a time (hashlib lets go of the interpreter).
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_KEPT = 2
_MANIFEST = "MANIFEST"
_WRITING = ".writing-"
_PIECE = 1 << 22  # bytes under one digest; part of the format
_READ = 1 << 18  # bytes at a time: they are hashed while they are in the second-level cache
_THREADS = 4


class DamagedError(Exception):
    """Files are not what was written."""


class Writer:
    """Writes one such directory; without `publish`, nothing is left of it."""

    def __init__(self, parent: Path) -> None:
        """A writer into `parent`, which is created if need be; only one may write there at a time."""
        parent.mkdir(parents=True, exist_ok=True)
        for leftover in parent.glob(f"{_WRITING}*"):
            shutil.rmtree(leftover)
        self._parent = parent
        self._path = parent / f"{_WRITING}{os.getpid()}"
        self._path.mkdir()
        self._files: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        shutil.rmtree(self._path, ignore_errors=True)

    def write(self, name: str, parts: Iterable[bytes | memoryview]) -> None:
        """A file of these bytes.

        Raises:
            OSError: the disk is full or broken.
        """
        digests = _Digests()
        with (self._path / name).open("wb") as file:
            for part in parts:
                file.write(part)
                digests.update(memoryview(part).cast("B"))
            file.flush()
            os.fsync(file.fileno())
        self._files[name] = {"size": digests.size, "sha256": digests.finished()}

    def publish(self, body: dict[str, Any]) -> Path:
        """Name the directory, drop the oldest, and return where it is.

        Raises:
            OSError: the disk is full or broken.
        """
        line = json.dumps({"files": self._files, "body": body}, sort_keys=True).encode()
        with (self._path / _MANIFEST).open("wb") as file:
            file.write(hashlib.sha256(line).hexdigest().encode() + b"\n" + line)
            file.flush()
            os.fsync(file.fileno())
        _sync_directory(self._path)
        before = published(self._parent)
        target = self._parent / f"{int(before[-1].name) + 1 if before else 1:08d}"
        self._path.rename(target)
        _sync_directory(self._parent)
        for old in before[: max(0, len(before) - _KEPT + 1)]:
            shutil.rmtree(old)
        return target


class Reader:
    """Reads a published directory. Nothing but the manifest's `body` may be believed before `verify`."""

    def __init__(self, path: Path) -> None:
        """A reader of the directory at `path`.

        Raises:
            DamagedError: its manifest is missing or damaged.
            OSError: it cannot be read.
        """
        self._path = path
        if not (path / _MANIFEST).is_file():
            raise DamagedError(f"it has no {_MANIFEST}")
        digest, _, line = (path / _MANIFEST).read_bytes().partition(b"\n")
        if hashlib.sha256(line).hexdigest().encode() != digest:
            raise DamagedError(f"its {_MANIFEST} is damaged")
        manifest = json.loads(line)
        self._files: dict[str, dict[str, Any]] = manifest["files"]
        self.body: dict[str, Any] = manifest["body"]

    def verify(self) -> None:
        """Compare every byte of every file with its digest, in several threads.

        Raises:
            DamagedError: they are not those that were written.
            OSError: they cannot be read.
        """
        for name, file in self._files.items():
            path = self._path / name
            got = path.stat().st_size if path.is_file() else 0
            if got != file["size"]:
                raise DamagedError(f"{name} has {got} bytes, wanted {file['size']}")
        threads = min(_THREADS, len(os.sched_getaffinity(0)))
        with ThreadPoolExecutor(threads, thread_name_prefix="index-verify") as pool:
            for _ in pool.map(self._verify_piece, *zip(*self._pieces(), strict=True)):
                pass

    def read(self, name: str) -> bytes:
        """All bytes of a file.

        Raises:
            OSError: it cannot be read.
        """
        return self.path(name).read_bytes()

    def path(self, name: str) -> Path:
        """Where a file is, to be mapped or read by another library."""
        return self._path / name

    def _pieces(self) -> Iterator[tuple[str, int]]:
        for name, file in self._files.items():
            for place in range(len(file["sha256"])):
                yield name, place

    def _verify_piece(self, name: str, place: int) -> None:
        got, wanted = _sha256(self._path / name, place * _PIECE), self._files[name]["sha256"][place]
        if got != wanted:
            raise DamagedError(
                f"{name} is damaged in piece {place + 1} of {len(self._files[name]['sha256'])}: its SHA-256 starts "
                f"{got[:8]}, wanted {wanted[:8]}"
            )


class _Digests:
    """Digests of a stream of bytes, one a piece."""

    def __init__(self) -> None:
        self.size = 0
        self._done: list[str] = []
        self._current = hashlib.sha256()

    def update(self, part: memoryview) -> None:
        while len(part):
            room = _PIECE - self.size % _PIECE
            self._current.update(part[:room])
            self.size += len(part[:room])
            part = part[room:]
            if self.size % _PIECE == 0:
                self._done.append(self._current.hexdigest())
                self._current = hashlib.sha256()

    def finished(self) -> list[str]:
        return [*self._done, self._current.hexdigest()] if self.size % _PIECE else self._done


def published(parent: Path) -> list[Path]:
    """The directories that writers published in `parent`, oldest first."""
    if not parent.is_dir():
        return []
    return sorted((path for path in parent.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def _sha256(path: Path, start: int) -> str:
    """The digest of the piece that begins at `start`."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_READ))
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        for _ in range(_PIECE // _READ):
            got = file.readinto(buffer)
            digest.update(buffer[:got])
            if got < _READ:
                break
    return digest.hexdigest()


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
