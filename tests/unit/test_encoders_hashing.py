"""The hashing encoder's bits are pinned: they must be the same on every machine and in every version."""

import hashlib

import numpy as np
import pytest

from encoders.hashing import HashingEncoder


def test_the_bits_are_pinned() -> None:
    vectors = HashingEncoder().encode(["Red running shoes", "男士商务双肩背包", ""])
    digest = hashlib.sha256(vectors.astype("<f4").tobytes()).hexdigest()
    assert digest == "84a418d5f92fc47c36ad4fc396c9e529081c6ecc69efd0fe4b08a356ed8fa43c"


def test_spelling_variants_are_near_and_other_things_far() -> None:
    shoe, shoes, milk = HashingEncoder().encode(["running shoe", "Running Shoes", "whole milk"])
    assert shoe @ shoes > 0.5
    assert abs(shoe @ milk) < 0.2


def test_features_that_cancel_still_give_a_unit_vector() -> None:
    encoder = HashingEncoder(dim=2)
    vectors = encoder.encode([f"word{i}" for i in range(500)])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_the_id_tells_dimension_and_template_apart() -> None:
    ids = {HashingEncoder().id, HashingEncoder(dim=64).id, HashingEncoder(template="title").id}
    assert len(ids) == 3


@pytest.mark.parametrize("dim", [1, 100_000_000])
def test_a_dimension_out_of_range_is_refused(dim: int) -> None:
    with pytest.raises(ValueError, match=f"dim is {dim}"):
        HashingEncoder(dim=dim)
