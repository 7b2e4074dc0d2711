"""What shoppers of a like mind had lately: session neighbours, with a shopper's ring of recent items as the session.

    similarity(s) = Σ over what both had of w · 2^(-age of s / MEMORY) / √(items of s)      w falls with what is newer
    score(item)   = Σ over the `NEAREST` most similar s that have it of similarity(s) / (mass of the item) ^ RARITY

    met(item)     = Σ over what the shopper had of w' · |rings with both| / √(rings with the one · rings with the other)

This is V-SKNN (Ludewig & Jannach, "Evaluation of session-based recommendation algorithms", UMUAI 2018) over the newest
ring of every shopper, where theirs are sessions; what was met is item-kNN (Sarwar et al., "Item-based collaborative
filtering recommendation algorithms", WWW 2001) over the rings that are kept of either. A ring holds the last session
whole and what came before it, so it is found by either; and there is one of each shopper, so a topic with the newest
record of each key has all of them.

**Bounds.** The `MOST` newest rings are kept, and of each item the `HOLDERS` newest rings that have it. Up to what the
bounds cut off, the state is a function of the newest record of each shopper, in whatever order they come.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core import decay, ragged
from streams.core.cooccurrence import HALF_LIFE_MS
from streams.core.events import Interaction
from streams.core.items import NONE, Items, Places
from streams.core.profile import RING

Floats = npt.NDArray[np.float64]

MOST = 50_000
"""Rings kept, those of the shoppers who did something last."""

HOLDERS = 64
"""Rings looked at for each item of a shopper's, the newest."""

NEAREST = 100
"""Rings that are asked what else is in them."""

KEEP = 0.98
"""What an item of the shopper's counts of the next newer one."""

MET_KEEP = 0.9
"""The same for what was met: it says more of what the shopper deals with now."""

MEMORY_MS = 14.0 * decay.DAY_MS
"""A ring counts half as much after this time."""

RARITY = 0.3
"""Exponent of an item's mass that its score is divided by: what everybody has says less."""

_BEGIN = 1024
_TOGETHER = 250
_NOBODY = 0
"""The row of no shopper."""


class Session(NamedTuple):
    """What a shopper was for lately: items, each once, newest first, and the time of the newest, Unix milliseconds."""

    items: list[str]
    time: int


class Held(NamedTuple):
    """Whose rings have what several shoppers were for.

    Attributes:
        asked: int64 (n,), places, each once for a shopper.
        bounds: of what is asked, by shopper.
        rows: int64 (m,), of the rings, each once for a shopper; `_NOBODY` is one of them.
        edges: of the rings, by shopper.
        rings: int64 (n * HOLDERS,), which of them have each of what is asked.
    """

    asked: Places
    bounds: Places
    rows: Places
    edges: Places
    rings: Places


class Alike(NamedTuple):
    """The rings nearest to those of several shoppers, and what is in them.

    Attributes:
        similarities: float64 (rings,), above 0.
        bounds: of the rings, by shopper.
        ring, place: int64 (m,): which of the rings has which item.
        edges: of the latter, by shopper.
    """

    similarities: Floats
    bounds: Places
    ring: Places
    place: Places
    edges: Places


class Votes(NamedTuple):
    """What is in the rings nearest to those of several shoppers.

    Attributes:
        places: int64 (n,), each of a shopper's once.
        bounds: of them, by shopper.
        scores: float64 (n,), above 0.
        members: int64 (m,), which of them `Alike.place` is.
    """

    places: Places
    bounds: Places
    scores: Floats
    members: Places


def weighed(weights: Floats, newer: Places, keep: float = KEEP) -> Floats:
    """What interactions count: float64 (n,). weights: float64 (n,), above 0; newer: int64 (n,), how many are newer."""
    counts: Floats = weights * keep**newer
    return counts


def pull(alike: Alike, lines: Places, columns: Places, shape: tuple[int, int, int]) -> Floats:
    """How much the rings of each shopper have both of some items and of others: sums of similarities.

    Args:
        alike: the rings, of so many shoppers at least.
        lines: int64 (members of the shoppers' rings,), which of the ones each is, or `NOWHERE`.
        columns: the same of the others.
        shape: how many shoppers there are, and how many of both a shopper has at most.

    Returns:
        float64 `shape`.
    """
    bounds = alike.bounds[: shape[0] + 1].tolist()
    have, had = (np.zeros((bounds[-1], width)) for width in shape[1:])
    for table, some in ((have, lines), (had, columns)):
        hits = np.flatnonzero(some != ragged.NOWHERE)
        table[alike.ring[hits], some[hits]] = 1.0
    have *= alike.similarities[: bounds[-1], None]
    pulls = np.empty(shape)
    for own, (begin, end) in zip(pulls, pairwise(bounds), strict=True):
        np.matmul(have[begin:end].T, had[begin:end], out=own)
    return pulls


def session_of(recent: Sequence[Interaction]) -> Session | None:
    """The session of a ring: items of which the newest word is for them; None if there are none."""
    newest: dict[str, Interaction] = {}
    for interaction in reversed(recent):
        if interaction.weight:
            newest.setdefault(interaction.item, interaction)
    liked = [interaction for interaction in newest.values() if interaction.weight > 0]
    return Session([interaction.item for interaction in liked], liked[0].time) if liked else None


class Sessions:
    """The newest rings of shoppers, by shopper and by item.

    A ring is read when somebody asks: of those that pass by, many are replaced before.
    """

    def __init__(self, items: Items | None = None, most: int = MOST) -> None:
        """None yet. `items`: whose places these are; its own without any."""
        self.items = Items() if items is None else items
        self._most = most
        self._rows: dict[bytes, int] = {}
        self._shoppers: list[bytes] = [b""]
        self._free: list[int] = []
        self._unread: dict[bytes, Callable[[], Session]] = {}
        self._holders = self.items.column(np.int64, _NOBODY, HOLDERS)
        self._spread = self.items.column(np.int64, 0)  # how many holders there are
        self._members = np.full((_BEGIN, RING), NONE)
        self._times = np.zeros(_BEGIN, np.int64)
        self._roots = np.zeros(_BEGIN)
        self._scratch = np.zeros(_BEGIN, np.int64)

    def __len__(self) -> int:
        self._read()
        return len(self._rows)

    def update(self, shopper: bytes, session: Callable[[], Session]) -> None:
        """Set a shopper's session, which is called for when somebody asks."""
        self._unread[shopper] = session
        if len(self._unread) > _TOGETHER:
            self._read()

    def forget(self, shopper: bytes) -> None:
        """Let a shopper's session go."""
        self._unread.pop(shopper, None)
        row = self._rows.pop(shopper, None)
        if row is not None:
            self._set({row: Session([], 0)})
            self._free.append(row)

    def held(self, asked: Places, bounds: Places, users: Sequence[str] = ()) -> Held:
        """Look up who else has what several shoppers were for.

        Args:
            asked: int64 (n,), places, each once for a shopper.
            bounds: of what is asked, by shopper.
            users: who they are, so that nobody is told of their own session; none for nobody known.
        """
        self._read()
        holders = self._holders.values.take(asked, axis=0).ravel()
        if users:
            own = np.array([self._rows.get(user.encode(), _NOBODY) for user in users], np.int64)
            holders[holders == np.repeat(own, HOLDERS * ragged.sizes_of(bounds))] = _NOBODY
        return Held(asked, bounds, *ragged.distinct(holders, HOLDERS * bounds, self._scratch))

    def alike(self, held: Held, counts: Floats, nows: Sequence[int]) -> Alike:
        """The `NEAREST` rings most like those of several shoppers, and as many more as are alike to the last of them.

        Args:
            held: what they were for.
            counts: float64 (n,), what each of it counts: see `weighed`.
            nows: by shopper, event time, Unix milliseconds.
        """
        rows, edges = held.rows, held.edges
        shared = np.bincount(held.rings, np.repeat(counts, HOLDERS), len(rows))
        times = np.repeat(np.array(nows, np.int64), ragged.sizes_of(edges))
        ages = np.minimum(self._times[rows] - times, 0)
        similarities = shared * self._roots[rows] * np.exp2(ages / MEMORY_MS)
        least = np.repeat(ragged.leasts(similarities, edges, NEAREST), ragged.sizes_of(edges))
        some = np.flatnonzero((similarities >= least) & (similarities > 0))  # nobody is like nobody
        owner = ragged.owners(edges)[some]
        members = self._members.take(rows[some], axis=0)
        there = members != NONE
        sizes = np.count_nonzero(there, axis=1)
        rings, places = np.repeat(np.arange(len(some)), sizes), members[there]
        found = np.searchsorted(owner, np.arange(len(edges)))
        return Alike(similarities[some], found, rings, places, ragged.bounds_of(sizes)[found])

    def votes(self, alike: Alike, masses: Floats, nows: Sequence[int]) -> Votes:
        """What is in rings, with the sum of their similarities.

        Args:
            alike: the rings.
            masses: float64 (places,), log masses of items' own events.
            nows: by shopper, event time, Unix milliseconds.
        """
        places, bounds, members = ragged.distinct(alike.place, alike.edges, self.items.scratch)
        sums: Floats = np.bincount(members, alike.similarities[alike.ring], len(places)).astype(np.float64)
        shifts = decay.log_units(nows, HALF_LIFE_MS)
        logs = masses[places] - np.repeat(shifts, ragged.sizes_of(bounds))
        return Votes(places, bounds, sums * np.exp(-RARITY * np.maximum(logs, 0.0)), members)

    def met(self, held: Held, counts: Floats, candidates: Places, edges: Places) -> Floats:
        """How often candidates were in one ring with what several shoppers were for: float64 (candidates,).

        Args:
            held: what they were for.
            counts: float64 (n,), what each of it counts: see `weighed`, with `MET_KEEP`.
            candidates: int64 (m,), places.
            edges: of the candidates, by shopper.
        """
        each = counts / self._root(held.asked)
        shares = np.bincount(held.rings, np.repeat(each, HOLDERS), len(held.rows))
        shares[held.rows == _NOBODY] = 0.0
        result, table = np.zeros(len(candidates)), np.zeros(len(self._times))
        own = ragged.parted(held.rows, held.edges), ragged.parted(shares, held.edges)
        for rows, values, (first, last) in zip(*own, pairwise(edges.tolist()), strict=True):
            theirs = self._holders.values.take(candidates[first:last], axis=0)
            table[rows] = values
            result[first:last] = table.take(theirs).sum(axis=1)
            table[rows] = 0.0
        result /= self._root(candidates)
        return result

    def _root(self, places: Places) -> Floats:
        """The root of how many rings are held of items, at least one: float64 (n,)."""
        root: Floats = np.sqrt(np.maximum(self._spread.values[places], 1))
        return root

    def _read(self) -> None:
        unread, self._unread = self._unread, {}
        told: dict[int, Session] = {}
        for shopper, read in unread.items():
            session = read()
            row = self._rows.get(shopper)
            if row is None:
                row = self._take(shopper, session.time)
            if row is not None:
                told[row] = session
                self._times[row] = session.time
        if told:
            self._set(told)

    def _take(self, shopper: bytes, time: int) -> int | None:
        """A row for a shopper, the oldest one's if all are taken; None if that is not older than theirs."""
        if self._free:
            row = self._free.pop()
        elif len(self._shoppers) <= self._most:
            row = len(self._shoppers)
            self._shoppers.append(shopper)
            if row == len(self._times):
                self._grow()
        else:
            row = 1 + int(np.argmin(self._times[1 : len(self._shoppers)]))
            if self._times[row] >= time:
                return None
            del self._rows[self._shoppers[row]]
        self._rows[shopper] = row
        self._shoppers[row] = shopper
        return row

    def _grow(self) -> None:
        self._members = np.concatenate((self._members, np.full_like(self._members, NONE)))
        self._times = np.concatenate((self._times, np.zeros_like(self._times)))
        self._roots = np.concatenate((self._roots, np.zeros_like(self._roots)))
        self._scratch = np.concatenate((self._scratch, np.zeros_like(self._scratch)))

    def _set(self, told: Mapping[int, Session]) -> None:
        """Put sessions into rows, and into the rings of their items what has changed."""
        rows = np.fromiter(told, np.int64, len(told))
        lists = [session.items[:RING] for session in told.values()]
        sizes = np.array([len(items) for items in lists])
        new = np.full((len(rows), RING), NONE)
        new[np.arange(RING) < sizes[:, None]] = self.items.places(chain.from_iterable(lists))
        old = self._members[rows]
        gone = (old != NONE) & ~(old[:, :, None] == new[:, None, :]).any(axis=2)
        held = (self._holders.values[new] == rows[:, None, None]).any(axis=2)  # may have been pushed out before
        come = (new != NONE) & ~held
        self._members[rows] = new
        self._times[rows] = [session.time for session in told.values()]
        self._roots[rows] = np.where(sizes > 0, 1.0 / np.sqrt(np.maximum(sizes, 1)), 0.0)
        self._leave(old[gone], rows[np.flatnonzero(gone) // RING])
        self._enter(new[come], rows[np.flatnonzero(come) // RING])

    def _leave(self, places: Places, rows: Places) -> None:
        held = np.flatnonzero(self._holders.values[places] == rows[:, None])
        left = places[held // HOLDERS]
        self._holders.values[left, held % HOLDERS] = _NOBODY
        np.subtract.at(self._spread.values, left, 1)

    def _enter(self, places: Places, rows: Places) -> None:
        """Rows become holders of items, in the place of nobody or of the oldest one."""
        while len(places):
            _, first = np.unique(places, return_index=True)  # one of each item at a time
            some, who = places[first], rows[first]
            holders = self._holders.values[some]
            times = np.where(holders == _NOBODY, -1, self._times[holders])
            at, lines = times.argmin(axis=1), np.arange(len(some))
            newer = times[lines, at] <= self._times[who]
            some, at, who, free = some[newer], at[newer], who[newer], holders[lines, at][newer] == _NOBODY
            self._holders.values[some, at] = who
            self._spread.values[some] += free
            places, rows = np.delete(places, first), np.delete(rows, first)
