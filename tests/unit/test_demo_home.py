"""A run's directory: new, gone when all went well, swept when nobody holds it."""

from pathlib import Path

import pytest

from streams.demo import home
from streams.demo.stop import Stopped


def test_a_run_that_ends_well_leaves_nothing(tmp_path: Path) -> None:
    with home.fresh(tmp_path) as place:
        (place / "worker.log").write_text("hello")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Stopped), home.fresh(tmp_path):
        raise Stopped
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_failed_is_kept_until_the_next(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), home.fresh(tmp_path):
        raise RuntimeError
    (failed,) = tmp_path.iterdir()
    with home.fresh(tmp_path) as place:
        assert list(tmp_path.iterdir()) == [place]
        assert place != failed


def test_a_run_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    with home.fresh(tmp_path) as one, home.fresh(tmp_path) as other:
        assert one.exists()
        assert one != other
