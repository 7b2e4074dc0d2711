"""Kafka records made by hand, for tests that need no broker."""

import json
from dataclasses import dataclass, field
from typing import Any

from streams.core.events import WEIGHTS
from streams.edge import Limits

LIMITS = Limits(max_event_bytes=1_000, max_item_bytes=2_000, max_future_ms=86_400_000, weights=WEIGHTS)
NOW = 1_700_000_000_000


@dataclass(frozen=True)
class FakeRecord:
    """As aiokafka's ConsumerRecord, as far as the code under test looks."""

    key: bytes | None
    value: bytes | None
    offset: int = 0
    topic: str = "shop.events.v1"
    partition: int = 0
    timestamp: int = NOW
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def event(offset: int = 0, *, user: str = "anna", **changes: Any) -> FakeRecord:
    """A purchase of item `milk`, changed by keyword; a None drops the field."""
    body = {"id": f"e{offset}", "type": "purchase", "time": NOW + offset, "user": user, "item": "milk", **changes}
    value = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
    return FakeRecord(user.encode(), value, offset)


def item(name: str, offset: int = 0, **changes: Any) -> FakeRecord:
    """A catalogue item, changed by keyword."""
    body = {"id": name, "title": f"The {name}", **changes}
    return FakeRecord(name.encode(), json.dumps(body).encode(), offset, "shop.catalogue.v1")
