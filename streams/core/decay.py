"""Exponential decay without sweeps: forward decay (Cormode et al., ICDE 2009), kept in logarithms.

A contribution of weight w at time t counts w · 2^((now - t) / -half_life) at any later `now`. Forward decay stores
w · 2^(t / half_life) instead, which needs no update as time passes: everything that is stored decays alike, so
sums and their order stay right for ever. The sum is kept as its natural logarithm, because 2^(t / half_life)
leaves the range of a float64 within decades. Sums do not depend on the order of arrival (but for rounding).
"""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

EMPTY = -math.inf
"""Log mass of nothing."""


def log_mass(weight: float, time: int, half_life_ms: float) -> float:
    """Log of a forward-decayed contribution. `weight` > 0; `time` in Unix milliseconds."""
    return math.log(weight) + time / half_life_ms * math.log(2.0)


def log_units(times: npt.ArrayLike, half_life_ms: float) -> npt.NDArray[np.float64]:
    """`log_mass` of a weight of 1 at each of several times: what counts at them is a log mass less this."""
    units: npt.NDArray[np.float64] = np.asarray(times, np.int64) / half_life_ms * math.log(2.0)
    return units


def add(a: float, b: float) -> float:
    """Log of the sum of two masses that are given as logs."""
    high, low = (a, b) if a >= b else (b, a)
    if low == EMPTY:
        return high
    return high + math.log1p(math.exp(low - high))


def values_at(log_masses: Iterable[float], now: int, half_life_ms: float) -> list[float]:
    """The decayed values of log masses at `now` (Unix milliseconds); 0.0 for `EMPTY`."""
    shift = now / half_life_ms * math.log(2.0)
    return [math.exp(mass - shift) for mass in log_masses]
