"""A new model takes over only if its index is good, and goes when it turns out not to be."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from index.base import IndexInputError
from index.bluegreen import BlueGreen, Gates, Side
from index.hnsw import HnswIndex
from index.live import LiveIndex

N = 600
NAMES = [f"i{i}" for i in range(N)]


def model(dim: int, seed: int) -> np.ndarray:
    """Vectors of one model: the same items seen through another random map, float32 (N, dim)."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((20, 10))
    hidden = centres[rng.integers(0, 20, N)] + 0.3 * rng.standard_normal((N, 10))
    rows = hidden @ np.random.default_rng(seed).standard_normal((10, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
async def pair() -> AsyncIterator[tuple[BlueGreen, Side]]:
    """The model `old` serves with all its vectors; `new`, of another dimension, is empty."""
    async with LiveIndex(HnswIndex(24)) as old, LiveIndex(HnswIndex(16)) as new:
        switch = BlueGreen(Side("old", old), Gates(probes=100, k=10))
        await switch.upsert("old", NAMES, model(24, 1))
        yield switch, Side("new", new)


async def test_a_good_model_takes_over(pair: tuple[BlueGreen, Side]) -> None:
    switch, new = pair
    assert await switch.check() is None
    switch.begin(new)
    assert await switch.upsert("new", NAMES, model(16, 2))
    assert switch.serving.model == "old"
    verdict = await switch.switch()
    assert verdict.passed
    assert verdict.coverage == verdict.recall == 1.0
    assert 0.2 < verdict.overlap < 1.0
    assert switch.serving is new
    again = await switch.check()
    assert again is not None
    assert again.passed
    retired = switch.retire()
    assert retired is not None
    assert retired.model == "old"
    assert await switch.check() is None
    assert not await switch.upsert("old", NAMES[:1], model(24, 1)[:1])


async def test_a_half_filled_model_waits(pair: tuple[BlueGreen, Side]) -> None:
    switch, new = pair
    switch.begin(new)
    await switch.upsert("new", NAMES[: N // 2], model(16, 2)[: N // 2])
    verdict = await switch.switch()
    assert not verdict.passed
    assert verdict.coverage == pytest.approx(0.5, abs=0.15)
    assert switch.serving.model == "old"


async def test_vectors_of_the_wrong_items_do_not_pass(pair: tuple[BlueGreen, Side]) -> None:
    switch, new = pair
    switch.begin(new)
    await switch.upsert("new", NAMES, np.random.default_rng(0).permutation(model(16, 2)))
    verdict = await switch.switch()
    assert not verdict.passed
    assert verdict.coverage == 1.0
    assert verdict.overlap < 0.2
    assert switch.serving.model == "old"


async def test_a_model_that_goes_bad_is_taken_back(pair: tuple[BlueGreen, Side]) -> None:
    switch, new = pair
    switch.begin(new)
    await switch.upsert("new", NAMES, model(16, 2))
    assert (await switch.switch()).passed
    await switch.upsert("new", NAMES, np.random.default_rng(0).permutation(model(16, 2)))
    verdict = await switch.check()
    assert verdict is not None
    assert not verdict.passed
    assert switch.serving.model == "old"
    assert await switch.check() is None


async def test_deletes_reach_every_side(pair: tuple[BlueGreen, Side]) -> None:
    switch, new = pair
    switch.begin(new)
    await switch.upsert("new", NAMES, model(16, 2))
    await switch.switch()
    await switch.delete(NAMES[:10])
    assert len(new.index) == N - 10
    retired = switch.retire()
    assert retired is not None
    assert len(retired.index) == N - 10


async def test_no_answer_mixes_two_models(pair: tuple[BlueGreen, Side]) -> None:
    switch, new = pair
    switch.begin(new)
    await switch.upsert("new", NAMES, model(16, 2))
    served: list[str] = []

    async def ask() -> None:
        while served.count("new") < 5:
            side = switch.serving
            rows = await side.index.vectors(NAMES[:5])
            found, cosines = await side.index.search(rows, 1)
            assert found == [[one] for one in NAMES[:5]]
            np.testing.assert_allclose(np.concatenate(cosines), 1.0, atol=1e-5)
            served.append(side.model)

    await asyncio.gather(ask(), ask(), switch.switch())
    assert set(served) == {"old", "new"}


async def test_what_makes_no_sense_is_refused(pair: tuple[BlueGreen, Side]) -> None:
    switch, new = pair
    with pytest.raises(IndexInputError, match="call begin first"):
        await switch.switch()
    with pytest.raises(IndexInputError, match="model old serves already"):
        switch.begin(Side("old", new.index))
