"""A slow stand-in for numkong that computes the same."""

import numpy as np


class PlainKernel:
    """What `Int8Scanner` uses of numkong, in numpy."""

    @staticmethod
    def dots_pack(b: np.ndarray) -> np.ndarray:
        assert b.dtype == np.int8
        return b

    @staticmethod
    def dots_packed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        assert a.dtype == np.int8
        return a.astype(np.int32) @ b.T.astype(np.int32)
