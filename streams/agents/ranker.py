"""Ranker agent: examples of what shoppers did next in, the weights of the ranker out.

profiles ──► moments ──► shop.examples.v1 ──► RankerHandler ──► table `ranker` = shop.ranker.v1 ──► replicas
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import groupby
from typing import NamedTuple

from streams import ranking_codec
from streams.agents.decoding import decoded
from streams.core import merging
from streams.core import profile as profiles
from streams.core.events import Arrival
from streams.core.halflives import HalfLives
from streams.core.merging import Joined
from streams.core.profile import Profile
from streams.core.ranking import RATE, Example
from streams.engine.effects import Batch, Effects, Output, Reader
from streams.lessons import Moment
from streams.settings import Settings
from streams.topics import Topic


class Learning(NamedTuple):
    """How the ranker learns.

    Attributes:
        sampling: share of the moments that become examples, 0 to 1; 0: nothing is learnt.
        eager: examples until which every moment becomes one: who knows little learns from everything.
        a_batch: examples of a batch, about: one that is large is of a worker that is behind, and must catch up.
        rate: of the steps.
        candidates: of an example at most, what was chosen apart.
    """

    sampling: float = 0.2
    rate: float = RATE
    candidates: int = 64
    eager: int = 20_000
    a_batch: float = 64


NOT_AT_ALL = Learning(sampling=0.0)


def learning_of(settings: Settings) -> Learning:
    """How the settings want the ranker to learn."""
    return Learning(settings.ranker_sampling, settings.ranker_rate)


NOBODY = Joined()


class Doing(NamedTuple):
    """Who did something: their profile before a batch, what is new in it, by offset, and what has moved to them."""

    before: Profile
    new: Sequence[Arrival]
    joined: Joined = NOBODY
    user: str = ""


def moments_of(doings: Sequence[Doing], learning: Learning, examples: int, half_lives: HalfLives) -> list[Moment]:
    """The moments of a batch that become examples, by offset.

    Which ones depends on the ids of their events, once so much has been learnt that they are sampled. What an example
    says rests on the shared state as this worker has it, so it is sent, not made again: the weights are a function of
    the topic of examples.

    Args:
        doings: what shoppers did.
        learning: how the ranker learns.
        examples: how many it has learnt from.
        half_lives: that profiles are folded with.
    """
    if learning.sampling <= 0:
        return []
    share = 1.0 if examples < learning.eager else learning.sampling
    # Of a basket all lines are one moment.
    count = sum(1 for doing in doings for _ in groupby(doing.new, key=_time))
    share = min(share, learning.a_batch / max(1, count))
    moments = (moment for doing in doings for moment in _moments(doing, share, half_lives))
    return sorted(moments, key=lambda moment: moment.offset)


def example_records(topic: Topic, origin: int, found: Sequence[Example]) -> list[Output]:
    """Examples of a batch of events of the partition `origin`: one record, so that none overtakes another."""
    return [Output(topic.name, None, ranking_codec.encode_examples(origin, found), 0)] if found else []


def _moments(doing: Doing, share: float, half_lives: HalfLives) -> Iterator[Moment]:
    """The sampled moments of a shopper: what they did at one time, in a row, that speaks for an item.

    A moment that goes on from before the batch is none: what came before it would be told by itself.
    """
    before, taken = doing.before, 0
    newest = before.recent[-1].time if before.recent else -1
    for time, group in groupby(doing.new, key=_time):
        arrivals = list(group)
        told = [arrival for arrival in arrivals if arrival.interaction is not None and arrival.interaction.weight > 0]
        if told and time is not None and time > newest and _sampled(told[0].event, share):
            known = before
            if taken:
                known = profiles.absorb(before, doing.new[:taken], doing.new[taken - 1].offset, half_lives)
            items = frozenset(arrival.interaction.item for arrival in told if arrival.interaction is not None)
            yield Moment(merging.whole(known, doing.joined), time, told[0].offset, items, doing.user)
        taken += len(arrivals)
        newest = max(newest, time or newest)


def _time(arrival: Arrival) -> int | None:
    return None if arrival.interaction is None else arrival.interaction.time


def _sampled(event: str, share: float) -> bool:
    digest = blake2b(f"example\0{event}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") < share * 2**64


class RankerHandler:
    """Learns from examples, each once however often it is sent, in the order of the topic."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """Learn from a batch of the topic of examples."""
        learnt = ranking_codec.decode_ranker(read("ranker", [ranking_codec.KEY])[0])
        parcels, rejections = decoded(batch.records, ranking_codec.decode_examples)
        for _, (origin, found) in parcels:
            for example in found:
                if example.offset > learnt.applied.get(origin, -1):
                    learnt.applied[origin] = example.offset
                    learnt.ranker.learn(example, self._rate)
        learnt.offset = max(learnt.offset, batch.records[-1].offset)
        row = ranking_codec.KEY, ranking_codec.encode_ranker(learnt)
        return Effects(rows={"ranker": [row]}, rejections=rejections)
