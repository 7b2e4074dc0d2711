"""Takes the pictures of the live page that README and docs show: `python -m tests.browser.pictures`.

The shop is that of `examples/data`, in memory; the page is the real one, in Chromium.
"""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from playwright.async_api import expect

from streams.topics import Topic
from tests.browser.test_page import Window, window
from tests.documents import ROOT
from tests.unit.http_shop import HttpShop
from tests.unit.records import FakeRecord
from tests.unit.shop import TOPICS

PICTURES = ROOT / "docs" / "pictures"
MOST_BYTES = 150_000
SHOWN = {
    "live-page.png": ({"width": 1180, "height": 860}, "light"),
    "live-page-phone.png": ({"width": 390, "height": 844}, "dark"),
}
"""Name → size and colours."""


def _records(name: str, topic: Topic) -> list[FakeRecord]:
    lines = (ROOT / "examples" / "data" / name).read_bytes().splitlines()
    bodies: list[dict[str, Any]] = [msgspec.json.decode(line) for line in lines]
    return [
        FakeRecord(str(body.get("user") or body.get("anonymous_id") or body["id"]).encode(), line, offset, topic.name)
        for offset, (line, body) in enumerate(zip(lines, bodies, strict=True))
    ]


def example_shop() -> HttpShop:
    """The shop of `examples/data`."""
    return HttpShop(items=_records("catalogue.jsonl", TOPICS.catalogue), happened=_events())


def _events() -> list[FakeRecord]:
    stamped = _records("events.jsonl", TOPICS.events)
    return [
        FakeRecord(one.key, one.value, one.offset, one.topic, timestamp=msgspec.json.decode(one.value or b"")["time"])
        for one in stamped
    ]


async def _goes_on(opened: Window) -> None:
    """Something has happened, and it shows."""
    page, shop = opened.page, opened.shop
    await expect(page.locator("#status")).to_have_text("Live")
    await expect(page.locator("#slate li .head").first).to_be_visible()
    await expect(page.locator("#figures dd").first).to_be_visible()
    others = [(user, found) for user, found in shop.topic.items() if user != "anna"]
    opened.passes(*_events()[-4:])
    for user, found in others[:3]:
        opened.passes(FakeRecord(user.encode(), msgspec.json.encode(found), topic=TOPICS.recommendations.name))
    opened.passes(next(one for one in _events() if one.key == b"anna"))
    anna = shop.topic["anna"].items
    moved = [item.item for item in (anna[3], *anna[:3], *anna[4:])]
    opened.passes(opened.recommended("anna", *moved[:9]))
    await expect(page.locator("#slate [class^=move-]").first).to_be_visible()
    await page.locator("#slate summary").first.click()
    await page.evaluate("document.activeElement.blur(); window.scrollTo(0, innerWidth < 500 ? scrollY - 130 : 0)")


async def take(directory: Path, shop: HttpShop) -> list[Path]:
    """Take the pictures; returns their files."""
    taken = []
    for name, (viewport, scheme) in SHOWN.items():
        async with window(shop, viewport, scheme, path="/#user=anna") as opened:
            await _goes_on(opened)
            await opened.page.screenshot(path=directory / name)
            taken.append(directory / name)
    return taken


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for file in asyncio.run(take(PICTURES, example_shop())):
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")
