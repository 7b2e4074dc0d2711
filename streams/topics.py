"""Every topic: name, key, partitions, retention. The only place; AsyncAPI is generated from here.

Several of them are the changelogs of RocksDB tables (`table` is set). They are public, compacted topics rather
than hidden ones: what rebuilds a worker is the same thing a consumer may read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from zlib import crc32

DAY_MS = 86_400_000
FOREVER = -1


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the contract.

    `compacted` topics keep the newest record of a key; the others, and compacted ones that say so, keep records for
    `retention_ms` (-1: forever).
    `key` and `value` say in words what the bytes are, `schema` names the record type in `streams.records`
    (None for binary values). `table` is the RocksDB table whose changelog this topic is.
    """

    name: str
    key: str
    value: str
    about: str
    partitions: int
    compacted: bool
    retention_ms: int = FOREVER
    schema: str | None = None
    table: str | None = None
    config: tuple[tuple[str, str], ...] = field(default=())

    def broker_config(self) -> dict[str, str]:
        """The topic-level configuration to create it with."""
        fading = not self.compacted or self.retention_ms != FOREVER
        policies = ["compact"] * self.compacted + ["delete"] * fading
        config = {"cleanup.policy": ",".join(policies), **dict(self.config)}
        if fading:
            config["retention.ms"] = str(self.retention_ms)
        return config


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one shop. Iterates over all of them in the order of the data flow."""

    events: Topic
    catalogue: Topic
    embeddings: Topic
    embeddings_b: Topic
    models: Topic
    profiles: Topic
    trending: Topic
    erasures: Topic
    pairs: Topic
    merges: Topic
    neighbours: Topic
    sessions: Topic
    head: Topic
    examples: Topic
    ranker: Topic
    recommendations: Topic
    questions: Topic
    answers: Topic
    dlq: Topic

    def __iter__(self) -> Iterator[Topic]:
        return iter((
            self.events, self.catalogue, self.embeddings, self.embeddings_b, self.models, self.profiles,
            self.trending, self.erasures, self.pairs, self.merges, self.neighbours, self.sessions,
            self.head, self.examples, self.ranker, self.recommendations, self.questions, self.answers, self.dlq,
        ))  # fmt: skip

    @property
    def slots(self) -> dict[str, Topic]:
        """The two topics of embeddings, by table: while a shop changes its model, each holds those of one model."""
        return {str(topic.table): topic for topic in (self.embeddings, self.embeddings_b)}

    def by_table(self, table: str) -> Topic:
        """The changelog topic of a table. Raises KeyError for an unknown table."""
        for topic in self:
            if topic.table == table:
                return topic
        raise KeyError(table)


def item_partition(item: str, partitions: int) -> int:
    """The partition of `pairs` and `neighbours` that has an item: CRC-32, for speed in Python."""
    return crc32(item.encode()) % partitions


def topics(prefix: str = "shop", partitions: int = 4) -> Topics:
    """The contract for one shop.

    Topics that are keyed alike have the same number of partitions, because a record's row, its changelog
    entry and its output stay on the partition the record came from.
    """
    return Topics(
        events=Topic(
            name=f"{prefix}.events.v1",
            key="shopper: `user`, else `anonymous_id`",
            value="JSON event, or null with the header `upwell.erase` to forget the shopper",
            about="What shoppers do. Produced by the shop. The log that profiles and popularity are a function of.",
            partitions=partitions,
            compacted=False,
            schema="Event",
        ),
        catalogue=Topic(
            name=f"{prefix}.catalogue.v1",
            key="item id",
            value="JSON catalogue item, or null to delete the item",
            about="What the shop sells. Produced by the shop. The newest record of an item is the item.",
            partitions=partitions,
            compacted=True,
            schema="CatalogueItem",
        ),
        embeddings=Topic(
            name=f"{prefix}.embeddings.v1",
            key="item id",
            value="binary: unit vector with model id and text digest (streams/codecs.py), or null",
            about="One vector per item, read whole by every worker into its live index.",
            partitions=partitions,
            compacted=True,
            table="embeddings",
        ),
        embeddings_b=Topic(
            name=f"{prefix}.embeddings-b.v1",
            key="item id",
            value="binary: unit vector with model id and text digest (streams/codecs.py), or null",
            about="The same for a second model, while a shop changes its model; from then on this one serves.",
            partitions=partitions,
            compacted=True,
            table="embeddings_b",
        ),
        models=Topic(
            name=f"{prefix}.models.v1",
            key="`encoder`",
            value="JSON model plan",
            about="Which model serves, on which topic its vectors are, and which one is to follow it.",
            partitions=1,
            compacted=True,
            schema="ModelPlan",
        ),
        profiles=Topic(
            name=f"{prefix}.profiles.v1",
            key="shopper",
            value="binary profile row (streams/codecs.py)",
            about="The shoppers' profiles. Rebuilds a worker's RocksDB table.",
            partitions=partitions,
            compacted=True,
            table="profiles",
        ),
        trending=Topic(
            name=f"{prefix}.trending.v1",
            key="item id; with a segment of shoppers before it, between bytes 0xff, for popularity within the segment",
            value="binary decayed popularity of the item within this partition's events, of all and of those by which "
            "shoppers discover it, and when the first was (streams/codecs.py)",
            about="Live popularity, read whole by every worker and summed over partitions.",
            partitions=partitions,
            compacted=True,
            table="trending",
        ),
        erasures=Topic(
            name=f"{prefix}.erasures.v1",
            key="keyed hash of the shopper",
            value="binary: when the shopper asked to be forgotten (streams/codecs.py)",
            about="The ledger of erasures: nothing from before is ever folded again. It names nobody.",
            partitions=partitions,
            compacted=True,
            table="erasures",
        ),
        pairs=Topic(
            name=f"{prefix}.pairs.v1",
            key="none: the partition is the one that `item_partition` gives for the items",
            value="binary: what events add to items and pairs of items of this partition (streams/transfers.py)",
            about="Which items were seen together, on their way from the shoppers' partitions to the items'.",
            partitions=partitions,
            compacted=False,
            retention_ms=7 * DAY_MS,
        ),
        merges=Topic(
            name=f"{prefix}.merges.v1",
            key="shopper: the `user` whom an anonymous shopper has logged in as",
            value="binary: what an anonymous shopper did (streams/transfers.py); null with `upwell.erase` to forget it",
            about="What anonymous shoppers did, on its way to the partitions of the users that they are.",
            partitions=partitions,
            compacted=False,
            retention_ms=7 * DAY_MS,
        ),
        neighbours=Topic(
            name=f"{prefix}.neighbours.v1",
            key="item id",
            value="binary: decayed weights of the item and of its pairs with others (streams/codecs.py)",
            about="What goes with an item, read whole by every worker.",
            partitions=partitions,
            compacted=True,
            table="neighbours",
        ),
        sessions=Topic(
            name=f"{prefix}.sessions.v1",
            key="shopper",
            value="binary: the items that the shopper was for lately (streams/sessions.py), or null",
            about="What shoppers had lately, read whole by every worker: what those with the same had is recommended.",
            partitions=partitions,
            compacted=True,
            retention_ms=60 * DAY_MS,
        ),
        head=Topic(
            name=f"{prefix}.head.v1",
            key="`head`",
            value="binary: what was learnt of what shoppers do next (streams/headrows.py)",
            about="How queries are turned to where shoppers go next, learnt by each partition of the pairs.",
            partitions=partitions,
            compacted=True,
            table="head",
            # One key that is written again and again: in small segments it is compacted before it is long.
            config=(("segment.bytes", str(16 << 20)),),
        ),
        examples=Topic(
            name=f"{prefix}.examples.v1",
            key="none",
            value="binary: features of candidates, and which of them the shopper chose (streams/ranking_codec.py)",
            about="What the ranker learns from, in the order in which it learns. It names no shopper and no item.",
            partitions=1,
            compacted=False,
            retention_ms=7 * DAY_MS,
        ),
        ranker=Topic(
            name=f"{prefix}.ranker.v1",
            key="`ranker`",
            value="binary: the weights of the ranker (streams/ranking_codec.py)",
            about="What the ranker has learnt, read by every worker. The newest record holds.",
            partitions=1,
            compacted=True,
            table="ranker",
            config=(("segment.bytes", str(16 << 20)),),
        ),
        recommendations=Topic(
            name=f"{prefix}.recommendations.v1",
            key="shopper",
            value="JSON recommendation",
            about="Fresh, diverse, explained recommendations: the product.",
            partitions=partitions,
            compacted=False,
            retention_ms=7 * DAY_MS,
            schema="Recommendation",
        ),
        questions=Topic(
            name=f"{prefix}.questions.v1",
            key="`user`, else `id`",
            value="JSON question",
            about="What customers ask in plain words. Produced by the shop.",
            partitions=partitions,
            compacted=False,
            retention_ms=7 * DAY_MS,
            schema="Question",
        ),
        answers=Topic(
            name=f"{prefix}.answers.v1",
            key="that of the question",
            value="JSON answer",
            about="Answers that say what the catalogue says, and that something is not known where it is not.",
            partitions=partitions,
            compacted=False,
            retention_ms=7 * DAY_MS,
            schema="Answer",
        ),
        dlq=Topic(
            name=f"{prefix}.dlq.v1",
            key="the refused record's key",
            value="the refused record's value, byte for byte; why and where from is in the headers",
            about="Records that were refused, with the reason.",
            partitions=1,
            compacted=False,
            retention_ms=30 * DAY_MS,
            schema="DeadLetter",
            # A record that just fits its own topic has to fit here with the reason: twice Kafka's default.
            config=(("max.message.bytes", str(2 << 20)),),
        ),
    )
