"""Choosing a diverse list from scored candidates: maximal marginal relevance and category caps.

MMR (Carbonell & Goldstein, SIGIR 1998): take next the item that maximises
λ · relevance - (1 - λ) · (largest cosine to what was taken).
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_PAIRS = 1 << 20
"""Of candidates that are compared at once, of all shortlists: 4 MiB of cosines."""


class Cap(NamedTuple):
    """At most `most` of one group: (n,) the group of each candidate, None for an uncapped one."""

    groups: Sequence[str | None]
    most: int


class Shortlist(NamedTuple):
    """What the list of one shopper is chosen from.

    Attributes:
        scores: float64 (n,), best first, > 0; relevance is the score over the largest one.
        vectors: float32 (n, dim), unit rows; a row of zeros is similar to nothing.
        caps: what must not be exceeded.
    """

    scores: npt.NDArray[np.float64]
    vectors: npt.NDArray[np.float32]
    caps: Sequence[Cap] = ()


def choose(shortlists: Sequence[Shortlist], size: int, balance: float) -> list[list[int]]:
    """Positions of the chosen candidates of each shortlist, in the order they were taken.

    Args:
        shortlists: each chosen from for itself; as many as may be are gone through in step.
        size: how many to choose, fewer if the candidates or the caps run out.
        balance: λ in [0, 1]; 1 keeps the order of the scores.
    """
    width = max((len(one.scores) for one in shortlists), default=0)
    some = max(1, _PAIRS // max(1, width * width))
    parts = (shortlists[start : start + some] for start in range(0, len(shortlists), some))
    return [chosen for part in parts for chosen in _in_step(part, width, size, balance)]


def _in_step(shortlists: Sequence[Shortlist], width: int, size: int, balance: float) -> list[list[int]]:
    """See `choose`. width: of the largest shortlist, at least."""
    lines = np.arange(len(shortlists))
    relevance = np.full((len(shortlists), width), -np.inf)
    similarity = np.zeros((len(shortlists), width, width), np.float32)
    for number, (scores, vectors, _) in enumerate(shortlists):
        count = len(scores)
        relevance[number, :count] = balance * scores / scores[:1]
        np.matmul(vectors, vectors.T, out=similarity[number, :count, :count])
    similarity *= 1.0 - balance
    penalty, gain = np.zeros(relevance.shape), relevance.copy()
    picked, worth = np.zeros((2, min(size, width), len(shortlists)))
    taken: Counter[tuple[int, int, str]] = Counter()
    capped = [number for number, one in enumerate(shortlists) if one.caps]
    for step in range(min(size, width)):
        best = gain.argmax(axis=1)
        picked[step], worth[step] = best, gain[lines, best]
        relevance[lines, best] = -np.inf
        for number in capped:
            for which, cap in enumerate(shortlists[number].caps):
                group = cap.groups[best[number]] if worth[step, number] > -np.inf else None
                if group is not None:
                    taken[number, which, group] += 1
                    if taken[number, which, group] >= cap.most:
                        relevance[number, : len(cap.groups)][[other == group for other in cap.groups]] = -np.inf
        np.maximum(penalty, similarity[lines, best], out=penalty)
        np.subtract(relevance, penalty, out=gain)
    there = worth > -np.inf  # whoever has run out has at every later step, too
    return [picks[some].astype(np.int64).tolist() for picks, some in zip(picked.T, there.T, strict=True)]
