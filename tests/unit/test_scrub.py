"""What was deleted leaves the files; what is there is found, wherever it stands."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from streams import cli, scrub
from streams.engine.store import RocksPartition, StoreLockedError
from streams.pseudonyms import parse


def store_of(path: Path, *kept: bytes, deleted: bytes = b"anna-5f0e3c7d") -> Path:
    """A store with rows, one of which was deleted; the file of before is still there."""
    store = RocksPartition(path, 8)
    store.write([(name, b"x" * 200) for name in (*kept, deleted)], 0)
    store._db.flush()
    store.write([(deleted, None)], 1)
    store.close()
    assert any(scrub.holds(file, deleted) for file in path.rglob("*") if file.is_file())
    return path


def test_a_deleted_row_leaves_the_files(tmp_path: Path) -> None:
    path = store_of(tmp_path / "tables" / "profiles" / "0", b"bert", b"cleo")
    done = scrub.scrub(path, [b"anna-5f0e3c7d", b"bert", b"nobody"])
    assert (done.rows, done.found) == (2, {1})
    assert not [file for file in path.rglob("*") if file.is_file() and scrub.holds(file, b"anna-5f0e3c7d")]
    assert scrub.scrub(path, [b"x" * 150]).found == {0}  # in a row
    assert scrub.stores(tmp_path) == [path]


def test_a_store_that_is_open_is_left_alone(tmp_path: Path) -> None:
    path = store_of(tmp_path / "0")
    store = RocksPartition(path, 8)
    with pytest.raises(StoreLockedError, match="open elsewhere"):
        scrub.scrub(path, [])
    store.close()


def test_names_are_found_across_the_pieces_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub, "_CHUNK", 4)
    file = tmp_path / "file"
    file.write_bytes(b"....ab" + b"cdef...." + b"g")
    assert [scrub.holds(file, name) for name in (b"abcdef", b"g", b"a", b"gh", b"fe")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_the_command_proves_it_by_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tmp_path / "keys"
    keys.write_text("1 sha256hmac:" + "k" * 43)
    keys.chmod(0o600)
    name = parse(keys.read_text()).of("anna").encode()
    monkeypatch.setenv("UPWELL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("UPWELL_PSEUDONYM_KEYS_FILE", str(keys))

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli.main, ["scrub", *arguments])
        return done.exit_code, done.output

    assert run()[1].startswith("There is no store")
    store_of(tmp_path / "data" / "tables" / "profiles" / "0", b"bert", deleted=name)
    code, told = run("anna", "--json")
    assert (code, '"found": false' in told) == (0, True)
    store_of(tmp_path / "data" / "serve" / "profiles" / "1", name)
    code, told = run("anna")
    assert code == 1
    assert "one of the names is still in" in told
    assert "profiles/1" in told
    assert "anna" not in told
    assert run("")[0] == 2
