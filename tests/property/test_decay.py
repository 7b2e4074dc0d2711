"""Many times at once decay as each alone, to the bit."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core import decay


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.floats(1.0, 1e12))
def test_units_are_log_masses_of_one(times: list[int], half_life: float) -> None:
    assert decay.log_units(times, half_life).tolist() == [decay.log_mass(1.0, time, half_life) for time in times]
