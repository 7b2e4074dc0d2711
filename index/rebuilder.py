"""A new graph, built by a second thread while the old one serves."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from index.hnsw import HnswIndex
from index.projection import Projection

_PORTION = 256
_AHEAD = 2


class Rebuilder:
    """Drives a rebuild of `HnswIndex` from the thread that owns it, with the insertions in another thread.

    The other thread touches the new graph only, which nobody searches yet.
    """

    def __init__(self, index: HnswIndex, wake: Callable[[], None]) -> None:
        """A rebuilder of `index`; `wake` is called, from the other thread, when there is something to do."""
        self._index = index
        self._wake = wake
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="index-rebuild")
        self._inserting: deque[Future[None]] = deque()
        self._left = 0
        self._requested: tuple[Projection | None] | tuple[()] = ()
        self.running = False
        self.finished = 0
        """Graphs swapped in."""

    def request(self, projection: Projection | None) -> None:
        """Rebuild even if it is not due, in the dimensions of `projection` if that is given."""
        self._requested = (projection,)

    def advance(self) -> None:
        """Start a rebuild when one is due, hand on rows, swap the finished graph in. It does not block.

        Raises:
            MemoryError: the second graph does not fit.
        """
        if not self.running:
            if not (self._requested or self._index.rebuild_due):
                return
            self._index.start_rebuild(*self._requested)
            self._requested = ()
            self._left = len(self._index)
            self.running = True
        while self._inserting and self._inserting[0].done():
            self._inserting.popleft().result()
        # Rows written since the start may stay pending, else a steady stream of writes would never let it end.
        while self._left > 0 and len(self._inserting) < _AHEAD:
            portion = self._index.rebuild_portion(_PORTION)
            if portion is None:
                break
            self._left -= len(portion.labels)
            future = self._thread.submit(portion.insert)
            self._inserting.append(future)
            future.add_done_callback(lambda _: self._wake())
        if not self._inserting:
            self._index.finish_rebuild()
            self.running = False
            self.finished += 1
            if self._requested:  # while it ran
                self._wake()

    def close(self) -> None:
        """Give up a rebuild that is running."""
        self._thread.shutdown(cancel_futures=True)
        self._inserting.clear()
        self._index.abandon_rebuild()
        self.running = False
