"""The head that learns, beside the model as it is: what the nearest items find of what shoppers do next.

    python -m benchmarks.datasets grocer --households 400 --products 8000 GROCER
    python -m benchmarks.datasets giftshop FILE GIFTS
    python -m benchmarks.head GROCER GIFTS [--model NAME] [--partitions 4]

A log is read once, in time order. Before each set of a user that is asked about, items are looked for as the channel
`content` does: by the interests of the profile as of then. Targets are items that are new to the user; what the user
had is left out. After the set its pairs are learnt, as the role `head` learns them: by partition of the item, one head
each, at most `BATCH` together. Hit rate and NDCG at 20 of the questions between 30 % and 60 % of the log, by which the
settings of `streams.core.head` were chosen, and of those behind; differences of NDCG with 95 % intervals over users
(paired bootstrap).

With `--whole` the whole recommender is asked, with the default policy, behind 60 % of the log: all channels, fused and
diversified; once with what the head has learnt by then and once without.
"""

import argparse
import asyncio
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import msgspec
import numpy as np

from encoders.models import DEFAULT, load_encoder
from streams.core import cooccurrence, decay, profile
from streams.core.head import BATCH, Head, Pairs, log_chances, seen, steered, untaught
from streams.core.policy import Policy
from streams.core.profile import Interest, Profile
from streams.core.trending import HALF_LIFE_MS
from streams.edge import AcceptedEvent, accept_event, limits_of
from streams.evaluation import log as logs
from streams.evaluation import metrics, prequential, questions
from streams.evaluation.bootstrap import interval, resample
from streams.evaluation.log import EventSet, Log
from streams.evaluation.past import Past
from streams.evaluation.prequential import PolicyContender
from streams.evaluation.questions import Question, Reading, Targets
from streams.evaluation.state import State
from streams.evaluation.study import TOPICS
from streams.items import ItemEncoder, Recipe
from streams.records import CatalogueItem
from streams.replicas import Replica
from streams.settings import Settings
from streams.topics import item_partition

CUT = 20
START, MIDDLE = 0.3, 0.6


@dataclass
class Shop:
    """What is known while a log is read: profiles, vectors, how often items were dealt with, and the heads."""

    items: Sequence[str]
    vectors: np.ndarray
    partitions: int
    profiles: dict[str, Profile] = field(default_factory=dict)
    had: dict[str, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.places = {item: place for place, item in enumerate(self.items)}
        self.heads: list[Head] = [untaught(self.vectors.shape[1]) for _ in range(self.partitions)]
        self._waiting: list[list[tuple[np.ndarray, int]]] = [[] for _ in range(self.partitions)]
        self._masses = np.full(len(self.items), -np.inf)

    def learn(self, happened: EventSet) -> None:
        accepted = [accept_event(event.record, LIMITS) for event in happened.events]
        arrivals = [one.arrival for one in accepted if isinstance(one, AcceptedEvent)]
        before = self.profiles.get(happened.user, Profile())
        new = profile.fresh(before, arrivals)
        for delta in cooccurrence.deltas(before.recent, new):
            if delta.item in self.places:
                place = self.places[delta.item]
                mass = decay.log_mass(delta.weight, delta.time, HALF_LIFE_MS)
                self._masses[place] = decay.add(self._masses[place], mass)
                context = self._sum(delta.partners, delta.weights)
                if context is not None:
                    self._put(item_partition(delta.item, self.partitions), context, place)
        self.profiles[happened.user] = profile.absorb(before, new, arrivals[-1].offset)
        known = self.had.setdefault(happened.user, set())
        known.update(self.places[event.item] for event in happened.events if event.item in self.places)

    def _put(self, number: int, context: np.ndarray, place: int) -> None:
        waiting = self._waiting[number]
        waiting.append((context, place))
        if len(waiting) == BATCH:
            places = np.array([place for _, place in waiting])
            chances = log_chances(self._masses[places], len(self.items) // self.partitions)
            contexts = np.stack([context for context, _ in waiting])
            self.heads[number] = seen(self.heads[number], Pairs(contexts, self.vectors[places], places, chances))
            waiting.clear()

    def _sum(self, items: Sequence[str], weights: Sequence[float]) -> np.ndarray | None:
        known = [
            (self.places[item], weight) for item, weight in zip(items, weights, strict=True) if item in self.places
        ]
        total = sum((weight * self.vectors[place] for place, weight in known), np.zeros(self.vectors.shape[1]))
        length = np.linalg.norm(total)
        return None if length < 1e-6 else (total / length).astype(np.float32)

    def found(self, question: Question) -> list[list[int]] | None:
        """What is found without the heads and with them, catalogue places; None where there is nothing to look for."""
        interests: list[Interest] = profile.interests(self.profiles.get(question.user, Profile()), question.time)
        sums = [self._sum(interest.items, interest.weights) for interest in interests]
        queries = [one for one in sums if one is not None]
        if not queries:
            return None
        plain = np.stack(queries)
        known = list(self.had.get(question.user, ()))
        return [self._nearest(asked, known) for asked in (plain, steered(self.heads, plain))]

    def _nearest(self, queries: np.ndarray, known: list[int]) -> list[int]:
        scores = queries @ self.vectors.T
        scores[:, known] = -np.inf
        best = np.argpartition(-scores, CUT, axis=1)[:, :CUT]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        return merged(np.take_along_axis(best, order, axis=1).tolist())


def merged(lists: Sequence[Sequence[int]]) -> list[int]:
    """One list of several: by best rank, earlier lists first at equal ranks."""
    best: dict[int, tuple[int, int]] = {}
    for number, places in enumerate(lists):
        for rank, place in enumerate(places):
            best[place] = min(best.get(place, (rank, number)), (rank, number))
    return sorted(best, key=best.__getitem__)[:CUT]


LIMITS = limits_of(Settings())


async def read_log(folder: Path) -> Log:
    paths = [str(folder / name) for name in ("catalogue.jsonl", "events.jsonl")]
    return await logs.read(paths, LIMITS, (TOPICS.catalogue.name, TOPICS.events.name), print)


def read(folder: Path, model: str, partitions: int) -> tuple[Log, Shop]:
    log = asyncio.run(read_log(folder))
    items = [msgspec.json.decode(record.value or b"", type=CatalogueItem) for record in log.catalogue]
    encoder = ItemEncoder(load_encoder(model, Settings().cache_dir, build=True), Recipe())
    vectors = asyncio.run(encoder.encode(items))
    return log, Shop([item.id for item in items], np.asarray(vectors, np.float32), partitions)


def answers(log: Log, shop: Shop, limit: int) -> dict[str, list[tuple[Question, list[list[int]]]]]:
    asked = questions.ask(log, frozenset(shop.places), Reading(Targets.FIRST_TIME, start=START))
    middle = log.events[int(MIDDLE * len(log.events))].time
    rng = np.random.default_rng(0)
    due: dict[int, tuple[str, Question]] = {}
    for part, those in (
        ("30 to 60 %", [one for one in asked if one.time < middle]),
        ("60 to 100 %", [one for one in asked if one.time >= middle]),
    ):
        drawn = rng.permutation(len(those))[:limit]
        due |= {those[place].number: (part, those[place]) for place in drawn}
    told: dict[str, list[tuple[Question, list[list[int]]]]] = {part: [] for part, _ in due.values()}
    number = 0
    for moment in log.moments():
        for place in range(number, number + len(moment)):
            if place in due and (lists := shop.found(due[place][1])) is not None:
                told[due[place][0]].append((due[place][1], lists))
        number += len(moment)
        for happened in moment:
            shop.learn(happened)
    return told


def compared(part: str, asked: Sequence[Question], lists: Sequence[np.ndarray], places: Mapping[str, int]) -> None:
    """Print what two have found: lists are int32 (questions, CUT) catalogue places."""
    targets = [[places[item] for item in question.targets] for question in asked]
    users = np.unique([question.user for question in asked], return_inverse=True)[1]
    rates, gains = (
        [metrics.measure(metric, metrics.ranks(targets, one), CUT) for one in lists] for metric in ("hit_rate", "ndcg")
    )
    drawn = resample(gains, users)
    spread = interval(drawn[1] - drawn[0])
    assert spread is not None
    (hits, more_hits), (gain, more) = ([one.value or 0.0 for one in both] for both in (rates, gains))
    print(
        f"  {part:12} {len(asked):5,} sets   HR {hits:.4f} -> {more_hits:.4f}   NDCG {gain:.4f} -> {more:.4f}   "
        f"difference {more - gain:+.4f} [{spread[0]:+.4f}, {spread[1]:+.4f}]"
    )


class Unsteered:
    """A state as it would be without a head; somebody else lets it learn."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def replica(self) -> Replica:
        view = copy.copy(self._state.replica)
        view._heads = {}
        return view

    def profile(self, user: str) -> Profile:
        return self._state.profile(user)

    def learn(self, sets: Sequence[EventSet]) -> None:
        pass

    async def settle(self) -> None:
        pass


def whole(folder: Path, model: str, limit: int) -> None:
    log = asyncio.run(read_log(folder))
    encoder = ItemEncoder(load_encoder(model, Settings().cache_dir, build=True), Recipe())
    state = State(TOPICS, LIMITS, encoder, teaches=True)

    async def run() -> tuple[prequential.Trial, dict[str, int]]:
        await state.stock(log.catalogue)
        items = list(state.replica.facts)
        reading = Reading(Targets.FIRST_TIME, start=MIDDLE, limit=limit)
        asked = questions.ask(log, frozenset(items), reading)
        places = {item: place for place, item in enumerate(items)}
        plain = PolicyContender(Policy(), cast(State, Unsteered(state)), items, "without")
        steering = PolicyContender(Policy(), state, items, "with")
        return await prequential.run(log, asked, reading, [plain, steering], Past(places)), places

    trial, places = asyncio.run(run())
    print(f"{folder.name}, the whole recommender: {len(places):,} items, {len(log.events):,} events")
    lists = [trial.answers[name].lists for name in ("without", "with")]
    compared("60 to 100 %", trial.questions, lists, places)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--partitions", type=int, default=4, help="of the topic of pairs (default: 4)")
    parser.add_argument("--limit", type=int, default=3_000, help="sets asked about in each part (default: 3000)")
    parser.add_argument("--whole", action="store_true", help="ask the whole recommender")
    given = parser.parse_args()
    for folder in given.folders:
        if given.whole:
            whole(folder, given.model, given.limit)
            continue
        log, shop = read(folder, given.model, given.partitions)
        told = answers(log, shop, given.limit)
        print(f"{folder.name}: {len(shop.items):,} items, {len(log.events):,} events, {given.partitions} partitions")
        for part, answered in sorted(told.items()):
            lists = [np.array([both[which] for _, both in answered], np.int32) for which in range(2)]
            compared(part, [question for question, _ in answered], lists, shop.places)
        for number, head in enumerate(shop.heads):
            said = "helps" if head.helps else "does not help"
            print(f"  head {number}: {head.batches:,} batches, {head.with_head:.4f} beside {head.without:.4f}: {said}")


if __name__ == "__main__":
    main()
