"""Directories of files that are there whole or not at all, and are checked before a byte of them is believed.

    parent/
      00000012/        the two newest are kept
        …              files
        MANIFEST       SHA-256 of the line below it; one line of JSON: each file's size and SHA-256, and a body
      .writing-…/      what a crash left behind; removed by the next writer

A directory gets its name by a rename, after everything in it has reached the disk.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_KEPT = 2
_MANIFEST = "MANIFEST"
_WRITING = ".writing-"
_CHUNK = 1 << 22


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
        digest = hashlib.sha256()
        size = 0
        with (self._path / name).open("wb") as file:
            for part in parts:
                file.write(part)
                digest.update(part)
                size += memoryview(part).nbytes
            file.flush()
            os.fsync(file.fileno())
        self._files[name] = {"size": size, "sha256": digest.hexdigest()}

    def path(self, name: str) -> Path:
        """Where another library may write a file; then `adopt` it."""
        return self._path / name

    def adopt(self, name: str, size: int) -> None:
        """Take in a file that another library wrote.

        Raises:
            OSError: it has not the size that it must have.
        """
        path = self._path / name
        got = path.stat().st_size if path.exists() else 0
        if got != size:
            raise OSError(f"{name} has {got} bytes, wanted {size}: is the disk full?")
        with path.open("rb") as file:
            os.fsync(file.fileno())
        self._files[name] = {"size": size, "sha256": _sha256(path)}

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
    """Reads a published directory; every byte is compared with its digest first."""

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

    def read(self, name: str) -> bytes:
        """All bytes of a file.

        Raises:
            DamagedError: they are not those that were written.
            OSError: it cannot be read.
        """
        content = bytearray(self._files[name]["size"])
        self.read_into(name, memoryview(content))
        return bytes(content)

    def read_into(self, name: str, buffer: memoryview) -> None:
        """All bytes of a file, into a buffer of that many bytes.

        Raises:
            DamagedError: they are not those that were written.
            OSError: it cannot be read.
        """
        path = self._sized(name)
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            for start in range(0, len(buffer), _CHUNK):
                part = buffer[start : start + _CHUNK]
                if file.readinto(part) != len(part):
                    raise DamagedError(f"{name} shrank while it was read")
                digest.update(part)
        self._compare(name, digest.hexdigest())

    def verified(self, name: str) -> Path:
        """Where a file is, for another library to read.

        Raises:
            DamagedError: its bytes are not those that were written.
            OSError: it cannot be read.
        """
        path = self._sized(name)
        self._compare(name, _sha256(path))
        return path

    def _sized(self, name: str) -> Path:
        path, size = self._path / name, self._files[name]["size"]
        got = path.stat().st_size if path.is_file() else 0
        if got != size:
            raise DamagedError(f"{name} has {got} bytes, wanted {size}")
        return path

    def _compare(self, name: str, digest: str) -> None:
        if digest != self._files[name]["sha256"]:
            wanted = self._files[name]["sha256"]
            raise DamagedError(f"{name} is damaged: its SHA-256 starts {digest[:8]}, wanted {wanted[:8]}")


def published(parent: Path) -> list[Path]:
    """The directories that writers published in `parent`, oldest first."""
    if not parent.is_dir():
        return []
    return sorted((path for path in parent.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    buffer = bytearray(_CHUNK)
    with path.open("rb", buffering=0) as file:
        while got := file.readinto(buffer):
            digest.update(memoryview(buffer)[:got])
    return digest.hexdigest()


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
