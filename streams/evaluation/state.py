"""The workers' own handlers over tables in memory: the state of a shop as of any place in its log."""

from collections.abc import Sequence

from index.base import Vectors
from streams import codecs
from streams.agents.ranker import Learning
from streams.core.policy import Policy
from streams.core.profile import Profile
from streams.edge import Limits
from streams.evaluation.log import EventSet, LogRecord
from streams.inprocess import InProcess, MemoryTable
from streams.items import ItemEncoder
from streams.replicas import Replica
from streams.topics import Topics

_TOGETHER = 512
"""Events folded at once; how many makes no difference to the state."""


class State:
    """Profiles, popularity, neighbours, item facts and index of a shop, folded from its log by the live handlers.

    They fold in silence: recommendations are asked for only where there is something to predict.
    """

    def __init__(
        self,
        topics: Topics,
        limits: Limits,
        encoder: ItemEncoder,
        policy: Policy | None = None,
        *,
        learning: Learning | None = None,
        teaches: bool = False,
    ) -> None:
        """An empty shop.

        Args:
            topics: they have one partition.
            limits: what the edge lets through.
            encoder: of the catalogue.
            policy: the ranker learns from its candidates; None for the usual one.
            learning: how it learns; None for the usual way.
            teaches: the head learns from what happens.
        """
        usual = policy or Policy()
        self._shop = InProcess(topics, usual, limits, encoder, "evaluation", teaches=teaches, learning=learning)
        self._topics = topics
        self._pending: list[LogRecord] = []

    @property
    def replica(self) -> Replica:
        """What a worker would have in memory."""
        return self._shop.replica

    @property
    def tables(self) -> dict[str, MemoryTable]:
        """The tables, by name."""
        return self._shop.tables

    async def stock(self, catalogue: Sequence[LogRecord]) -> None:
        """Put the catalogue on the shelves: encode it, index it."""
        for start in range(0, len(catalogue), _TOGETHER):
            await self._shop.apply(self._topics.catalogue.name, 0, catalogue[start : start + _TOGETHER])

    def learn(self, sets: Sequence[EventSet]) -> None:
        """Take note of what happened; it is folded by `settle`."""
        # In the order of the log: the sets of one moment may be interleaved in it, and offsets only count up.
        records = (event.record for happened in sets for event in happened.events)
        self._pending.extend(sorted(records, key=lambda record: record.offset))

    async def settle(self) -> None:
        """Fold all that was noted."""
        pending, self._pending = self._pending, []
        for start in range(0, len(pending), _TOGETHER):
            await self._shop.apply(self._topics.events.name, 0, pending[start : start + _TOGETHER])

    def profile(self, user: str) -> Profile:
        """A user's profile as of the last `settle`."""
        return codecs.decode_whole(*self.tables["profiles"].get(0, codecs.profile_keys(user)))

    async def vectors(self, items: Sequence[str]) -> Vectors:
        """float32 (len(items), dim), unit rows."""
        return await self.replica.vectors(items)
