"""How large a shop's Upwell has to be: a model of cores, memory, disks and topics, from measured costs. Pure.

    cores of the role profiles = batches/s · (b + b' · items) + events/s · e + answers/s · (a + a' · items)
    every worker beside that   = what it takes to poll, and to follow the shared topics, which all of them read whole
    workers                    = cores of the roles / (utilisation - cores for that)

A worker is one core: its handlers run on one thread. How the costs were measured, and how far the model is from what
was measured, is in docs/scaling.md; `benchmarks/capacity.py` measures them again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from streams import codecs
from streams.core.events import WEIGHTS, Arrival, EventType, Interaction
from streams.core.profile import RING, Profile, absorb
from streams.costs import MEASURED, Costs
from streams.errors import ConfigError
from streams.topics import Topics, topics

DAY_S = 86_400.0
MIB = 1024 * 1024
US = 1e-6

LADDER = (4, 6, 8, 12, 16, 24, 36, 48, 72, 96, 144, 192, 288, 384, 576, 768, 1024)
"""Numbers of partitions that divide well among workers."""

_ITEM_ID, _USER_ID = 10, 8
_RECORD = 12
"""Bytes of a Kafka record beside key and value, about, in a batch of some."""
_STALE = 2.0
"""A compacted topic holds up to so many times its newest records: half of a log is dirty before it is cleaned."""
_AMPLIFIED = 1.3
"""RocksDB on disk against the rows in it, before and after compaction."""
_VIEWED = (*[EventType.VIEW] * 6, *[EventType.CLICK] * 2, EventType.CART, EventType.PURCHASE)


@dataclass(frozen=True, slots=True)
class Workload:
    """What a shop asks for.

    Attributes:
        events_per_second: in the busiest hour.
        users: with a profile.
        items: in the catalogue.
        answers_per_event: recommendations an event brings; below 1 where a shopper's events come together.
        changes_per_second: catalogue records; by default every item once a day.
        requests_per_second: to `upwell serve`.
        history: events that a user has had.
        mean_share: mean rate against that of the busiest hour.
        event_days: how long events are kept.
        replication: copies of the topics.
        dim: length of the items' vectors.
        size: items of a recommendation.
        utilisation: share of a core that is planned for; the rest is for peaks, recovery and a worker that is gone.
    """

    events_per_second: float
    users: int
    items: int
    answers_per_event: float = 1.0
    changes_per_second: float | None = None
    requests_per_second: float = 0.0
    history: int = 100
    mean_share: float = 0.4
    event_days: float = 365.0
    replication: int = 3
    dim: int = 384
    size: int = 20
    utilisation: float = 0.6

    @property
    def changes(self) -> float:
        """Catalogue records a second."""
        return self.items / DAY_S if self.changes_per_second is None else self.changes_per_second

    @property
    def mean(self) -> float:
        """Events a second over a day."""
        return self.events_per_second * self.mean_share


@dataclass(frozen=True, slots=True)
class RolePlan:
    """Processes of one kind. `busy_cores` of all of them together in the busiest hour; sizes in bytes, of each."""

    role: str
    processes: int
    busy_cores: float
    memory: float
    disk: float


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic on the brokers. `bytes` with all its copies, `written` bytes a second in the busiest hour, one copy."""

    name: str
    partitions: int
    bytes: float
    written: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes. `load_s`: seconds until one encoder has encoded the catalogue for the first time."""

    partitions: int
    roles: tuple[RolePlan, ...]
    topics: tuple[TopicPlan, ...]
    load_s: float
    notes: tuple[str, ...] = field(default=())

    @property
    def cores(self) -> int:
        """Cores of all processes, the brokers apart."""
        return sum(role.processes for role in self.roles)

    @property
    def memory(self) -> float:
        """Memory of all processes, bytes."""
        return sum(role.processes * role.memory for role in self.roles)

    @property
    def disk(self) -> float:
        """Disks of all processes, bytes."""
        return sum(role.processes * role.disk for role in self.roles)

    @property
    def stored(self) -> float:
        """On the brokers, all copies, bytes."""
        return sum(topic.bytes for topic in self.topics)


def profile_bytes(history: int) -> int:
    """A profile's row after so many events, by folding and encoding them: two of three items are new to the user."""
    arrivals = []
    for number in range(history):
        kind = _VIEWED[number % len(_VIEWED)]
        item = f"item-{number * 2 // 3:05d}"
        interaction = Interaction(item, kind, WEIGHTS[kind], 1_767_607_200_000 + 60_000 * number)
        arrivals.append(Arrival(number, f"e-{number:012d}", interaction))
    return len(codecs.encode_profile(absorb(Profile(), arrivals, history)))


def following_us(workload: Workload, costs: Costs) -> float:
    """Microseconds a second that every process needs, beside its share of the work: to follow the shared topics."""
    events = workload.events_per_second
    return (
        costs.idle
        + events * costs.apply_trending
        + events * costs.neighbour_rows * costs.apply_neighbours
        + events * workload.answers_per_event * costs.apply_session
        + workload.changes * costs.apply_item
    )


def profiles_us(workload: Workload, costs: Costs, partitions: int) -> float:
    """Microseconds a second of the role profiles, over all workers."""
    events = workload.events_per_second
    answers = events * workload.answers_per_event
    # A partition's next batch is what came while the one before it was fetched, handled and acknowledged.
    batches = events / (1 + events / partitions * costs.wait_s)
    handler = costs.handling
    each = handler.batch_us(0, 0, workload.items)
    working = handler.batch_us(events, answers, workload.items) - each + events * costs.engine_event
    return batches * (each + costs.engine_batch) + working


def working_us(workload: Workload, costs: Costs, partitions: int) -> float:
    """Microseconds a second of the roles `profiles`, `neighbours` and `ranker`, over all workers."""
    others = costs.neighbours_event + costs.ranker_event
    return profiles_us(workload, costs, partitions) + workload.events_per_second * others


def plan(workload: Workload, costs: Costs | None = None) -> Plan:
    """What a workload takes.

    Raises:
        ConfigError: no number of workers is enough, or more partitions would be needed than there may be.
    """
    costs = costs or MEASURED
    following = following_us(workload, costs) * US
    encoding = _needed(workload.changes * costs.encode * US, costs.idle * US, workload)
    partitions = workers = 0
    for partitions in LADDER:
        working = working_us(workload, costs, partitions) * US
        workers = _needed(working, following, workload)
        if partitions >= max(2 * workers, encoding):
            break
    else:
        raise ConfigError(
            f"{workers} workers would need more than {LADDER[-1]} partitions: split the shop, or answer fewer events "
            "(UPWELL_POLICY_FILE, --answers-per-event)"
        )
    serving = workload.requests_per_second * costs.handling.batch_us(1, 1, workload.items) * US
    servers = _needed(serving, following, workload) if workload.requests_per_second else 0
    # The rows, the graph with a copy of them, and for a while the graph that is to follow it.
    vectors = _row(workload) + 2 * (_row(workload) + costs.vector_overhead)
    replica = costs.process + workload.items * (costs.item_memory + vectors)
    tables = _AMPLIFIED * workload.users * profile_bytes(workload.history)
    shared = _AMPLIFIED * workload.items * (costs.neighbours + 3 * _ITEM_ID)
    snapshots = 2 * workload.items * (2 * _row(workload) + costs.vector_overhead)
    roles = [
        RolePlan(
            "profiles,neighbours,ranker", workers, working + workers * following, replica,
            (tables + shared) / workers + snapshots,
        ),
        RolePlan(
            "encoder",
            encoding,
            (workload.changes * costs.encode + encoding * costs.idle) * US,
            costs.process + _ENCODER,
            _AMPLIFIED * workload.items * _embedding(workload),
        ),
    ]  # fmt: skip
    if servers:
        roles.append(RolePlan("serve", servers, serving + servers * following, replica, tables + snapshots))
    contract = topics("shop", partitions)
    load_s = workload.items * costs.encode * US
    return Plan(partitions, tuple(roles), tuple(_topics(workload, costs, contract)), load_s, _notes(workload, load_s))


_ENCODER = 250 * MIB
"""Memory of the model beside the process, float32 weights of all-MiniLM-L6-v2 and what a window needs."""


def _needed(working: float, following: float, workload: Workload) -> int:
    """Processes of one core each that do `working` cores of work together and `following` each."""
    free = workload.utilisation - following
    if free <= 0:
        raise ConfigError(
            f"to follow the shared topics alone takes {following:.2f} cores of every process, and "
            f"{workload.utilisation} of each is planned for: no number of workers is enough; split the shop"
        )
    return max(1, math.ceil(working / free))


def _row(workload: Workload) -> int:
    return 4 * workload.dim


def _embedding(workload: Workload) -> int:
    return 2 * workload.dim + 34


def _topics(workload: Workload, costs: Costs, contract: Topics) -> Sequence[TopicPlan]:
    """Every topic, by what an event, an item and a user leave on it."""
    mean, peak, answers = workload.mean, workload.events_per_second, workload.answers_per_event
    recommendation = workload.size * costs.recommendation_item + 500
    profile = profile_bytes(workload.history)
    live = {  # compacted: records, bytes of each, records a second
        contract.catalogue: (workload.items, costs.item + _ITEM_ID, workload.changes),
        contract.embeddings: (workload.items, _embedding(workload) + _ITEM_ID, workload.changes),
        contract.profiles: (workload.users, profile + _USER_ID, peak * answers),
        contract.trending: (workload.items * min(contract.events.partitions, 8), 17 + _ITEM_ID, peak),
        contract.neighbours: (workload.items, costs.neighbours + _ITEM_ID, peak * costs.neighbour_rows),
        contract.sessions: (workload.users, RING * (_ITEM_ID + 1) + _USER_ID, peak * answers),
    }
    passing = {  # bytes of one event, and the seconds that they are kept
        contract.events: (costs.event + _USER_ID, workload.event_days * DAY_S),
        contract.pairs: (costs.pairs, contract.pairs.retention_ms / 1000),
        contract.examples: (costs.examples, contract.examples.retention_ms / 1000),
        contract.recommendations: (answers * (recommendation + _USER_ID), contract.recommendations.retention_ms / 1000),
    }
    found = []
    for topic in contract:
        if topic in live:
            records, each, rate = live[topic]
            size = _STALE * records * (each + _RECORD)
            written = rate * (each + _RECORD)
        elif topic in passing:
            each, seconds = passing[topic]
            size, written = mean * (each + _RECORD) * seconds, peak * (each + _RECORD)
        else:
            continue
        found.append(TopicPlan(topic.name, topic.partitions, size * workload.replication, written))
    return found


def _notes(workload: Workload, load_s: float) -> tuple[str, ...]:
    notes = []
    if load_s > 3600:
        notes.append(
            f"encoding the catalogue for the first time takes one encoder {load_s / 3600:,.1f} h: start more, up to "
            "the partitions, or use a GPU"
        )
    if workload.answers_per_event == 1.0:
        notes.append(
            "every event is taken to be answered by itself, which is the worst case: events of a shopper that come "
            "together are answered together (--answers-per-event)"
        )
    return tuple(notes)
