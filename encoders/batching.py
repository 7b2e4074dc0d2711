"""Which texts run together. Pure functions over token counts.

A text is padded to its own length rounded up to `BUCKET`, never to the longest text of its batch, and only texts of
one padded length share a batch. So a text always goes through the same matrix shapes, and its vector has the same
bits whatever it is encoded with: padding further would change in which order softmax sums. It is also the cheaper
way: almost nothing is spent on padding.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BUCKET = 4
"""Token counts are rounded up to a multiple of this."""

TOKEN_BUDGET = 512
"""Tokens of a batch, padding included. On a CPU larger batches gain nothing and take more memory."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that run together."""

    tokens: int
    """What each of them is padded to."""
    rows: tuple[int, ...]
    """Their places in the input."""


def plan(
    lengths: Sequence[int], budget: int = TOKEN_BUDGET, bucket: int = BUCKET, limit: int | None = None
) -> list[Batch]:
    """Cut texts into batches of equal padded length, shortest first.

    Args:
        lengths: tokens of each text.
        budget: `tokens * len(rows)` of a batch at most; a text that is longer alone gets a batch of its own.
        bucket: lengths are rounded up to a multiple of this,
        limit: but not beyond this: the model has no more positions. No length is greater.
    """
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for row, length in enumerate(lengths):
        rounded = -(-length // bucket) * bucket
        by_length[rounded if limit is None else min(rounded, limit)].append(row)
    return [
        Batch(tokens, tuple(rows[start : start + step]))
        for tokens, rows in sorted(by_length.items())
        for step in [max(1, budget // tokens)]
        for start in range(0, len(rows), step)
    ]


def pad(ids: Sequence[Sequence[int]], tokens: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Token ids and attention mask, int64 (len(ids), tokens) both; padding has id 0 and mask 0."""
    padded = np.zeros((len(ids), tokens), np.int64)
    mask = np.zeros((len(ids), tokens), np.int64)
    for i, row in enumerate(ids):
        padded[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return padded, mask


def padding_factor(lengths: Sequence[int], batches: Sequence[Batch]) -> float:
    """Tokens computed per token of text; 1 is no waste."""
    return sum(batch.tokens * len(batch.rows) for batch in batches) / max(1, sum(lengths))
