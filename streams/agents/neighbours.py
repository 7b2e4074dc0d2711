"""Neighbours agent: what events add to pairs of items in, one row of neighbours an item out.

profiles ──► pair_records ──► shop.pairs.v1 ──► NeighboursHandler ──► table `neighbours` = shop.neighbours.v1
"""

from collections.abc import Iterable

from streams import codecs, transfers
from streams.agents.decoding import decoded
from streams.core import cooccurrence
from streams.core.cooccurrence import Delta, Share
from streams.engine.effects import Batch, Effects, Output, Reader, Row
from streams.topics import Topic, item_partition


def pair_records(pairs: Topic, origin: int, deltas: Iterable[Delta]) -> list[Output]:
    """Deltas of events of the partition `origin`, in offset order, as records: one for each partition of the items.

    One record, however many deltas: Kafka takes it whole or not at all, so no delta overtakes one before it. One that
    is too large makes the engine halve the batch of events.
    """
    parcels: dict[int, list[Delta]] = {}
    for delta in deltas:
        home = item_partition(delta.item, pairs.partitions)
        parcels.setdefault(home, []).append(delta)
        away: dict[int, tuple[list[str], list[float]]] = {}
        for partner, weight in zip(delta.partners, delta.weights, strict=True):
            place = item_partition(partner, pairs.partitions)
            if place != home:
                partners, weights = away.setdefault(place, ([], []))
                partners.append(partner)
                weights.append(weight)
        for place, (partners, weights) in away.items():
            part = delta._replace(partners=tuple(partners), weights=tuple(weights))
            parcels.setdefault(place, []).append(part)
    return [
        Output(pairs.name, None, transfers.encode_pairs(origin, parcel), place) for place, parcel in parcels.items()
    ]


class NeighboursHandler:
    """Adds deltas to the rows of the items they are about, each once however often it is sent."""

    def __init__(self, pairs: Topic) -> None:
        self._partitions = pairs.partitions

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """Add up a batch of the pairs topic."""

        def mine(item: str) -> bool:
            return item_partition(item, self._partitions) == batch.partition

        given: dict[str, list[Share]] = {}
        newest: dict[str, int] = {}
        parcels, rejections = decoded(batch.records, transfers.decode_pairs)
        for record, (origin, deltas) in parcels:
            for delta in deltas:
                for item, share in cooccurrence.shares(origin, delta, mine):
                    given.setdefault(item, []).append(share)
                    newest[item] = record.offset
        keys = [item.encode() for item in given]
        before = [codecs.decode_neighbours(row) for row in read("neighbours", keys)]
        rows: list[Row] = [
            (key, codecs.encode_neighbours(cooccurrence.fold(old, shares, newest[item])))
            for key, old, (item, shares) in zip(keys, before, given.items(), strict=True)
        ]
        return Effects(rows={"neighbours": rows}, rejections=rejections)
