"""Long-term interests: what somebody was ever for, as a few clusters instead of one mean.

    weighted items ──► heads, farthest first ──► clusters ──► closest merged ──► one Interest a cluster, by its medoid

A mean of a hammer and of a nappy is like neither. So the items are divided, the widest part first, until there are as
many parts as wanted or all are narrow; parts that are close are put together again. (Pal et al., "PinnerSage:
multi-modal user embedding framework for recommendations at Pinterest", KDD 2020, §4: clusters told by their medoids.
Gonzalez, "Clustering to minimize the maximum intercluster distance", TCS 1985: farthest first.)

An interest keeps its items and their weights, as every interest does: its direction is their weighted sum, and all that
it leads to can be traced to them. Vectors are looked up by whoever asks; nothing of them is kept.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streams.core import profile as profiles
from streams.core.halflives import HALF_LIVES, HalfLives
from streams.core.profile import LONG, Interest, Profile

HEAVIEST = 64
"""Items that are clustered: beyond them the weights of a long memory have faded."""

NARROW = 0.5
"""Cosine above which an item is near enough to a head, and two clusters to each other."""

Vectors = npt.NDArray[np.float32]


def asked(profile: Profile, now: int, most: int, half_lives: HalfLives = HALF_LIVES) -> list[Interest]:
    """The interests of a shopper, before any is divided.

    Args:
        profile: the shopper's.
        now: event time, Unix milliseconds.
        most: long-term interests; 0 for nothing but one mean of all that the shopper was ever for.
        half_lives: as `profile.interests` takes them.
    """
    if most:
        return profiles.interests(profile, now, half_lives)
    weights = profiles.long_term(profile, now)
    return [Interest("mean", list(weights), list(weights.values()))] if weights else []


def divided(interest: Interest, vectors: Vectors, most: int) -> list[tuple[Interest, Vectors]]:
    """An interest and its vectors, float32 (items, dim); the long-term one as at most `most` interests and theirs."""
    if interest.name != LONG or most < 2:
        return [(interest, vectors)]
    rows = {item: row for row, item in enumerate(interest.items)}
    return [(part, vectors[[rows[item] for item in part.items]]) for part in clustered(interest, vectors, most)]


def clustered(interest: Interest, vectors: Vectors, most: int) -> list[Interest]:
    """An interest as at most `most` interests, the heaviest first, each named by its medoid.

    The order of the items makes no difference. Items of no weight or without a vector are left out.

    Args:
        interest: items with weights.
        vectors: float32 (items, dim), of unit length, or zero where there is none.
        most: clusters, at least 1.
    """
    weights = np.asarray(interest.weights, np.float64)
    usable = np.flatnonzero((weights > 0) & np.any(vectors != 0, axis=1))
    ranked = sorted(usable.tolist(), key=lambda place: (-weights[place], interest.items[place]))[:HEAVIEST]
    if not ranked:
        return []
    items = [interest.items[place] for place in ranked]
    heavy, points = weights[ranked], vectors[ranked].astype(np.float64)
    groups = _merged(_assigned(points, _heads(points, heavy, most)), points, heavy)
    found = [(_medoid(points, heavy, group), group) for group in groups]
    found.sort(key=lambda cluster: (-heavy[cluster[1]].sum(), items[cluster[0]]))
    return [
        Interest(f"{interest.name}/{items[medoid]}", [items[place] for place in group], heavy[group].tolist())
        for medoid, group in found
    ]


def _heads(points: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], most: int) -> list[int]:
    """The heaviest item, then the one that is farthest from all heads for its weight, while one is not near."""
    heads, nearest = [0], points @ points[0]
    while len(heads) < most:
        far = np.where(nearest < NARROW, weights * (1.0 - nearest), -1.0)
        place = int(np.argmax(far))
        if far[place] < 0:
            break
        heads.append(place)
        nearest = np.maximum(nearest, points @ points[place])
    return heads


def _assigned(points: npt.NDArray[np.float64], heads: Sequence[int]) -> list[list[int]]:
    """Every item with the nearest head, of equally near ones the first."""
    closest = np.argmax(points @ points[heads].T, axis=1)
    return [np.flatnonzero(closest == number).tolist() for number in range(len(heads))]


def _merged(
    groups: list[list[int]], points: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> list[list[int]]:
    """Groups, of which the two whose directions are closest are put together while they are near."""
    while len(groups) > 1:
        sums = np.stack([weights[group] @ points[group] for group in groups])
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        cosines = np.tril(sums @ sums.T, -1) - np.triu(np.full((len(groups), len(groups)), 2.0))
        one, other = divmod(int(np.argmax(cosines)), len(groups))
        if cosines[one, other] < NARROW:
            break
        groups = [group for place, group in enumerate(groups) if place not in (one, other)] + [
            sorted(groups[one] + groups[other])
        ]
    return groups


def _medoid(points: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], group: Sequence[int]) -> int:
    """The item nearest to all of its group by their weights; of equally near ones the heaviest."""
    nearness = points[group] @ (weights[group] @ points[group])
    return group[int(np.argmax(np.round(nearness, 9)))]
