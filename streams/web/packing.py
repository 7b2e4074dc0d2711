"""Request bodies that came packed (RFC 9110, section 8.4.1): unpacked within bounds, and to their very end.

aiohttp's own unpacking takes what there is of a gzip stream that was cut off, and the first of several members alone:
a part of a bulk upload would pass for the whole.
"""

import zlib

_BARE = -zlib.MAX_WBITS
_WINDOWS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
CODINGS = ("gzip", "deflate")


class PackingError(ValueError):
    """The bytes are not of this coding, or do not come to its end."""


class Unpacker:
    """Unpacks one body as it comes. `coding` is one of `CODINGS` or `x-gzip`, in small letters; else KeyError.

    Some clients deflate without the wrapper that the RFC asks for: the first byte tells (RFC 1950, section 2.2).
    """

    def __init__(self, coding: str) -> None:
        self._window = _WINDOWS[coding]
        self._members = self._window > zlib.MAX_WBITS
        self._begun = False
        self._stream = zlib.decompressobj(self._window)

    def feed(self, chunk: bytes, most: int) -> bytes:
        """What a chunk unpacks to: all of it, or else more than `most` bytes of it.

        Raises:
            PackingError: it is not of this coding.
        """
        found = bytearray()
        if chunk and not self._begun:
            self._begun = True
            if not self._members and chunk[0] & 0x0F != zlib.DEFLATED:
                self._stream = zlib.decompressobj(_BARE)
        try:
            while chunk and len(found) <= most:
                if self._stream.eof:
                    if not self._members:
                        raise PackingError("bytes behind the end")
                    self._stream = zlib.decompressobj(self._window)
                # One byte more than may be: it tells that there is more.
                found += self._stream.decompress(chunk, most + 1 - len(found))
                chunk = self._stream.unconsumed_tail or self._stream.unused_data
        except zlib.error as error:
            raise PackingError(str(error)) from None
        return bytes(found)

    def end(self) -> None:
        """Nothing comes any more.

        Raises:
            PackingError: that was not the end.
        """
        if not self._stream.eof:
            raise PackingError("it is cut off")
