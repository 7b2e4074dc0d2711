"""The merges topic: what anonymous shoppers did, on its way to the users that they have logged in as.

profiles ──► merge_records ──► shop.merges.v1 ──► taken_in ──► rows of the table `profiles` under keys of their own
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from streams import codecs, pseudonyms, transfers
from streams.core import merging
from streams.core.events import Alias, Arrival
from streams.core.merging import Joined, Move
from streams.core.profile import Profile
from streams.edge import ERASE, AcceptedEvent, Limits, erasure_of
from streams.engine.effects import Batch, Output, Reader, Record, Rejection, RejectReason, Row
from streams.errors import ContractError
from streams.topics import Topic, Topics

_ERASING = ((ERASE, b"1"),)


class TakenIn(NamedTuple):
    """What a batch of the merges topic leads to.

    Attributes:
        rows: of the table `profiles`.
        joined: what has moved to the users of the batch, with the last move of each.
        requests: erasures of anonymous shoppers of users who were erased.
        rejections: records that are none.
    """

    rows: list[Row]
    joined: dict[str, tuple[Joined, Move]]
    requests: list[Output]
    rejections: list[Rejection]


def merge_records(merges: Topic, origin: int, moved: Iterable[tuple[Alias, Move]]) -> list[Output]:
    """What events of the partition `origin` bring to users, in offset order, as records: one a user.

    One record, however many moves: Kafka takes it whole or not at all, so no move overtakes one before it.
    """
    parcels: dict[Alias, list[Move]] = {}
    for alias, move in moved:
        parcels.setdefault(alias, []).append(move)
    return [
        Output(
            merges.name,
            alias.user.encode(),
            transfers.encode_merges(origin, parcel),
            alias.partition % merges.partitions,
        )
        for alias, parcel in parcels.items()
    ]


def erasure_records(merges: Topic, partition: int, users: Iterable[str]) -> list[Output]:
    """That users are to be forgotten, for what has moved to them in a partition."""
    return [Output(merges.name, user.encode(), None, partition, _ERASING) for user in users]


def moves_of(
    shopper: str,
    events: Sequence[AcceptedEvent],
    before: Profile,
    new: Sequence[Arrival],
    limits: Limits,
) -> Iterable[tuple[Alias, Move]]:
    """What a shopper's new events bring to users; see `merging.moves`."""
    by_offset = {event.arrival.offset: event for event in events}
    for alias, arrival, profile in merging.moves(before, new, limits.half_lives):
        cause = by_offset[arrival.offset]
        about = cause.event
        yield (
            alias,
            Move(arrival.offset, shopper, about.id, about.type, about.time, cause.timestamp, about.item, profile),
        )


def taken_in(batch: Batch, read: Reader, limits: Limits, topics: Topics) -> TakenIn:
    """Add up a batch of the merges topic, each move once however often it is sent.

    What the ledger covers is passed over: the anonymous shopper has come to a user who has been erased since, and is
    erased, too. So are, with a user, all anonymous shoppers that have moved to them.
    """
    rejections: list[Rejection] = []
    decoded = [(record, found) for record in batch.records if (found := _decoded(record, limits, rejections))]
    users = list(dict.fromkeys(user for _, (user, _, _) in decoded))
    keys = [codecs.profile_keys(user)[1] for user in users]
    rows = dict(zip(users, map(codecs.decode_joined, read("profiles", keys)), strict=True))
    ledger = read("erasures", [limits.ledger.key(user) for user in users])
    erased = dict(zip(users, map(codecs.decode_erasure, ledger), strict=True))
    last: dict[str, Move] = {}
    forgotten: dict[str, int] = {}
    for record, (user, origin, moves) in decoded:
        if moves is None:
            if record.offset > rows[user].offset:
                forgotten |= rows[user].ids
                rows[user] = Joined()
                last.pop(user, None)
            continue
        late = {move.offset for move in moves if erased[user].before(move.time, move.timestamp)}
        forgotten |= {move.shopper: origin for move in moves if move.offset in late}
        if left := [move for move in moves if move.offset not in late]:
            rows[user] = merging.fold(rows[user], origin, left, record.offset)
            last[user] = left[-1]
    return TakenIn(
        [(key, _row(rows[user])) for user, key in zip(users, keys, strict=True)],
        {user: (rows[user], move) for user, move in last.items()},
        [
            Output(topics.events.name, shopper.encode(), None, origin % topics.events.partitions, _ERASING)
            for shopper, origin in forgotten.items()
        ],
        rejections,
    )


def _row(joined: Joined) -> bytes | None:
    return codecs.encode_joined(joined) if joined.offset >= 0 else None


def _decoded(record: Record, limits: Limits, rejections: list[Rejection]) -> tuple[str, int, list[Move] | None] | None:
    """User, origin and moves of a record, None for moves where the user is erased; None for what is none."""
    try:
        if erasure := erasure_of(record, limits):
            return erasure[0], 0, None
        origin, moves = transfers.decode_merges(record.value or b"")
        # A pseudonym of before the keys were changed is a pseudonym still.
        return pseudonyms.of(limits.pseudonyms, (record.key or b"").decode()), origin, moves
    except (ContractError, UnicodeDecodeError, pseudonyms.UnknownVersionError) as error:
        rejections.append(Rejection(record, RejectReason.UNDECODABLE, str(error)))
        return None
