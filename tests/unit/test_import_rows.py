"""Files as rows: each knows its line, and a line that is none says why."""

import gzip
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streams.errors import ConfigError, DataError
from streams.importers.rows import Row, Shape, read, size


def lines(path: Path, shape: Shape, **options: Any) -> list[tuple[int, dict[str, Any] | None]]:
    return [(row.line, row.fields) for row in read(path, shape, **options)]


def test_csv_rows_know_the_line_they_begin_on(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfid, title\n1,"two\nlines"\n\n2,b\n3\n\xff,c\n')
    rows = list(read(path, Shape.CSV))
    assert rows == [
        Row(str(path), 2, {"id": "1", "title": "two\nlines"}),
        Row(str(path), 5, {"id": "2", "title": "b"}),
        Row(str(path), 6, None, "1 cells, wanted 2 as in the first line"),
        Row(str(path), 7, None, "not UTF-8"),
    ]


def test_csv_with_another_delimiter_and_packed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"id\ttitle\n1\ta,b\n"))
    assert lines(path, Shape.CSV, delimiter="\t") == [(2, {"id": "1", "title": "a,b"})]


@pytest.mark.parametrize("head", ["a,a\n", "a,\n"])
def test_csv_columns_must_have_names_of_their_own(tmp_path: Path, head: str) -> None:
    (tmp_path / "a.csv").write_text(head)
    with pytest.raises(DataError, match="a name of its own"):
        lines(tmp_path / "a.csv", Shape.CSV)


def test_a_cell_of_csv_that_is_too_large_is_a_row_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"id\n{'x' * (1 << 20)}y\n2\n")
    rows = list(read(path, Shape.CSV))
    assert [(row.line, row.fields) for row in rows] == [(2, None), (3, {"id": "2"})]
    assert "limit" in rows[0].why


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": 1}\n\n[1]\n{"id":\n"\xff"\n{"id": {"a": 2}}')
    rows = list(read(path, Shape.JSONL))
    assert [(row.line, row.fields) for row in rows] == [
        (1, {"id": 1}), (3, None), (4, None), (5, None), (6, {"id": {"a": 2}}),
    ]  # fmt: skip
    assert rows[1].why == "not a JSON object"
    assert all(row.why for row in rows if row.fields is None)


def test_lines_that_are_nested_too_deeply_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a":' * 100_000 + "1" + "}" * 100_000 + '\n{"id": 1}\n')
    assert lines(path, Shape.JSONL) == [(1, None), (2, {"id": 1})]


@pytest.mark.parametrize("packed", [False, True])
def test_a_json_array_is_rows_too(tmp_path: Path, packed: bool) -> None:
    body = b"\n " + json.dumps([{"id": 1}, 5, {"id": 2}], indent=1).encode()
    path = tmp_path / ("a.json.gz" if packed else "a.json")
    path.write_bytes(gzip.compress(body) if packed else body)
    assert lines(path, Shape.JSONL) == [(1, {"id": 1}), (2, None), (3, {"id": 2})]


def test_an_array_that_is_broken_is_refused_whole(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"id": 1},')
    with pytest.raises(DataError, match="no JSON array"):
        lines(tmp_path / "a.json", Shape.JSONL)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    moment = datetime(2020, 1, 1)
    pq.write_table(pa.table({"id": [1, 2], "time": [moment, None], "tags": [["a"], []]}), path)
    told: list[int] = []
    rows = lines(path, Shape.PARQUET, progress=told.append)
    assert rows == [(1, {"id": 1, "time": moment, "tags": ["a"]}), (2, {"id": 2, "time": None, "tags": []})]
    assert told == [2] == [size(path, Shape.PARQUET)]


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1}\n' * 3)
    told: list[int] = []
    assert len(lines(path, Shape.JSONL, progress=told.append)) == 3
    assert told[-1] == size(path, Shape.JSONL) == 30


@pytest.mark.parametrize("shape", list(Shape))
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, shape: Shape) -> None:
    for path, name in ((tmp_path / "none", "No such file"), (tmp_path, "directory")):
        with pytest.raises(DataError, match=rf"cannot read .*{name}|no Parquet"):
            lines(path, shape)
    with pytest.raises(DataError, match="cannot read"):
        size(tmp_path / "none", shape)


@pytest.mark.parametrize(("name", "shape"), [("a.csv.gz", Shape.CSV), ("a.parquet", Shape.PARQUET)])
def test_a_file_of_another_kind_is_named(tmp_path: Path, name: str, shape: Shape) -> None:
    (tmp_path / name).write_text("neither")
    with pytest.raises(DataError, match=name):
        lines(tmp_path / name, shape)


def test_a_packed_file_that_ends_early_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"id": 1}\n' * 100)[:-10])
    with pytest.raises(DataError, match="cannot read"):
        lines(tmp_path / "a.jsonl.gz", Shape.JSONL)


def test_without_pyarrow_the_message_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path; from streams.importers.rows import Shape, read\n"
        "from streams.errors import ConfigError\n"
        "try:\n    list(read(Path('a.parquet'), Shape.PARQUET))\nexcept ConfigError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "upwell[parquet]" in done.stdout
    assert ConfigError.exit_code == 2
