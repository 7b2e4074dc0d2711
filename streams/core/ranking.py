"""The ranker: a linear model over the features of candidates, learnt online from what shoppers do next.

    logit = Σ_features weight · feature,    weight = always + length of the history + time away + (new | had before)

Each context has weights of its own that are added up, so what there is little of leans on what there is much of. An
example is a moment at which a shopper did something: the candidates as of just before, and which of them it was. The
loss is the cross-entropy of a softmax (Cao et al., "Learning to rank: from pairwise approach to listwise approach",
ICML 2007: ListNet) over each of the chosen by itself with all that were not: those of one basket do not compete. Many
count as the square root of how many they are. The step is AdaGrad's (Duchi, Hazan & Singer, JMLR 2011).

**A guard.** Before a step, each example is ranked by three models: fusion, decayed popularity, and the weights as they
are, which begin at nothing. Their NDCG is kept as a running mean, and whoever leads it ranks.

**Bounded examples.** Of many candidates only some are kept; what is left out is stood for by what is kept, through a
weight added to its logit (importance sampling of the softmax: Bengio & Senécal, IEEE TNN 2008).
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core.channels import ORDER
from streams.core.features import AWAY_MS, COLUMN, FEATURES, FUSED, HISTORY, Matrix
from streams.core.items import Places

Floats = npt.NDArray[np.float64]

HISTORY_BLOCK = 1
AWAY_BLOCK = HISTORY_BLOCK + len(HISTORY) + 1
HAD_BLOCK = AWAY_BLOCK + len(AWAY_MS) + 1
BLOCKS = HAD_BLOCK + 2
"""Contexts: always, by length of the history, by time away, new, had before."""

RATE = 0.1
"""Of the steps."""

ENOUGH = 200
"""Examples before anything but fusion ranks."""

MEMORY = 2000
"""Examples over which the guard's running means are taken."""

CUT = 20
"""Of the guard's NDCG."""

_SCALE = 4.0
"""Of the scores by popularity, which are up to 1."""

_FIRST_SQUARE = 1e-2
_TINY = 1e-300


_CHANNELS = [
    (column, ORDER.index(feature.channel)) for column, feature in enumerate(FEATURES) if feature.name != "fused"
]
"""Features, and the channels that they are put down to, as columns."""


class Model(IntEnum):
    """Who ranks. The values are their places in the guard's means."""

    FUSION = 0
    POPULARITY = 1
    LEARNT = 2


class Example(NamedTuple):
    """A moment to learn from.

    Attributes:
        offset: of the event, within its partition.
        history, away: buckets of the shopper (`features.buckets`).
        features: float32 (n, len(FEATURES)).
        had: bool (n,), whether the shopper had the candidate before.
        chosen: bool (n,), whether it is what came.
        stands_for: float32 (n,), how many candidates each stands for, at least 1.
    """

    offset: int
    history: int
    away: int
    features: Matrix
    had: npt.NDArray[np.bool_]
    chosen: npt.NDArray[np.bool_]
    stands_for: npt.NDArray[np.float32]

    def only(self, rows: npt.NDArray[np.bool_] | Places) -> "Example":
        """The example with some of its candidates."""
        return self._replace(
            features=self.features[rows],
            had=self.had[rows],
            chosen=self.chosen[rows],
            stands_for=self.stands_for[rows],
        )


def _popularity() -> Floats:
    weights = np.zeros((BLOCKS, len(FEATURES)))
    weights[0, COLUMN["popularity_log"]] = _SCALE
    return weights


@dataclass(slots=True)
class Ranker:
    """The learnt state. `learn` changes it in place.

    Attributes:
        weights: float64 (BLOCKS, len(FEATURES)).
        squares: float64 of that shape, sums of squared gradients.
        means: float64 (3,), the guard's running means by `Model`.
        examples: how many were learnt from.
    """

    weights: Floats = field(default_factory=lambda: np.zeros((BLOCKS, len(FEATURES))))
    squares: Floats = field(default_factory=lambda: np.full((BLOCKS, len(FEATURES)), _FIRST_SQUARE))
    means: Floats = field(default_factory=lambda: np.zeros(len(Model)))
    examples: int = 0

    def leader(self) -> Model:
        """Who ranks: fusion at first, then whoever was best lately; at a tie the simpler one."""
        return Model.FUSION if self.examples < ENOUGH else Model(int(np.argmax(self.means)))

    def serving(self) -> Floats | None:
        """The weights that rank, float64 (BLOCKS, len(FEATURES)); None for fusion."""
        leader = self.leader()
        return None if leader is Model.FUSION else self.weights if leader is Model.LEARNT else _popularity()

    def learn(self, example: Example, rate: float = RATE) -> None:
        """Take a step on an example, and one on what was new in it, which is asked for alone where repeats are barred.

        An example in which nothing or everything was chosen teaches nothing.
        """
        if not _tells(example):
            return
        self.examples += 1
        share = 1.0 / min(self.examples, MEMORY)
        known = example.features[:, [FUSED, COLUMN["popularity_log"]]].T.astype(np.float64)
        scores = *known, self.logits(example)
        self.means += share * (np.array([ndcg(score, example) for score in scores]) - self.means)
        self._step(example, rate)
        fresh = example.only(~example.had)
        if example.had.any() and _tells(fresh):
            self._step(fresh, rate)

    def logits(self, example: Example) -> Floats:
        """The logits of candidates: float64 (n,)."""
        weights = (
            self.weights[0] + self.weights[HISTORY_BLOCK + example.history] + self.weights[AWAY_BLOCK + example.away]
        )
        both = weights + self.weights[HAD_BLOCK:]
        logits: Floats = (both[example.had.astype(np.int64)] * example.features).sum(axis=1)
        return logits

    def _step(self, example: Example, rate: float) -> None:
        logits = self.logits(example)
        odds = np.exp(logits - logits.max()) * example.stands_for
        chosen, others = odds[example.chosen], odds[~example.chosen].sum()
        either = np.maximum(chosen + others, _TINY)
        slopes = -odds * (1.0 / either).sum()
        slopes[example.chosen] = others / either
        slopes /= np.sqrt(len(chosen))
        steps = slopes[:, None] * example.features
        total = steps.sum(axis=0)
        had = steps[example.had].sum(axis=0)
        for block, step in (
            (0, total),
            (HISTORY_BLOCK + example.history, total),
            (AWAY_BLOCK + example.away, total),
            (HAD_BLOCK, total - had),
            (HAD_BLOCK + 1, had),
        ):
            self.squares[block] += step * step
            self.weights[block] += rate * step / np.sqrt(self.squares[block])


def _tells(example: Example) -> bool:
    """Whether some of the candidates were chosen, and some not."""
    return bool(example.chosen.any()) and not bool(example.chosen.all())


def ndcg(scores: Floats, example: Example) -> float:
    """NDCG at `CUT` of a ranking by scores, of what was chosen; candidates of equal score share their places."""
    chosen, weight = scores[example.chosen], example.stands_for
    above = (weight * (scores > chosen[:, None])).sum(axis=1)
    beside = (weight * (scores == chosen[:, None])).sum(axis=1) - example.stands_for[example.chosen]
    ranks = 1.0 + above + 0.5 * beside
    gains = np.where(ranks <= CUT, 1.0 / np.log2(1.0 + ranks), 0.0).sum()
    ideal = (1.0 / np.log2(np.arange(2, min(len(chosen), CUT) + 2))).sum()
    return float(gains / ideal)


class Contexts(NamedTuple):
    """Where candidates stand: int64 (shoppers,) buckets of history and time away, int64 (m,) 1 for had before."""

    history: Places
    away: Places
    had: Places


def contributions(weights: Floats, contexts: Contexts, owner: Places, matrix: Matrix) -> Floats:
    """What each feature adds to the logit of each candidate: float64 (m, len(FEATURES)).

    Row by row, so that no candidate's score depends on who is ranked beside it.

    Args:
        weights: float64 (BLOCKS, len(FEATURES)).
        contexts: of the shoppers and candidates.
        owner: int64 (m,), the shopper of each candidate.
        matrix: float32 (m, len(FEATURES)).
    """
    shoppers = weights[0] + weights[HISTORY_BLOCK + contexts.history] + weights[AWAY_BLOCK + contexts.away]
    by_kind = (shoppers[:, None, :] + weights[HAD_BLOCK:][None, :, :]).reshape(-1, weights.shape[1])
    result: Floats = by_kind[2 * owner + contexts.had]
    result *= matrix
    return result


def by_channel(given: Floats, fused: Floats) -> Floats:
    """What features add to logits, put down to their channels: float64 (m, channels), by `channels.ORDER`.

    One after the other: a product of matrices adds in an order that depends on how many rows there are.

    Args:
        given: float64 (m, len(FEATURES)).
        fused: float64 (m, channels), which part of the fused score is each channel's.
    """
    amounts = np.zeros((len(ORDER), len(given)))
    for feature, channel in _CHANNELS:
        amounts[channel] += given[:, feature]
    result: Floats = amounts.T + given[:, FUSED, None] * fused
    return result


def bounded(example: Example, most: int) -> Example:
    """An example of at most `most` candidates and what was chosen: the best by fusion, and an even draw of the rest.

    The rest is drawn in strides by fused score, from a place that the offset decides, and stands for all of it.
    """
    others = np.flatnonzero(~example.chosen)
    if len(others) <= most:
        return example
    ranked = others[np.argsort(-example.features[others, FUSED], kind="stable")]
    best, rest = ranked[: most // 2], ranked[most // 2 :]
    count = most - len(best)
    drawn = rest[((np.arange(count) + (example.offset * 0.618033988749895) % 1.0) * len(rest) / count).astype(np.int64)]
    stands_for = np.ones(len(example.chosen), np.float32)
    stands_for[drawn] = len(rest) / count
    kept = np.sort(np.concatenate((np.flatnonzero(example.chosen), best, drawn)))
    return example._replace(stands_for=stands_for).only(kept)
