"""API keys: made here, kept as hashes in a file, compared in constant time.

    name scope[,scope…] sha256:<64 hex digits>        # one a line; blank lines and lines that start with # are left out

A key is 256 random bits, so its SHA-256 is all that has to be kept: there is nothing to guess that a slow hash (scrypt,
argon2) would protect, and a slow one would let anybody who sends keys burn the processor.
"""

import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from streams.errors import ConfigError
from streams.web.reloading import Reloaded

PREFIX = "upwell_"
"""Every key starts with it, so that scanners for leaked secrets know one when they see it."""

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,40}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")


class Scope(StrEnum):
    """What a key may be used for."""

    QUERY = "query"
    INGEST = "ingest"
    ADMIN = "admin"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept: who holds it, and what for. `digest` is the SHA-256 of the key itself; a token has none."""

    name: str
    scopes: frozenset[Scope]
    digest: bytes


def new(name: str, scopes: Sequence[Scope]) -> tuple[str, str]:
    """A fresh key, and the line for the keys file.

    Raises:
        ConfigError: the name would not do in the file, or there is no scope.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"the name {name!r} has other characters than letters, digits, '.', '_', '-', or over 40")
    if not scopes:
        raise ConfigError(f"a key without a scope is of no use: choose from {', '.join(Scope)}")
    key = PREFIX + secrets.token_urlsafe(32)
    return key, f"{name} {','.join(scopes)} sha256:{sha256(key.encode()).hexdigest()}"


def parse(text: str) -> list[Key]:
    """The keys of a file.

    Raises:
        ConfigError: naming the line that is wrong, without showing it.
    """
    keys: list[Key] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, scopes, digest = [*line.split(), "", "", ""][:3]
        found = _HASH.fullmatch(digest)
        known = set(scopes.split(",")) <= {scope.value for scope in Scope}
        if not (len(line.split()) == 3 and _NAME.fullmatch(name) and known and found):
            raise ConfigError(
                f"line {number} of the API keys file is not `name scope[,scope] sha256:hash` with scopes of "
                f"{', '.join(Scope)}; `upwell keys new` makes one"
            )
        if name in {key.name for key in keys}:
            raise ConfigError(f"line {number} of the API keys file has the name of a line before it")
        keys.append(Key(name, frozenset(map(Scope, scopes.split(","))), bytes.fromhex(found[1])))
    return keys


class Keyring:
    """The keys of a file, which is read again when it changes.

    Args:
        path: of the file.

    Raises:
        ConfigError: it cannot be read, holds no key, or may be written by others.
    """

    def __init__(self, path: Path) -> None:
        self._keys = Reloaded(path, _some, "UPWELL_API_KEYS_FILE")

    def find(self, given: str) -> Key | None:
        """The key, None for one that is not known. How long it takes tells nothing of the keys."""
        digest, found = sha256(given.encode("utf-8", "surrogatepass")).digest(), None
        for key in self._keys.now:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found


def _some(text: str) -> list[Key]:
    keys = parse(text)
    if not keys:
        raise ConfigError("UPWELL_API_KEYS_FILE holds no key: add the line that `upwell keys new` prints")
    return keys
