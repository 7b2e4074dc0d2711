"""What a live vector index is: ids and unit vectors in, nearest ids out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""float32 (n, dim), every row of unit length."""


class IndexInputError(ValueError):
    """Vectors or ids that no index can hold: wrong dimension, NaN, infinity, zero length, more ids than rows."""


class VectorIndex(Protocol):
    """Nearest neighbours by cosine over a set that changes all day.

    Ids are the caller's item ids (str). Vectors are normalised on the way in. An id that was deleted, or whose
    vector was replaced, never shows its old vector again.
    """

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    def __len__(self) -> int:
        """Number of live ids."""
        ...

    def __contains__(self, item: object) -> bool:
        """Whether an id is live."""
        ...

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add ids or replace their vectors: float32 (len(ids), dim). The last of a repeated id wins.

        Raises:
            IndexInputError: with both numbers in the message; nothing of the call is applied.
        """
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Remove ids; unknown ones are ignored."""
        ...

    def search(self, queries: Vectors, k: int) -> tuple[list[list[str]], list[npt.NDArray[np.float32]]]:
        """The `min(k, len(self))` nearest live ids of each query, best first, with their cosines.

        Args:
            queries: float32 (n, dim); need not be of unit length, but must be finite and not zero.
            k: how many, at least 1.
        """
        ...

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Stored unit vectors, float32 (len(ids), dim); a row of zeros for an id that is not live."""
        ...
