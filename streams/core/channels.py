"""The channels: what each of them brings for a shopper, and the candidates of many shoppers as flat arrays.

    nearest by interest ─► content ───┐
    popularity ─────────► popular ────┤
    within the segment ─► segment ────┼─► open to the shopper ─► Pool (owner, place, rank by channel, values)
    habits ─────────────► buy_again ──┤
    neighbourhood ──────► neighbours ─┤
    others' sessions ───► sessions ───┤
    what others find ───► discovered ─┤
    what is new here ───► arrivals ───┘

Channels speak different languages (a cosine, a count, a mass). Fusion therefore asks for ranks alone; the ranker gets
the values, too (`features`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core.eligible import Eligibility
from streams.core.items import Items, Places
from streams.core.neighbourhood import Neighbourhood
from streams.core.policy import Channel
from streams.core.profile import Profile
from streams.core.ragged import NOWHERE
from streams.core.sessions import Sessions
from streams.core.trending import Board

Floats = npt.NDArray[np.float64]

ORDER = (
    Channel.CONTENT, Channel.POPULAR, Channel.BUY_AGAIN, Channel.NEIGHBOURS, Channel.SEGMENT, Channel.SESSIONS,
    Channel.DISCOVERED, Channel.ARRIVALS,
)  # fmt: skip
"""Of the columns of `Pool.ranks`."""

FILTERED = 4
"""So many times more is asked of the index where rules may drop some of it."""

INTENT = "intent"
"""Name of the short-term interest, whose cosine stands for itself; of the others the largest counts."""


class Near(NamedTuple):
    """The items nearest to one interest, best first: int64 (n,) places, float32 (n,) cosines."""

    interest: str
    places: Places
    cosines: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stock:
    """What is known of all items, over the same places. On the boards are popularity and discoveries."""

    items: Items
    board: Board
    discoveries: Board
    neighbourhood: Neighbourhood
    sessions: Sessions


@dataclass(frozen=True, slots=True)
class Visit:
    """A shopper for whom candidates are wanted.

    Attributes:
        profile: the shopper's.
        now: event time, Unix milliseconds.
        near: by interest.
        shown: item → how often it was shown and left alone, decayed.
        popular: the most popular items of the shopper's segment, best first; none without one.
        segment: of the shopper, in words for a key; empty for none.
        eligible: the rules for the shopper.
        user: whose session is theirs, not another's; empty for nobody's.
    """

    profile: Profile
    now: int
    near: Sequence[Near]
    shown: Mapping[str, float]
    popular: Places
    segment: str
    eligible: Eligibility
    user: str = ""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the channels brought for one shopper.

    Attributes:
        places: int64 (n,), ascending.
        ranks: int16 (n, channels), 1-based by `ORDER`; 0 where a channel has not got the item.
        nearest: int64 (m,), places of what is nearest to any interest, best first, without what is closed to the
            shopper whatever the rules are.
    """

    places: Places
    ranks: npt.NDArray[np.int16]
    nearest: Places


@dataclass(frozen=True, slots=True)
class Batch:
    """What the channels brought for several shoppers: candidates one after another.

    Attributes:
        owner: int64 (m,), ascending.
        place: int64 (m,), ascending within an owner.
        starts: int64 (shoppers + 1,), where each shopper's candidates begin.
        ranks: int16 (m, channels), 1-based by `ORDER`; 0 where a channel has not got the item.
        parts: float64 (m, channels), what each channel gives of the fused score: a reciprocal rank, weighted.
        fused: float64 (m,), their sum.
    """

    owner: Places
    place: Places
    starts: Places
    ranks: npt.NDArray[np.int16]
    parts: Floats
    fused: Floats


def fresh(visit: Visit, stock: Stock, candidates: Candidates, log_fresh: float) -> Iterator[str]:
    """Items that are hardly known yet and open to a shopper, those nearest to the interests first.

    `log_fresh`: log mass of popularity below which an item is hardly known.
    """
    order = candidates.nearest
    return visit.eligible.kept(stock.items.named(order[stock.board.totals[order] < log_fresh]))


def merged(lists: Sequence[Places], items: Items) -> Places:
    """One ranked list from several: by best rank, earlier lists first at equal ranks."""
    if len(lists) < 2:
        return lists[0] if lists else np.zeros(0, np.int64)
    ranks = np.full((max(len(one) for one in lists), len(lists)), NOWHERE)
    for column, one in enumerate(lists):
        ranks[: len(one), column] = one
    return items.firsts(ranks[ranks != NOWHERE])
