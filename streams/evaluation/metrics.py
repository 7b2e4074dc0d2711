"""How good lists are. Each metric says its formula and where it is from.

A set has targets T; a list has ranks 1, 2, …; a target that is not in the list has no rank. `Ranks` holds the rank of
every target, 0 for none, so that every accuracy metric is a few array operations. Those at k see the first k ranks.
Per-set metrics are means over sets; `found` is a mean over targets.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CUTS = (5, 10, 20)
"""Where lists are cut."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """Ranks of targets, set after set.

    Attributes:
        flat: int64 (targets,), 1-based; 0 for a target that is not in the list.
        starts: int64 (sets,), where each set begins in `flat`; no set is empty.
    """

    flat: Ints
    starts: Ints

    @property
    def sizes(self) -> Ints:
        """Targets of each set, int64 (sets,)."""
        return np.diff(np.append(self.starts, len(self.flat)))

    def only(self, mask: npt.NDArray[np.bool_]) -> tuple["Ranks", Ints]:
        """The targets that a mask, bool (targets,), chooses, with the places of the sets that have any left."""
        kept = np.add.reduceat(mask, self.starts, dtype=np.int64) if len(self.starts) else self.starts
        places = np.flatnonzero(kept)
        sizes = kept[places]
        return Ranks(self.flat[mask], np.cumsum(sizes) - sizes), places


class Measured(NamedTuple):
    """A metric of every set as a fraction, float64 (sets,) each: the metric of many sets is Σ sums / Σ counts."""

    sums: Floats
    counts: Floats

    @property
    def value(self) -> float | None:
        """Over all sets; None without any."""
        return float(self.sums.sum() / self.counts.sum()) if len(self.counts) else None


def ranks(targets: Sequence[Sequence[int]], lists: npt.NDArray[np.int32]) -> Ranks:
    """Ranks of targets (catalogue places) in lists, int32 (sets, length), padded with -1."""
    sizes = np.array([len(items) for items in targets], np.int64)
    flat = np.zeros(int(sizes.sum()), np.int64)
    position = 0
    for items, shown in zip(targets, lists, strict=True):
        places = {int(item): rank for rank, item in enumerate(shown, start=1) if item >= 0}
        for item in items:
            flat[position] = places.get(item, 0)
            position += 1
    return Ranks(flat, np.cumsum(sizes) - sizes)


def hit_rate(ranks: Ranks, k: int) -> Measured:
    """1 if any target is in the first k, else 0 (Deshpande & Karypis, "Item-based top-N", ACM TOIS 2004, §5)."""
    return _per_set(ranks, np.maximum.reduceat(_within(ranks, k), ranks.starts))


def recall(ranks: Ranks, k: int) -> Measured:
    """|T ∩ first k| / |T| (Herlocker et al., "Evaluating collaborative filtering", ACM TOIS 2004, §4.1)."""
    return _per_set(ranks, np.add.reduceat(_within(ranks, k), ranks.starts) / ranks.sizes)


def mrr(ranks: Ranks, k: int) -> Measured:
    """1 / rank of the first target within k, else 0 (Voorhees, "The TREC-8 question answering track", 1999)."""
    return _per_set(ranks, np.maximum.reduceat(_within(ranks, k) / np.maximum(ranks.flat, 1), ranks.starts))


def ndcg(ranks: Ranks, k: int) -> Measured:
    """DCG / ideal DCG, DCG = Σ 1 / log2(1 + rank) over targets within k (Järvelin & Kekäläinen, ACM TOIS 2002).

    The ideal list has the targets, at most k of them, at its top; gains are 0 or 1.
    """
    gains = np.add.reduceat(_within(ranks, k) / np.log2(np.maximum(ranks.flat, 1) + 1.0), ranks.starts)
    ideal = np.cumsum(1.0 / np.log2(np.arange(2, k + 2)))
    return _per_set(ranks, gains / ideal[np.minimum(ranks.sizes, k) - 1])


def found(ranks: Ranks, k: int) -> Measured:
    """Targets within k / targets, every target alike: the hit rate where each target is a question of its own."""
    return Measured(np.add.reduceat(_within(ranks, k), ranks.starts), ranks.sizes.astype(np.float64))


def found_ndcg(ranks: Ranks, k: int) -> Measured:
    """Mean over targets of 1 / log2(1 + rank) within k: `ndcg` where each target is a question of its own."""
    gains = np.add.reduceat(_within(ranks, k) / np.log2(np.maximum(ranks.flat, 1) + 1.0), ranks.starts)
    return Measured(gains, ranks.sizes.astype(np.float64))


ACCURACY: Mapping[str, Callable[[Ranks, int], Measured]] = {
    "hit_rate": hit_rate,
    "mrr": mrr,
    "ndcg": ndcg,
    "recall": recall,
    "found": found,
    "found_ndcg": found_ndcg,
}
"""By the names of the JSON report."""


def measure(metric: str, ranks: Ranks, k: int) -> Measured:
    """A metric of `ACCURACY`; nothing for no sets."""
    if not len(ranks.starts):
        return Measured(np.zeros(0), np.zeros(0))
    return ACCURACY[metric](ranks, k)


def _within(ranks: Ranks, k: int) -> Floats:
    return ((ranks.flat > 0) & (ranks.flat <= k)).astype(np.float64)


def _per_set(ranks: Ranks, values: Floats) -> Measured:
    return Measured(values, np.ones(len(ranks.starts)))


def coverage(lists: npt.NDArray[np.int32], items: int) -> float:
    """Share of the catalogue that was shown to anyone (Ge, Delgado-Battenfeld & Jannach, RecSys 2010, §2.1)."""
    return len(np.unique(lists[lists >= 0])) / items if items else 0.0


def diversity(shown: npt.NDArray[np.int32], vectors: npt.NDArray[np.float32]) -> float:
    """Mean of 1 - cosine over the pairs of a list (Ziegler et al., WWW 2005, §3.3, as a distance); 0 for one item.

    Args:
        shown: int32 (length,), catalogue places without padding.
        vectors: float32 (items, dim), unit rows.
    """
    count = len(shown)
    if count < 2:
        return 0.0
    cosines = vectors[shown] @ vectors[shown].T
    return 1.0 - float(cosines.sum() - np.trace(cosines)) / (count * (count - 1))


def novelty(shown: npt.NDArray[np.int32], interactions: Floats) -> float:
    """Mean of -log2 p(item) over a list, p = (interactions + 1) / (all interactions + items), as of the prediction.

    Zhou et al., PNAS 2010 (surprisal), smoothed so that a new item has one. `interactions`: float64 (items,).
    """
    if not len(shown):
        return 0.0
    shares = (interactions[shown] + 1.0) / (interactions.sum() + len(interactions))
    return float(-np.log2(shares).mean())
