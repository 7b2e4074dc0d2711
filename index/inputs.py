"""What comes in from outside, checked once: finite rows of the right length, made unit length."""

import operator
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from index.base import IndexInputError, Vectors

# Between these squared lengths a float32 division keeps full precision; outside, float64 is used.
_SAFE_SQUARE = (1e-20, 1e20)


def unit_rows(vectors: npt.ArrayLike, dim: int, what: str = "vectors") -> Vectors:
    """A copy of `vectors` as float32 (n, dim) of unit length.

    Args:
        vectors: any real (n, dim) array; lengths from 1e-150 to 1e150 are fine.
        dim: the length a row must have.
        what: how an error calls them.

    Raises:
        IndexInputError: not two-dimensional, another dimension, NaN, infinity or a row of length zero.
    """
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold goes the wide way below
            rows = np.array(vectors, dtype=np.float32, order="C")
    except (TypeError, ValueError) as error:
        raise IndexInputError(f"{what} are not a rectangular array of numbers: {error}") from error
    if rows.ndim != 2:
        raise IndexInputError(f"{what} have {rows.ndim} axes, wanted 2: (n, {dim})")
    if rows.shape[1] != dim:
        raise IndexInputError(f"{what} have {rows.shape[1]} dimensions, this index has {dim}")
    squares = np.einsum("ij,ij->i", rows, rows)
    if len(rows) and not (squares.min() > _SAFE_SQUARE[0] and squares.max() < _SAFE_SQUARE[1]):  # NaN fails both
        return _unit_wide(np.asarray(vectors, dtype=np.float64), what)
    rows /= np.sqrt(squares)[:, None]
    return rows


def _unit_wide(rows: npt.NDArray[np.float64], what: str) -> Vectors:
    broken = ~np.isfinite(rows).all(axis=1)
    if broken.any():
        raise IndexInputError(
            f"{int(broken.sum())} of {len(rows)} {what} hold NaN or infinity, the first in row {int(broken.argmax())}"
        )
    largest = np.abs(rows).max(axis=1, initial=0.0)
    if not largest.all():
        zero = largest == 0.0
        raise IndexInputError(
            f"{int(zero.sum())} of {len(rows)} {what} have length zero, the first in row {int(zero.argmax())}"
        )
    rows = rows / largest[:, None]  # so that squares neither overflow nor vanish
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows.astype(np.float32)


def checked_ids(ids: Iterable[str]) -> list[str]:
    """The ids as a list.

    Raises:
        IndexInputError: one string instead of a sequence of them, or an id that is not a string.
    """
    if isinstance(ids, str):
        raise IndexInputError("ids is one string, wanted a sequence of strings: put it in a list")
    listed = list(ids)
    for place, one in enumerate(listed):
        if not isinstance(one, str):
            raise IndexInputError(f"id {place} of {len(listed)} is a {type(one).__name__}, wanted str")
    return listed


def checked_batch(ids: Sequence[str], vectors: npt.ArrayLike, dim: int) -> tuple[list[str], Vectors]:
    """Ids without repetition (the last of each wins) and their unit rows.

    Raises:
        IndexInputError: as `unit_rows` and `checked_ids`, or as many ids as there are not rows.
    """
    listed = checked_ids(ids)
    if not listed and np.size(vectors) == 0:  # an empty batch need not know the dimension
        return listed, np.empty((0, dim), np.float32)
    rows = unit_rows(vectors, dim)
    if len(listed) != len(rows):
        raise IndexInputError(f"{len(listed)} ids for {len(rows)} vectors")
    last = dict(zip(listed, range(len(listed)), strict=True))
    if len(last) == len(listed):
        return listed, rows
    return list(last), rows[list(last.values())]


def checked_k(k: int) -> int:
    """How many neighbours are wanted, as a plain int.

    Raises:
        IndexInputError: not an integer, or below 1.
    """
    try:
        wanted = operator.index(k)
    except TypeError:
        raise IndexInputError(f"k is a {type(k).__name__}, wanted an integer of at least 1") from None
    if wanted < 1:
        raise IndexInputError(f"k is {wanted}, wanted at least 1")
    return wanted
