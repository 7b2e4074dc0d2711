"""Encoder agent: catalogue changes in, embedding rows out."""

import asyncio
from hashlib import blake2b

import numpy as np

from encoders.base import Encoder
from streams import codecs
from streams.codecs import DIGEST_SIZE, Embedding
from streams.edge import Limits, accept_item
from streams.engine.effects import Batch, Effects, Reader, Rejection, Row
from streams.records import CatalogueItem

TEMPLATE = "title. brand. category. description"
"""Names how `item_text` makes a text; part of the encoder's id, so that another way gives other vectors."""


def item_text(item: CatalogueItem) -> str:
    """The text an item is encoded from: title, brand, category path, description."""
    parts = [item.title, item.brand or "", " / ".join(item.category), item.description]
    return ". ".join(part.strip() for part in parts if part.strip())


class EncoderHandler:
    """Encodes items whose text changed; an item whose text did not keeps its vector.

    The table `embeddings` has the public embeddings topic as its changelog: writing a row publishes it.
    """

    def __init__(self, encoder: Encoder, limits: Limits) -> None:
        self._encoder = encoder
        self._limits = limits

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """Encode a batch of the catalogue topic. Of several records of one item the last one counts."""
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
        return Effects(rows={"embeddings": rows}, rejections=rejections)

    async def _embedded(self, items: dict[str, tuple[int, CatalogueItem]], read: Reader) -> list[Row]:
        keys = [key.encode() for key in items]
        rows: list[Row] = []
        pending: list[tuple[bytes, int, bytes]] = []
        texts: list[str] = []
        for key, (offset, item), row in zip(keys, items.values(), read("embeddings", keys), strict=True):
            text = item_text(item)
            digest = blake2b(text.encode(), digest_size=DIGEST_SIZE).digest()
            old = codecs.decode_embedding(row) if row is not None else None
            if old is not None and old.digest == digest and old.model == self._encoder.id:
                rows.append((key, codecs.encode_embedding(Embedding(offset, digest, old.model, old.vector))))
            else:
                pending.append((key, offset, digest))
                texts.append(text)
        if texts:
            vectors = await asyncio.to_thread(self._encoder.encode, texts)
            for (key, offset, digest), vector in zip(pending, vectors.astype(np.float16), strict=True):
                rows.append((key, codecs.encode_embedding(Embedding(offset, digest, self._encoder.id, vector))))
        return rows
