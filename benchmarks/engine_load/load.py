"""The recorded load: events of some thousand shoppers on twenty thousand items, and vectors for the items.

An event is about 200 bytes of JSON and valid for the product. Everything is seeded: each run replays the same.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import hnswlib
import msgspec
import numpy as np
import numpy.typing as npt
from aiokafka.admin import NewTopic

from streams.admin import admin_client
from streams.core.events import EventType
from streams.engine.effects import Output
from streams.engine.publisher import Publisher
from streams.records import CatalogueItem, Event
from streams.settings import KafkaSettings
from streams.topics import Topic

SHOPPERS = 5_000
ITEMS = 20_000
DIM = 384
EF = 64
NEIGHBOURS = 20

_GROUPS = 200
_SPREAD = 0.6
_START_MS = 1_767_607_200_000
_TYPES = [EventType.VIEW] * 6 + [EventType.CLICK] * 2 + [EventType.CART, EventType.PURCHASE]
_AT_ONCE = 20_000

_encode = msgspec.json.Encoder().encode


def shopper_name(number: int) -> str:
    """The name of a shopper."""
    return f"u-{number:05d}"


def item_name(number: int) -> str:
    """The id of an item."""
    return f"item-{number:05d}"


def event(number: int, rng: random.Random, items: int = ITEMS, shoppers: int = SHOPPERS) -> Event:
    """The event of a number: shopper, item and type at random."""
    return Event(
        id=f"e-{number:012d}",
        type=rng.choice(_TYPES),
        time=_START_MS + number,
        user=shopper_name(rng.randrange(shoppers)),
        item=item_name(rng.randrange(items)),
        session=f"s-{rng.getrandbits(64):016x}",
        attributes={"device": "phone", "page": f"/p/{rng.getrandbits(32):08x}"},
    )


def events(count: int, seed: int = 1) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of the recorded events."""
    rng = random.Random(seed)
    for number in range(count):
        made = event(number, rng)
        yield str(made.user).encode(), _encode(made)


def catalogue(count: int = ITEMS) -> Iterator[CatalogueItem]:
    """The recorded items."""
    for number in range(count):
        group = number % _GROUPS
        yield CatalogueItem(
            id=item_name(number),
            title=f"Article {number} of range {group}",
            category=[f"Department {group % 20}", f"Range {group}"],
            brand=f"Brand {number % 37}",
            price=1.0 + number % 90,
            currency="EUR",
        )


def item_vectors() -> npt.NDArray[np.float32]:
    """float32 (ITEMS, DIM), unit rows: a mixture of clusters, one for each range of items."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((_GROUPS, DIM), dtype=np.float32)
    vectors = centres[np.arange(ITEMS) % _GROUPS] + _SPREAD * rng.standard_normal((ITEMS, DIM), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def save_items(directory: Path) -> None:
    """Write vectors and an HNSW graph of them, for contestants to load."""
    directory.mkdir(parents=True, exist_ok=True)
    vectors = item_vectors()
    graph = hnswlib.Index(space="ip", dim=DIM)
    graph.init_index(ITEMS, M=16, ef_construction=100)
    graph.add_items(vectors, np.arange(ITEMS))
    np.save(directory / "vectors.npy", vectors)
    graph.save_index(str(directory / "graph"))


def load_vectors(directory: str) -> npt.NDArray[np.float32]:
    """float32 (ITEMS, DIM): what `save_items` wrote."""
    vectors: npt.NDArray[np.float32] = np.load(Path(directory) / "vectors.npy")
    return vectors


def load_graph(directory: str) -> hnswlib.Index:
    """The graph that `save_items` wrote, for one thread at a time."""
    graph = hnswlib.Index(space="ip", dim=DIM)
    graph.load_index(str(Path(directory) / "graph"))
    graph.set_ef(EF)
    graph.set_num_threads(1)
    return graph


def topic(name: str, partitions: int, *, table: str | None = None) -> Topic:
    """A topic of a contestant."""
    return Topic(name, "key", "bytes", "of a benchmark", partitions, compacted=table is not None, table=table)


async def create(bootstrap: str, topics: Sequence[Topic]) -> None:
    """Create topics that are not there yet."""
    new = [NewTopic(t.name, t.partitions, 1, topic_configs=t.broker_config()) for t in topics]
    async with admin_client(bootstrap, KafkaSettings()) as admin:
        await admin.create_topics(new)


async def publish(bootstrap: str, topic: Topic, records: Iterator[tuple[bytes, bytes]]) -> None:
    """Create a topic and fill it."""
    await create(bootstrap, [topic])
    publisher = Publisher({"bootstrap_servers": bootstrap, **KafkaSettings().client_options()})
    waiting: list[Output] = []
    for key, value in records:
        waiting.append(Output(topic.name, key, value))
        if len(waiting) == _AT_ONCE:
            await publisher.publish(waiting)
            waiting.clear()
    await publisher.publish(waiting)
    await publisher.stop()
