"""When a scan answers instead of the graph."""

import pytest

from index.calibrate import calibrated
from index.crossover import NEVER, Crossover


@pytest.mark.parametrize(("queries", "rows"), [(1, 100), (7, 100), (8, 300), (31, 300), (32, 900), (500, 900)])
def test_larger_batches_are_scanned_up_to_more_rows(queries: int, rows: int) -> None:
    assert Crossover(((1, 100), (8, 300), (32, 900))).rows(queries) == rows


def test_never_is_never() -> None:
    assert NEVER.rows(1_000) == 0


def test_calibration_knows_every_batch_size() -> None:
    crossover = calibrated(16, k=10)
    assert [batch for batch, _ in crossover.steps] == [1, 8, 32, 128]
    assert all(2_000 <= rows <= 500_000 for _, rows in crossover.steps)
