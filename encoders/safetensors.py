"""Reads safetensors without any framework.

The format (huggingface/safetensors, README "Format"): ``header_length_u64_le (8 bytes) ‖ JSON header ‖ data``; the
header maps a name to dtype, shape and [begin, end) within the data.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from encoders.base import ModelError

_MAX_HEADER = 100_000_000
"""The reference implementation's own limit."""
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1", "BOOL": "?"}


def read_safetensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Arrays by name, as views of the mapped file. bfloat16, which numpy lacks, becomes float32.

    Raises:
        ModelError: it is not a safetensors file, or a tensor lies outside of it.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))[0]
        if not 2 <= length <= min(size - 8, _MAX_HEADER):
            raise ModelError(f"{path.name} is not a safetensors file: its header claims {length} of {size} bytes")
        header = file.read(length)
    try:
        entries: dict[str, Any] = json.loads(header)
        if not isinstance(entries, dict):
            raise ValueError("its header is no JSON object")
        entries.pop("__metadata__", None)
        data = np.memmap(path, np.uint8, "r", offset=8 + length, shape=(size - 8 - length,))
        return {name: _tensor(data, **entry) for name, entry in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path.name} is not a sound safetensors file: {error}") from error


def _tensor(
    data: npt.NDArray[np.uint8], dtype: str, shape: list[int], data_offsets: tuple[int, int]
) -> npt.NDArray[Any]:
    begin, end = data_offsets
    if not 0 <= begin <= end <= len(data):
        raise ValueError(f"a tensor claims bytes {begin} to {end} of {len(data)}")
    raw = np.asarray(data[begin:end])
    if dtype == "BF16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    return raw.view(_DTYPES[dtype]).reshape(shape)
