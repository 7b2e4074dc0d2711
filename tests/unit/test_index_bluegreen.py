"""A new model takes over only if its index is good, and goes when it turns out not to be."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from index.base import IndexInputError
from index.bluegreen import BlueGreen, Gates, Trial
from index.hnsw import HnswIndex
from index.live import LiveIndex, LiveIndexClosedError

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
async def pair() -> AsyncIterator[BlueGreen]:
    """The model `old` serves with all its vectors; `new`, of another dimension, is empty."""
    async with BlueGreen("old", HnswIndex(24), Gates(probes=100, k=10)) as indexes:
        await indexes.upsert("old", NAMES, model(24, 1))
        await indexes.begin("new", HnswIndex(16))
        yield indexes


async def test_a_good_model_takes_over(pair: BlueGreen) -> None:
    assert await pair.check() is None
    assert await pair.upsert("new", NAMES, model(16, 2))
    assert pair.serving.model == "old"
    verdict = await pair.switch()
    assert verdict.passed
    assert verdict.coverage == verdict.recall == 1.0
    assert 0.2 < verdict.overlap < 1.0
    assert pair.serving.model == "new"
    again = await pair.check()
    assert again is not None
    assert again.passed
    await pair.retire()
    assert not pair.proving
    assert await pair.check() is None
    assert not await pair.upsert("old", NAMES[:1], model(24, 1)[:1])


async def test_a_half_filled_model_waits(pair: BlueGreen) -> None:
    await pair.upsert("new", NAMES[: N // 2], model(16, 2)[: N // 2])
    verdict = await pair.switch()
    assert not verdict.passed
    assert verdict.coverage == pytest.approx(0.5, abs=0.15)
    assert pair.serving.model == "old"


async def test_vectors_of_the_wrong_items_do_not_pass(pair: BlueGreen) -> None:
    await pair.upsert("new", NAMES, np.random.default_rng(0).permutation(model(16, 2)))
    verdict = await pair.switch()
    assert not verdict.passed
    assert verdict.coverage == 1.0
    assert verdict.overlap < 0.2
    assert pair.serving.model == "old"


async def test_a_model_that_goes_bad_is_taken_back(pair: BlueGreen) -> None:
    await pair.upsert("new", NAMES, model(16, 2))
    assert (await pair.switch()).passed
    await pair.upsert("new", NAMES, np.random.default_rng(0).permutation(model(16, 2)))
    verdict = await pair.check()
    assert verdict is not None
    assert not verdict.passed
    assert pair.serving.model == "old"
    assert await pair.check() is None


async def test_deletes_reach_every_side(pair: BlueGreen) -> None:
    await pair.upsert("new", NAMES, model(16, 2))
    old, new = pair.serving, pair.filling
    assert new is not None
    await pair.switch()
    await pair.delete(NAMES[:10])
    assert len(new.index) == len(old.index) == N - 10


async def test_no_answer_mixes_two_models(pair: BlueGreen) -> None:
    await pair.upsert("new", NAMES, model(16, 2))
    served: list[str] = []

    async def ask() -> None:
        while served.count("new") < 5:
            side = pair.serving
            rows = await side.index.vectors(NAMES[:5])
            found, cosines = await side.index.search(rows, 1)
            assert found == [[one] for one in NAMES[:5]]
            np.testing.assert_allclose(np.concatenate(cosines), 1.0, atol=1e-5)
            served.append(side.model)

    await asyncio.gather(ask(), ask(), pair.switch())
    assert set(served) == {"old", "new"}


async def test_it_goes_over_by_itself_once_the_new_side_is_full(pair: BlueGreen) -> None:
    old = pair.serving.index
    completing = asyncio.ensure_future(pair.complete(Trial(pause=0.0, checks=3)))
    rows = model(16, 2)
    for start in range(0, N, 100):
        assert pair.serving.model == "old"
        await pair.upsert("new", NAMES[start : start + 100], rows[start : start + 100])
    assert (await completing).passed
    assert pair.serving.model == "new"
    assert not pair.proving
    with pytest.raises(LiveIndexClosedError):
        await old.vectors(NAMES[:1])


async def test_it_goes_back_by_itself_when_the_new_side_fails(pair: BlueGreen) -> None:
    await pair.upsert("new", NAMES, model(16, 2))
    new = pair.filling
    assert new is not None
    assert (await pair.switch()).passed
    await pair.upsert("new", NAMES, np.random.default_rng(0).permutation(model(16, 2)))
    assert not (await pair.complete(Trial(pause=0.0, checks=3))).passed
    assert pair.serving.model == "old"
    assert not pair.proving
    with pytest.raises(LiveIndexClosedError):
        await new.index.vectors(NAMES[:1])
    found, _ = await pair.serving.index.search(model(24, 1)[:5], 1)
    assert found == [[one] for one in NAMES[:5]]


async def test_a_new_model_may_give_way_to_another(pair: BlueGreen) -> None:
    await pair.begin("newer", HnswIndex(8))
    assert not await pair.upsert("new", NAMES[:1], model(16, 2)[:1])
    assert await pair.upsert("newer", NAMES, model(8, 3))
    assert (await pair.complete(Trial(pause=0.0, checks=1))).passed
    assert pair.serving.model == "newer"


async def test_an_index_that_was_open_already_stays_open() -> None:
    async with LiveIndex(HnswIndex(24)) as live:
        async with BlueGreen("old", live) as indexes:
            await indexes.begin("new", HnswIndex(16))
            assert (await indexes.complete(Trial(pause=0.0, checks=0))).passed  # nothing to be as good as
        assert len(live) == 0
        await live.upsert(NAMES[:1], model(24, 1)[:1])


async def test_what_makes_no_sense_is_refused(pair: BlueGreen) -> None:
    with pytest.raises(IndexInputError, match="model old serves already"):
        await pair.begin("old", HnswIndex(16))
    await pair.upsert("new", NAMES, model(16, 2))
    await pair.switch()
    with pytest.raises(IndexInputError, match="call begin first"):
        await pair.switch()
    with pytest.raises(IndexInputError, match="model old serves already, or did before"):
        await pair.begin("old", HnswIndex(16))
