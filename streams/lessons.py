"""What there is to learn of ranking: examples of what shoppers did next, from the state before it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from streams.core import channels, ranking
from streams.core.candidates import RRF_K
from streams.core.features import batched, buckets, features
from streams.core.policy import Policy
from streams.core.profile import Profile
from streams.core.ranking import Example
from streams.drafts import Shopper, fusion_weights, visits_of
from streams.replicas import Replica

TOGETHER = 64
"""Moments that share their questions to the index."""


class Moment(NamedTuple):
    """What a shopper did at one time, to learn from.

    Attributes:
        profile: as of just before.
        now: event time, Unix milliseconds.
        offset: of the first event.
        items: what it was that they did something with.
    """

    profile: Profile
    now: int
    offset: int
    items: frozenset[str]


async def examples(moments: Sequence[Moment], replica: Replica, policy: Policy, most: int) -> list[Example]:
    """What moments teach the ranker: the candidates as of just before, and which of them it was.

    A moment in which no candidate was chosen teaches nothing, and is left out.
    """
    replica = replica.pinned()
    found: list[Example] = []
    for start in range(0, len(moments), TOGETHER):
        part = moments[start : start + TOGETHER]
        visits, _ = await visits_of([Shopper(moment.profile, moment.now) for moment in part], replica, policy)
        taken = [channels.gather(visit, replica.stock, policy) for visit in visits]
        batch = batched(taken, fusion_weights(policy), RRF_K)
        if not len(batch.owner):
            continue
        matrix, had = features(batch, taken, visits, replica.stock)
        for number, (moment, visit) in enumerate(zip(part, visits, strict=True)):
            rows = slice(batch.starts[number], batch.starts[number + 1])
            ids = replica.items.ids
            chosen = np.array([ids[place] in moment.items for place in batch.place[rows]], np.bool_)
            if chosen.any():
                stands_for = np.ones(len(chosen), np.float32)
                whole = Example(moment.offset, *buckets(visit), matrix[rows], had[rows] > 0, chosen, stands_for)
                found.append(ranking.bounded(whole, most))
    return found
