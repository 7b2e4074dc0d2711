"""Up to how many rows looking at all of them beats the graph."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Crossover:
    """Row counts by batch size: a scan shares the reading of the rows among the queries of a batch, a graph does not.

    Attributes:
        steps: `(queries in a batch, rows)`, both ascending: for a batch of that many queries and more, up to that
            many rows are scanned.
    """

    steps: tuple[tuple[int, int], ...]

    def rows(self, queries: int) -> int:
        """Up to how many rows a batch of `queries` is answered by a scan."""
        return max((rows for batch, rows in self.steps if batch <= queries), default=0)


NEVER = Crossover(())
"""Always the graph."""

FLOAT32 = Crossover(((1, 3_000), (8, 5_000), (32, 8_000)))
"""Measured with numpy's float32 product: 384 dimensions, k = 100, one thread."""

INT8 = Crossover(((1, 3_000), (8, 15_000), (32, 40_000), (128, 50_000)))
"""Measured with 8-bit products on a processor with AVX-512 VNNI; otherwise as above."""
