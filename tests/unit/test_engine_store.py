"""One partition on disk: atomic with its offset, bounded, and honest about what is wrong."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.engine.effects import Row
from streams.engine.store import (
    MemoryPartition,
    PartitionStore,
    RocksPartition,
    StoreCorruptError,
    StoreError,
    StoreKind,
    StoreLockedError,
)
from streams.errors import ConfigError

CACHE_MB = 8
WRITE_AND_DIE = """
import os, pathlib, sys
from streams.engine.store import RocksPartition
store = RocksPartition(pathlib.Path(sys.argv[1]), 8)
for offset in range(40_000):
    store.write([(b"last", b"%d" % offset), (b"k%d" % (offset % 97), os.urandom(800))], offset)
os._exit(0)
"""
ROWS: list[Row] = [(b"a", b"1"), (b"b", b"2" * 900)]


@pytest.fixture(params=["memory", "rocksdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> PartitionStore:
    return (
        MemoryPartition() if request.param == "memory" else RocksPartition(tmp_path / "deep" / "down" / "p", CACHE_MB)
    )


def test_rows_and_offset(store: PartitionStore) -> None:
    assert store.changelog_offset() is None
    assert store.get([b"a", b"b"]) == [None, None]
    store.write(ROWS, 41)
    store.write([(b"c", b"3"), (b"a", None)], 43)
    assert store.get([b"c", b"a", b"b", b"c"]) == [b"3", None, b"2" * 900, b"3"]
    assert store.get([]) == []
    assert store.changelog_offset() == 43
    assert dict(store.items()) == {b"b": b"2" * 900, b"c": b"3"}
    store.close()


def test_a_closed_store_is_there_again(tmp_path: Path) -> None:
    store = RocksPartition(tmp_path / "p", CACHE_MB)
    store.write(ROWS, 41)
    store.close()
    again = RocksPartition(tmp_path / "p", CACHE_MB)
    assert again.changelog_offset() == 41
    assert dict(again.items()) == dict(ROWS)
    again.close()


def test_a_store_that_was_not_closed_is_an_older_true_state(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(tmp_path / "p")], check=True, timeout=60)
    store = RocksPartition(tmp_path / "p", CACHE_MB)
    reached = store.changelog_offset()
    assert reached is not None
    assert 0 < reached < 39_999
    assert store.get([b"last"]) == [b"%d" % reached]
    store.close()


def test_the_write_buffers_of_all_stores_are_bounded_together(tmp_path: Path) -> None:
    """Each of them holds half of what one alone may: none would be written out for itself."""
    stores = [RocksPartition(tmp_path / str(number), CACHE_MB) for number in range(8)]
    for offset in range(4 << 4):
        for store in stores:
            store.write([(b"%d" % offset, os.urandom(64 << 10))], offset)
    until = time.monotonic() + 30
    while not (written := list(tmp_path.glob("*/*.sst"))) and time.monotonic() < until:
        time.sleep(0.01)
    assert written
    for store in stores:
        store.close()


def test_a_store_is_one_workers(tmp_path: Path) -> None:
    store = RocksPartition(tmp_path / "p", CACHE_MB)
    with pytest.raises(StoreLockedError, match="share a data directory"):
        RocksPartition(tmp_path / "p", CACHE_MB)
    store.close()


def test_damage_is_told_from_other_trouble(tmp_path: Path) -> None:
    RocksPartition(tmp_path / "p", CACHE_MB).close()
    (tmp_path / "p" / "CURRENT").write_text("garbage")
    with pytest.raises(StoreCorruptError):
        RocksPartition(tmp_path / "p", CACHE_MB)


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = RocksPartition(tmp_path / "p", CACHE_MB)
    store.close()
    with pytest.raises(StoreError):
        store.get([b"a"])


@pytest.mark.parametrize("url", ["rocksdb", "rocksdb://?ttl=5", "aerospike://", ""])
def test_unknown_stores_and_options_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="rocksdb://, memory://"):
        StoreKind.parse(url)
