"""The head that learns: its steps go down the loss, it finds what follows what, and it goes when it does not help."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core import head as heads
from streams.core.head import ENOUGH, HELD_OUT, Head, Pairs, log_chances, seen, steered, untaught

DIM, ITEMS = 24, 400


def unit(rows: np.ndarray) -> np.ndarray:
    made: np.ndarray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return made


def shop(rng: np.random.Generator) -> np.ndarray:
    return unit(rng.standard_normal((ITEMS, DIM)))


def batch(rng: np.random.Generator, vectors: np.ndarray, follows: np.ndarray, n: int = 64) -> Pairs:
    """Shoppers at random items who do next what `follows` says; items in proportion to 1 / rank."""
    chance = 1.0 / np.arange(1, ITEMS + 1)
    now = rng.choice(ITEMS, n, p=chance / chance.sum())
    then = follows[now]
    masses = np.log(np.bincount(follows, chance, ITEMS)[then])
    return Pairs(vectors[now], vectors[then], then, log_chances(masses, ITEMS))


def loss(head: Head, pairs: Pairs) -> float:
    """What a step lowers, written out."""
    total = 0.0
    for query, item, number in zip(pairs.contexts, pairs.targets, pairs.items, strict=True):
        turned = query + head.up.astype(float) @ (head.down.astype(float) @ query)
        turned /= np.linalg.norm(turned)
        scores = [
            turned @ other / heads.TEMPERATURE - chance
            for other, theirs, chance in zip(pairs.targets, pairs.items, pairs.log_chance, strict=True)
            if theirs != number
        ]
        own = turned @ item / heads.TEMPERATURE - pairs.log_chance[list(pairs.items).index(number)]
        total += np.log(np.exp([own, *scores]).sum()) - own
    return total / len(pairs.items)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_a_step_goes_down_the_loss(seed: int, n: int) -> None:
    """The squares that AdaGrad adds up are those of the loss's own gradient, taken numerically."""
    rng = np.random.default_rng(seed)
    contexts, targets = (unit(rng.standard_normal((n, 6))) for _ in range(2))
    items = rng.integers(0, 4, n)
    pairs = Pairs(contexts, targets, items, np.log(np.linspace(0.1, 0.4, 4)).astype(np.float32)[items])
    before = replace(untaught(6, 2), up=rng.standard_normal((6, 2)).astype(np.float32) * np.float32(0.3))
    after = seen(before, pairs)
    for name in ("up", "down"):
        matrix = getattr(before, name)
        for place in [(0, 0), (1, 1)]:
            step = np.zeros_like(matrix)
            step[place] = 1e-2
            up, down = (loss(replace(before, **{name: matrix + sign * step}), pairs) for sign in (1, -1))
            slope = (up - down) / 2e-2
            added = getattr(after, f"{name}_squares")[place] - getattr(before, f"{name}_squares")[place]
            assert np.sqrt(max(added, 0.0)) == pytest.approx(abs(slope), rel=0.05, abs=2e-3)
            if abs(slope) > 2e-3:
                assert np.sign(getattr(after, name)[place] - matrix[place]) == -np.sign(slope)


def test_it_learns_what_follows_and_the_guard_lets_it_help() -> None:
    rng = np.random.default_rng(0)
    vectors = shop(rng)
    turn = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0]
    follows = np.argmax(vectors @ turn @ vectors.T, axis=1)
    head = untaught(DIM)
    assert steered([head], vectors) is vectors, "what is untaught changes nothing"
    for _ in range(30 * HELD_OUT):
        head = seen(head, batch(rng, vectors, follows))
    assert head.helps
    found = np.argmax(steered([head], vectors) @ vectors.T, axis=1)
    plain = np.argsort(-(vectors @ vectors.T), axis=1)[:, 1]
    assert (found == follows).mean() > 3 * (plain == follows).mean()
    np.testing.assert_allclose(np.linalg.norm(steered([head], 7 * vectors), axis=1), 1.0, rtol=1e-5)


def test_it_does_not_help_where_nothing_follows_and_goes_when_it_helps_no_more() -> None:
    rng = np.random.default_rng(1)
    vectors = shop(rng)
    turn = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0]
    follows = np.argmax(vectors @ turn @ vectors.T, axis=1)
    head = untaught(DIM)
    for _ in range(20 * HELD_OUT):
        head = seen(head, batch(rng, vectors, follows))
    assert head.helps
    for _ in range(20 * HELD_OUT):  # from now on everybody stays where they are
        head = replace(seen(head, batch(rng, vectors, np.arange(ITEMS))), down=head.down, up=head.up)
    assert not head.helps
    assert steered([head], vectors) is vectors


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_same_batches_give_the_same_bytes_and_every_eighth_is_held_out(seed: int) -> None:
    def taught() -> Head:
        rng = np.random.default_rng(seed)
        vectors, head = shop(rng), untaught(DIM)
        for _ in range(HELD_OUT):
            last, head = head, seen(head, batch(rng, vectors, rng.permutation(ITEMS), 32))
        assert head.up is last.up
        assert (head.batches, head.judged, last.judged) == (HELD_OUT, 1, 0)
        return head

    one, two = taught(), taught()
    for name in ("down", "up", "down_squares", "up_squares"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()
        assert getattr(one, name).dtype == np.float32
    assert one.with_head == two.with_head
    assert not one.helps, f"not before {ENOUGH} batches were judged"


@given(st.lists(st.floats(-5, 5) | st.just(-np.inf), min_size=1, max_size=30), st.integers(0, 1000))
def test_all_of_a_batch_stand_for_as_many_items_as_there_are(masses: list[float], others: int) -> None:
    chances = log_chances(np.array(masses), others)
    assert np.exp(-chances.astype(float)).sum() / len(masses) == pytest.approx(max(others, 1), rel=1e-3)
    order = np.argsort(np.maximum(masses, min((m for m in masses if np.isfinite(m)), default=0.0)), kind="stable")
    assert (np.diff(chances[order]) >= -1e-5).all()


def test_heads_that_do_not_help_say_nothing_but_count() -> None:
    rng = np.random.default_rng(3)
    vectors = shop(rng)
    helping = replace(
        untaught(DIM), up=rng.standard_normal((DIM, heads.RANK)).astype(np.float32), judged=ENOUGH, with_head=0.2
    )
    silent = replace(helping, without=0.3)
    alone = unit(vectors + (vectors @ helping.down.T) @ helping.up.T)
    half = unit(vectors + (vectors @ helping.down.T) @ helping.up.T / 2)
    np.testing.assert_allclose(steered([helping], vectors), alone, atol=1e-5)
    np.testing.assert_allclose(steered([helping, silent], vectors), half, atol=1e-5)
