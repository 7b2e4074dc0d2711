"""What an event, an item and an answer cost, as measured: the coefficients of `streams.capacity`."""

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Handling:
    """Processor time of the profiles handler, microseconds: of a batch, an event and an answer.

    `batch_items` and `answer_items` are for each thousand items of the catalogue.
    """

    batch: float
    batch_items: float
    event: float
    answer: float
    answer_items: float

    @staticmethod
    def terms(events: float, answers: float, items: float) -> tuple[float, float, float, float, float]:
        """What the five costs are multiplied with, in their order."""
        thousands = items / 1000
        return 1.0, thousands, events, answers, answers * thousands

    def batch_us(self, events: float, answers: float, items: float) -> float:
        """A batch of so many events that brings so many answers."""
        costs = (self.batch, self.batch_items, self.event, self.answer, self.answer_items)
        return sum(cost * count for cost, count in zip(costs, self.terms(events, answers, items), strict=True))


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured: see docs/scaling.md. Microseconds of one core, bytes, seconds.

    Attributes:
        handling: of the profiles handler.
        engine_batch, engine_event: fetching, tables, changelogs and publishing, for a batch and for an event of it.
        neighbours_event: of the neighbours handler, for an event.
        ranker_event: of the ranker, for an event, one in five of which becomes an example.
        neighbour_rows: rows it writes for an event.
        apply_trending, apply_neighbours, apply_session, apply_item: of following the shared topics, for a record,
            fetching included.
        encode: of encoding one item.
        idle: of a worker with nothing to do, for a second: polling, heartbeats, commits.
        wait_s: between two batches of a partition, beside the work: fetching and acknowledgements.
        process: memory of a worker without items.
        item_memory: of an item in a replica, its vector apart.
        vector_overhead: bytes of an item in the graph beside its coordinates.
        item, event, recommendation_item, pairs, examples, neighbours: sizes in bytes; pairs and examples of one event,
            an item of a recommendation with reasons from several channels, neighbours at their bound.
    """

    handling: Handling
    engine_batch: float
    engine_event: float
    neighbours_event: float
    ranker_event: float
    neighbour_rows: float
    apply_trending: float
    apply_neighbours: float
    apply_session: float
    apply_item: float
    encode: float
    idle: float
    wait_s: float
    process: float
    item_memory: float
    vector_overhead: float
    item: float
    event: float
    recommendation_item: float
    pairs: float
    examples: float
    neighbours: float

    def on(self, speed: float) -> "Costs":
        """On cores that are so many times as fast as the one that was measured."""
        handling = Handling(*(getattr(self.handling, one.name) / speed for one in fields(Handling)))
        times = {name: getattr(self, name) / speed for name in _TIMES}
        return replace(self, handling=handling, **times)


_TIMES = (
    "engine_batch", "engine_event", "neighbours_event", "ranker_event", "apply_trending",
    "apply_neighbours", "apply_session", "apply_item", "encode", "idle",
)  # fmt: skip
"""Costs in time of a core."""

MEASURED = Costs(
    handling=Handling(batch=1470, batch_items=21.3, event=296, answer=1754, answer_items=64.9),
    engine_batch=1_000.0,
    engine_event=12.0,
    neighbours_event=110.0,
    ranker_event=3.0,
    neighbour_rows=5.4,
    apply_trending=5.3,
    apply_neighbours=4.6,
    apply_session=17.0,
    apply_item=150.0,
    encode=10_000.0,
    idle=75_000.0,
    wait_s=0.03,
    process=300 * 1024 * 1024,
    item_memory=5_000.0,
    vector_overhead=250.0,
    item=143.0,
    event=180.0,
    recommendation_item=730.0,
    pairs=235.0,
    examples=405.0,
    neighbours=3_000.0,
)
"""Of `benchmarks/capacity.py`, `engine.py` and `encoder.py`; fetching is 3 microseconds a record of what is applied."""
