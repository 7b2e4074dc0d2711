"""How far a figure could be chance: the paired bootstrap over users.

Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), §13.3, percentile intervals. Users are drawn, not sets:
the sets of one user are alike, and drawing them alone would make intervals too narrow. Paired: everyone is judged on
the same draws, so that a difference keeps what its two sides share.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.evaluation.metrics import Measured

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DRAWS = 1_000
LEVEL = 0.95

_AT_ONCE = 50
"""Draws that are held in memory together."""


class Interval(NamedTuple):
    """Bounds that hold the middle `LEVEL` of the draws."""

    low: float
    high: float


def resample(measured: Sequence[Measured], users: Ints, seed: int = 0, draws: int = DRAWS) -> Floats:
    """Metrics on draws of as many users as there are, with replacement; the same seed gives the same draws.

    Args:
        measured: metrics of the same sets; at least one.
        users: int64 (sets,), whose each set is.
        seed: of the draws.
        draws: how many.

    Returns:
        float64 (metrics, draws); NaN where a draw has nothing to judge.
    """
    _, owners = np.unique(users, return_inverse=True)
    count = int(owners.max()) + 1 if len(owners) else 0
    values = np.full((len(measured), draws), np.nan)
    if not count:
        return values
    sums = np.stack([np.bincount(owners, one.sums, count) for one in measured], axis=1)
    counts = np.stack([np.bincount(owners, one.counts, count) for one in measured], axis=1)
    generator = np.random.default_rng(seed)
    for start in range(0, draws, _AT_ONCE):
        size = min(_AT_ONCE, draws - start)
        times = generator.multinomial(count, np.full(count, 1.0 / count), size).astype(np.float64)
        values[:, start : start + size] = ((times @ sums) / (times @ counts)).T
    return values


def interval(values: Floats, level: float = LEVEL) -> Interval | None:
    """The percentile interval of draws; None without any."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(low), float(high))
