"""A schema registry that speaks Confluent's API: schemas by id, fetched once, kept for good.

`learn` is asked before records are read, and is the only place that waits for the network; `reader` never does. What a
registry says of an id (a schema, or that there is none) is told of the record. A registry that does not answer says
nothing of any record: whoever reads records waits until it does, as for a store.
"""

import asyncio
import re
import ssl
import time
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import structlog

from streams.engine.store import StoreError
from streams.formats.avro import Reader, avro_reader, json_reader
from streams.formats.base import Fault, FormatError

MOST_BYTES = 1 << 20
"""Of an answer of the registry."""

TIMEOUT_S = 10.0
TOGETHER = 8
"""Schemas that are asked for at a time."""

AGAIN_S = 60.0
"""An id that the registry did not know is asked for again after so many seconds."""

MOST_UNKNOWN = 10_000
"""Ids that the registry did not know and that are remembered."""

PATIENCE_S = 2.0

_READERS = {"AVRO": avro_reader, "JSON": json_reader}
_log = structlog.get_logger(__name__)


class RegistryError(StoreError):
    """The registry does not answer, or not as one; nothing is known of the record that it was asked for."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where a registry is, and how to be let in: a user with a password, or a token."""

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Of every request."""
        accept = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if self.token is not None:
            return {**accept, "Authorization": f"Bearer {self.token}"}
        if self.user is not None:
            pair = b64encode(f"{self.user}:{self.password or ''}".encode()).decode()
            return {**accept, "Authorization": f"Basic {pair}"}
        return accept


class _Schema(msgspec.Struct):
    schema: str
    schemaType: str = "AVRO"  # noqa: N815 - the registry's name
    references: list[Any] = []


class Registry:
    """The schemas of one registry."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._readers: dict[int, Reader] = {}
        self._unknown: dict[int, tuple[FormatError, float]] = {}

    def reader(self, schema: int) -> Reader:
        """What reads values of a schema.

        Raises:
            FormatError: the registry has no such schema, or one that is not read here.
        """
        if (found := self._readers.get(schema)) is not None:
            return found
        why, _ = self._unknown.get(schema, (None, 0.0))
        raise why or FormatError(Fault.UNKNOWN_SCHEMA, f"schema {schema} was not asked for")

    async def learn(self, schemas: Iterable[int]) -> None:
        """Ask for schemas that are not known yet.

        Raises:
            RegistryError: the registry does not answer, or lets nobody in.
        """
        now = time.monotonic()
        wanted = [one for one in sorted(set(schemas)) if one not in self._readers and self._due(one, now)]
        if not wanted:
            return
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=TOGETHER, ssl=self._access.tls or True)
        async with aiohttp.ClientSession(headers=self._access.headers, timeout=timeout, connector=connector) as session:
            for start in range(0, len(wanted), TOGETHER):
                asking = [self._learn(session, one) for one in wanted[start : start + TOGETHER]]
                for failed in await asyncio.gather(*asking, return_exceptions=True):
                    if failed is not None:
                        raise failed

    async def learn_patiently(self, schemas: Iterable[int]) -> None:
        """The same, trying again until the registry answers."""
        wanted = list(schemas)
        while True:
            try:
                return await self.learn(wanted)
            except RegistryError as error:
                _log.warning("waiting for the schema registry", because=str(error))
                await asyncio.sleep(PATIENCE_S)

    def _due(self, schema: int, now: float) -> bool:
        return schema not in self._unknown or now - self._unknown[schema][1] >= AGAIN_S

    async def _learn(self, session: aiohttp.ClientSession, schema: int) -> None:
        try:
            self._readers[schema] = _reader(schema, await self._fetched(session, schema))
            self._unknown.pop(schema, None)
        except FormatError as error:
            if len(self._unknown) >= MOST_UNKNOWN:
                self._unknown.pop(next(iter(self._unknown)))
            self._unknown[schema] = error, time.monotonic()

    async def _fetched(self, session: aiohttp.ClientSession, schema: int) -> bytes:
        url = f"{self._access.url.rstrip('/')}/schemas/ids/{schema}"
        try:
            # Not followed: credentials belong to the registry alone.
            async with session.get(url, allow_redirects=False) as response:
                body = await response.content.read(MOST_BYTES + 1)
                while len(body) <= MOST_BYTES and (more := await response.content.read(MOST_BYTES + 1 - len(body))):
                    body += more
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RegistryError(f"the schema registry does not answer ({type(error).__name__})") from None
        if status == 404:
            raise FormatError(Fault.UNKNOWN_SCHEMA, f"the registry has no schema {schema}")
        if status in (401, 403):
            raise RegistryError(
                f"the schema registry answers {status}: check UPWELL_REGISTRY_USER and UPWELL_REGISTRY_PASSWORD, or "
                "UPWELL_REGISTRY_TOKEN"
            )
        if status != 200:
            raise RegistryError(f"the schema registry answers {status} where a schema was asked for")
        if len(body) > MOST_BYTES:
            raise FormatError(Fault.UNKNOWN_SCHEMA, f"schema {schema} has more than {MOST_BYTES} bytes")
        return body


def _reader(schema: int, body: bytes) -> Reader:
    try:
        found = msgspec.json.decode(body, type=_Schema)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RegistryError("the schema registry answers with something that is no schema") from None
    if found.references:
        raise FormatError(Fault.UNKNOWN_SCHEMA, f"schema {schema} refers to others, which is not read")
    make = _READERS.get(found.schemaType)
    if make is None:
        kind = re.sub(r"[^A-Za-z0-9_-]", "?", found.schemaType)[:40]
        raise FormatError(Fault.UNKNOWN_SCHEMA, f"schema {schema} is of type {kind}: AVRO and JSON are read")
    try:
        return make(found.schema)
    except FormatError as error:
        raise FormatError(error.fault, f"schema {schema}: {error}") from None
