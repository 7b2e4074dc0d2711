"""Principal components: fewer dimensions for the graph, the float32 rows for the last word."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from index.base import IndexInputError, Vectors


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map onto the leading principal directions of some vectors.

    Inner products of projected vectors approximate those of the vectors: the directions are those of the second
    moment, without centring, which lose the least of them (Eckart and Young, 1936).

    Attributes:
        matrix: float32 (dim, width), orthonormal columns.
        share: how much of the vectors' squared length the map keeps, on those it was fitted to.
    """

    matrix: Vectors
    share: float

    @classmethod
    def fit(cls, vectors: Vectors, width: int) -> "Projection":
        """The best map of `vectors` onto `width` dimensions.

        Args:
            vectors: float32 (n, dim), unit length; a sample of some thousands will do.
            width: 1 ≤ width ≤ dim.

        Raises:
            IndexInputError: fewer vectors than `width`, or a width that there is not.
        """
        n, dim = vectors.shape
        if not 1 <= width <= dim:
            raise IndexInputError(f"a projection to {width} dimensions, wanted 1 to {dim}")
        if n < width:
            raise IndexInputError(f"{n} vectors to fit {width} dimensions, wanted at least {width}")
        moment = vectors.T.astype(np.float64) @ vectors.astype(np.float64)
        values, directions = np.linalg.eigh(moment)
        leading = directions[:, ::-1][:, :width]
        # An eigenvector's sign is arbitrary; fixed, the same vectors give the same bytes.
        signs = np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(width)])
        matrix = np.ascontiguousarray(leading * signs, dtype=np.float32)
        return cls(matrix, float(values[::-1][:width].sum() / values.sum()))

    @property
    def width(self) -> int:
        """Dimensions after the map."""
        return int(self.matrix.shape[1])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the matrix, hexadecimal: the map's version."""
        return hashlib.sha256(np.ascontiguousarray(self.matrix).tobytes()).hexdigest()

    def apply(self, vectors: Vectors) -> Vectors:
        """The projected vectors, float32 (n, width), not of unit length."""
        return vectors @ self.matrix
