"""What an encoder is: text in, unit vectors out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""float32 (n, dim), every row of unit length."""


class EncoderError(Exception):
    """Base of the errors of this package; the message says what to do."""


class ModelError(EncoderError):
    """A model's files are missing, changed or not what its card says."""


class MissingRuntimeError(EncoderError):
    """onnxruntime is not installed: it comes with the extra `cpu` or `gpu`."""


class Encoder(Protocol):
    """Text to unit vectors.

    The same text gives the same bits on one device, whatever it is encoded together with.
    """

    @property
    def id(self) -> str:
        """Version: changes whenever a vector could change. Stamped on every vector."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def provider(self) -> str:
        """What computes: ONNX Runtime's execution provider as the session itself reports it, or a library."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts, in order: float32 (len(texts), dim), unit rows. Empty input gives (0, dim)."""
        ...
