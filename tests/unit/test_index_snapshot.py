"""Snapshots: what is read is what was written, or nothing."""

import logging
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from index.attributes import Filter
from index.crossover import NEVER
from index.durable import DamagedError, Reader, Writer, published
from index.exact import ExactIndex
from index.hnsw import HnswIndex
from index.projection import Projection
from index.snapshot import SnapshotError, SnapshotMeta, load, save

DIM = 12
META = SnapshotMeta("model-1", {"shop.embeddings.v1/0": 17, "shop.embeddings.v1/1": 0}, {"note": "ü"})
POOL = np.random.default_rng(0).standard_normal((400, DIM)).astype(np.float32)

Index = ExactIndex | HnswIndex
MAKE: dict[str, Callable[[], Index]] = {
    "exact": lambda: ExactIndex(DIM),
    "hnsw": lambda: HnswIndex(DIM, crossover=NEVER),
    "hnsw, scanned": lambda: HnswIndex(DIM),
    "hnsw, projected": lambda: HnswIndex(DIM, crossover=NEVER, projection=Projection.fit(POOL, 8)),
    "hnsw, float16": lambda: HnswIndex(DIM, crossover=NEVER, dtype=np.float16),
}


@pytest.fixture(params=MAKE.values(), ids=MAKE.keys())
def index(request: pytest.FixtureRequest) -> Index:
    return request.param()


def filled(index: Index, n: int = 300) -> Index:
    index.upsert([f"i{i}" for i in range(n)], POOL[:n])
    index.delete([f"i{i}" for i in range(40)])
    index.upsert(["i100", "ключ"], POOL[-2:])
    if isinstance(index, HnswIndex):
        index.search(POOL[:1], 1)  # the graph takes in what waits
        index.write(["late"], POOL[:1])  # not in the graph when it is saved
    else:
        index.upsert(["late"], POOL[:1])
    index.describe(["late", "i100"], [{"tags": ["new", 7], "stock": True}, {"tags": "old"}])
    return index


def answers(index: Index) -> tuple[list[list[str]], np.ndarray]:
    names, cosines = index.search(POOL[:20], 10)
    return names, np.array(cosines)


def test_an_index_comes_back_as_it_was(index: Index, tmp_path: Path) -> None:
    filled(index)
    path = save(index, tmp_path / "deep" / "down", META)
    loaded = load(path.parent, NEVER if has_graph(index) else None)
    assert loaded is not None
    again, meta = loaded
    assert type(again) is type(index)
    assert meta == META
    assert len(again) == len(index) >= 261
    names = ["i100", "ключ", "late", "i39", "i40"]
    np.testing.assert_array_equal(again.vectors(names), index.vectors(names))
    assert answers(again)[0] == answers(index)[0]
    np.testing.assert_array_equal(answers(again)[1], answers(index)[1])


def has_graph(index: Index) -> bool:
    return isinstance(index, HnswIndex) and index.generation.labels.live > 0


def test_the_crossover_may_be_found_for_the_dimension(tmp_path: Path) -> None:
    save(filled(HnswIndex(DIM)), tmp_path, META)
    asked: list[int] = []
    assert load(tmp_path, lambda dim: asked.append(dim) or NEVER) is not None  # type: ignore[func-returns-value]
    assert asked == [DIM]


def test_attributes_come_back(index: Index, tmp_path: Path) -> None:
    save(filled(index), tmp_path, META)
    loaded = load(tmp_path)
    assert loaded is not None
    for chosen, name in (({"tags": 7, "stock": True}, "late"), ({"tags": "old"}, "i100")):
        assert loaded[0].search(POOL[:1], 5, Filter.of(chosen))[0] == [[name]]


def test_a_loaded_index_goes_on_living(index: Index, tmp_path: Path) -> None:
    save(filled(index), tmp_path, META)
    loaded = load(tmp_path, NEVER)
    assert loaded is not None
    again, _ = loaded
    again.delete([f"i{i}" for i in range(250)])
    again.upsert([f"new{i}" for i in range(300)], POOL[:300])
    found, _ = again.search(POOL[:5], 1000)
    assert all(len(set(row)) == len(again) >= 300 + 50 + 1 for row in found)
    assert not {f"i{i}" for i in range(250)} & set(found[0])


@pytest.mark.parametrize("name", ["hnsw", "hnsw, projected", "hnsw, float16"])
def test_a_graph_is_put_together_as_it_was_whatever_the_rows_became(name: str, tmp_path: Path) -> None:
    index = MAKE[name]()
    assert isinstance(index, HnswIndex)
    save(filled(index), tmp_path, META)
    loaded = load(tmp_path, NEVER)
    assert loaded is not None
    cold = loaded[0]
    assert isinstance(cold, HnswIndex)
    cold.write(["i100", "i101"], POOL[:2])
    cold.remove([f"i{i}" for i in range(200, 250)])
    (before, vectors), (frame, again) = index.generation.graph.apart(), cold.generation.graph.apart()
    np.testing.assert_array_equal(again, vectors)
    for one, other in zip(frame, before, strict=True):
        np.testing.assert_array_equal(one, other)
    ((first,), (second,), old) = cold.search(POOL[[0, 1, 101]], 1)[0]
    assert first in {"late", "i100"}
    assert second == "i101"
    assert old != ["i101"]


def test_an_index_nobody_asked_is_saved_as_it_was_loaded(tmp_path: Path) -> None:
    first = save(filled(MAKE["hnsw"]()), tmp_path, META)
    loaded = load(tmp_path, NEVER)
    assert loaded is not None
    second = save(loaded[0], tmp_path, META)
    for file in first.iterdir():
        assert (second / file.name).read_bytes() == file.read_bytes(), file.name


def test_what_a_loaded_index_changes_stays_out_of_the_snapshot(index: Index, tmp_path: Path) -> None:
    save(filled(index), tmp_path, META)
    before = answers(index)
    changed = load(tmp_path, NEVER)
    assert changed is not None
    assert changed[0].rows.mapped
    changed[0].upsert(["i50", "new"], POOL[:2])  # a row that is mapped, and a spare one
    assert changed[0].rows.mapped
    changed[0].upsert([f"more{i}" for i in range(400)], POOL)
    assert not changed[0].rows.mapped
    changed[0].delete([f"i{i}" for i in range(100)])
    again = load(tmp_path, NEVER if has_graph(index) else None)
    assert again is not None
    assert answers(again[0])[0] == before[0]
    np.testing.assert_array_equal(answers(again[0])[1], before[1])


def test_files_of_several_pieces_are_whole_or_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.bytes(int(size)) for size in rng.integers(1, 3 << 20, 8)]
    with Writer(tmp_path) as writer:
        writer.write("large", parts)
        path = writer.publish({})
    reader = Reader(path)
    reader.verify()
    assert reader.read("large") == b"".join(parts)
    with (path / "large").open("r+b") as file:
        file.seek(5 << 20)
        byte = file.read(1)[0]
        file.seek(5 << 20)
        file.write(bytes([byte ^ 16]))
    with pytest.raises(DamagedError, match="large is damaged in piece 2 of"):
        reader.verify()


def test_an_empty_index_can_be_saved(index: Index, tmp_path: Path) -> None:
    save(index, tmp_path, META)
    loaded = load(tmp_path)
    assert loaded is not None
    assert len(loaded[0]) == 0
    loaded[0].upsert(["a"], POOL[:1])
    assert loaded[0].search(POOL[:1], 5)[0] == [["a"]]


def test_no_snapshot_is_none(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    assert load(tmp_path / "nowhere") is None


def test_two_are_kept_and_leftovers_go(tmp_path: Path) -> None:
    index = filled(ExactIndex(DIM))
    (tmp_path / ".writing-crashed").mkdir(parents=True)
    paths = [save(index, tmp_path, SnapshotMeta(f"m{i}")) for i in range(4)]
    assert sorted(tmp_path.iterdir()) == paths[-2:]
    loaded = load(tmp_path)
    assert loaded is not None
    assert loaded[1].model == "m3"


def damage(path: Path, rng: np.random.Generator) -> str:
    """Harm one file of a snapshot; returns what was done."""
    file = sorted(path.iterdir())[rng.integers(len(list(path.iterdir())))]
    content = bytearray(file.read_bytes())
    match rng.integers(4):
        case 0 | 1:
            at = int(rng.integers(len(content)))
            content[at] ^= 1 << int(rng.integers(8))
            what = f"bit flipped at {at}"
        case 2:
            content = content[: rng.integers(len(content))]
            what = f"cut to {len(content)}"
        case _:
            content += b"\0"
            what = "a byte added"
    file.write_bytes(content)
    return f"{file.name}: {what}"


@pytest.mark.parametrize("name", ["hnsw, projected", "exact"])
def test_damage_is_refused_and_the_older_snapshot_serves(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = filled(MAKE[name]())
    older = answers(index)
    save(index, tmp_path / "whole", SnapshotMeta("older"))
    index.delete([names[0] for names in older[0]])
    save(index, tmp_path / "whole", SnapshotMeta("newer"))
    rng = np.random.default_rng(1)
    for trial in range(100):
        directory = tmp_path / f"trial{trial}"
        shutil.copytree(tmp_path / "whole", directory)
        old, new = published(directory)
        what = damage(new, rng)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            loaded = load(directory, NEVER)
        assert loaded is not None, what
        assert loaded[1].model == "older", what
        assert answers(loaded[0])[0] == older[0], what
        assert "is passed over" in caplog.text, what
        what += f" and {damage(old, rng)}"
        assert load(directory) is None, what
        shutil.rmtree(directory)


def test_a_missing_file_and_another_format_are_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = save(filled(ExactIndex(DIM)), tmp_path, META)
    second = save(filled(ExactIndex(DIM)), tmp_path, META)
    (second / "rows.bin").unlink()
    (first / "MANIFEST").unlink()
    with caplog.at_level(logging.WARNING):
        assert load(tmp_path) is None
    assert "rows.bin has 0 bytes, wanted" in caplog.text
    assert "it has no MANIFEST" in caplog.text


def test_a_full_disk_is_reported_and_the_older_snapshot_stays(index: Index, tmp_path: Path) -> None:
    path = save(filled(index), tmp_path, META)
    largest = max(file.stat().st_size for file in path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, hard))
    try:
        with pytest.raises(SnapshotError, match="no snapshot could be written"):
            save(index, tmp_path, META)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == [path]
    assert load(tmp_path) is not None
