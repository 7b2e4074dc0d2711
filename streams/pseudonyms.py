"""Pseudonyms: shoppers by a keyed hash, made where an id enters, so that nothing behind the edge knows who they are.

    version 1:  HMAC-SHA256(key 1, id)        version n:  HMAC-SHA256(key n, version n-1)
    written:    pn2_5T0c…                     `pn`, version, `_`, 192 bits in base64url

A version is made from the one before it, so a row moves to a new version without the id that it is about
(`upwell rekey`), and a pseudonym of an old version is still understood. An id always has the same pseudonym under the
same keys; without the keys it can neither be made nor be taken back (NIST SP 800-188, section 4.3).

The keys are lines of a file, one a version, or the same lines in an environment variable:

    1 sha256hmac:3q2-7wEq…                    # `upwell keys pseudonyms` makes one
"""

import base64
import hmac
import re
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from streams.errors import ConfigError, DataError, unread
from streams.settings import Settings

KEY_BYTES = 32
_HASH_BYTES = 24
_PSEUDONYM = re.compile(r"pn([1-9][0-9]{0,3})_([A-Za-z0-9_-]{32})")
_LINE = re.compile(r"([1-9][0-9]{0,3}) sha256hmac:([A-Za-z0-9_-]{43})")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,4}")


class UnknownVersionError(DataError):
    """A pseudonym of a key version that is not among the keys."""


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Makes pseudonyms.

    Args:
        first: version of the first key.
        keys: one a version, the current one last; at least one.
    """

    first: int
    keys: tuple[bytes, ...] = field(repr=False)

    @property
    def current(self) -> int:
        """The version that is made."""
        return self.first + len(self.keys) - 1

    def of(self, shopper: str) -> str:
        """The pseudonym of an id, or the newest version of a pseudonym.

        Raises:
            UnknownVersionError: it is a pseudonym of a version that there is no key of.
        """
        return self.all_of(shopper)[-1]

    def all_of(self, shopper: str) -> list[str]:
        """An id, or an older pseudonym, and every later version of it, the current one last.

        Raises:
            UnknownVersionError: as for `of`.
        """
        version, digest = self.first - 1, shopper.encode("utf-8", "surrogatepass")
        if found := _PSEUDONYM.fullmatch(shopper):
            version, digest = int(found[1]), base64.urlsafe_b64decode(found[2])
            if not self.first <= version <= self.current:
                raise UnknownVersionError(
                    f"a pseudonym of key version {version}: the keys here are of versions {self.first} to "
                    f"{self.current} (UPWELL_PSEUDONYM_KEYS_FILE)"
                )
        names = [shopper]
        for number in range(version + 1, self.current + 1):
            digest = hmac.digest(self.keys[number - self.first], digest, sha256)[:_HASH_BYTES]
            names.append(f"pn{number}_{base64.urlsafe_b64encode(digest).decode()}")
        return names

    def event(self, value: bytes, partition: Callable[[str], int]) -> bytes:
        """An event with the pseudonyms of its `user`, `anonymous_id` and `as`; all else is as it was.

        Args:
            value: a JSON object.
            partition: gives the partition of the events of an id. A pseudonym tells nobody, so `as` of a login says it.

        Raises:
            DataError: it is no JSON object, or has a pseudonym of a version that there is no key of.
        """
        try:
            body = msgspec.json.decode(value, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise DataError(f"an event of {len(value)} bytes is no JSON object") from None
        given = {name: body[name] for name in ("user", "anonymous_id", "as") if isinstance(body.get(name), str)}
        made = {name: self.of(shopper) for name, shopper in given.items() if shopper and name != "as"}
        if given.get("as"):
            at = placed(given["as"]) or (given["as"], partition(given["as"]))
            made["as"] = f"{self.of(at[0])}@{at[1]}"
        return msgspec.json.encode(body | made)


def of(pseudonyms: Pseudonyms | None, shopper: str) -> str:
    """The pseudonym, or the id itself where there are no pseudonyms. Raises UnknownVersionError."""
    return shopper if pseudonyms is None else pseudonyms.of(shopper)


def is_pseudonym(shopper: str) -> bool:
    """Whether it is written as one."""
    return _PSEUDONYM.fullmatch(shopper) is not None


def placed(text: str) -> tuple[str, int] | None:
    """The pseudonym and the partition of `PSEUDONYM@PARTITION`; None for anything else."""
    name, sign, number = text.rpartition("@")
    return (name, int(number)) if sign and is_pseudonym(name) and _NUMBER.fullmatch(number) else None


def new_line(version: int) -> str:
    """A line with a fresh key, for the file."""
    return f"{version} sha256hmac:{secrets.token_urlsafe(KEY_BYTES)}"


def parse(text: str) -> Pseudonyms:
    """The keys of a file; blank lines, and what follows a `#`, are left out.

    Raises:
        ConfigError: naming the line that is wrong, without showing it.
    """
    keys: dict[int, bytes] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].strip()
        if not words:
            continue
        found = _LINE.fullmatch(words)
        if found is None:
            raise ConfigError(
                f"line {number} of the pseudonym keys is not `VERSION sha256hmac:KEY`; "
                "`upwell keys pseudonyms` makes one"
            )
        version = int(found[1])
        if keys and version != max(keys) + 1:
            raise ConfigError(f"line {number} of the pseudonym keys is of version {version}, wanted {max(keys) + 1}")
        keys[version] = base64.urlsafe_b64decode(found[2] + "=")
    if not keys:
        raise ConfigError("there is no pseudonym key: add the line that `upwell keys pseudonyms` prints")
    return Pseudonyms(min(keys), tuple(keys.values()))


def read(path: Path) -> Pseudonyms:
    """The keys of a file that nobody else may read.

    Raises:
        ConfigError: it cannot be read, others may read or write it, or it is not as it should be.
    """
    try:
        if path.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise ConfigError(f"others may read or write {path}, and so tell who is who: chmod o-rwx,g-w {path}")
        return parse(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"UPWELL_PSEUDONYM_KEYS_FILE cannot be read: {unread(error)}") from None


def of_settings(settings: Settings) -> Pseudonyms | None:
    """The keys that the settings name; None where shoppers keep their ids.

    Raises:
        ConfigError: they cannot be used.
    """
    if settings.pseudonym_keys_file is not None:
        return read(settings.pseudonym_keys_file)
    return parse(settings.pseudonym_keys.get_secret_value()) if settings.pseudonym_keys is not None else None
