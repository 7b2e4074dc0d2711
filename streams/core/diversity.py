"""Choosing a diverse list from scored candidates: maximal marginal relevance and category caps.

MMR (Carbonell & Goldstein, SIGIR 1998): take next the item that maximises
λ · relevance - (1 - λ) · (largest cosine to what was taken).
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Cap(NamedTuple):
    """At most `most` of one group: (n,) the group of each candidate, None for an uncapped one."""

    groups: Sequence[str | None]
    most: int


def choose(
    scores: npt.NDArray[np.float64],
    vectors: npt.NDArray[np.float32],
    size: int,
    balance: float,
    caps: Sequence[Cap] = (),
) -> list[int]:
    """Positions of the chosen candidates, in the order they were taken.

    Args:
        scores: float64 (n,), best first, > 0; relevance is the score over the largest one.
        vectors: float32 (n, dim), unit rows; a row of zeros is similar to nothing.
        size: how many to choose, fewer if the candidates or the caps run out.
        balance: λ in [0, 1]; 1 keeps the order of the scores.
        caps: what must not be exceeded.
    """
    count = len(scores)
    if count == 0:
        return []
    relevance = balance * scores / scores[0]
    similarity = (1.0 - balance) * (vectors @ vectors.T)
    penalty, gain = np.zeros(count), relevance.copy()
    taken: Counter[tuple[int, str]] = Counter()
    chosen: list[int] = []
    while len(chosen) < size:
        best = int(gain.argmax())
        if gain[best] == -np.inf:
            break
        chosen.append(best)
        relevance[best] = -np.inf
        for number, cap in enumerate(caps):
            group = cap.groups[best]
            if group is not None:
                taken[number, group] += 1
                if taken[number, group] >= cap.most:
                    relevance[[other == group for other in cap.groups]] = -np.inf
        np.maximum(penalty, similarity[best], out=penalty)
        np.subtract(relevance, penalty, out=gain)
    return chosen
