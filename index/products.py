"""Products of 8-bit whole numbers by ONNX Runtime: exact, and in batches six times as fast as numpy's.

ONNX Runtime multiplies unsigned by signed bytes quickly where a processor has instructions for it (AVX-512 VNNI, AVX
VNNI, AMX, NEON's dot products), and unsigned must be what there are many of: the rows. On older processors of Intel's
and AMD's kind it adds pairs of products in 16 bits and cuts off what is more, without a word; what is not exact is not
used.
"""

import threading
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]
"""uint8 (n, dim): whole numbers from −127 to 127, to each of which `ZERO` was added."""

ZERO = 128

# A model of one node, MatMulInteger(codes, columns, ZERO), of any shape; tests/unit/test_index_products.py builds it
# anew by `onnx`, whose import takes several times as long as all else here.
_MODEL = (
    b'\x08\x08:~\n(\n\x05codes\n\x07columns\n\x04zero\x12\x01y"\rMatMulInteger\x12\x08products*\x0b\x10\x02B\x04zeroJ\x01\x80'
    b"Z\x13\n\x05codes\x12\n\n\x08\x08\x02\x12\x04\n\x00\n\x00Z\x15\n\x07columns\x12\n\n\x08\x08\x03\x12\x04\n\x00\n\x00"
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x06\x12\x04\n\x00\n\x00B\x04\n\x00\x10\n"
)


class Dots(Protocol):
    """Writes the products of some rows with the queries it was made for."""

    def __call__(self, codes: Codes, out: npt.NDArray[np.int32]) -> None:
        """Write them.

        Args:
            codes: of n rows.
            out: int32 (n, b), one column a query.
        """
        ...


class Products(Protocol):
    """Gets queries ready to be multiplied with blocks of rows. Safe to use from several threads."""

    def __call__(self, queries: npt.NDArray[np.int8]) -> Dots:
        """The products with `queries`: int8 (b, dim), −127 to 127."""
        ...


_opening = threading.Lock()


def products(dim: int) -> Products | None:
    """Products of vectors of length `dim`; None where ONNX Runtime is not installed or would not be exact."""
    with _opening:  # of several threads that ask first, one opens the session
        return _checked(dim)


@cache
def _checked(dim: int) -> Products | None:
    session = _session()
    if session is None:
        return None

    def packed(queries: npt.NDArray[np.int8]) -> Dots:
        columns = np.ascontiguousarray(queries.T)

        def write(codes: Codes, out: npt.NDArray[np.int32]) -> None:
            # Bound to the output's own memory it takes as long: the copy is from the cache.
            out[...] = session.run(None, {"codes": codes, "columns": columns})[0]

        return write

    return packed if exact(packed, dim) else None


@cache
def _session() -> Any | None:
    """The process's one session, without threads: a process that forks must not have any that others wait for."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what matters is raised
    return onnxruntime.InferenceSession(_MODEL, options, providers=["CPUExecutionProvider"])


def exact(multiply: Products, dim: int) -> bool:
    """Whether the products are right where they are largest, and for some others, whatever the shape of a batch."""
    rng = np.random.default_rng(0)
    extremes = np.array([[1, 1], [-1, -1], [1, -1]]) * 127
    numbers = np.vstack([np.tile(extremes, dim)[:, :dim], rng.integers(-127, 128, (32, dim))])
    codes, queries = (numbers + ZERO).astype(np.uint8), numbers.astype(np.int8)
    wanted = numbers @ numbers.T
    for n, b in ((35, 35), (35, 3), (3, 35), (1, 1)):
        out = np.empty((n, b), dtype=np.int32)
        multiply(queries[:b])(codes[:n], out)
        if not np.array_equal(out, wanted[:n, :b]):
            return False
    return True
