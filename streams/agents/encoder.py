"""Encoder agent: catalogue changes in, embedding rows out."""

import asyncio
import logging
import time
from typing import NamedTuple

import numpy as np

from streams import codecs
from streams.codecs import Embedding
from streams.edge import Limits, accept_item
from streams.engine.effects import Batch, Effects, Reader, Rejection, Row
from streams.items import ItemEncoder
from streams.records import CatalogueItem

BULK = 16
"""A batch of so many changed items is part of a bulk load, whose progress is told."""
TELL_S = 10.0

_log = logging.getLogger(__name__)


class _Changed(NamedTuple):
    """An item to be encoded."""

    key: bytes
    offset: int
    digest: bytes
    item: CatalogueItem


class EncoderHandler:
    """Encodes items whose vector could have changed; another item keeps its vector.

    The table `embeddings` has the public embeddings topic as its changelog: writing a row publishes it.

    A batch is acknowledged when its vectors are published, and the next one is taken up after that, so Kafka holds
    what the encoder has no time for. The model runs in a thread of its own, so the event loop never waits for it.

    Attributes:
        rate: items that are encoded a second at most; 0 for no limit.
        rejects: whether refused records go to the dead letters; a second model's role leaves that to the first.
    """

    def __init__(self, encoder: ItemEncoder, limits: Limits, table: str = "embeddings") -> None:
        self._encoder = encoder
        self._limits = limits
        self._table = table
        self.rate = 0.0
        self.rejects = True
        self._free_at = 0.0
        self._encoded = 0
        self._told = time.monotonic()

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """Encode a batch of the catalogue topic. Of several records of one item the last one counts."""
        await self._limits.formats.learn(batch.records)
        newest: dict[str, tuple[int, CatalogueItem | None]] = {}
        rejections = []
        for record in batch.records:
            accepted = accept_item(record, self._limits)
            if isinstance(accepted, Rejection):
                rejections.append(accepted)
            else:
                newest[accepted[0]] = (record.offset, accepted[1])
        rows: list[Row] = [(key.encode(), None) for key, (_, item) in newest.items() if item is None]
        rows += await self._embedded({key: (o, item) for key, (o, item) in newest.items() if item is not None}, read)
        return Effects(rows={self._table: rows}, rejections=rejections if self.rejects else [])

    async def _embedded(self, items: dict[str, tuple[int, CatalogueItem]], read: Reader) -> list[Row]:
        keys = [key.encode() for key in items]
        rows: list[Row] = []
        changed: list[_Changed] = []
        for key, (offset, item), row in zip(keys, items.values(), read(self._table, keys), strict=True):
            digest = self._encoder.recipe.digest(item)
            old = codecs.decode_embedding(row) if row is not None else None
            if old is not None and old.digest == digest and old.model == self._encoder.id:
                rows.append((key, codecs.encode_embedding(Embedding(offset, digest, old.model, old.vector))))
            else:
                changed.append(_Changed(key, offset, digest, item))
        if changed:
            await self._turn(len(changed))
            vectors = await self._encoder.encode([one.item for one in changed])
            for one, vector in zip(changed, vectors.astype(np.float16), strict=True):
                row = codecs.encode_embedding(Embedding(one.offset, one.digest, self._encoder.id, vector))
                rows.append((one.key, row))
            self._tell(len(changed))
        return rows

    async def _turn(self, count: int) -> None:
        """Wait until so many items may be encoded; partitions come beside each other and share the rate."""
        if self.rate:
            now = time.monotonic()
            begin = max(now, self._free_at)
            self._free_at = begin + count / self.rate
            await asyncio.sleep(begin - now)

    def _tell(self, encoded: int) -> None:
        """Log how a bulk load goes, now and then."""
        self._encoded += encoded
        now = time.monotonic()
        if encoded < BULK:
            self._encoded, self._told = 0, now
        elif now - self._told >= TELL_S:
            rate = self._encoded / (now - self._told)
            texts, provider = self._encoder.stats.texts, self._encoder.provider
            _log.info("encoding: %d items so far, %.1f a second, on %s", texts, rate, provider)
            self._encoded, self._told = 0, now
