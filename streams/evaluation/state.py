"""The workers' own handlers over tables in memory: the state of a shop as of any place in its log."""

from collections.abc import Sequence

from index.base import Vectors
from index.exact import ExactIndex
from streams import codecs
from streams.agents.encoder import EncoderHandler
from streams.agents.profiles import ProfilesHandler
from streams.core.policy import Policy
from streams.core.profile import Profile
from streams.edge import Limits
from streams.engine.effects import Batch, Effects, Handler
from streams.evaluation.log import EventSet, LogRecord
from streams.items import ItemEncoder
from streams.replicas import Immediate, Replica, ReplicaIndex
from streams.topics import Topics

_TOGETHER = 512
"""Events folded at once; how many makes no difference to the state."""


class State:
    """Profiles, popularity, item facts and index of a shop, folded from its log by the handlers that run live.

    The index is the exact one: what is measured is the policy, not the graph. The handler is given an empty replica
    to recommend from, because recommendations are asked for here only where there is something to predict.
    """

    def __init__(self, topics: Topics, limits: Limits, encoder: ItemEncoder) -> None:
        """An empty shop. `topics` have one partition."""
        self.replica = Replica(topics, _exact, limits)
        self.tables: dict[str, dict[bytes, bytes]] = {"profiles": {}, "trending": {}, "embeddings": {}}
        self._topics = topics
        self._items = EncoderHandler(encoder, limits)
        self._events = ProfilesHandler(topics, Replica(topics, _exact, limits), Policy(), limits)
        self._pending: list[LogRecord] = []
        self._changes = 0

    async def stock(self, catalogue: Sequence[LogRecord]) -> None:
        """Put the catalogue on the shelves: encode it, index it."""
        for start in range(0, len(catalogue), _TOGETHER):
            part = catalogue[start : start + _TOGETHER]
            await self._run(self._items, part)
            await self.replica.apply(self._topics.catalogue.name, 0, part)

    def learn(self, sets: Sequence[EventSet]) -> None:
        """Take note of what happened; it is folded by `settle`."""
        # In the order of the log: the sets of one moment may be interleaved in it, and offsets only count up.
        records = (event.record for happened in sets for event in happened.events)
        self._pending.extend(sorted(records, key=lambda record: record.offset))

    async def settle(self) -> None:
        """Fold all that was noted."""
        pending, self._pending = self._pending, []
        for start in range(0, len(pending), _TOGETHER):
            await self._run(self._events, pending[start : start + _TOGETHER])

    def profile(self, user: str) -> Profile:
        """A user's profile as of the last `settle`."""
        return codecs.decode_profile(self.tables["profiles"].get(user.encode()))

    async def vectors(self, items: Sequence[str]) -> Vectors:
        """float32 (len(items), dim), unit rows."""
        return await self.replica.vectors(items)

    async def _run(self, handler: Handler, records: Sequence[LogRecord]) -> None:
        effects = await handler(Batch(records[0].topic, 0, records), self._read)
        await self._commit(effects, records[-1].timestamp)

    async def _commit(self, effects: Effects, timestamp: int) -> None:
        for table, rows in effects.rows.items():
            topic = self._topics.by_table(table).name
            changelog = []
            for key, value in rows:
                if value is None:
                    self.tables[table].pop(key, None)
                else:
                    self.tables[table][key] = value
                changelog.append(LogRecord(key, value, timestamp, topic, 0, self._changes))
                self._changes += 1
            if changelog and table != "profiles":
                await self.replica.apply(topic, 0, changelog)

    def _read(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.tables[table].get(key) for key in keys]


async def _exact(dim: int) -> ReplicaIndex:
    return Immediate(ExactIndex(dim))
