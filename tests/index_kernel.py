"""A slow stand-in for numkong that computes the same."""

import numpy as np


class PlainKernel:
    """What `Int8Scanner` uses of numkong, in numpy."""

    @staticmethod
    def dots_pack(b: np.ndarray) -> np.ndarray:
        assert b.dtype == np.int8
        return b

    @staticmethod
    def from_dlpack(array: np.ndarray) -> np.ndarray:
        assert array.flags.c_contiguous
        return array

    @staticmethod
    def dots_packed(a: np.ndarray, b: np.ndarray, *, out: np.ndarray) -> None:
        assert a.dtype == np.int8
        np.matmul(a.astype(np.int32), b.T.astype(np.int32), out=out)
