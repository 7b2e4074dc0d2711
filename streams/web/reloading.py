"""A file that is read again when it changes: what it says is added or taken back without a restart."""

import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from streams.errors import ConfigError, unread

RELOAD_S = 2.0
"""A change of the file is noticed within so many seconds."""

Content = TypeVar("Content")

_log = structlog.get_logger(__name__)


class Reloaded(Generic[Content]):
    """What a file says now. A file that is no longer sound changes nothing: what it said before holds.

    Args:
        path: of the file.
        parse: what its text says; raises ConfigError.
        variable: the setting that names it, for messages.

    Raises:
        ConfigError: it cannot be read or parsed, or others may write it.
    """

    def __init__(self, path: Path, parse: Callable[[str], Content], variable: str) -> None:
        self._path = path
        self._parse = parse
        self._variable = variable
        self._looked = time.monotonic()
        self._stamp, self._content = self._read()

    @property
    def now(self) -> Content:
        """What it says."""
        if time.monotonic() - self._looked >= RELOAD_S:
            self._looked = time.monotonic()
            try:
                if self._stamped() != self._stamp:
                    self._stamp, self._content = self._read()
                    _log.info("read again", setting=self._variable)
            except (ConfigError, OSError) as error:
                # Half-written or gone: whoever was let in is let in until the file is sound again.
                _log.error(
                    "a file is not sound; what it said holds", setting=self._variable, because=type(error).__name__
                )
        return self._content

    def _stamped(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> tuple[tuple[int, int, int], Content]:
        try:
            stamp = self._stamped()
            if self._path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise ConfigError(f"others may write {self._path}, and so let themselves in: chmod go-w {self._path}")
            return stamp, self._parse(self._path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self._variable} cannot be read: {unread(error)}") from None
