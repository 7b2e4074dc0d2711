"""What is popular within categories, at any level of their paths: for shelves, and for those of whom little is known.

No counts of its own: which items are in a category is known from the catalogue, how popular they are from the board.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from streams.core.trending import Board


class Categories:
    """The items of every category of a board's shop. An item is in all categories of its path."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._paths: dict[str, tuple[str, ...]] = {}
        self._places: defaultdict[str, set[int]] = defaultdict(set)
        self._arrays: dict[str, npt.NDArray[np.int64]] = {}

    def put(self, item: str, path: Sequence[str]) -> None:
        """Set the path of an item, broadest category first; empty for an item of none, or one that is gone."""
        old, new = self._paths.get(item, ()), tuple(path)
        if old == new:
            return
        place = self._board.place(item)
        for category in {*old, *new}:
            self._arrays.pop(category, None)
        for category in old:
            self._places[category].discard(place)
        for category in new:
            self._places[category].add(place)
        self._paths[item] = new

    def popular(self, category: str, count: int) -> list[str]:
        """The most popular items of a category, best first; equal ones by `Items.ties`."""
        ids = self._board.items.ids
        return [ids[place] for place in self._board.among(self._items(category), count)]

    def shares(self, weights: Mapping[str, float]) -> dict[str, float]:
        """How much of some items' weight is in each broadest category; the shares sum to 1. Strongest first."""
        sums: dict[str, float] = defaultdict(float)
        for item, weight in weights.items():
            for category in self._paths.get(item, ())[:1]:
                sums[category] += weight
        total = sum(sums.values())
        return {category: sums[category] / total for category in sorted(sums, key=lambda name: (-sums[name], name))}

    def popular_in(self, shares: Mapping[str, float], count: int) -> list[str]:
        """The most popular items of several categories, by share · popularity; equal ones by `Items.ties`.

        `shares`: of categories that have no item in common, above 0.
        """
        if not shares:
            return []
        parts = [self._board.among(self._items(category), count) for category in shares]
        logs = np.repeat([math.log(share) for share in shares.values()], [len(part) for part in parts])
        places = np.concatenate(parts)
        scores = np.round(logs + self._board.totals[places], 9)
        return [self._board.items.ids[place] for place in self._board.items.ranked(places, scores, count)]

    def _items(self, category: str) -> npt.NDArray[np.int64]:
        """int64 (n,): places on the board."""
        if category not in self._arrays:
            self._arrays[category] = np.array(sorted(self._places.get(category, ())), np.int64)
        return self._arrays[category]
