"""One partition of a table on this machine: RocksDB, or memory for tests.

RocksDB keeps no write-ahead log here: the changelog is one. A write is atomic and carries how far the changelog is in
the store for certain, so after a crash the store is a true, merely older state, and recovery reads the rest.

    key b""       changelog offset up to which no row is missing, i64 little-endian
    other keys    rows
"""

import functools
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import rocksdict

from streams.engine.effects import Row
from streams.errors import ConfigError, UpwellError
from streams.private import private

_OFFSET_KEY = b""
_OFFSET = struct.Struct("<q")
_MIB = 1 << 20
_WRITE_BUFFER = 8 * _MIB
_WRITE_BUFFERS = 2
_OPEN_FILES = 128
_BLOOM_BITS = 10
_CONDEMNED = "CONDEMNED"
"""A file of this name in a store's directory says that damage was found there."""


class StoreError(UpwellError):
    """The local store could not be opened, read or written."""


class StoreLockedError(StoreError):
    """Another process, or this one a moment ago, has the store open."""


class StoreCorruptError(StoreError):
    """The files of the store are not what RocksDB wrote."""


class StoreKind(StrEnum):
    """Where rows are kept."""

    ROCKSDB = "rocksdb://"
    MEMORY = "memory://"

    @classmethod
    def parse(cls, url: str) -> "StoreKind":
        """The kind of a store URL. Raises ConfigError for anything but a plain URL of a kind: there are no options."""
        try:
            return cls(url)
        except ValueError:
            raise ConfigError(
                f"the store {url!r} is not known; wanted one of {', '.join(cls)} (without options: "
                "the cache size is UPWELL_ROCKSDB_CACHE_MB)"
            ) from None


class PartitionStore(Protocol):
    """The rows of one partition."""

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The rows of `keys`, in order. Raises StoreError."""
        ...

    def write(self, rows: Iterable[Row], changelog_offset: int | None) -> None:
        """Put and delete rows and note how far the changelog is in here (None: as before), all or nothing.

        Raises:
            StoreError: nothing was written.
        """
        ...

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every row."""
        ...

    def changelog_offset(self) -> int | None:
        """How far the changelog is in here for certain; newer rows of it may be, too. None for a new store."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class MemoryPartition:
    """Rows in a dict. Gone when the partition is."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._offset: int | None = None

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `PartitionStore`."""
        return [self._rows.get(key) for key in keys]

    def write(self, rows: Iterable[Row], changelog_offset: int | None) -> None:
        """See `PartitionStore`."""
        for key, value in rows:
            if value is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = value
        if changelog_offset is not None:
            self._offset = changelog_offset

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """See `PartitionStore`."""
        return iter(self._rows.items())

    def changelog_offset(self) -> int | None:
        """See `PartitionStore`."""
        return self._offset

    def close(self) -> None:
        """See `PartitionStore`."""
        self._rows = {}


class RocksPartition:
    """Rows in a RocksDB directory."""

    def __init__(self, path: Path, cache_mb: int) -> None:
        """Open it, or create it with its parents.

        Raises:
            StoreLockedError, StoreCorruptError, StoreError: it cannot be opened.
        """
        if (path / _CONDEMNED).exists():
            raise StoreCorruptError(f"{path} was found damaged when it was last used")
        with _store_errors(path):
            private(path.parent)
            self._db = rocksdict.Rdict(str(path), options=_options(cache_mb))
        self._path = path
        self._no_log = rocksdict.WriteOptions()
        self._no_log.disable_wal = True

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `PartitionStore`."""
        with _store_errors(self._path):
            return list(self._db.get(list(keys))) if keys else []

    def write(self, rows: Iterable[Row], changelog_offset: int | None) -> None:
        """See `PartitionStore`."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in rows:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        if changelog_offset is not None:
            batch.put(_OFFSET_KEY, _OFFSET.pack(changelog_offset))
        with _store_errors(self._path):
            self._db.write(batch, self._no_log)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """See `PartitionStore`."""
        return ((key, value) for key, value in self._db.items() if key != _OFFSET_KEY)

    def changelog_offset(self) -> int | None:
        """See `PartitionStore`."""
        with _store_errors(self._path):
            stored = self._db.get(_OFFSET_KEY)
        return None if stored is None else int(_OFFSET.unpack(stored)[0])

    def compact(self) -> None:
        """Write all files anew, without what was deleted; takes as long as to read and write all of them.

        RocksDB's manifest names the first and last keys of files that are gone until the store is opened again.
        """
        whole = rocksdict.CompactOptions()
        whole.set_bottommost_level_compaction(rocksdict.BottommostLevelCompaction.force())
        with _store_errors(self._path):
            self._db.flush()
            self._db.compact_range(None, None, whole)

    def close(self) -> None:
        """See `PartitionStore`. What is only in memory yet is written out, so that little is recovered next time."""
        with _store_errors(self._path):
            self._db.flush()
            self._db.close()


@functools.cache
def _memory(cache_mb: int) -> tuple[rocksdict.Cache, rocksdict.WriteBufferManager]:
    """One cache for all partitions of all tables of this process. Index and filter blocks live in it too.

    What the partitions' write buffers take is taken from it, half of it at most: then one of them is written out.
    """
    cache = rocksdict.Cache(cache_mb * _MIB)
    buffers = rocksdict.WriteBufferManager.new_write_buffer_manager_with_cache(
        buffer_size=cache_mb * _MIB // 2, allow_stall=False, cache=cache
    )
    return cache, buffers


def _options(cache_mb: int) -> rocksdict.Options:
    cache, buffers = _memory(cache_mb)
    blocks = rocksdict.BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    blocks.set_bloom_filter(_BLOOM_BITS, block_based=False)
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_write_buffer_manager(buffers)
    options.set_write_buffer_size(_WRITE_BUFFER)
    options.set_max_write_buffer_number(_WRITE_BUFFERS)
    options.set_max_open_files(_OPEN_FILES)
    options.set_keep_log_file_num(2)
    return options


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    """RocksDB tells its errors apart by their text alone."""
    try:
        yield
    except Exception as error:
        text = str(error)
        if text.startswith("Corruption") or "checksum mismatch" in text:
            # RocksDB reads a block when a row in it is wanted, so most damage is found long after opening.
            with suppress(OSError):
                (path / _CONDEMNED).touch()
            raise StoreCorruptError(f"{path} is damaged: {text}") from error
        if "/LOCK" in text:
            raise StoreLockedError(f"{path} is open elsewhere; two workers must not share a data directory") from error
        raise StoreError(f"RocksDB could not use {path}: {text}. Is there room on the disk?") from error
