"""This machine: what is installed, where data goes, how much of it fits, and who has it open."""

import importlib.metadata
import os
import platform
import re
import resource
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from streams.doctor.finding import Finding, fail, ok, warn
from streams.doctor.locks import examine_locks
from streams.settings import Settings
from streams.topics import topics

GIB = 1 << 30
DISK_FAIL, DISK_WARN = GIB // 4, 2 * GIB
"""Bytes that are free: below the first RocksDB and the broker stop soon, below the second a rebuild may not fit."""

STORE_FILES = 128
"""Files that one store keeps open at most (`streams.engine.store`)."""
OTHER_FILES = 256
"""Connections, logs, snapshots."""
FILES_FAIL = 256

_PIN = re.compile(r"^([\w.-]+)==([\w.]+)\s*(?:;.*)?$")


def examine_machine(settings: Settings) -> list[Finding]:
    """Everything that needs no broker and no model."""
    return [
        *versions(),
        *directory(settings.data_dir),
        *disk({"UPWELL_DATA_DIR": settings.data_dir, "UPWELL_CACHE_DIR": settings.cache_dir}),
        file_limit(resource.getrlimit(resource.RLIMIT_NOFILE)[0], settings.partitions),
        *examine_locks(settings.data_dir),
    ]


def versions() -> Iterator[Finding]:
    """Upwell, Python, and the libraries that Upwell pins to one version because it overrides parts of them."""
    about = f"upwell {importlib.metadata.version('upwell')}, Python {platform.python_version()}"
    wrong = [
        f"{name} {got or 'missing'}, wanted {wanted}"
        for name, wanted in pinned(importlib.metadata.requires("upwell") or ())
        if (got := _installed(name)) != wanted
    ]
    if wrong:
        yield fail("versions", f"{about}; {'; '.join(wrong)}", "install upwell anew, with its locked dependencies")
    else:
        yield ok("versions", f"{about}; pinned libraries are the right ones")


def pinned(requirements: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and version of the requirements that name one version, those of extras and other platforms left out."""
    for line in requirements:
        match = _PIN.match(line)
        if match and ";" not in line:
            yield match[1], match[2]


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def directory(path: Path) -> Iterator[Finding]:
    """The data directory: can it be written, and can others read what is known of shoppers?"""
    there = _nearest(path)
    if there != path and there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        yield ok("data-dir", f"{path} will be created")
    elif not there.is_dir():
        yield fail("data-dir", f"{there} is no directory", "set UPWELL_DATA_DIR to one")
    elif not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        yield fail(
            "data-dir",
            f"{there} cannot be written by this user (uid {os.getuid()}, it belongs to {there.stat().st_uid})",
            f"chown it, or set UPWELL_DATA_DIR to a directory of your own: chown -R {os.getuid()} {there}",
        )
    elif others_read(path):
        yield warn(
            "data-dir",
            f"every user of this machine can read {path}, and profiles are in it",
            f"keep others out: chmod 700 {path}",
        )
    else:
        yield ok("data-dir", f"{path} is writable, and closed to others")


def others_read(path: Path) -> bool:
    """Whether users who are neither owner nor group come into a directory and read it."""
    inside = path.stat().st_mode
    return bool(inside & stat.S_IROTH and inside & stat.S_IXOTH) and all(
        parent.stat().st_mode & stat.S_IXOTH for parent in path.parents
    )


def disk(places: Mapping[str, Path]) -> Iterator[Finding]:
    """Free space where Upwell writes; one line for each file system."""
    seen = set()
    for setting, path in places.items():
        there = _nearest(path)
        if (device := there.stat().st_dev) not in seen:
            seen.add(device)
            yield space(setting, path, shutil.disk_usage(there).free)


def space(setting: str, path: Path, free: int) -> Finding:
    """The verdict about `free` bytes at a path."""
    found = f"{free / GIB:.1f} GiB free at {path}"
    if free < DISK_FAIL:
        return fail("disk", found, f"make room, or set {setting} to a larger disk: stores stop when it is full")
    if free < DISK_WARN:
        return warn("disk", found, f"make room, or set {setting} to a larger disk, before it is full")
    return ok("disk", found)


def file_limit(limit: int, partitions: int) -> Finding:
    """The verdict about the limit of open files of a process, for a worker that has all roles and partitions."""
    tables = sum(topic.table is not None for topic in topics())
    needed = STORE_FILES * tables * partitions + OTHER_FILES
    found = "no limit" if limit == resource.RLIM_INFINITY else f"{limit:,} files may be open"
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return ok("open-files", found)
    advice = f"raise the limit: ulimit -n {needed} (systemd: LimitNOFILE={needed})"
    about = f"{found}; a worker with all {partitions} partitions may come to {needed:,}"
    return (fail if limit < FILES_FAIL else warn)("open-files", about, advice)


def _nearest(path: Path) -> Path:
    """The path, or the nearest of its parents that exists."""
    return next(place for place in (path, *path.parents) if place.exists())
