"""Windows: what is encoded together, what is not encoded again, and who waits for whom."""

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from encoders.cache import VectorCache, digest
from encoders.hashing import HashingEncoder
from encoders.microbatch import MicroBatcher


class Gated(HashingEncoder):
    """Encodes when it is let, notes every call, and refuses the text `poison`."""

    def __init__(self) -> None:
        super().__init__(dim=16)
        self.gate = threading.Event()
        self.calls: list[list[str]] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.gate.wait()
        self.calls.append(list(texts))
        if "poison" in texts:
            raise ValueError("poison")
        return super().encode(texts)


@pytest.fixture
def encoder() -> Gated:
    return Gated()


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_event_loop_goes_on_while_the_encoder_is_busy(encoder: Gated) -> None:
    encoding = asyncio.create_task(MicroBatcher(encoder).encode(["milk"]))
    await turns()
    assert not encoding.done()
    encoder.gate.set()  # only a loop that turns gets here
    np.testing.assert_array_equal(await encoding, HashingEncoder(dim=16).encode(["milk"]))


async def test_what_comes_meanwhile_makes_the_next_window(encoder: Gated) -> None:
    batcher = MicroBatcher(encoder, window=4)
    calls = [asyncio.create_task(batcher.encode([f"a{i}", f"b{i}"])) for i in range(4)]
    await turns()
    encoder.gate.set()
    results = await asyncio.gather(*calls)
    assert [len(call) for call in encoder.calls] == [4, 4]
    for i, vectors in enumerate(results):
        np.testing.assert_array_equal(vectors, HashingEncoder(dim=16).encode([f"a{i}", f"b{i}"]))
    assert (batcher.stats.windows, batcher.stats.texts, batcher.stats.waiting) == (2, 8, 0)


async def test_a_window_stays_open_until_it_is_full(encoder: Gated) -> None:
    encoder.gate.set()
    batcher = MicroBatcher(encoder, window=2, linger_s=3600)
    first = asyncio.create_task(batcher.encode(["a"]))
    await turns()
    assert not encoder.calls
    await batcher.encode(["b"])
    await first
    assert encoder.calls == [["a", "b"]]


async def test_a_window_closes_when_its_time_is_over(encoder: Gated) -> None:
    encoder.gate.set()
    await MicroBatcher(encoder, window=2, linger_s=0.001).encode(["a"])
    assert encoder.calls == [["a"]]


async def test_callers_wait_when_enough_is_held(encoder: Gated) -> None:
    batcher = MicroBatcher(encoder, window=2, bound=4)
    calls = [asyncio.create_task(batcher.encode([f"{i}", f"{i}'"])) for i in range(5)]
    await turns()
    assert batcher.stats.waiting == 4
    encoder.gate.set()
    await asyncio.gather(*calls)
    assert batcher.stats.waiting == 0
    assert sum(map(len, encoder.calls)) == 10


async def test_a_call_larger_than_the_bound_goes_alone(encoder: Gated) -> None:
    encoder.gate.set()
    batcher = MicroBatcher(encoder, window=2, bound=3)
    assert (await batcher.encode([str(i) for i in range(9)])).shape == (9, 16)


async def test_one_callers_bad_text_fails_that_caller_alone(encoder: Gated) -> None:
    batcher = MicroBatcher(encoder)
    calls = [asyncio.create_task(batcher.encode([text])) for text in ("milk", "tea", "poison", "oats")]
    await turns()
    encoder.gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(result, ValueError) for result in results] == [False, False, True, False]
    assert batcher.stats.waiting == 0
    assert (await batcher.encode(["rice"])).shape == (1, 16)


async def test_a_caller_that_gives_up_leaves_no_trace(encoder: Gated) -> None:
    batcher = MicroBatcher(encoder, window=1)
    gone, stays = (asyncio.create_task(batcher.encode([text])) for text in ("milk", "tea"))
    await turns()
    gone.cancel()
    encoder.gate.set()
    await asyncio.wait([gone])
    assert (await stays).shape == (1, 16)
    assert batcher.stats.waiting == 0


async def test_duplicates_and_known_texts_are_not_encoded_again(encoder: Gated) -> None:
    encoder.gate.set()
    batcher = MicroBatcher(encoder)
    first = await batcher.encode(["milk", "tea", "milk"])
    again = await batcher.encode(["tea", "milk"])
    assert encoder.calls == [["milk", "tea"]]
    np.testing.assert_array_equal(first[[1, 0]], again)
    np.testing.assert_array_equal(first[0], first[2])
    assert (batcher.stats.texts, batcher.stats.cache_hits) == (5, 3)


async def test_nothing_is_nothing(encoder: Gated) -> None:
    assert (await MicroBatcher(encoder).encode([])).shape == (0, 16)


def test_the_cache_forgets_what_was_not_used_for_longest() -> None:
    cache = VectorCache(2)
    rows = np.eye(3, dtype=np.float32)
    cache.keep(b"a", rows[0])
    cache.keep(b"b", rows[1])
    assert set(cache.find([b"a"])) == {b"a"}
    cache.keep(b"c", rows[2])
    assert set(cache.find([b"a", b"b", b"c"])) == {b"a", b"c"}
    rows[0] = 7
    assert cache.find([b"a"])[b"a"].tolist() == [1, 0, 0]
    empty = VectorCache(0)
    empty.keep(b"a", rows[0])
    assert len(empty) == 0


def test_texts_that_differ_have_digests_that_differ() -> None:
    assert len({digest(text) for text in ("", "?", "\ud800", "a", "A")}) == 5
