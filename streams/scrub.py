"""Takes what was deleted out of the files of this machine, and shows that it is gone.

RocksDB keeps deleted rows in its files until it happens to compact those. Here every store is written anew, and opened
once more, which writes its manifest anew. Then all rows there are, and the bytes of all files, are searched for names.
After such a compaction the rows that can be read are all that the files hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.engine.store import RocksPartition

_CURRENT = "CURRENT"
"""Every RocksDB directory has a file of this name."""

_CHUNK = 1 << 20
_CACHE_MB = 8


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A store after it was written anew. Sizes in bytes. `found`: which of the names are in it, by place."""

    path: Path
    before: int
    after: int
    rows: int
    found: frozenset[int]


def stores(data_dir: Path) -> list[Path]:
    """The directories of the stores under a data directory."""
    return sorted(path.parent for path in data_dir.rglob(_CURRENT))


def scrub(path: Path, names: Sequence[bytes]) -> Scrubbed:
    """Write a store anew, and search it.

    Args:
        path: of the store.
        names: what to search for in keys, rows and files; not empty ones.

    Raises:
        StoreLockedError: a worker or a server has it open.
        StoreError: it cannot be used.
    """
    before = _size(path)
    store = RocksPartition(path, _CACHE_MB)
    try:
        store.compact()
    finally:
        store.close()
    store = RocksPartition(path, _CACHE_MB)
    rows, found = 0, set()
    try:
        for key, row in store.items():
            rows += 1
            found |= {place for place, name in enumerate(names) if name in key or name in row}
    finally:
        store.close()
    for file in path.rglob("*"):
        if file.is_file():
            found |= {place for place, name in enumerate(names) if holds(file, name)}
    return Scrubbed(path, before, _size(path), rows, frozenset(found))


def holds(file: Path, name: bytes) -> bool:
    """Whether the bytes of a file have a name in them."""
    tail = b""
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            if name in tail + chunk:
                return True
            tail = chunk[-len(name) + 1 :] if len(name) > 1 else b""
    return False


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
