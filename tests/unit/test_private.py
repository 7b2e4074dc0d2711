"""Directories that hold profiles are for their user alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker import state
from streams.engine.store import RocksPartition
from streams.private import private


@pytest.fixture(autouse=True)
def usual_mask() -> Iterator[None]:
    """Whatever the machine's is."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_is_made_is_private_and_what_is_there_stays(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    private(there / "a" / "b")
    private(there / "a" / "b")
    assert [mode(there / name) for name in (".", "a", "a/b")] == [0o755, 0o700, 0o700]
    (there / "file").touch()
    with pytest.raises(OSError, match="file"):
        private(there / "file")


def test_whoever_makes_the_data_directory_keeps_others_out(tmp_path: Path) -> None:
    RocksPartition(tmp_path / "worker" / "tables" / "profiles-0", 8).close()
    with state.locked(tmp_path / "broker"):
        pass
    assert mode(tmp_path / "worker") == mode(tmp_path / "broker") == 0o700
