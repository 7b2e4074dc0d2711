"""What an item is apart from its words, as unit vectors, and how they are fused with the words' vector.

Every block is a function of the item's own record: no mean price of a category that would have to be learnt,
published and kept, no order in which items arrived. So a replay gives the same vectors, and a new item moves no other.

    category   the mean of random signs hashed from "a", "a / b", "a / b / c": the cosine is the shared part of the path
    brand      random signs hashed from the brand: 1 for the same one, about 0 for another
    price      cos(ω log p + φ), sin(ω log p + φ) for 16 frequencies ω, the phases φ hashed from the finest category
    rating     the same for stars, without phases
    available  one coordinate, +1 or -1
    image      the producer's own vector

Price is log price *within a category*: within one, the cosine is a Gaussian kernel of the ratio of prices; between two
the phases have nothing to do with each other and it is about 0. Random Fourier features: Rahimi & Recht, "Random
Features for Large-Scale Kernel Machines" (NeurIPS 2007), with quantiles of the normal distribution in place of a draw.
Signs: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (ICML 2009).
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from hashlib import blake2b
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]


class Block(StrEnum):
    """A part of an item's vector."""

    TEXT = "text"
    CATEGORY = "category"
    BRAND = "brand"
    PRICE = "price"
    RATING = "rating"
    AVAILABLE = "available"
    IMAGE = "image"


_FREQUENCIES = 16
_RATING_FREQUENCIES = 4
DIMS = {
    Block.CATEGORY: 64,
    Block.BRAND: 32,
    Block.PRICE: 2 * _FREQUENCIES,
    Block.RATING: 2 * _RATING_FREQUENCIES,
    Block.AVAILABLE: 1,
}
"""Coordinates of the blocks whose length is ours to say."""

PRICE_WIDTH = math.log(1.5)
"""Of the kernel on log price: a price 1.5 times as high has cosine exp(-1/2) = 0.61."""

RATING_WIDTH = 0.5
"""Of the kernel on stars."""


def category(path: Sequence[str]) -> Vector | None:
    """The block of a category path, broadest first: float32 (64,), unit; None without a path."""
    signs = [_signs(f"category:{' / '.join(path[:depth])}", DIMS[Block.CATEGORY]) for depth in range(1, len(path) + 1)]
    return _unit(np.sum(signs, axis=0)) if signs else None


def brand(name: str | None) -> Vector | None:
    """The block of a brand: float32 (32,), unit; None without one. Case does not count."""
    return _unit(_signs(f"brand:{name.casefold()}", DIMS[Block.BRAND])) if name else None


def price(amount: float | None, within: str) -> Vector | None:
    """The block of a price within a category: float32 (32,), unit; None for no price, or one that has no logarithm."""
    if amount is None or not 0 < amount < math.inf:
        return None
    raw = blake2b(f"price:{within}".encode("utf-8", "surrogatepass"), digest_size=4 * _FREQUENCIES).digest()
    phases = np.frombuffer(raw, "<u4").astype(np.float64) * (2 * math.pi / 2**32)
    return _waves(math.log(amount) / PRICE_WIDTH * _quantiles(_FREQUENCIES) + phases)


def rating(stars: float | None) -> Vector | None:
    """The block of a mean rating: float32 (8,), unit; None without one."""
    return None if stars is None else _waves(stars / RATING_WIDTH * _quantiles(_RATING_FREQUENCIES))


def available(yes: bool) -> Vector:
    """The block of availability: float32 (1,)."""
    return np.array([1.0 if yes else -1.0], np.float32)


def image(values: Sequence[float] | None, dim: int) -> Vector | None:
    """The producer's image vector: float32 (dim,), unit; None where there is none, or none of that length."""
    if values is None or len(values) != dim:
        return None
    vector = np.asarray(values, np.float64)
    return _unit(vector) if 0 < float(np.linalg.norm(vector)) < math.inf else None


def fuse(
    text: Vectors, blocks: Sequence[tuple[float, int, Sequence[Vector | None]]], text_weight: float = 1.0
) -> Vectors:
    """Concatenate weighted blocks to unit vectors.

    The cosine of two items that have every block is the weighted mean of the cosines of their blocks. A block that an
    item lacks is zero, and what it has weighs more.

    Args:
        text: float32 (n, dim), unit rows.
        blocks: of every other part, in the order in which they are to stand: weight, length, a unit vector per item
            or None.
        text_weight: above 0.

    Returns:
        float32 (n, dim + the parts' lengths), unit rows; `text` itself where there is no other part.
    """
    if not blocks:
        return text
    parts = [text * np.float32(math.sqrt(text_weight))]
    for weight, dim, rows in blocks:
        zero = np.zeros(dim, np.float32)
        stacked = np.stack([zero if row is None else row for row in rows]) if rows else zero[None, :][:0]
        parts.append(stacked * np.float32(math.sqrt(weight)))
    joined = np.concatenate(parts, axis=1)
    fused: Vectors = joined / np.linalg.norm(joined, axis=1, keepdims=True)
    return fused


def _signs(name: str, dim: int) -> npt.NDArray[np.float64]:
    raw = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=dim // 8).digest()
    return np.unpackbits(np.frombuffer(raw, np.uint8)).astype(np.float64) * 2 - 1


def _quantiles(count: int) -> npt.NDArray[np.float64]:
    """Frequencies of a Gaussian kernel of width 1: the upper half will do, for a cosine is even."""
    return np.array([NormalDist().inv_cdf(0.5 + (k + 0.5) / (2 * count)) for k in range(count)])


def _waves(angles: npt.NDArray[np.float64]) -> Vector:
    return _unit(np.concatenate([np.cos(angles), np.sin(angles)]))


def _unit(vector: npt.NDArray[np.float64]) -> Vector:
    unit: Vector = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit
