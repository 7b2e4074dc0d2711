"""Vectors of texts that were encoded lately, in bounded memory."""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
"""float32 (dim,), unit length."""

_DIGEST_SIZE = 16


def digest(text: str) -> bytes:
    """16 bytes that stand for a text. A lone surrogate has no UTF-8 form, but digests apart from a question mark."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_SIZE).digest()


class VectorCache:
    """The vectors used last, by digest of their text; the one that was not used for longest goes first.

    Shops sell the same text many times over: variants that differ in price alone, items that are taken out and put
    back. A kept vector is the very array that the encoder gave, so it has the bits that encoding again would give.

    Args:
        capacity: vectors kept; one of 384 coordinates takes about 1.7 kB.
    """

    def __init__(self, capacity: int) -> None:
        """An empty cache; with `capacity` 0 it stays empty."""
        self._capacity = capacity
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """Those of `keys` that are here."""
        found = {}
        for key in keys:
            if (vector := self._vectors.get(key)) is not None:
                self._vectors.move_to_end(key)
                found[key] = vector
        return found

    def keep(self, key: bytes, vector: Vector) -> None:
        """Remember a vector. It is copied: a row of a batch would keep the whole batch in memory."""
        self._vectors[key] = vector.copy()
        self._vectors.move_to_end(key)
        while len(self._vectors) > self._capacity:
            self._vectors.popitem(last=False)
