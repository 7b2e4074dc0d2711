"""How long a change of the catalogue takes to be searchable: two streams joined by item and offset. Pure."""

from collections import OrderedDict


class Freshness:
    """Joins catalogue records with the embeddings made of them, whichever of the two is seen first.

    An embedding names the offset of the catalogue record it was made of, so one of an older record does not count as
    the newer one. What finds no partner is let go when there are more than `capacity` of its kind.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._changed: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._embedded: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def changed(self, item: str, offset: int, at: float) -> float | None:
        """The catalogue record at `offset` is an item; Kafka has it of `at`. Seconds, if it is searchable already."""
        embedded = self._embedded.pop(item, None)
        if embedded is not None and embedded[0] >= offset:
            return max(0.0, embedded[1] - at)
        self._keep(self._changed, item, (offset, at))
        return None

    def searchable(self, item: str, offset: int, now: float) -> float | None:
        """The vector made of the catalogue record at `offset` is in the index `now`. Seconds since the change."""
        change = self._changed.get(item)
        if change is None:
            self._keep(self._embedded, item, (offset, now))
            return None
        if change[0] > offset:
            return None
        del self._changed[item]
        return max(0.0, now - change[1])

    def deleted(self, item: str) -> None:
        """The item is no more."""
        self._changed.pop(item, None)
        self._embedded.pop(item, None)

    def _keep(self, those: OrderedDict[str, tuple[int, float]], item: str, value: tuple[int, float]) -> None:
        those[item] = value
        those.move_to_end(item)
        if len(those) > self._capacity:
            those.popitem(last=False)
