"""Indexes on disk, with the offsets that say from where a topic's tail must be read.

A snapshot is a directory as `index.durable` writes them:

    rows.bin           the vectors, (rows + spare, dim) in C order: mapped into memory, not read
    ids.json           the ids, in the order of the rows
    attributes.bin     int32 (attributes, rows): numbers of the sets of values that the manifest lists
    labels.bin         int64 (labels,): the row of each label of the graph, −1 for a tombstone (hnsw, as what follows)
    nodes.bin          uint64 (nodes,): the label of each node of the graph
    links.bin          uint8 (nodes, 4 + 8 m): the links of each node on the lowest layer
    levels.bin         int32 (nodes,): how many layers above it each node is on
    upper.bin          its links there, node after node
    vectors.bin        float32 (kept, width): vectors of nodes that are no row's: of tombstones, or projected ones
    projection.bin     float32 (dim, width) (with a projection)

hnswlib takes a damaged graph without complaint and may crash later; digests of all files are compared first. What is
mapped is the kernel's own copy of the file, shared by all that loaded it: pages become a process's own when it changes
a row. The spare rows leave room for new ones, so that the first of them does not have all others copied. The graph is
put together when the first search or write needs it.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from index.attributes import Attributes
from index.base import Vectors
from index.crossover import Crossover
from index.durable import DamagedError, Reader, Writer, published
from index.exact import ExactIndex
from index.frame import FillVectors, Frame, links_width
from index.generation import Generation
from index.graph import Graph, HnswParams
from index.hnsw import HnswIndex
from index.labels import GraphLabels, Labels
from index.projection import Projection
from index.rows import Rows, Slots

_FORMAT = 3
_ROWS_AT_ONCE = 4096
_SPARE_SHARE, _LEAST_SPARE = 64, 256

_log = logging.getLogger(__name__)


class SnapshotError(Exception):
    """A snapshot could not be written; those that were there are untouched."""


@dataclass(frozen=True)
class SnapshotMeta:
    """What the caller wants to find again beside the vectors.

    Attributes:
        model: id of the encoder that made the vectors.
        offsets: `topic/partition` → offset of the first record that the index does not hold.
        extra: anything else that JSON can hold.
    """

    model: str
    offsets: Mapping[str, int] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


def save(index: ExactIndex | HnswIndex, directory: Path, meta: SnapshotMeta) -> Path:
    """Write a snapshot and return where it is; it and the one before are kept, older ones removed.

    The index must not change meanwhile.

    Raises:
        SnapshotError: the disk is full, or the directory cannot be written.
    """
    try:
        with Writer(directory) as writer:
            _write_rows(writer, index.rows)
            body: dict[str, Any] = {
                "format": _FORMAT,
                "kind": "exact",
                "dim": index.dim,
                "rows": len(index),
                "spare": _spare(len(index)),
                "dtype": index.rows.vectors.dtype.str,
                "meta": asdict(meta),
                "attributes": index.attributes.described(),
            }
            writer.write("attributes.bin", [_bytes_of(index.attributes.codes(len(index)))])
            if isinstance(index, HnswIndex):
                body |= {"kind": "hnsw", **_write_graph(writer, index)}
            return writer.publish(body)
    except OSError as error:
        raise SnapshotError(f"no snapshot could be written in {directory}: {error}") from error


def load(
    directory: Path, crossover: Crossover | Callable[[int], Crossover] | None = None
) -> tuple[ExactIndex | HnswIndex, SnapshotMeta] | None:
    """The newest snapshot that is undamaged and of this version's format, or None where there is none.

    Those passed over are logged.

    Args:
        directory: where snapshots were saved.
        crossover: of the index (`HnswIndex`), since that is a property of the machine; or what finds it for a
            dimension, as `index.calibrate.calibrated` does.
    """
    for path in reversed(published(directory)):
        try:
            reader = Reader(path)
            if reader.body["format"] != _FORMAT:
                raise DamagedError(f"it has format {reader.body['format']}, this version reads {_FORMAT}")
            reader.verify()
            return _read(reader, crossover), SnapshotMeta(**reader.body["meta"])
        except (DamagedError, OSError) as error:
            _log.warning("snapshot %s is passed over: %s", path, error)
    return None


def _write_rows(writer: Writer, rows: Rows) -> None:
    def parts() -> Iterator[bytes | memoryview]:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            yield _bytes_of(rows.vectors[start : start + _ROWS_AT_ONCE])
        yield bytes(_spare(len(rows)) * rows.dim * rows.vectors.itemsize)

    writer.write("rows.bin", parts())
    writer.write("ids.json", [json.dumps(rows.ids.tolist()).encode()])


def _write_graph(writer: Writer, index: HnswIndex) -> dict[str, Any]:
    generation = index.generation
    frame, vectors = generation.graph.apart()
    kept = _kept(frame, generation.labels.table, generation.projection)
    arrays: dict[str, npt.NDArray[Any]] = {
        "labels.bin": generation.labels.table,
        "nodes.bin": frame.labels,
        "links.bin": frame.links,
        "levels.bin": frame.levels,
        "upper.bin": frame.upper,
        "vectors.bin": vectors[kept],
    }
    parts = {
        "params": asdict(index.params),
        "top": frame.top,
        "entry": frame.entry,
        "projection": None,
    }
    if (projection := generation.projection) is not None:
        arrays["projection.bin"] = projection.matrix
        parts["projection"] = {"width": projection.width, "share": projection.share, "digest": projection.digest}
    for name, array in arrays.items():
        writer.write(name, [_bytes_of(array)])
    return parts


def _read(reader: Reader, crossover: Crossover | Callable[[int], Crossover] | None) -> ExactIndex | HnswIndex:
    body, rows = reader.body, _read_rows(reader)
    codes = np.frombuffer(reader.read("attributes.bin"), np.int32).reshape(len(body["attributes"]), len(rows))
    attributes = Attributes.restored(body["attributes"], codes)
    if body["kind"] == "exact":
        return ExactIndex.restored(rows, attributes)
    if callable(crossover):
        crossover = crossover(rows.dim)
    params = HnswParams(**body["params"])
    projection = None
    if (described := body["projection"]) is not None:
        matrix = np.frombuffer(reader.read("projection.bin"), np.float32).reshape(rows.dim, described["width"])
        projection = Projection(matrix, described["share"])
    labels = Labels.restored(np.frombuffer(reader.read("labels.bin"), np.int64))
    built = params.proposing if projection else params
    generation = Generation(_read_graph(reader, built, labels.table.copy(), projection), labels, projection)
    return HnswIndex.restored(rows, generation, params, crossover, attributes)


def _read_graph(reader: Reader, params: HnswParams, table: GraphLabels, projection: Projection | None) -> Graph:
    frame = Frame(
        np.frombuffer(reader.read("links.bin"), np.uint8).reshape(-1, links_width(params.m)),
        np.frombuffer(reader.read("nodes.bin"), np.uint64),
        np.frombuffer(reader.read("levels.bin"), np.int32),
        np.frombuffer(reader.read("upper.bin"), np.uint8),
        reader.body["top"],
        reader.body["entry"],
    )
    width = projection.width if projection else reader.body["dim"]
    vectors = np.frombuffer(reader.read("vectors.bin"), np.float32).reshape(-1, width)
    kept = _kept(frame, table, projection)
    return Graph.restored(
        width, params, frame, _filling(np.asarray(_mapped(reader, "r")), table[frame.labels], vectors, kept)
    )


def _filling(
    rows: npt.NDArray[np.floating], slots: Slots, vectors: Vectors, kept: npt.NDArray[np.bool_]
) -> FillVectors:
    """What gives each node its row, or the next of `vectors` where that was kept. Slots and `kept` are by node."""
    place = np.cumsum(kept) - 1

    def fill(out: Vectors, start: int) -> None:
        part = slice(start, start + len(out))
        own = ~kept[part]
        wanted = slots[part]
        if not own.any():
            out[:] = vectors[place[part]]
        elif own.all():
            out[:] = np.take(rows, wanted, axis=0)
        else:
            out[own] = rows[wanted[own]]
            out[~own] = vectors[place[part][~own]]

    return fill


def _kept(frame: Frame, table: GraphLabels, projection: Projection | None) -> npt.NDArray[np.bool_]:
    """Of which nodes the vectors are not those of rows: bool (nodes,)."""
    return np.full(len(frame.labels), True) if projection else table[frame.labels] < 0


def _read_rows(reader: Reader) -> Rows:
    ids: list[str] = json.loads(reader.read("ids.json"))
    return Rows.restored(ids, _mapped(reader, "c"))


def _mapped(reader: Reader, mode: Literal["r", "c"]) -> npt.NDArray[np.floating]:
    """The rows and the spare ones, (rows + spare, dim), to read or to change in memory alone."""
    body = reader.body
    shape = (body["rows"] + body["spare"], body["dim"])
    mapped: npt.NDArray[np.floating] = np.memmap(reader.path("rows.bin"), body["dtype"], mode=mode, shape=shape)
    return mapped


def _spare(rows: int) -> int:
    return max(_LEAST_SPARE, rows // _SPARE_SHARE)


def _bytes_of(array: npt.NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
