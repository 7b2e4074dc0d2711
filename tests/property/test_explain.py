"""What reasons rest on, against choosing for one item at a time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.core.channels import ORDER
from streams.core.explain import CITED, REASONS, SLIGHT, likeness, rounded, shared, strongest
from streams.core.ragged import NOWHERE

floats = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-3000, 3000).map(lambda n: n / 2000)


@given(st.lists(floats), st.sampled_from([4, 6]))
def test_rounding_is_that_of_round(values: list[float], digits: int) -> None:
    halves = [round(value % 100, digits) + 0.5 * 0.1**digits for value in values]
    for some in (values, halves):
        assert rounded(np.array(some, np.float64), digits) == [round(value, digits) for value in some]


@given(st.integers(0, 2**32), st.tuples(*(st.integers(least, 4) for least in (1, 1, 0))))
def test_the_strongest_are_cited(seed: int, shape: tuple[int, int, int]) -> None:
    table = np.random.default_rng(seed).integers(-1, 4, shape) / 4.0
    cited = strongest(table.copy())
    for place in np.ndindex(shape[:-1]):
        row = table[place].tolist()
        found = sorted((n for n, pull in enumerate(row) if pull > 0), key=lambda n: -row[n])[:CITED]
        assert cited[:, *place].tolist() == found + [NOWHERE] * (CITED - len(found))


@given(st.integers(0, 2**32), st.tuples(*(st.integers(least, 4) for least in (1, 1, 0))))
def test_likeness_is_of_interests_and_of_what_is_most_alike(seed: int, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(seed)
    cosines, gains = rng.integers(-2, 5, shape) / 4.0, rng.integers(-1, 3, (3, *shape[:2])) / 2.0
    faded, sitting = rng.integers(0, 3, (shape[0], 1, shape[2])) / 2.0, rng.random((shape[0], 1, shape[2])) < 0.5
    itself = rng.random(shape) < 0.2
    found = likeness(cosines, itself, faded, sitting, gains)
    for one, line in np.ndindex(shape[:2]):
        own, counts, now = cosines[one, line].tolist(), faded[one, 0].tolist(), sitting[one, 0].tolist()
        interests, most, of_sitting = (max(gain, 0.0) for gain in gains[:, one, line].tolist())
        if not interests + most + of_sitting:
            interests = 1.0
        whole = sum(max(cosine * count, 0.0) for cosine, count in zip(own, counts, strict=True)) or 1e-9
        plain = [interests * cosine * count / whole for cosine, count in zip(own, counts, strict=True)]
        for gain, among in ((most, [True] * shape[2]), (of_sitting, now)):
            others = [
                place for place in range(shape[2]) if among[place] and not itself[one, line, place] and own[place] > 0
            ]
            if others:
                plain[max(others, key=own.__getitem__)] += gain
        assert np.allclose(found[one, line], plain)


amounts = st.lists(st.sampled_from([-1.0, 0.0, 0.03, 0.25, 0.5, 2.0]), min_size=len(ORDER), max_size=len(ORDER))
places = st.lists(st.integers(0, 2), min_size=len(ORDER), max_size=len(ORDER))
words = st.lists(st.booleans(), min_size=len(ORDER), max_size=len(ORDER))


@given(st.lists(st.tuples(amounts, places, words), min_size=1))
def test_reasons_are_the_largest_that_say_something(items: list[tuple[list[float], list[int], list[bool]]]) -> None:
    gains, ranks, sayable = (np.array(column) for column in zip(*items, strict=True))
    found = shared(gains, ranks, sayable)
    rows = iter(zip(found.columns.tolist(), found.shares.tolist(), strict=True))
    for count, (gain, rank, said) in zip(found.counts.tolist(), items, strict=True):
        given_ = {c: max(gain[c], 1e-9 if rank[c] else 0.0) for c in range(len(ORDER))}
        best = sorted((c for c in given_ if given_[c] > 0 and said[c]), key=lambda c: (-given_[c], ORDER[c]))[:REASONS]
        best = [c for c in best if given_[c] >= SLIGHT * sum(given_[b] for b in best)]
        told = [next(rows) for _ in range(count)]
        assert [column for column, _ in told] == best
        assert np.allclose([share for _, share in told], [given_[c] / sum(given_[b] for b in best) for c in best])
    assert next(rows, None) is None
