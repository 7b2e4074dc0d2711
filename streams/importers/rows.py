"""Files as rows of named values, one at a time: CSV, JSON Lines, a JSON array, Parquet.

A row knows its line, or its number where a file has no lines. A file whose name ends with .gz is unpacked on the way.
"""

import contextlib
import csv
import gzip
import io
import json
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from streams.errors import ConfigError, DataError

_BATCH_ROWS = 4_096
_LONGEST_CELL = 1 << 20


class Shape(StrEnum):
    """How a file holds its rows."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `fields` is None where the line is none, and `why` says it."""

    file: str
    line: int
    fields: dict[str, Any] | None
    why: str = ""


Progress = Callable[[int], None]
"""Told how much of a file has been read, in the units of `size`."""


def size(path: Path, shape: Shape) -> int:
    """How much there is to read: bytes, of Parquet rows.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        if shape is Shape.PARQUET:
            return int(_parquet(path).metadata.num_rows)
        about = path.stat()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or type(error).__name__}") from None
    if not stat.S_ISREG(about.st_mode):
        raise DataError(f"cannot read {path}: it is no file")
    return about.st_size


def read(path: Path, shape: Shape, delimiter: str = ",", progress: Progress = lambda done: None) -> Iterator[Row]:
    """The rows of a file.

    Args:
        path: the file.
        shape: how it holds them; a JSON Lines file may be one JSON array as well.
        delimiter: between the cells of a CSV file.
        progress: told how far it is.

    Raises:
        DataError: the file cannot be read, or is of another shape as a whole.
        ConfigError: the extra `parquet` is not installed.
    """
    try:
        if shape is Shape.PARQUET:
            yield from _parquet_rows(path, progress)
            return
        with path.open("rb") as raw, _unpacked(path, raw) as stream:
            told = partial(_tell, raw, progress)
            yield from _csv(path, stream, delimiter, told) if shape is Shape.CSV else _json(path, stream, told)
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"cannot read {path}: {reason}") from None


def _unpacked(path: Path, raw: BinaryIO) -> contextlib.AbstractContextManager[Any]:
    return gzip.open(raw) if path.suffix == ".gz" else contextlib.nullcontext(raw)


def _tell(raw: BinaryIO, progress: Progress) -> None:
    progress(raw.tell())


def _csv(path: Path, stream: BinaryIO, delimiter: str, told: Callable[[], None]) -> Iterator[Row]:
    # The limit is the process's; a cell may hold a description or a list of labels.
    csv.field_size_limit(_LONGEST_CELL)
    with io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter)
        try:
            names = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            raise DataError(f"{path} is no CSV file: {error}") from None
        if len(set(names)) < len(names) or not all(names):
            raise DataError(f"{path}: the first line must name every column, each with a name of its own")
        while True:
            began = reader.line_num + 1
            try:
                if cells := next(reader):
                    yield _cells(str(path), began, names, cells)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(str(path), began, None, str(error))
            told()


def _cells(file: str, line: int, names: list[str], cells: list[str]) -> Row:
    if len(cells) != len(names):
        return Row(file, line, None, f"{len(cells)} cells, wanted {len(names)} as in the first line")
    if any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell):
        return Row(file, line, None, "not UTF-8")
    return Row(file, line, dict(zip(names, cells, strict=True)))


def _json(path: Path, stream: BinaryIO, told: Callable[[], None]) -> Iterator[Row]:
    empty = True
    for number, line in enumerate(stream, 1):
        body = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
        if empty and body.startswith(b"["):
            yield from _array(path, body + stream.read())
        elif body:
            yield _object(str(path), number, body)
        empty = empty and not body
        told()


def _array(path: Path, body: bytes) -> Iterator[Row]:
    """A JSON array is read whole; its elements are counted instead of lines."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON array: {error}") from None
    for number, value in enumerate(values, 1):
        yield _row(str(path), number, value)


def _object(file: str, number: int, body: bytes) -> Row:
    try:
        return _row(file, number, msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Row(file, number, None, str(error))
    except RecursionError:
        return Row(file, number, None, "nested too deeply")


def _row(file: str, number: int, value: Any) -> Row:
    if isinstance(value, dict):
        return Row(file, number, value)
    return Row(file, number, None, "not a JSON object")


def _parquet(path: Path) -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError("Parquet takes pyarrow: pip install 'upwell[parquet]'") from None
    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is no Parquet file: {error}") from None


def _parquet_rows(path: Path, progress: Progress) -> Iterator[Row]:
    file = _parquet(path)
    number = 0
    for batch in file.iter_batches(_BATCH_ROWS):
        for fields in batch.to_pylist():
            number += 1
            yield Row(str(path), number, fields)
        progress(number)
