"""What the ranker sees of a candidate: about forty numbers of the order of 1, each of a channel.

Candidates of a batch of shoppers are flat: row r is the item at `place[r]` for the shopper `owner[r]`. Every feature is
a function of the profile, the shared state and the time of asking; so taking an event away changes what it stood for.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core.channels import Candidates, Stock, Visit, where
from streams.core.cooccurrence import HALF_LIFE_MS as PAIR_HALF_LIFE_MS
from streams.core.decay import DAY_MS, HOUR_MS, log_mass
from streams.core.items import NONE, Places
from streams.core.policy import Channel
from streams.core.trending import HALF_LIFE_MS

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]


class Feature(NamedTuple):
    """A feature and the channel that its part of a score is put down to."""

    name: str
    channel: Channel


_C, _P, _B, _N, _S = Channel.CONTENT, Channel.POPULAR, Channel.BUY_AGAIN, Channel.NEIGHBOURS, Channel.SEGMENT
FEATURES = (
    Feature("fused", _P),  # put down to the channels that it is fused from
    Feature("rank_content", _C),
    Feature("rank_popular", _P),
    Feature("rank_buy_again", _B),
    Feature("rank_neighbours", _N),
    Feature("rank_segment", _S),
    Feature("cosine", _C),
    Feature("cosine_intent", _C),
    Feature("cosine_long", _C),
    Feature("wide", _N),
    Feature("wide_log", _N),
    Feature("tight", _N),
    Feature("tight_log", _N),
    Feature("popularity", _P),
    Feature("popularity_log", _P),
    Feature("mass", _P),
    Feature("trend", _P),
    Feature("scarce", _P),
    Feature("price_gap", _C),
    Feature("dearer", _C),
    Feature("category", _C),
    Feature("brand", _C),
    Feature("strength", _B),
    Feature("strength_log", _B),
    Feature("often", _B),
    Feature("due", _B),
    Feature("overdue", _B),
    Feature("bought_ago", _B),
    Feature("bought_once", _B),
    Feature("seen_weight", _C),
    Feature("seen_ago", _C),
    Feature("seen_now", _C),
    Feature("impressions", _C),
    Feature("bias", _P),
)
"""In the order of the columns of a feature matrix."""

COLUMN = {feature.name: column for column, feature in enumerate(FEATURES)}
FUSED = COLUMN["fused"]

HISTORY = (3, 10, 50)
"""Interactions in the ring from which the next bucket of the length of a history begins."""

AWAY_MS = (HOUR_MS // 2, 2 * DAY_MS)
"""Time since the newest interaction from which the next bucket of being away begins."""

RANK_SOFTNESS = 5.0
"""A rank r counts s / (s + r)."""

_FLOOR = 1e-3
_POPULAR_FLOOR = 1e-4


@dataclass(frozen=True, slots=True)
class Batch:
    """Candidates of several shoppers.

    Attributes:
        owner: int64 (m,), ascending.
        place: int64 (m,), ascending within an owner.
        ranks: int16 (m, channels), by `channels.ORDER`.
        fused: float64 (m,), reciprocal ranks, weighted.
        starts: int64 (shoppers + 1,), where each shopper's candidates begin.
    """

    owner: Places
    place: Places
    ranks: npt.NDArray[np.int16]
    fused: Floats
    starts: Places


def batched(found: Sequence[Candidates], weights: Floats, k: float) -> Batch:
    """Candidates as flat arrays, fused: Σ_channel weight / (k + rank). weights: float64 (channels,)."""
    starts = np.cumsum([0, *(len(one.places) for one in found)])
    owner = np.repeat(np.arange(len(found)), np.diff(starts))
    place = np.concatenate([one.places for one in found])
    ranks = np.concatenate([one.ranks for one in found])
    fused: Floats = np.where(ranks > 0, weights / (k + ranks), 0.0).sum(axis=1)
    return Batch(owner, place, ranks, fused, starts)


def features(batch: Batch, found: Sequence[Candidates], visits: Sequence[Visit], stock: Stock) -> tuple[Matrix, Places]:
    """The features of every candidate, and in which contexts it stands.

    Returns:
        float32 (m, len(FEATURES)), and int64 (m,): 1 for what the shopper had to do with before, else 0.
    """
    columns = np.zeros((len(FEATURES), len(batch.owner)))
    now = np.array([visit.now for visit in visits], np.int64)
    best = np.zeros(len(visits))
    np.maximum.at(best, batch.owner, batch.fused)
    columns[FUSED] = batch.fused / best[batch.owner]
    np.divide(RANK_SOFTNESS, RANK_SOFTNESS + batch.ranks.T, out=columns[1:6], where=batch.ranks.T > 0)
    columns[6:9] = np.concatenate([one.cosines for one in found]).T
    looks = np.concatenate([one.looks for one in found]).T
    columns[[9, 11]] = looks
    columns[[10, 12]] = 1.0 + np.log(looks + _FLOOR) / -math.log(_FLOOR)
    _popularity(columns, batch, now, stock)
    _match(columns, batch, visits, stock)
    had = _habits(columns, batch, found, visits, now, len(stock.items))
    had |= _ring(columns, batch, visits, now, stock)
    columns[COLUMN["bias"]] = 1.0
    return np.ascontiguousarray(columns.T, np.float32), had.astype(np.int64)


def buckets(visit: Visit) -> tuple[int, int]:
    """How long a shopper's history is and how long they were away, as numbers of buckets."""
    recent = visit.profile.recent
    away = visit.now - recent[-1].time if recent else math.inf
    return sum(len(recent) >= least for least in HISTORY), sum(away >= least for least in AWAY_MS)


def _popularity(columns: Floats, batch: Batch, now: Places, stock: Stock) -> None:
    board = stock.board.totals
    largest = board[stock.board.order()[0]] if len(stock.board.order()) else 0.0
    logs = board[batch.place]
    relative = np.exp(logs - largest)
    shift = np.array([log_mass(1.0, time, HALF_LIFE_MS) for time in now.tolist()])[batch.owner]
    pairs = np.array([log_mass(1.0, time, PAIR_HALF_LIFE_MS) for time in now.tolist()])[batch.owner]
    counts = np.exp(np.minimum(logs - shift, 50.0))
    longer = np.exp(np.clip(stock.neighbourhood.masses[batch.place] - pairs, -50.0, 50.0))
    columns[COLUMN["popularity"]] = relative
    columns[COLUMN["popularity_log"]] = 1.0 + np.log(relative + _POPULAR_FLOOR) / -math.log(_POPULAR_FLOOR)
    columns[COLUMN["mass"]] = np.log1p(counts) / 6.0
    columns[COLUMN["trend"]] = np.log((counts + 0.3) / (longer + 1.0)) / 3.0
    columns[COLUMN["scarce"]] = 1.0 / (1.0 + counts)


def _match(columns: Floats, batch: Batch, visits: Sequence[Visit], stock: Stock) -> None:
    """Prices, categories and brands beside those of the shopper's own doings."""
    items = stock.items
    sizes = [len(visit.profile.recent) for visit in visits]
    owner = np.repeat(np.arange(len(visits)), sizes)
    place = items.places(event.item for visit in visits for event in visit.profile.recent)
    weight = np.fromiter((event.weight for visit in visits for event in visit.profile.recent), np.float64, len(place))
    liked = weight > 0
    owner, place, weight = owner[liked], place[liked], weight[liked]
    prices = items.log_price.values[place]
    priced = ~np.isnan(prices)
    sums = np.bincount(owner[priced], weight[priced] * prices[priced], len(visits))
    totals = np.bincount(owner[priced], weight[priced], len(visits))
    usual = np.divide(sums, totals, out=np.full(len(visits), np.nan), where=totals > 0)
    gap = np.clip(np.nan_to_num(items.log_price.values[batch.place] - usual[batch.owner]), -3.0, 3.0)
    columns[COLUMN["price_gap"]] = -np.abs(gap)
    columns[COLUMN["dearer"]] = np.maximum(gap, 0.0)
    for name, column in (("category", items.category), ("brand", items.brand)):
        columns[COLUMN[name]] = _shares(batch, owner, weight, column.values[place], column.values[batch.place])


def _shares(
    batch: Batch, owner: Places, weight: Floats, theirs: npt.NDArray[np.int32], own: npt.NDArray[np.int32]
) -> Floats:
    """Which part of the weight of the shopper's doings is in each candidate's group: float64 (m,)."""
    stride = 1 + max(int(theirs.max(initial=0)), int(own.max(initial=0)))
    grouped = theirs != NONE
    keys, inverse = np.unique(owner[grouped] * stride + theirs[grouped], return_inverse=True)
    sums = np.bincount(inverse, weight[grouped], len(keys))
    totals = np.bincount(owner, weight, len(batch.starts) - 1)
    wanted = np.where(own == NONE, -1, batch.owner * stride + own)
    shares: Floats = np.zeros(len(own))
    at, hit = where(keys, wanted)
    shares[hit] = sums[at] / totals[batch.owner[hit]]
    return shares


def _habits(
    columns: Floats, batch: Batch, found: Sequence[Candidates], visits: Sequence[Visit], now: Places, items: int
) -> npt.NDArray[np.bool_]:
    """What was bought before. Returns which candidates were: bool (m,)."""
    had = np.zeros(len(batch.owner), np.bool_)
    owner = np.repeat(np.arange(len(found)), [len(one.habits) for one in found])
    at, hit = _Keys(batch, items).among(owner, np.concatenate([one.habits for one in found]))
    if not len(at):
        return had
    had[at] = True
    owner = owner[hit]
    habits = np.array([habit[:3] for visit in visits for habit in visit.profile.habits.values()], np.int64).reshape(
        -1, 3
    )
    purchases, first, last = habits[hit].T
    most = np.array([max((h.purchases for h in v.profile.habits.values()), default=1) for v in visits])[owner]
    strength = np.concatenate([one.strengths for one in found])[hit]
    elapsed = np.maximum(now[owner] - last, 0) / DAY_MS
    between = np.where(purchases > 1, (last - first) / DAY_MS / np.maximum(purchases - 1, 1), 0.0)
    ratio = np.divide(elapsed, between, out=np.zeros(len(at)), where=between > 0)
    known = between > 0
    columns[COLUMN["strength"], at] = strength / (1.0 + strength)
    columns[COLUMN["strength_log"], at] = np.log1p(strength) / 3.0
    columns[COLUMN["often"], at] = purchases / most
    columns[COLUMN["due"], at] = np.where(known, np.exp(-np.abs(np.log(np.maximum(ratio, _FLOOR)))), 0.0)
    columns[COLUMN["overdue"], at] = np.where(known, np.minimum(ratio, 5.0) / 5.0, 0.0)
    columns[COLUMN["bought_ago"], at] = np.log1p(elapsed) / 6.0
    columns[COLUMN["bought_once"], at] = purchases == 1
    return had


def _ring(columns: Floats, batch: Batch, visits: Sequence[Visit], now: Places, stock: Stock) -> npt.NDArray[np.bool_]:
    """What was done with the candidate lately. Returns with which candidates something was: bool (m,)."""
    count, keys = len(batch.owner), _Keys(batch, len(stock.items))
    shown = keys.at([visit.shown for visit in visits], stock)
    weights = np.array([amount for visit in visits for amount in visit.shown.values()])
    columns[COLUMN["impressions"], shown.rows] = np.log1p(weights[shown.hit]) / 3.0
    liked = [[event for event in visit.profile.recent if event.weight > 0] for visit in visits]
    ring = keys.at([[event.item for event in events] for events in liked], stock)
    weight = np.array([event.weight for events in liked for event in events])[ring.hit]
    time = np.array([event.time for events in liked for event in events], np.int64)[ring.hit]
    newest = np.array([visit.profile.recent[-1].time if visit.profile.recent else 0 for visit in visits], np.int64)
    had = np.zeros(count, np.bool_)
    had[ring.rows] = True
    last = np.zeros(count, np.int64)
    np.maximum.at(last, ring.rows, time)
    hours = np.maximum(now[batch.owner] - last, 0) / HOUR_MS
    columns[COLUMN["seen_weight"]] = np.log1p(np.bincount(ring.rows, weight, count))
    columns[COLUMN["seen_ago"]] = np.where(had, 1.0 / (1.0 + np.log1p(hours)), 0.0)
    columns[COLUMN["seen_now"]] = had & (last == newest[batch.owner])
    return had


class _Found(NamedTuple):
    """Rows of those items that are candidates, int64 (hits,), and which ones they are, bool (asked,)."""

    rows: Places
    hit: npt.NDArray[np.bool_]


class _Keys:
    """Owner and place of every candidate as one number, ascending, to look up what shoppers had to do with."""

    def __init__(self, batch: Batch, items: int) -> None:
        self._stride = max(items, 1)
        self._keys = batch.owner * self._stride + batch.place

    def at(self, asked: Sequence[Collection[str]], stock: Stock) -> _Found:
        """Where the items of every shopper are among their candidates."""
        owner = np.repeat(np.arange(len(asked)), [len(items) for items in asked])
        place = stock.items.places([item for items in asked for item in items])
        return self.among(owner, place)

    def among(self, owner: Places, place: Places) -> _Found:
        """Where places are among the candidates of their owners."""
        return _Found(*where(self._keys, owner * self._stride + place))
