"""A head that learns: what shoppers do next, as a small change of the direction in which items are looked for.

    q' = unit(q + U V q)        q: float32 (dim,), where a shopper looks; V: (rank, dim), U: (dim, rank)

The encoder's weights and the items' vectors stay as they are, so no index changes with it: only the query does. U and V
have 2 · rank · dim parameters, thousands where the encoder has millions. U begins at zero, and with it the head changes
nothing.

**Learning.** A pair is a context (what a shopper had to do with just before, summed as the pair's weights say) and the
item that followed. In a batch each context has to tell its own item from those of all the others (InfoNCE: van den
Oord et al., "Representation learning with contrastive predictive coding", 2018). Popular items are in a batch more
often than others; the logarithm of how often is taken off their scores, so that what is learnt holds among all items
of the catalogue and not only among those of a batch (Yi et al., "Sampling-bias-corrected neural modeling for large
corpus item recommendations", RecSys 2019). Steps are AdaGrad's (Duchi et al., JMLR 2011).

**The guard.** Every `HELD_OUT`-th batch is not learnt from but judged: which rank would the item that followed have
among all items, with the head and without it? An item of the batch stands for as many as it is rarer than its place in
the batch says (importance sampling). The reciprocal ranks are averaged, older ones fading; while the head's average is
not the higher one, it `helps` nobody and changes nothing.

Everything in here is a function of its arguments: the same batches in the same order give the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]

RANK = 16
BATCH = 256
"""Pairs that are learnt from together."""

HELD_OUT = 8
"""One batch of so many is judged instead."""

TEMPERATURE = 0.2
RATE = 0.01
FADING = 0.9
"""How much of the judgement so far stays when a batch is judged."""

ENOUGH = 3
"""Batches that must have been judged before the head may help."""

_START = 1e-8
_SEED = 16
_NEVER = -1e9
_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Head:
    """A state of the head; nothing in it is changed.

    Attributes:
        down: V, float32 (rank, dim).
        up: U, float32 (dim, rank).
        down_squares: sum of squared gradients of `down`.
        up_squares: the same of `up`.
        batches: seen so far, learnt from or judged.
        judged: of them, those judged.
        with_head: mean reciprocal rank with the head, older batches fading.
        without: the same without it.
    """

    down: Matrix
    up: Matrix
    down_squares: Matrix
    up_squares: Matrix
    batches: int = 0
    judged: int = 0
    with_head: float = 0.0
    without: float = 0.0

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.down.shape[1])

    @property
    def helps(self) -> bool:
        """Whether what was held out says that it is better to use it."""
        return self.judged >= ENOUGH and self.with_head > self.without


@dataclass(frozen=True, slots=True)
class Pairs:
    """What happened, as the head sees it.

    Attributes:
        contexts: float32 (n, dim), unit rows.
        targets: float32 (n, dim), unit rows: the item that followed each.
        items: int64 (n,): equal numbers are the same item.
        log_chance: float32 (n,): log of the share that each item has of all pairs; see `log_chances`.
    """

    contexts: Matrix
    targets: Matrix
    items: npt.NDArray[np.int64]
    log_chance: Matrix


def untaught(dim: int, rank: int = RANK) -> Head:
    """A head that changes nothing yet."""
    down = np.random.default_rng(_SEED).standard_normal((rank, dim)).astype(np.float32) / np.float32(dim**0.5)
    return Head(
        down, np.zeros((dim, rank), np.float32),
        np.full((rank, dim), _START, np.float32), np.full((dim, rank), _START, np.float32),
    )  # fmt: skip


def seen(head: Head, pairs: Pairs) -> Head:
    """The head after another batch: judged by it, or taught. pairs: `BATCH` of them, or any number from 2 on."""
    if head.batches % HELD_OUT == HELD_OUT - 1:
        return _judged(head, pairs)
    return _taught(head, pairs)


def steered(heads: Sequence[Head], queries: Matrix) -> Matrix:
    """Queries turned to where heads say that shoppers go: the mean of what those say that help.

    Args:
        heads: all of them of the queries' dimension.
        queries: float32 (n, dim), no row zero.

    Returns:
        float32 (n, dim), unit rows; the queries as they are where no head helps.
    """
    helping = [head for head in heads if head.helps]
    if not helping:
        return queries
    unit = _unit(queries)
    changes = np.stack([_change(head, unit) for head in helping])
    return _unit(unit + changes.sum(axis=0) / np.float32(len(heads)))


def log_chances(log_masses: npt.NDArray[np.float64], others: int) -> Matrix:
    """Log of the share that each item of a batch has of all pairs, estimated from the batch.

    An item that is dealt with rarely is in a batch rarely, and stands for more of the others: in proportion to its
    mass, and so that all of a batch stand for as many as there are.

    Args:
        log_masses: float64 (n,): logs of the decayed sums of what is done with the items; `-inf` for none known.
        others: how many items there are.

    Returns:
        float32 (n,); all of them equal where no mass is known.
    """
    known = np.isfinite(log_masses)
    least = log_masses[known].min() if known.any() else 0.0
    masses = np.where(known, log_masses, least)
    return _narrow(masses + np.logaddexp.reduce(-masses) - np.log(len(masses) * max(others, 1)))


def _change(head: Head, unit: Matrix) -> Matrix:
    return _narrow((unit @ head.down.T) @ head.up.T)


def _taught(head: Head, pairs: Pairs) -> Head:
    hidden = pairs.contexts @ head.down.T
    raw = pairs.contexts + hidden @ head.up.T
    length = np.linalg.norm(raw, axis=1, keepdims=True)
    turned = raw / length
    scores = turned @ pairs.targets.T / TEMPERATURE - pairs.log_chance
    scores[_others_alike(pairs)] = _NEVER
    share = np.exp(scores - scores.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    n = len(share)
    share[np.arange(n), np.arange(n)] -= 1.0
    by_turned = (share @ pairs.targets) / np.float32(n * TEMPERATURE)
    by_raw = (by_turned - turned * (turned * by_turned).sum(axis=1, keepdims=True)) / length
    by_up, by_down = by_raw.T @ hidden, (by_raw @ head.up).T @ pairs.contexts
    up_squares, down_squares = head.up_squares + by_up**2, head.down_squares + by_down**2
    return Head(
        head.down - np.float32(RATE) * by_down / np.sqrt(down_squares),
        head.up - np.float32(RATE) * by_up / np.sqrt(up_squares),
        down_squares, up_squares, head.batches + 1, head.judged, head.with_head, head.without,
    )  # fmt: skip


def _judged(head: Head, pairs: Pairs) -> Head:
    turned = _unit(pairs.contexts + _change(head, pairs.contexts))
    kept = FADING if head.judged else 0.0
    with_head, without = (
        kept * before + (1 - kept) * _reciprocal_rank(queries, pairs)
        for before, queries in ((head.with_head, turned), (head.without, pairs.contexts))
    )
    return Head(
        head.down, head.up, head.down_squares, head.up_squares,
        head.batches + 1, head.judged + 1, with_head, without,
    )  # fmt: skip


def _reciprocal_rank(queries: Matrix, pairs: Pairs) -> float:
    """Mean reciprocal rank of the targets among all items, as far as a batch can tell."""
    scores = queries @ pairs.targets.T
    above = scores > np.diagonal(scores)[:, None]
    above[_others_alike(pairs)] = False
    stands_for = np.exp(-pairs.log_chance) / len(scores)
    return float(np.mean(1.0 / (1.0 + above @ stands_for)))


def _others_alike(pairs: Pairs) -> npt.NDArray[np.bool_]:
    """Which entries of the square of scores are of the row's own item, but for the diagonal: bool (n, n)."""
    alike: npt.NDArray[np.bool_] = np.equal.outer(pairs.items, pairs.items)
    np.fill_diagonal(alike, val=False)
    return alike


def _unit(rows: Matrix) -> Matrix:
    return _narrow(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _LEAST))


def _narrow(matrix: npt.NDArray[Any]) -> Matrix:
    return matrix.astype(np.float32, copy=False)
