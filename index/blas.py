"""One thread for OpenBLAS, which cannot be forked while it has more of them at work.

OpenBLAS ends its threads in a handler that runs before a fork. When another thread is waiting for a product just then,
its work is dropped, and both the product and the fork wait for ever. A product that runs in the thread that asked for
it has nothing to lose. numpy's wheels carry OpenBLAS, under names of their own.
"""

import ctypes
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_SETTERS = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)


def use_one_thread() -> bool:
    """Let every OpenBLAS in this process use one thread from now on; whether there was one to tell.

    Products that are being computed go on as they began.
    """
    told = False
    for library in _loaded():
        for name in _SETTERS:
            if (setter := getattr(library, name, None)) is not None:
                setter(1)
                told = True
                break
    return told


def _loaded() -> list[ctypes.CDLL]:
    if not _MAPS.exists():
        return []
    paths = {line.split(maxsplit=5)[-1] for line in _MAPS.read_text().splitlines() if "openblas" in line}
    return [ctypes.CDLL(path) for path in sorted(paths) if Path(path).exists()]
