"""Forgetting a shopper: a request on the events topic, a ledger that outlives the profile, a receipt.

    upwell erase, DELETE /v1/users/{id} ──► a record without value on every partition of the events
        profiles agent: ledger row (a keyed hash and the time) ──► profile row deleted, recommendation and session void
            └─► merges: what came from anonymous ids deleted ──► a request for each of those ids

The request is a record like any other, so it takes its turn after all that the shopper did before. The ledger is a
table of the profiles role: nothing that the ledger covers is ever folded again, be it late, redelivered or replayed.
It names nobody: its keys are HMAC-SHA256 of the shopper under a secret of the shop.

Every partition is asked, because producers that disagree on the partitioner put one shopper on several.
"""

from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec
from aiokafka import AIOKafkaConsumer
from msgspec import Meta

from streams import changelogs
from streams.core.erasure import Ledger
from streams.edge import ERASE
from streams.engine import rows
from streams.engine.effects import Output
from streams.topics import Topics


class Publishes(Protocol):
    """`streams.engine.publisher.Publisher`."""

    async def publish(self, records: Sequence[Output], /) -> dict[tuple[str, int], int]: ...


class Fate(msgspec.Struct, frozen=True):
    """What becomes of one place that holds something of the shopper."""

    place: str
    fate: str


class Receipt(msgspec.Struct, frozen=True):
    """That an erasure was asked for, and what it does."""

    ledger_key: Annotated[str, Meta(description="the shopper in the ledger: a keyed hash, in hex digits")]
    requested: Annotated[dict[str, int], Meta(description="`topic/partition` → offset of the request")]
    fates: list[Fate]


async def erase(publisher: Publishes, contract: Topics, ledger: Ledger, user: str) -> Receipt:
    """Ask for the erasure of a shopper. When it returns, the request is on the log and cannot be lost.

    Raises:
        PublishError: Kafka did not acknowledge; nothing is lost by asking again.
    """
    key, events = user.encode(), contract.events
    offsets = await publisher.publish([
        Output(events.name, key, None, partition, ((ERASE, b"1"),)) for partition in range(events.partitions)
    ])  # fmt: skip
    return Receipt(
        ledger.key(user).hex(),
        {f"{topic}/{partition}": offset for (topic, partition), offset in sorted(offsets.items())},
        _fates(contract),
    )


async def confirmed(consumer: AIOKafkaConsumer, contract: Topics, receipt: Receipt) -> bool:
    """Whether the workers have carried out all of a request, as the ledger's topic tells."""
    key = bytes.fromhex(receipt.ledger_key)
    found = await changelogs.rows_of(consumer, contract.erasures, lambda other: other == key)
    reached = {partition: rows.source_offset(row) for (partition, _), row in found.items()}
    return all(reached.get(int(place.rpartition("/")[2]), -1) >= offset for place, offset in receipt.requested.items())


def _fates(contract: Topics) -> list[Fate]:
    ending = contract.recommendations, contract.dlq, contract.merges, contract.questions, contract.answers
    days = {topic.name: topic.retention_ms // 86_400_000 for topic in ending}
    return [
        Fate(
            contract.profiles.name,
            "deleted by a tombstone, with what came to the shopper from anonymous ids, and those ids' own profiles; "
            "out of a machine's files at their next compaction, or by `upwell scrub`",
        ),
        Fate(contract.sessions.name, "deleted by a tombstone, and those of the shopper's anonymous ids"),
        Fate(contract.merges.name, f"what is on its way to the shopper ends within {days[contract.merges.name]} days"),
        Fate(
            contract.recommendations.name,
            f"void by a record without value; older ones end within {days[contract.recommendations.name]} days",
        ),
        Fate(contract.dlq.name, f"refused records of the shopper end within {days[contract.dlq.name]} days"),
        Fate(
            f"{contract.questions.name}, {contract.answers.name}",
            f"the shopper's end within {days[contract.questions.name]} days",
        ),
        Fate(contract.events.name, "never read again for this shopper; ends with the retention that the shop has set"),
        Fate(f"{contract.trending.name}, {contract.neighbours.name}", "sums over everybody, which name nobody: kept"),
        Fate(contract.erasures.name, "keeps the keyed hash and the time, so that nothing brings the shopper back"),
    ]
