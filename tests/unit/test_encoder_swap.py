"""A model changes while the shop serves: nothing is empty or mixed at any moment, and nothing bad is served."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator

import msgspec
import numpy as np
import pytest

from index.bluegreen import Gates
from index.hnsw import HnswIndex
from index.live import LiveIndex
from streams import codecs, shelves, swap
from streams.codecs import DIGEST_SIZE, Embedding
from streams.errors import ConfigError, ContractError
from streams.records import ModelPlan, ServedModel
from streams.replicas import Replica
from streams.shelves import ReplicaIndex
from streams.swap import Model, planned
from tests.unit.records import LIMITS, FakeRecord
from tests.unit.shop import TOPICS

N = 120
NAMES = [f"i{number}" for number in range(N)]
OLD = ServedModel("embeddings", "old", "old@1", "encoder")
NEW = ServedModel("embeddings_b", "new", "new@1", "encoder-1")
DIMS = {OLD.id: 12, NEW.id: 20}
CHANGING, DONE, GIVEN_UP = ModelPlan(OLD, NEW), ModelPlan(NEW), ModelPlan(OLD)


def vectors(model: str, seed: int = 0) -> np.ndarray:
    """The same items as a model sees them: float32 (N, dim), unit rows; another seed, and they are other items."""
    hidden = np.random.default_rng(seed).standard_normal((N, 6))
    rows = hidden @ np.random.default_rng(DIMS[model]).standard_normal((6, DIMS[model]))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Fed:
    """A replica, and what a replication would do to it."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._offset = 0

    async def plan(self, plan: ModelPlan | None) -> set[str]:
        await self._apply(TOPICS.models.name, [(b"encoder", msgspec.json.encode(plan) if plan else None)])
        return self.replica.to_read_again()

    async def encode(self, served: ServedModel, names: list[str], seed: int = 0) -> None:
        rows = vectors(served.id, seed)
        embeddings = [Embedding(0, bytes(DIGEST_SIZE), served.id, rows[NAMES.index(name)]) for name in names]
        pairs = zip(names, embeddings, strict=True)
        topic = TOPICS.slots[served.slot].name
        await self._apply(topic, [(name.encode(), codecs.encode_embedding(one)) for name, one in pairs])

    async def delete(self, names: list[str]) -> None:
        for topic in TOPICS.slots.values():
            await self._apply(topic.name, [(name.encode(), None) for name in names])

    async def _apply(self, topic: str, rows: list[tuple[bytes, bytes | None]]) -> None:
        records = [FakeRecord(key, value, self._offset + place, topic) for place, (key, value) in enumerate(rows)]
        self._offset += len(rows)
        await self.replica.apply(topic, 0, records)


@pytest.fixture
async def fed() -> AsyncIterator[Fed]:
    """A replica that the model `old` serves, with everything in it."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(dim: int) -> ReplicaIndex:
            return await stack.enter_async_context(LiveIndex(HnswIndex(dim)))

        replica = Replica(TOPICS, make, LIMITS)
        replica.shelves._gates = Gates(probes=60, k=5)
        made = Fed(replica)
        await made.encode(OLD, NAMES)
        assert replica.model == OLD.id
        yield made


class Queries:
    """Asks for neighbours without a pause, as recommendations do: several questions to one view."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.models: list[str] = []

    async def ask(self) -> None:
        while True:
            view = self.replica.pinned()
            before = view.model
            queries = await view.vectors(NAMES[:3])
            await asyncio.sleep(0)
            found = await view.nearest(queries, 5)
            again = await view.vectors(found[0])
            assert view.model == before
            assert queries.shape == (3, DIMS[before])
            assert again.shape == (5, DIMS[before])
            assert again.any(axis=1).all(), "an empty or mixed answer"
            assert [items[0] for items in found] == NAMES[:3], "an item is its own nearest"
            self.models.append(before)


async def test_no_answer_is_empty_or_mixed_at_any_moment(fed: Fed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelves, "GRACE_S", 0.2)
    queries = Queries(fed.replica)
    asking = asyncio.create_task(queries.ask())
    assert await fed.plan(CHANGING) == {TOPICS.embeddings_b.name}
    for start in range(0, N, 10):
        verdict = await fed.replica.shelves.consider()
        assert verdict is None or not verdict.passed
        await fed.encode(NEW, NAMES[start : start + 10])
        assert fed.replica.model == OLD.id
    verdict = await fed.replica.shelves.consider()
    assert verdict is not None
    assert verdict.passed
    assert fed.replica.model == NEW.id
    old = next(iter(fed.replica.shelves))
    assert old.index is not None, "it stays until the plan is done, to go back to"
    await fed.plan(DONE)
    assert {shelf.model: shelf.index is None for shelf in fed.replica.shelves} == {"": True, NEW.id: False}
    while not isinstance(old.index, LiveIndex) or old.index._open:  # closed when the answers that began are over
        assert not asking.done()
        await asyncio.sleep(0.02)
    seen = len(queries.models)
    while len(queries.models) < seen + 3:
        assert not asking.done()
        await asyncio.sleep(0.01)
    asking.cancel()
    assert set(queries.models) == {OLD.id, NEW.id}
    assert queries.models == sorted(queries.models, reverse=True), "once switched, never back"
    assert fed.replica.rests_on().keys() == {f"{TOPICS.embeddings_b.name}/0", f"{TOPICS.models.name}/0"}


async def test_vectors_of_other_items_never_serve(fed: Fed) -> None:
    await fed.plan(CHANGING)
    await fed.encode(NEW, NAMES, seed=1)
    verdict = await fed.replica.shelves.consider()
    assert verdict is not None
    assert not verdict.passed
    assert verdict.coverage == 1
    assert fed.replica.model == OLD.id


async def test_a_model_that_turns_bad_goes(fed: Fed) -> None:
    await fed.plan(CHANGING)
    await fed.encode(NEW, NAMES)
    await fed.replica.shelves.consider()
    assert fed.replica.model == NEW.id
    await fed.encode(NEW, NAMES, seed=1)
    await fed.replica.shelves.consider()
    assert fed.replica.model == OLD.id


@pytest.mark.parametrize("switched", [False, True])
async def test_what_is_given_up_is_as_before(fed: Fed, switched: bool) -> None:
    await fed.plan(CHANGING)
    await fed.encode(NEW, NAMES if switched else NAMES[:50])
    await fed.replica.shelves.consider()
    assert fed.replica.model == (NEW.id if switched else OLD.id)
    await fed.plan(GIVEN_UP)
    await fed.replica.shelves.consider()
    assert fed.replica.model == OLD.id
    assert fed.replica.searchable == N
    assert [shelf.index is None for shelf in fed.replica.shelves] == [False, True]


async def test_a_replica_that_is_late_switches_when_it_is_ready(fed: Fed) -> None:
    await fed.plan(CHANGING)
    await fed.plan(DONE)
    await fed.encode(NEW, NAMES[:60])
    await fed.replica.shelves.consider()
    assert (fed.replica.model, fed.replica.searchable) == (OLD.id, N)
    await fed.encode(NEW, NAMES[60:])
    await fed.replica.shelves.consider()
    assert fed.replica.model == NEW.id
    assert [shelf.index is None for shelf in fed.replica.shelves] == [True, False]


async def test_changes_that_arrive_meanwhile_are_in_both(fed: Fed) -> None:
    await fed.plan(CHANGING)
    await fed.encode(NEW, NAMES)
    await fed.delete(NAMES[:10])
    await fed.replica.shelves.consider()
    assert (fed.replica.model, fed.replica.searchable) == (NEW.id, N - 10)
    assert not (await fed.replica.vectors(NAMES[:10])).any()


async def test_a_third_model_takes_the_place_of_the_first(fed: Fed) -> None:
    await fed.plan(CHANGING)
    await fed.encode(NEW, NAMES)
    await fed.replica.shelves.consider()
    await fed.plan(DONE)
    third = ServedModel("embeddings", "third", OLD.id, "encoder-3")
    assert await fed.plan(ModelPlan(NEW, third)) == {TOPICS.embeddings.name}
    await fed.encode(third, NAMES)
    await fed.replica.shelves.consider()
    assert fed.replica.model == third.id


async def test_a_new_replica_reads_the_topic_that_serves(fed: Fed) -> None:
    fresh = Fed(Replica(TOPICS, fed.replica.shelves._make_index, LIMITS))
    await fresh.plan(DONE)
    await fresh.encode(OLD, NAMES)
    assert (fresh.replica.searchable, fresh.replica.model) == (0, "")
    await fresh.encode(NEW, NAMES)
    assert (fresh.replica.searchable, fresh.replica.model) == (N, NEW.id)
    assert fresh.replica.ignored_vectors == 0, "nobody expected any on the other topic"


@pytest.mark.parametrize("value", [b"{", b'{"serving": null}', b"[" * 100_000])
async def test_a_replica_refuses_a_plan_that_it_cannot_read(fed: Fed, value: bytes) -> None:
    with pytest.raises(ContractError, match="a plan of the models that this version of Upwell cannot read"):
        await fed._apply(TOPICS.models.name, [(b"encoder", value)])


async def test_without_its_plan_a_shop_is_served_by_the_first_topic_again(fed: Fed) -> None:
    await fed.plan(CHANGING)
    await fed.encode(NEW, NAMES)
    await fed.replica.shelves.consider()
    await fed.plan(DONE)
    assert fed.replica.model == NEW.id
    assert await fed.plan(None) == {topic.name for topic in TOPICS.slots.values()}
    assert (fed.replica.model, fed.replica.searchable) == ("", 0)
    assert fed.replica.rests_on().keys() == {f"{TOPICS.models.name}/0"}
    await fed.encode(NEW, NAMES)
    assert fed.replica.searchable == 0, "nobody asked for the second topic"
    await fed.encode(OLD, NAMES)
    assert (fed.replica.model, fed.replica.searchable) == (OLD.id, N)
    assert await fed.replica.shelves.consider() is None


@pytest.mark.parametrize("plan", [GIVEN_UP, ModelPlan(OLD, ServedModel("embeddings_b", "third", "third@1", "c")), None])
async def test_whoever_watches_a_change_learns_that_it_was_given_up(
    fed: Fed, monkeypatch: pytest.MonkeyPatch, plan: ModelPlan | None
) -> None:
    monkeypatch.setattr(swap, "LOOK_S", 0.001)
    await fed.plan(CHANGING)
    following = asyncio.create_task(asyncio.Event().wait())
    half = asyncio.Event()

    def tell(progress: swap.Progress) -> None:
        if progress == (50, N):
            half.set()

    watching = asyncio.create_task(swap._ready(fed.replica, NEW, following, tell))  # type: ignore[arg-type]
    await fed.encode(NEW, NAMES[:50])
    await half.wait()
    await fed.plan(plan)
    with pytest.raises(swap.SwapError, match=r"new@1 was given up meanwhile: .* serves"):
        await watching
    following.cancel()


async def test_whoever_watches_a_change_learns_that_it_is_done(fed: Fed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap, "LOOK_S", 0.001)
    await fed.plan(CHANGING)
    following = asyncio.create_task(asyncio.Event().wait())
    watching = asyncio.create_task(swap._ready(fed.replica, NEW, following, lambda progress: None))  # type: ignore[arg-type]
    await fed.encode(NEW, NAMES[:50])
    await fed.plan(DONE)
    assert await watching is None
    following.cancel()


def unasked() -> Model:
    raise AssertionError("a shop with a plan knows its model")


def test_plans() -> None:
    first = planned(None, lambda: Model("old", "old@1"), Model("new", "new@2-ab"), 5.0)
    assert (first.serving, first.rate) == (OLD, 5.0)
    assert first.next is not None
    assert (first.next.slot, first.next.id) == ("embeddings_b", "new@2-ab")
    assert first.next.role.startswith("encoder-ab-")
    assert planned(first, unasked, Model("new", "new@2-ab"), 1.0) == ModelPlan(OLD, first.next, 1.0)
    back = planned(ModelPlan(NEW), unasked, Model("old", "old@1"), 0.0)
    assert back.next is not None
    assert back.next.slot == "embeddings"
    with pytest.raises(ConfigError, match="new@1 serves already"):
        planned(ModelPlan(NEW), unasked, Model("new", NEW.id), 0.0)
    with pytest.raises(ConfigError, match="a change to new is under way"):
        planned(CHANGING, unasked, Model("third", "third@1"), 0.0)


@pytest.mark.parametrize("rate", [math.nan, math.inf, -1.0])
def test_a_rate_that_no_plan_can_carry_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="wanted items a second, or 0 for no limit"):
        planned(ModelPlan(NEW), unasked, Model("old", "old@1"), rate)
