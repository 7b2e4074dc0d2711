"""One index made of several, each with its share of the ids: for catalogues that outgrow one of them."""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from index.base import IndexInputError, VectorIndex, Vectors
from index.inputs import checked_batch, checked_ids, checked_k, unit_rows


class ShardedIndex:
    """A `VectorIndex` that keeps an id in the shard that its hash names, and asks all shards for neighbours.

    The best k of all shards are among the best k of each, so the answer is as good as the shards' own. Sizes of
    shards differ by chance only; their number must not change, or ids change their shard.
    """

    def __init__(self, shards: Sequence[VectorIndex]) -> None:
        """An index over `shards`, all of one dimension.

        Raises:
            IndexInputError: there are none, or their dimensions differ.
        """
        dims = {shard.dim for shard in shards}
        if len(dims) != 1:
            raise IndexInputError(f"shards have the dimensions {sorted(dims)}, wanted one")
        self._shards = list(shards)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._shards[0].dim

    def __len__(self) -> int:
        return sum(len(shard) for shard in self._shards)

    def __contains__(self, item: object) -> bool:
        return isinstance(item, str) and item in self._shards[self._shard_of(item)]

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add ids or replace their vectors: see `VectorIndex.upsert`."""
        names, rows = checked_batch(ids, vectors, self.dim)
        for number, places in self._dealt(names).items():
            self._shards[number].upsert([names[place] for place in places], rows[places])

    def delete(self, ids: Iterable[str]) -> None:
        """Remove ids; unknown ones are ignored."""
        names = checked_ids(ids)
        for number, places in self._dealt(names).items():
            self._shards[number].delete([names[place] for place in places])

    def search(self, queries: Vectors, k: int) -> tuple[list[list[str]], list[npt.NDArray[np.float32]]]:
        """The best `min(k, len(self))` of what the shards find: see `VectorIndex.search`."""
        unit, k = unit_rows(queries, self.dim, "queries"), checked_k(k)
        answers = [shard.search(unit, k) for shard in self._shards]
        found, closeness = [], []
        for place in range(len(unit)):
            names = [name for answer, _ in answers for name in answer[place]]
            cosines = np.concatenate([cosines[place] for _, cosines in answers])
            order = np.argsort(-cosines, kind="stable")[:k]
            found.append([names[best] for best in order])
            closeness.append(cosines[order])
        return found, closeness

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Stored unit vectors, float32 (len(ids), dim); a row of zeros for an id that is not live."""
        gathered = np.zeros((len(ids), self.dim), dtype=np.float32)
        for number, places in self._dealt(ids).items():
            gathered[places] = self._shards[number].vectors([ids[place] for place in places])
        return gathered

    def _shard_of(self, one: str) -> int:
        return zlib.crc32(one.encode("utf-8", "surrogatepass")) % len(self._shards)

    def _dealt(self, ids: Sequence[str]) -> dict[int, list[int]]:
        places: dict[int, list[int]] = defaultdict(list)
        for place, one in enumerate(ids):
            places[self._shard_of(one)].append(place)
        return places
