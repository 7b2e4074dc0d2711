"""What the benchmark of the index measures with: a table, a clock, vectors and queries."""

import importlib
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from index.scan import scan

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


BATCH = 500


class Table:
    """Rows of the result, printed as they come and once more at the end."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str]] = []

    def add(self, what: str, who: str, figure: str, remark: str = "") -> None:
        self.rows.append((what, who, figure, remark))
        print("  ".join(self.rows[-1]), flush=True)

    def print(self) -> None:
        widths = [max(len(row[column]) for row in self.rows) for column in range(4)]
        print()
        for row in self.rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


class Clock:
    """CPU seconds of this process."""

    seconds = 0.0


@contextmanager
def timed() -> Iterator[Clock]:
    clock, start = Clock(), time.process_time()
    yield clock
    clock.seconds = time.process_time() - start


def rounds(asked: dict[Any, Callable[[], Any]], times: int = 4) -> tuple[dict[Any, float], dict[Any, Any]]:
    """The quickest of several rounds, CPU seconds, and the answers of the last: of each, in turn, in every round."""
    taken: dict[Any, float] = {}
    found: dict[Any, Any] = {}
    for _ in range(times):
        for who, ask in asked.items():
            with timed() as clock:
                found[who] = ask()
            taken[who] = min(taken.get(who, clock.seconds), clock.seconds)
    return taken, found


def installed(name: str) -> Any | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def in_batches(n: int, put: Callable[[int, int], None]) -> None:
    for start in range(0, n, BATCH):
        put(start, min(n, start + BATCH))


def mixture(n: int, dim: int = 384, seed: int = 0) -> Floats:
    """Unit vectors in clusters, with a spectrum that falls as that of sentence embeddings does."""
    rng = np.random.default_rng(seed)
    scale = np.arange(1, dim + 1, dtype=np.float32) ** -0.5
    centres = rng.standard_normal((400, dim), dtype=np.float32) * scale
    rows = centres[rng.integers(0, len(centres), n)] + rng.standard_normal((n, dim), dtype=np.float32) * scale
    return unit(rows)


def encoded(texts: Path, model: str, limit: int) -> Floats:
    """Embeddings of at most so many different lines of a file, by the product's own encoder; chosen by a fixed seed."""
    from encoders.models import load_encoder
    from streams.settings import Settings

    lines = sorted({line.strip() for line in texts.read_text(encoding="utf-8").splitlines()} - {""})
    chosen = [lines[i] for i in np.random.default_rng(0).permutation(len(lines))[:limit]]
    encoder = load_encoder(model, Settings().cache_dir, build=True)
    parts = [np.asarray(encoder.encode(chosen[a : a + 512]), np.float32) for a in range(0, len(chosen), 512)]
    return np.concatenate(parts)


def unit(rows: Floats) -> Floats:
    normed: Floats = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return normed


def profiles(rows: Floats, held_out: Floats, n: int, seed: int = 1) -> Floats:
    """Decayed means of eight items near one interest, or near two for three profiles in ten."""
    rng = np.random.default_rng(seed)
    near, _ = scan(rows, held_out[rng.integers(0, len(held_out), n)], 60)
    weights = (0.8 ** np.arange(8)).astype(np.float32)
    out = np.empty((n, rows.shape[1]), np.float32)
    for i, pool in enumerate(near):
        both = pool if rng.random() < 0.7 else np.concatenate([pool, near[(7 * i + 1) % n]])
        out[i] = weights @ rows[rng.choice(both, 8, replace=False)]
    return unit(out)


def share_found(found: list[list[str]] | Ints, truth: Ints) -> float:
    hits = [len({int(one) for one in a} & set(b)) / len(b) for a, b in zip(found, truth.tolist(), strict=True)]
    return float(np.mean(hits))


def recall(found: list[list[str]] | Ints, truth: Ints) -> str:
    return f"recall {share_found(found, truth):.4f}"


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
