"""What there is to learn of ranking: examples of what shoppers did next, from the state before it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from streams.core import ranking
from streams.core.channels import Visit
from streams.core.features import Seen, buckets
from streams.core.profile import Profile
from streams.core.ranking import Example


class Moment(NamedTuple):
    """What a shopper did at one time, to learn from.

    Attributes:
        profile: as of just before.
        now: event time, Unix milliseconds.
        offset: of the first event.
        items: what it was that they did something with.
        user: whose session is theirs, not another's.
    """

    profile: Profile
    now: int
    offset: int
    items: frozenset[str]
    user: str = ""


def example(moment: Moment, visit: Visit, ids: Sequence[str], seen: Seen, most: int) -> Example | None:
    """What a moment teaches the ranker: the candidates as of just before, and which of them it was.

    Args:
        moment: what the shopper did.
        visit: on their behalf, as of just before.
        ids: (n,) the candidates.
        seen: what the ranker sees of them.
        most: candidates of the example, what was chosen apart.

    Returns:
        None where no candidate was chosen: that teaches nothing.
    """
    chosen = np.array([item in moment.items for item in ids], np.bool_)
    if not chosen.any():
        return None
    whole = Example(moment.offset, *buckets(visit), seen.matrix, seen.had > 0, chosen, np.ones(len(ids), np.float32))
    return ranking.bounded(whole, most)
