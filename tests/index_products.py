"""Slow stand-ins for the products of ONNX Runtime."""

import numpy as np

from index.products import ZERO, Codes, Dots


def plain(queries: np.ndarray) -> Dots:
    """The right products, in numpy."""
    assert queries.dtype == np.int8

    def write(codes: Codes, out: np.ndarray) -> None:
        assert codes.dtype == np.uint8
        np.matmul(codes.astype(np.int32) - ZERO, queries.T.astype(np.int32), out=out)

    return write


def saturating(queries: np.ndarray) -> Dots:
    """What processors without VNNI give: neighbouring products are added in 16 bits."""
    columns = np.vstack([queries.T, np.zeros((len(queries.T) % 2, len(queries)), np.int8)]).astype(np.int32)

    def write(codes: Codes, out: np.ndarray) -> None:
        rows = np.hstack([codes, np.zeros((len(codes), codes.shape[1] % 2), np.uint8)]).astype(np.int32)
        pairs = rows[:, 0::2, None] * columns[0::2] + rows[:, 1::2, None] * columns[1::2]
        out[...] = np.clip(pairs, -32768, 32767).sum(axis=1) - ZERO * columns.sum(axis=0)

    return write
