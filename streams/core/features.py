"""What the ranker sees of a candidate: about fifty numbers of the order of 1, each of a channel.

Candidates of a batch of shoppers are flat: row r is the item at `place[r]` for the shopper `owner[r]`. Every feature is
a function of the profile, the shared state and the time of asking; so taking an event away changes what it stood for.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core.channels import INTENT, Batch, Stock, Visit
from streams.core.cooccurrence import HALF_LIFE_MS as PAIR_HALF_LIFE_MS
from streams.core.decay import DAY_MS, HOUR_MS, log_units
from streams.core.doings import Doings, Habits
from streams.core.gathering import Gathered
from streams.core.items import NONE, Items, Places
from streams.core.policy import Channel
from streams.core.ragged import NOWHERE, bounds_of, joined, located, maxima, owners
from streams.core.trending import DISCOVERY_HALF_LIFE_MS, HALF_LIFE_MS, NEW_MS

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]


class Feature(NamedTuple):
    """A feature and the channel that its part of a score is put down to."""

    name: str
    channel: Channel


_C, _P, _B, _N, _S = Channel.CONTENT, Channel.POPULAR, Channel.BUY_AGAIN, Channel.NEIGHBOURS, Channel.SEGMENT
_O, _D, _A = Channel.SESSIONS, Channel.DISCOVERED, Channel.ARRIVALS
FEATURES = (
    Feature("fused", _P),  # put down to the channels that it is fused from
    Feature("rank_content", _C),
    Feature("rank_popular", _P),
    Feature("rank_buy_again", _B),
    Feature("rank_neighbours", _N),
    Feature("rank_segment", _S),
    Feature("rank_sessions", _O),
    Feature("rank_discovered", _D),
    Feature("rank_arrivals", _A),
    Feature("cosine", _C),
    Feature("cosine_intent", _C),
    Feature("cosine_long", _C),
    Feature("alike", _C),
    Feature("alike_sitting", _C),
    Feature("alike_new", _C),
    Feature("wide", _N),
    Feature("wide_log", _N),
    Feature("tight", _N),
    Feature("tight_log", _N),
    Feature("sitting", _N),
    Feature("sitting_log", _N),
    Feature("votes", _O),
    Feature("votes_log", _O),
    Feature("met", _O),
    Feature("met_log", _O),
    Feature("popularity", _P),
    Feature("popularity_log", _P),
    Feature("mass", _P),
    Feature("trend", _P),
    Feature("scarce", _P),
    Feature("age", _P),
    Feature("found", _D),
    Feature("found_share", _D),
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
_RANKS, _COSINES = slice(FUSED + 1, COLUMN["cosine"]), slice(COLUMN["cosine"], COLUMN["alike"])
_COMPARED = ("wide", "tight", "sitting", "votes", "met")
_PARTS, _PARTS_LOG = ([COLUMN[f"{name}{how}"] for name in _COMPARED] for how in ("", "_log"))

ALIKE = tuple(
    [COLUMN[name] for name in names]
    for names in (("cosine", "cosine_intent", "cosine_long"), ("alike", "alike_new"), ("alike_sitting",))
)
"""Columns of likeness: to interests, to whichever of the recent items is most like it, and to that of the sitting."""

HISTORY = (3, 10, 50)
"""Interactions in the ring from which the next bucket of the length of a history begins."""

AWAY_MS = (HOUR_MS // 2, 2 * DAY_MS)
"""Time since the newest interaction from which the next bucket of being away begins."""

RANK_SOFTNESS = 5.0
"""A rank r counts s / (s + r)."""

_FLOOR = 1e-3
_LEAST = 1e-300
_POPULAR_FLOOR = 1e-4


class Seen(NamedTuple):
    """What the ranker sees of candidates: float32 (m, len(FEATURES)); int64 (m,), 1 for what was had before, else 0."""

    matrix: Matrix
    had: Places


class Fetched(NamedTuple):
    """Vectors of what a batch of shoppers has to do with.

    Attributes:
        vectors: float32 (n, dim), unit rows; zeros for an item without a vector.
        candidates: int64 (m,), which of them each candidate has.
        asked: int64 (asked,), the same of what the shoppers were for (`Doings.asked`).
    """

    vectors: Matrix
    candidates: Places
    asked: Places


def features(found: Gathered, visits: Sequence[Visit], stock: Stock, fetched: Fetched) -> Seen:
    """The features of every candidate, and whether the shopper had to do with it before."""
    batch, now = found.batch, np.array([visit.now for visit in visits], np.int64)
    columns = np.zeros((len(FEATURES), len(batch.owner)), np.float32)
    columns[FUSED] = batch.fused / maxima(batch.fused, batch.starts)[batch.owner]
    ranks = batch.ranks.T
    columns[_RANKS] = np.where(ranks > 0, RANK_SOFTNESS / (RANK_SOFTNESS + ranks), 0.0)
    _cosines(columns[_COSINES], batch, visits, stock.items)
    _alike(columns, batch, found.doings, fetched, stock.items)
    parts = _parts(found, stock)
    columns[_PARTS] = parts
    columns[_PARTS_LOG] = 1.0 + np.log(parts + _FLOOR) / -math.log(_FLOOR)
    _popularity(columns, batch, now, stock)
    _age(columns, batch, now, stock.items)
    _match(columns, batch, found.doings, stock)
    had = _habits(columns, batch, found.habits, now, stock.items)
    _shown(columns, batch, visits, stock.items)
    had |= _done(columns, batch, found.doings, now, stock.items)
    columns[COLUMN["bias"]] = 1.0
    return Seen(np.ascontiguousarray(columns.T), had.astype(np.int64))


def buckets(visit: Visit) -> tuple[int, int]:
    """How long a shopper's history is and how long they were away, as numbers of buckets."""
    recent = visit.profile.recent
    away = visit.now - recent[-1].time if recent else math.inf
    return sum(len(recent) >= least for least in HISTORY), sum(away >= least for least in AWAY_MS)


def _cosines(columns: Matrix, batch: Batch, visits: Sequence[Visit], items: Items) -> None:
    """Note cosines to any interest (the largest), to the intent and to any other; 0 where a candidate was not found."""
    near = [near for visit in visits for near in visit.near]
    sizes = [len(one.places) for one in near]
    edges = bounds_of(sizes)[bounds_of([len(visit.near) for visit in visits])]
    rows, hit = _among(batch, joined([one.places for one in near], np.int64), edges, items)
    values = joined([one.cosines for one in near], np.float32)[hit]
    intent = np.repeat(np.array([one.interest == INTENT for one in near], np.bool_), sizes)[hit]
    for column, those in zip(columns, (np.ones_like(intent), intent, ~intent), strict=True):
        np.maximum.at(column, rows[those], values[those])


def _alike(columns: Matrix, batch: Batch, doings: Doings, fetched: Fetched, items: Items) -> None:
    """Note the largest cosines to what the shopper was for lately, and in this sitting; to itself apart."""
    lately, just_now = columns[COLUMN["alike"]], columns[COLUMN["alike_sitting"]]
    vectors, candidates, had = fetched
    rows = located(doings.asked, doings.bounds, batch.place, batch.starts, items.scratch)
    sitting = doings.sitting
    asked = pairwise(doings.bounds.tolist())
    for (begin, end), (first, last) in zip(pairwise(batch.starts.tolist()), asked, strict=True):
        cosines = vectors[had[first:last]] @ vectors[candidates[begin:end]].T
        both = np.flatnonzero(rows[first:last] != NOWHERE)
        cosines[both, rows[first:last][both] - begin] = 0.0
        np.max(cosines, axis=0, initial=0.0, out=lately[begin:end])
        np.max(cosines[sitting[first:last]], axis=0, initial=0.0, out=just_now[begin:end])


def _parts(found: Gathered, stock: Stock) -> Floats:
    """Scores of candidates as parts of the largest of their shopper: float64 (5, m).

    As neighbours at large, just now and of the sitting, by others' sessions, and by how often they were in these with
    what was had.
    """
    batch = found.batch
    parts = np.zeros((len(_COMPARED), len(batch.owner)))
    looks = [(scores, found.looks.bounds, found.among_looks) for scores in found.looks.scores]
    votes = (found.votes.scores, found.votes.bounds, found.among_votes)
    for own, (scores, bounds, among) in zip(parts, (*looks, votes), strict=False):
        hits = np.flatnonzero(among != NOWHERE)
        own[hits] = scores[among[hits]] / np.maximum(maxima(scores, bounds), _LEAST)[batch.owner[hits]]
    if len(found.held.asked):
        met = stock.sessions.met(found.held, found.doings.met, batch.place, batch.starts)
        parts[-1] = met / np.maximum(maxima(met, batch.starts), _LEAST)[batch.owner]
    return parts


def _popularity(columns: Matrix, batch: Batch, now: Places, stock: Stock) -> None:
    board = stock.board.totals
    largest = board[stock.board.order()[0]] if len(stock.board.order()) else 0.0
    logs = board[batch.place]
    relative = np.exp(logs - largest)
    shift = log_units(now, HALF_LIFE_MS)[batch.owner]
    pairs = log_units(now, PAIR_HALF_LIFE_MS)[batch.owner]
    counts = np.exp(np.minimum(logs - shift, 50.0))
    longer = np.exp(np.clip(stock.neighbourhood.masses[batch.place] - pairs, -50.0, 50.0))
    columns[COLUMN["popularity"]] = relative
    columns[COLUMN["popularity_log"]] = 1.0 + np.log(relative + _POPULAR_FLOOR) / -math.log(_POPULAR_FLOOR)
    columns[COLUMN["mass"]] = np.log1p(counts) / 6.0
    columns[COLUMN["trend"]] = np.log((counts + 0.3) / (longer + 1.0)) / 3.0
    columns[COLUMN["scarce"]] = 1.0 / (1.0 + counts)
    later = log_units(now, DISCOVERY_HALF_LIFE_MS)[batch.owner]
    found = np.exp(np.minimum(stock.discoveries.totals[batch.place] - later, 50.0))
    columns[COLUMN["found"]] = np.log1p(found) / 6.0
    columns[COLUMN["found_share"]] = np.log((found + 0.3) / (counts + 1.0)) / 3.0


def _age(columns: Matrix, batch: Batch, now: Places, items: Items) -> None:
    """How long ago anything was first done with the candidate; of what is new it says more what it is like."""
    ages = np.maximum(now[batch.owner] - items.first.values[batch.place], 0)
    columns[COLUMN["age"]] = np.log1p(ages / DAY_MS) / 6.0
    columns[COLUMN["alike_new"]] = columns[COLUMN["alike"]] * 0.5 ** (ages / NEW_MS)


def _match(columns: Matrix, batch: Batch, doings: Doings, stock: Stock) -> None:
    """Prices, categories and brands beside those of the shopper's own doings."""
    items, shoppers = stock.items, len(doings.newest)
    owner, place, weight = owners(doings.events), doings.places, doings.weights
    prices = items.log_price.values[place]
    priced = ~np.isnan(prices)
    sums = np.bincount(owner[priced], weight[priced] * prices[priced], shoppers)
    totals = np.bincount(owner[priced], weight[priced], shoppers)
    usual = np.divide(sums, totals, out=np.full(shoppers, np.nan), where=totals > 0)
    gap = np.clip(np.nan_to_num(items.log_price.values[batch.place] - usual[batch.owner]), -3.0, 3.0)
    columns[COLUMN["price_gap"]] = -np.abs(gap)
    columns[COLUMN["dearer"]] = np.maximum(gap, 0.0)
    for name, column in (("category", items.category), ("brand", items.brand)):
        columns[COLUMN[name]] = _shares(batch, owner, weight, column.values[place], column.values[batch.place])


def _shares(
    batch: Batch, owner: Places, weight: Floats, theirs: npt.NDArray[np.int32], own: npt.NDArray[np.int32]
) -> Floats:
    """Which part of the weight of the shopper's doings is in each candidate's group: float64 (m,)."""
    shoppers, totals = len(batch.starts) - 1, np.bincount(owner, weight, len(batch.starts) - 1)
    grouped, wanted = theirs != NONE, own != NONE
    # Groups by numbers of their own: what a shop has of them says nothing of how many a batch has to do with.
    numbers = np.full(1 + max(int(theirs.max(initial=0)), int(own.max(initial=0))), NONE)
    numbers[theirs[grouped]] = 0
    numbers[numbers != NONE] = np.arange(np.count_nonzero(numbers != NONE))
    width = max(int(numbers.max()) + 1, 1)
    sums = np.bincount(owner[grouped] * width + numbers[theirs[grouped]], weight[grouped], shoppers * width)
    group = np.where(wanted, numbers[own], NONE)
    rows = np.flatnonzero(group != NONE)
    shares: Floats = np.zeros(len(own))
    of_all, whose = np.maximum(totals[batch.owner[rows]], _LEAST), batch.owner[rows]
    shares[rows] = sums[whose * width + group[rows]] / of_all
    return shares


def _habits(columns: Matrix, batch: Batch, habits: Habits, now: Places, items: Items) -> npt.NDArray[np.bool_]:
    """What was bought before. Returns which candidates were: bool (m,)."""
    had = np.zeros(len(batch.owner), np.bool_)
    at, hit = _among(batch, habits.places, habits.bounds, items)
    had[at] = True
    owner = batch.owner[at]
    purchases, first, last, strength = (
        column[hit] for column in (habits.purchases, habits.first, habits.last, habits.strengths)
    )
    most = maxima(habits.purchases, habits.bounds)[owner]
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


def _shown(columns: Matrix, batch: Batch, visits: Sequence[Visit], items: Items) -> None:
    """How often the candidate was shown and left alone."""
    if any(visit.shown for visit in visits):
        places = items.places(item for visit in visits for item in visit.shown)
        rows, hit = _among(batch, places, bounds_of([len(visit.shown) for visit in visits]), items)
        weights = np.array([amount for visit in visits for amount in visit.shown.values()])
        columns[COLUMN["impressions"], rows] = np.log1p(weights[hit]) / 3.0


def _done(columns: Matrix, batch: Batch, doings: Doings, now: Places, items: Items) -> npt.NDArray[np.bool_]:
    """What was done with the candidate lately. Returns with which candidates something was: bool (m,)."""
    count = len(batch.owner)
    rows, hit = _among(batch, doings.places, doings.events, items)
    had = np.zeros(count, np.bool_)
    had[rows] = True
    last = np.zeros(count, np.int64)
    np.maximum.at(last, rows, doings.times[hit])
    hours = np.maximum(now[batch.owner] - last, 0) / HOUR_MS
    columns[COLUMN["seen_weight"]] = np.log1p(np.bincount(rows, doings.weights[hit], count))
    columns[COLUMN["seen_ago"]] = np.where(had, 1.0 / (1.0 + np.log1p(hours)), 0.0)
    columns[COLUMN["seen_now"]] = had & (last == doings.newest[batch.owner])
    return had


def _among(batch: Batch, places: Places, bounds: Places, items: Items) -> tuple[Places, npt.NDArray[np.bool_]]:
    """Where places are among the candidates of those whose they are, by shopper.

    Returns:
        int64 (hits,), rows of the batch; bool (len(places),), which ones are there.
    """
    at = located(places, bounds, batch.place, batch.starts, items.scratch)
    hit = at != NOWHERE
    return at[hit], hit
