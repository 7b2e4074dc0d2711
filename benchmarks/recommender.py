"""What a recommendation costs, the search in the index apart: channels, features, ranker, diversity and reasons.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.recommender [--items 20000] [--shoppers 256]

A made-up shop: items in clusters, popularity by Zipf's law, a hundred neighbours an item, fifty thousand sessions,
shoppers with full rings and some fifty habits. Rows say µs of processor time a shopper on one core, in batches of 64
and alone: by fusion, by the learnt ranker, of an example to learn from, and of both at once; the index's search is
taken out and told beside.
"""

import argparse
import asyncio
import platform
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import numpy as np

from index.attributes import Filter
from index.base import Vectors
from index.hnsw import HnswIndex
from streams import codecs, recommender, sessions
from streams.core import decay
from streams.core.cooccurrence import HALF_LIFE_MS as PAIR_HALF_LIFE_MS
from streams.core.decay import DAY_MS
from streams.core.events import WEIGHTS, Arrival, EventType, Interaction
from streams.core.features import COLUMN
from streams.core.policy import Policy
from streams.core.profile import RING, Profile, fold
from streams.core.ranking import ENOUGH, Model
from streams.core.sessions import Session
from streams.core.trending import DISCOVERY_HALF_LIFE_MS, HALF_LIFE_MS, NEW_MS
from streams.edge import Limits
from streams.heap import keep_loaded
from streams.lessons import Moment
from streams.recommender import Shopper
from streams.records import CatalogueItem
from streams.replicas import Immediate, Replica, facts_of
from streams.topics import topics

NOW = 1_700_000_000_000
DIM = 384
SESSIONS = 50_000
ROUNDS = 5


class TimedIndex(Immediate):
    """Knows how long it was searched."""

    def __init__(self, index: HnswIndex) -> None:
        super().__init__(index)
        self.seconds = 0.0

    async def search(
        self, queries: Vectors, k: int, where: Filter | None = None
    ) -> tuple[list[list[str]], list[Vectors]]:
        """See `FilteredIndex.search`."""
        started = time.process_time()
        try:
            return await super().search(queries, k, where)
        finally:
            self.seconds += time.process_time() - started


async def shop(count: int, rng: np.random.Generator) -> tuple[Replica, TimedIndex]:
    """A replica that has seen a lot."""
    contract = topics(partitions=1)
    index = TimedIndex(HnswIndex(DIM))

    async def make(dim: int) -> TimedIndex:
        return index

    limits = Limits(65_536, 262_144, 86_400_000, WEIGHTS)
    replica = Replica(contract, make, limits)
    centres = rng.standard_normal((count // 50, DIM))
    home = rng.integers(0, len(centres), count)
    vectors = (centres[home] + rng.standard_normal((count, DIM))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"item-{number:06}" for number in range(count)]
    masses = 1e5 / (1.0 + rng.permutation(count)) ** 0.8
    ages = np.random.default_rng(1).integers(1, 400 * DAY_MS, count)
    masses[ages < NEW_MS] *= 0.05  # what is new is hardly known
    records = []
    for number, name in enumerate(names):
        item = CatalogueItem(
            id=name, title=f"Thing number {number}", category=["all", f"c{home[number]}"], brand=f"b{number % 97}",
            price=float(1 + number % 50),
        )  # fmt: skip
        replica.facts[name] = facts_of(item)
        replica.items.describe(
            name, available=True, category=f"c{home[number]}", brand=f"b{number % 97}", price=float(1 + number % 50)
        )
        replica.board.update(name, 0, decay.log_mass(float(masses[number]), NOW, HALF_LIFE_MS))
        replica.items.met(name, NOW - int(ages[number]))
        found = decay.log_mass(float(masses[number]) * 0.1 * ages[number] / DAY_MS, NOW, DISCOVERY_HALF_LIFE_MS)
        replica.discoveries.update(name, 0, found)
        vector = codecs.Embedding(number, bytes(codecs.DIGEST_SIZE), "made-up", vectors[number].astype(np.float16))
        records.append((name.encode(), codecs.encode_embedding(vector)))
    await index.upsert(names, vectors)
    replica.adopt(index, "made-up", {f"{contract.embeddings.name}/0": count})
    by_home = [np.flatnonzero(home == place) for place in range(len(centres))]
    for number, name in enumerate(names):
        others = np.concatenate((rng.choice(by_home[home[number]], 20), rng.integers(0, count, 80)))
        logs = {names[other]: decay.log_mass(float(rng.random() * 9 + 0.1), NOW, PAIR_HALF_LIFE_MS) for other in others}
        replica.neighbourhood.update(name, decay.log_mass(float(masses[number]), NOW, PAIR_HALF_LIFE_MS), logs.copy)
    likely = np.cumsum(masses) / masses.sum()
    for number in range(SESSIONS):
        had = np.unique(np.searchsorted(likely, rng.random(int(rng.integers(1, RING + 1)))))
        session = Session([names[place] for place in had], NOW - int(rng.integers(30 * DAY_MS)))
        replica.sessions.update(b"%d" % number, partial(sessions.decode, sessions.encode(session, number)))
    ranker = replica.ranker
    ranker.weights[0, COLUMN["wide_log"]] = ranker.weights[0, COLUMN["cosine"]] = 1.0
    ranker.examples, ranker.means[Model.LEARNT] = ENOUGH, 0.5
    return replica, index


def shoppers(count: int, items: int, rng: np.random.Generator) -> list[Profile]:
    """Shoppers with rings that are full and some fifty habits."""
    kinds = (EventType.VIEW, EventType.PURCHASE, EventType.CART)
    made = []
    for _ in range(count):
        taste = rng.integers(0, items, 80)
        arrivals = [
            Arrival(number, f"{number}", Interaction(item, kind, WEIGHTS[kind], NOW - (150 - number) * DAY_MS // 9))
            for number in range(150)
            for kind, item in [(kinds[int(rng.integers(3))], f"item-{taste[int(rng.integers(80))]:06}")]
        ]  # fmt: skip
        made.append(fold(Profile(), arrivals))
    return made


async def timed(
    work: Callable[[Sequence[Profile]], Awaitable[object]], index: TimedIndex, all_of: list[Profile], together: int
) -> str:
    """µs of a shopper without and within the index's search, the best of some rounds."""
    best, searched = float("inf"), 0.0
    for _ in range(ROUNDS):
        index.seconds, started = 0.0, time.process_time()
        for begin in range(0, len(all_of), together):
            await work(all_of[begin : begin + together])
        spent = time.process_time() - started - index.seconds
        if spent < best:
            best, searched = spent, index.seconds
    return f"{1e6 * best / len(all_of):9.0f} {1e6 * searched / len(all_of):9.0f}"


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--shoppers", type=int, default=256)
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    replica, index = await shop(given.items, rng)
    everyone = shoppers(given.shoppers, given.items, rng)
    keep_loaded()  # as a worker does
    fusion, learnt = Policy(ranker=False), Policy()

    async def by_fusion(some: Sequence[Profile]) -> object:
        return await recommender.recommend([Shopper(one, NOW, "key") for one in some], replica, fusion)

    async def by_ranker(some: Sequence[Profile]) -> object:
        return await recommender.recommend([Shopper(one, NOW, "key") for one in some], replica, learnt)

    def moments(some: Sequence[Profile]) -> list[Moment]:
        return [Moment(one, NOW, 0, frozenset(list(one.habits)[:1])) for one in some]

    async def examples(some: Sequence[Profile]) -> object:
        return await recommender.recommend_and_learn((), moments(some), replica, learnt, 64)

    async def both(some: Sequence[Profile]) -> object:
        asking = [Shopper(one, NOW, "key") for one in some]
        return await recommender.recommend_and_learn(asking, moments(some), replica, learnt, 64)

    print(f"{platform.machine()}, numpy {np.__version__}, {given.items:,} items of {DIM} dimensions")
    print("µs a shopper                 without    search")
    for name, work in (
        ("by fusion", by_fusion),
        ("by the ranker", by_ranker),
        ("an example", examples),
        ("both", both),
    ):
        for together in (64, 1):
            row = await timed(work, index, everyone[: given.shoppers if together > 1 else 32], together)
            print(f"{name + f', {together} together':<28}{row}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
