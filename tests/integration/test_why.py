"""`upwell why` over the topics of a real broker."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from streams.settings import Settings
from streams.topics import Topics
from tests.brokers import until
from tests.integration.shopkeeper import caught_up, desk, worker
from tests.integration.upwell import upwell

T0 = time.time_ns() // 1_000_000 - 3_600_000


async def test_what_is_there_and_what_is_not(
    settings: Settings, bootstrap: str, shop_topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def why(*arguments: str) -> tuple[int, dict[str, Any]]:
        code, out, err = await asyncio.to_thread(upwell, settings, bootstrap, "why", "anna", *arguments, "--json")
        assert out, err
        return code, json.loads(out)

    async def idle() -> bool:
        sides = [("encoder", shop_topics.catalogue), ("profiles", shop_topics.events)]
        return all([await caught_up(settings, bootstrap, role, source) for role, source in sides])

    async with desk(shop_topics, bootstrap) as shop, worker(settings, bootstrap):
        for name, available in (("red shirt", True), ("blue shirt", True), ("sold out shirt", False)):
            body = {"id": name, "title": name, "price": 9.5, "available": available}
            await shop.put(shop_topics.catalogue, name, body)
        for number, (user, kind, item) in enumerate(
            [
                ("anna", "view", "red shirt"),
                ("bert", "purchase", "blue shirt"),
                ("anna", "impression", "blue shirt"),
                ("anna", "impression", "blue shirt"),
            ]
        ):
            event = {"id": f"e{number}", "type": kind, "time": T0 + number, "user": user, "item": item}
            await shop.put(shop_topics.events, user, event)
        await until(idle, 60)
    code, trace = await why("blue shirt")
    assert (code, trace["end"]) == (0, "listed")
    assert {"content", "popular"} <= set(trace["channels"])
    assert trace["shown_in_vain"] == pytest.approx(2.0, abs=1e-3)
    code, out, _ = await asyncio.to_thread(upwell, settings, bootstrap, "why", "anna", "blue shirt")
    assert "shown 2.0 times and not taken up: 0.81 of its score is left" in out
    code, out, _ = await asyncio.to_thread(upwell, settings, bootstrap, "why", "nobody", "blue shirt")
    assert "arrivals brings it" in out  # for somebody new it is now, not the beginning of time
    code, trace = await why("sold out shirt", "--not")
    assert (code, trace["end"]) == (0, "unavailable")
    assert (await why("sold out shirt"))[0] == 1
    assert (await why("blue shirt", "--not"))[0] == 1
    policy = tmp_path / "cheap.toml"
    policy.write_text("rules = ['exclude price > 5']")
    monkeypatch.setenv("UPWELL_POLICY_FILE", str(policy))
    code, trace = await why("blue shirt", "--not")
    assert (code, trace["end"]) == (0, "rule")
    assert trace["words"].endswith("drops it: exclude price > 5.0")
    code, out, _ = await asyncio.to_thread(upwell, settings, bootstrap, "why", "nobody", "blue shirt", "--not")
    assert code == 0
    assert "exclude price > 5.0" in out
