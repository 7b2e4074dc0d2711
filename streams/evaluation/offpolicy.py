"""What another policy would have earned, from what one policy showed with known chances.

Each look i: somebody was shown something with chance p_i, the other policy would have shown it with chance q_i, and
the reward was r_i. With weights w_i = q_i / p_i:

    IPS    Σ w r / n    unbiased, wide       Horvitz & Thompson, JASA 1952
    SNIPS  Σ w r / Σ w  narrower             Swaminathan & Joachims, "The self-normalized estimator", NeurIPS 2015
    effective sample size  (Σ w)² / Σ w²     Kish, "Survey Sampling", 1965

Where few looks carry nearly all of the weight, neither says anything: below `ENOUGH` effective looks nothing is told.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.evaluation.bootstrap import Interval

Floats = npt.NDArray[np.float64]

ENOUGH = 100.0
"""Effective looks below which there is no estimate."""

_DEVIATIONS = 1.959964
"""Standard deviations around the mean that hold the middle 95 % of a normal distribution."""


class Estimate(NamedTuple):
    """A mean reward with its interval by the normal approximation."""

    value: float
    interval: Interval


class OffPolicy(NamedTuple):
    """What is known of the other policy; the estimates are None where there are too few effective looks."""

    looks: int
    effective: float
    shown: float
    """Mean reward of what was shown."""
    ips: Estimate | None
    snips: Estimate | None


def estimate(rewards: Floats, shown: Floats, other: Floats, enough: float = ENOUGH) -> OffPolicy:
    """Judge another policy.

    Args:
        rewards: float64 (looks,).
        shown: float64 (looks,), the chance with which each was shown; in (0, 1].
        other: float64 (looks,), the chance that the other policy would have shown it; in [0, 1].
        enough: effective looks that an estimate needs.

    Raises:
        ValueError: a chance is out of its range, so that it cannot have been logged.
    """
    if not (np.all((shown > 0) & (shown <= 1)) and np.all((other >= 0) & (other <= 1))):
        raise ValueError("chances must be in (0, 1] for what was shown and in [0, 1] for the other policy")
    count = len(rewards)
    weights = other / shown
    total = float(weights.sum())
    effective = total**2 / float(np.square(weights).sum()) if total else 0.0
    mean = float(rewards.mean()) if count else 0.0
    if effective < enough:
        return OffPolicy(count, effective, mean, None, None)
    earned = weights * rewards
    ips, snips = float(earned.mean()), float(earned.sum()) / total
    # The delta method: the ratio's error is that of w (r - ratio), over the mean weight.
    ratio_error = float(np.sqrt(np.square(weights * (rewards - snips)).sum())) / total
    return OffPolicy(
        count, effective, mean, _with(ips, float(earned.std(ddof=1)) / np.sqrt(count)), _with(snips, ratio_error)
    )


def _with(value: float, error: float) -> Estimate:
    margin = _DEVIATIONS * float(error)
    return Estimate(value, Interval(value - margin, value + margin))
