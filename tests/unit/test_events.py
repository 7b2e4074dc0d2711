"""Event weights by configuration."""

import pytest

from streams.core.events import WEIGHTS, EventType, weights


def test_weights_are_changed_by_name() -> None:
    changed = weights({"view": 0.3})
    assert changed[EventType.VIEW] == 0.3
    assert changed[EventType.PURCHASE] == WEIGHTS[EventType.PURCHASE]
    assert set(changed) == set(EventType)


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(ValueError, match="unknown event type 'peek'; known: impression"):
        weights({"peek": 1.0})


def test_a_weight_must_be_finite() -> None:
    with pytest.raises(ValueError, match="'view' is nan"):
        weights({"view": float("nan")})
