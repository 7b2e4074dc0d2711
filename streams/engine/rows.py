"""The header that every table row starts with, so that the engine can order rows without knowing what is in them.

    version u8 ‖ source_offset i64 little-endian ‖ body

`source_offset` is the offset of the last record of the source partition that the row holds. Of two rows of one key
the one with the higher source offset is the newer, whoever wrote it last.
"""

import struct

_HEADER = struct.Struct("<Bq")
HEADER_SIZE = _HEADER.size


def header(version: int, source_offset: int) -> bytes:
    """The first `HEADER_SIZE` bytes of a row."""
    return _HEADER.pack(version, source_offset)


def version(row: bytes) -> int:
    """The layout version of a row. Raises struct.error for fewer bytes than a header."""
    found: int = _HEADER.unpack_from(row)[0]
    return found


def source_offset(row: bytes) -> int:
    """The source offset of a row. Raises struct.error for fewer bytes than a header."""
    offset: int = _HEADER.unpack_from(row)[1]
    return offset
