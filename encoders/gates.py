"""Parity: how close an artifact's vectors are to a reference's, and whether that is close enough to use it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from encoders.base import ModelError, Vectors

PROBES = (
    "",
    "Red running shoes",
    "Whole milk, 1 gallon",
    "WHITE HANGING HEART T-LIGHT HOLDER",
    "Crème brûlée torch with safety lock – butane not included",
    "男士商务双肩背包 防水 15.6英寸",
    "🎁 gift set, 3 pcs",
    "Stainless steel insulated water bottle, keeps drinks cold for 24 hours, leak-proof lid, BPA free, 750 ml. " * 6,
)
"""Texts to hold a graph against its reference where the shop has given none: short, long, accented, Chinese, empty."""

RECALL_AT = 10


def cosines(vectors: Vectors, reference: Vectors) -> Vectors:
    """Row by row, in float64 so that near-ones are told apart: (n,). Both inputs have unit rows."""
    return np.asarray((vectors.astype(np.float64) * reference).sum(axis=1), np.float32)


def recall(vectors: Vectors, reference: Vectors, k: int = RECALL_AT) -> float:
    """Mean share of each text's `k` nearest others that both spaces agree on. Needs more than `k` texts."""

    def nearest(space: Vectors) -> "np.ndarray[tuple[int, int], np.dtype[np.intp]]":
        similarity = space @ space.T
        np.fill_diagonal(similarity, -2)
        return np.argpartition(-similarity, k, axis=1)[:, :k]

    pairs = zip(nearest(vectors), nearest(reference), strict=True)
    return float(np.mean([len(np.intersect1d(ours, theirs)) / k for ours, theirs in pairs]))


@dataclass(frozen=True, slots=True)
class Limits:
    """What an artifact must reach to be used."""

    cosine_min: float = -1.0
    """The least cosine of any text to its reference."""
    cosine_mean: float = -1.0
    recall_at_10: float | None = None
    """None where there are too few texts to measure it."""


def check_lengths(vectors: Vectors) -> None:
    """Refuse vectors that are not of unit length.

    Raises:
        ModelError: one is not, or is no vector at all.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.allclose(lengths, 1, atol=1e-4):
        raise ModelError(f"the model's vectors have lengths from {lengths.min():.4f} to {lengths.max():.4f}, not 1")


def check_company(encode: Callable[[Sequence[str]], Vectors]) -> None:
    """Refuse a model whose vectors depend on what is encoded beside them, as dynamically quantised ones do.

    Raises:
        ModelError: a probe has other bits in company than alone.
    """
    company = [*PROBES, *(" ".join(reversed(probe.split())) for probe in PROBES)]
    together = encode(company)
    for text, vector in zip(company, together, strict=True):
        if not np.array_equal(encode([text])[0], vector):
            raise ModelError(
                "a text's vector depends on the texts beside it, so a replay would give other vectors; "
                "is the model quantised dynamically? Take one in float32"
            )


def gate(vectors: Vectors, reference: Vectors, limits: Limits) -> dict[str, float]:
    """Measure parity and refuse what falls short.

    Args:
        vectors: float32 (n, dim), unit rows.
        reference: float32 (n, dim), unit rows: the same texts.
        limits: what to reach.

    Returns:
        What was measured.

    Raises:
        ModelError: a vector is not of unit length, or parity is below a limit.
    """
    check_lengths(vectors)
    near = cosines(vectors, reference)
    measured = {"texts": float(len(vectors)), "cosine_min": float(near.min()), "cosine_mean": float(near.mean())}
    if limits.recall_at_10 is not None:
        measured["recall_at_10"] = recall(vectors, reference)
    for name, got in measured.items():
        if (wanted := getattr(limits, name, None)) is not None and got < wanted:
            raise ModelError(f"parity with the reference is lost: {name} is {got:.5f}, wanted {wanted}")
    return measured
