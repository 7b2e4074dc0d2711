"""Private labels of a graph: given out once, counting up, never used again.

A graph of hnswlib must not see a label twice: after a re-add its lookup can lose the item and serve it for ever. So an
item gets a new label whenever its vector changes, and the old one stays in the graph as a tombstone.
"""

import numpy as np
import numpy.typing as npt

from index.rows import Removal, Slots

GraphLabels = npt.NDArray[np.int64]
"""int64 (n,): labels as the graph knows them."""

_NONE = -1


class Labels:
    """Which slot of the rows a label of one graph stands for, and the other way round."""

    def __init__(self) -> None:
        """No label given out yet."""
        self._slot_of = np.empty(0, dtype=np.int64)
        self._label_of = np.empty(0, dtype=np.int64)
        self._given = 0
        self._live = 0

    @classmethod
    def restored(cls, table: GraphLabels) -> "Labels":
        """Labels whose `table` was saved."""
        labels = cls()
        live = np.flatnonzero(table != _NONE)
        labels._given, labels._live = len(table), len(live)
        labels._slot_of = table.copy()
        labels._label_of = _grown(labels._label_of, int(table.max(initial=_NONE)) + 1)
        labels._label_of[table[live]] = live
        return labels

    @property
    def table(self) -> GraphLabels:
        """The slot of every label given out, −1 for a tombstone: a view."""
        return self._slot_of[: self._given]

    @property
    def given(self) -> int:
        """How many labels were given out: the next one's value."""
        return self._given

    @property
    def live(self) -> int:
        """How many labels stand for a live row."""
        return self._live

    @property
    def dead(self) -> int:
        """How many labels are tombstones."""
        return self._given - self._live

    def assign(self, slots: Slots) -> GraphLabels:
        """A new label for each slot; none of the slots has one."""
        labels = np.arange(self._given, self._given + len(slots), dtype=np.int64)
        self._given += len(slots)
        self._live += len(slots)
        self._slot_of = _grown(self._slot_of, self._given)
        self._label_of = _grown(self._label_of, int(slots.max(initial=-1)) + 1)
        self._slot_of[labels] = slots
        self._label_of[slots] = labels
        return labels

    def drop(self, slots: Slots) -> None:
        """Take the labels of these slots away: tombstones from now on."""
        slots = slots[slots < len(self._label_of)]
        labels: GraphLabels = self._label_of[slots]
        labels = labels[labels != _NONE]
        self._slot_of[labels] = _NONE
        self._label_of[slots] = _NONE
        self._live -= len(labels)

    def follow(self, removal: Removal) -> None:
        """Do what the rows did in a removal."""
        self.drop(removal.gone)
        self._label_of = _grown(self._label_of, int(removal.source.max(initial=-1)) + 1)
        moved = self._label_of[removal.source]
        self._label_of[removal.source] = _NONE
        self._label_of[removal.hole] = moved
        known = moved != _NONE
        self._slot_of[moved[known]] = removal.hole[known]

    def slots(self, labels: GraphLabels) -> Slots:
        """The slot of each label, −1 for a tombstone; any shape."""
        return np.take(self._slot_of, labels)

    def missing(self, rows: int) -> Slots:
        """The slots below `rows` that have no label, ascending."""
        known = self._label_of[:rows]
        return np.concatenate([np.flatnonzero(known == _NONE), np.arange(len(known), rows, dtype=np.int64)])


def _grown(array: npt.NDArray[np.int64], wanted: int) -> npt.NDArray[np.int64]:
    """The array, or a longer copy padded with −1 when it has less than `wanted` places."""
    if wanted <= len(array):
        return array
    longer = np.full(max(256, 2 * len(array), wanted), _NONE, dtype=np.int64)
    longer[: len(array)] = array
    return longer
