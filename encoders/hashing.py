"""A model-free encoder: hashed words and character n-grams.

Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (ICML 2009), §2: every feature adds +w or
-w to one coordinate, both chosen by a hash, so that inner products stay unbiased. It knows no synonyms and needs no
download: for unit tests, and for shops that want lexical similarity alone.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from encoders.base import Vectors

_SCHEME = "hashing-1: NFKC casefold; words weigh 2, character 3-grams of <word> weigh 1; blake2b-64"
_WORD = re.compile(r"\w+")
_WORD_WEIGHT = 2
_NGRAM = 3
_MAX_WORD = 64
MIN_DIM, MAX_DIM = 2, 32_768
"""Lengths of a vector; what goes beside it has to fit into a record, too."""
_NOTHING = ""
"""The feature of a text without words: such a text still needs a unit vector."""


class HashingEncoder:
    """Feature hashing to unit vectors, the same bits on every machine.

    Weights are integers, so sums are exact in any order, and square root and division are exactly rounded by IEEE 754.

    Args:
        dim: length of a vector, `MIN_DIM` to `MAX_DIM`.
        template: names how the caller makes a text of an item; part of the id.
    """

    provider = "numpy"

    def __init__(self, dim: int = 384, template: str = "") -> None:
        """See the class."""
        if not MIN_DIM <= dim <= MAX_DIM:
            raise ValueError(f"dim is {dim}, but a hashing encoder has {MIN_DIM} to {MAX_DIM} coordinates")
        self.dim = dim
        digest = hashlib.sha256(f"{_SCHEME}\0{dim}\0{template}".encode()).hexdigest()
        self.id = f"hashing@{dim}-{digest[:8]}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts, in order: float32 (len(texts), dim), unit rows."""
        vectors = np.zeros((len(texts), self.dim), np.float64)
        for row, text in zip(vectors, texts, strict=True):
            for word in _words(text):
                for slot, weight in _features(word):
                    row[slot % self.dim] += weight
            if not row.any():  # no words, or opposite signs that cancelled
                slot, weight = _feature(_NOTHING, 1)
                row[slot % self.dim] = weight
        unit: Vectors = (vectors / np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))).astype(np.float32)
        return unit


def _words(text: str) -> Iterator[str]:
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).casefold()):
        yield match.group()[:_MAX_WORD]


@lru_cache(maxsize=50_000)
def _features(word: str) -> tuple[tuple[int, int], ...]:
    """(hash, signed weight) of a word and its character n-grams: the n-grams match what is spelled alike."""
    framed = f"<{word}>"
    ngrams = (framed[i : i + _NGRAM] for i in range(len(framed) - _NGRAM + 1))
    return (_feature(word, _WORD_WEIGHT), *(_feature(f"#{ngram}", 1) for ngram in ngrams))


def _feature(name: str, weight: int) -> tuple[int, int]:
    # A lone surrogate is legal in a Python str but has no UTF-8 form.
    value = int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return value >> 1, weight if value & 1 else -weight
