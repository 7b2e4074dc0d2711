"""The live page in a real Chromium: what it shows, by keyboard, on a phone, for everybody, without the internet."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, async_playwright, expect

from streams.pseudonyms import Pseudonyms
from streams.web.keys import Keyring, Scope, new
from tests.unit.http_shop import HttpShop
from tests.unit.records import LIMITS, FakeRecord, event
from tests.unit.shop import TOPICS

PHONE = {"width": 375, "height": 720}
SCREEN = {"width": 1280, "height": 900}


@dataclass
class Window:
    """A page of the service, what it asked for, and what it complained of."""

    shop: HttpShop
    page: Page
    url: str
    asked: list[str]
    complaints: list[str]

    def passes(self, *records: FakeRecord) -> None:
        """Records pass by."""
        for record in records:
            self.shop.live.tell(record)

    def recommended(self, shopper: str, *items: str) -> FakeRecord:
        """A recommendation of these items, after a view of the last one."""
        topic = self.shop.topic[shopper]
        listed = [
            msgspec.structs.replace(topic.items[0], rank=rank, item=item) for rank, item in enumerate(items, start=1)
        ]
        trigger = msgspec.structs.replace(topic.trigger, item=items[-1])
        found = msgspec.structs.replace(topic, items=listed, trigger=trigger)
        return FakeRecord(shopper.encode(), msgspec.json.encode(found), topic=TOPICS.recommendations.name)


@pytest.fixture
def shop() -> HttpShop:
    return HttpShop()


@asynccontextmanager
async def window(
    shop: HttpShop,
    viewport: dict[str, int] = SCREEN,
    scheme: Any = "light",
    keyring: Keyring | None = None,
    path: str = "/",
) -> AsyncIterator[Window]:
    async with shop.client(keyring) as http, async_playwright() as playwright:
        beating = asyncio.create_task(shop.live.beat())
        # Debian's Chromium where it is installed, else the one that `playwright install chromium` brought.
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        context = await browser.new_context(
            viewport=viewport,
            color_scheme=scheme,
            reduced_motion="reduce",  # type: ignore[arg-type]
        )
        page = await context.new_page()
        page.set_default_timeout(20_000)
        found = Window(shop, page, str(http.make_url(path)), [], [])
        page.on("request", lambda request: found.asked.append(request.url))
        page.on("console", lambda message: found.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: found.complaints.append(str(error)))
        await page.goto(found.url)
        try:
            yield found
        finally:
            await browser.close()
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)


async def test_a_shopper_is_followed_and_what_changes_is_said(shop: HttpShop) -> None:
    async with window(shop) as opened:
        page = opened.page
        await expect(page.locator("#status")).to_have_text("Live")
        await page.get_by_label("Shopper", exact=True).fill("anna")
        await page.keyboard.press("Enter")
        await expect(page.locator("#slate li .head")).to_have_count(9)
        await expect(page.get_by_role("heading", name="anna, live")).to_be_visible()
        await expect(page.locator("#status")).to_have_text("Live")

        opened.passes(event(7, type="view", item="cups"))
        await expect(page.locator("#change")).to_have_text("Just now: view The cups")
        opened.passes(opened.recommended("anna", "coffee", "milk", "cups"))
        await expect(page.locator("#change")).to_contain_text("After purchase The cups: ")
        await expect(page.locator("#slate .head").first).to_contain_text("The coffee")
        await expect(page.locator("#slate [class^=move-]").first).to_be_visible()

        await page.locator("#slate summary").first.click()
        await expect(page.locator("#slate .share").first).to_contain_text("%")
        assert opened.complaints == []


@pytest.fixture
def veiled() -> HttpShop:
    return HttpShop(replace(LIMITS, pseudonyms=Pseudonyms(1, (b"k" * 32,))))


async def test_a_shopper_is_followed_by_pseudonym(veiled: HttpShop) -> None:
    names = veiled.limits.pseudonyms
    assert names
    async with window(veiled, path="/#user=anna") as opened:
        page = opened.page
        await expect(page.get_by_role("heading", name=f"{names.of('anna')}, live")).to_be_visible()
        await expect(page.locator("#status")).to_have_text("Live")
        await expect(page).to_have_url(re.compile(f"#user={names.of('anna')}$"))
        opened.passes(event(7, type="view", item="cups"))
        await expect(page.locator("#change")).to_have_text("Just now: view The cups")
        await expect(page.locator("body")).not_to_contain_text("anna")


async def test_flow_and_health_are_shown_and_can_be_held(shop: HttpShop) -> None:
    async with window(shop) as opened:
        page = opened.page
        await expect(page.locator("#status")).to_have_text("Live")
        opened.passes(event(1, item="milk"), opened.recommended("bert", "tea"))
        await expect(page.locator("#passing li")).to_have_count(2)
        await expect(page.get_by_role("row", name="profiles stable 3 7")).to_be_visible()
        await page.get_by_role("button", name="Pause").click()
        opened.passes(event(2, item="bread"))
        await expect(page.get_by_role("button", name="Go on")).to_have_attribute("aria-pressed", "true")
        await expect(page.locator("#passing li")).to_have_count(2)
        await page.locator("#passing").get_by_role("button", name="bert").click()
        await expect(page.get_by_role("heading", name="bert, live")).to_be_visible()


async def test_search_an_item_and_buy_it(shop: HttpShop) -> None:
    async with window(shop, path="/#user=anna") as opened:
        page = opened.page
        await expect(page.get_by_role("heading", name="anna, live")).to_be_visible()
        await page.get_by_label("In your own words").fill("green tea")
        await page.keyboard.press("Enter")
        first = page.locator("#results li").first
        await expect(first).to_contain_text("The green tea")
        await first.get_by_role("button").click()
        await expect(page.get_by_role("heading", name="The green tea")).to_be_visible()
        await expect(page.locator("#similar li").first).to_contain_text("tea")
        await page.get_by_role("button", name="Buy").click()
        await expect(page.locator("#done")).to_contain_text("anna: Buy")
        (sent,) = opened.shop.log.written
        assert (sent.topic, sent.key) == (TOPICS.events.name, b"anna")


async def test_names_are_text_whatever_they_hold(shop: HttpShop) -> None:
    name = "<img src=x onerror=document.title='gotcha'>"
    async with window(shop) as opened:
        await expect(opened.page.locator("#status")).to_have_text("Live")
        opened.passes(event(1, user=name, item=name))
        await expect(opened.page.locator("#passing")).to_contain_text(name)
        assert await opened.page.locator("#passing img").count() == 0
        assert await opened.page.title() == "Upwell"


async def test_nothing_comes_from_elsewhere(shop: HttpShop) -> None:
    async with window(shop) as opened:
        await expect(opened.page.locator("#results li").first).to_be_visible()
        assert opened.asked
        assert all(url.startswith(opened.url) for url in opened.asked)
        assert opened.complaints == []


async def test_a_key_is_asked_for_and_used(shop: HttpShop, tmp_path: Path) -> None:
    key, line = new("page", [Scope.QUERY, Scope.INGEST, Scope.ADMIN])
    (tmp_path / "keys").write_text(line)
    async with window(shop, keyring=Keyring(tmp_path / "keys")) as opened:
        page = opened.page
        await expect(page.locator("#status")).to_contain_text("An API key is needed")
        await page.locator("#key").fill(key)
        await page.keyboard.press("Enter")
        await expect(page.locator("#status")).to_have_text("Live")
        await expect(page.locator("#results li").first).to_be_visible()


async def test_reasons_that_are_read_stay_open_and_the_keyboard_stays_where_it_is(shop: HttpShop) -> None:
    async with window(shop, path="/#user=anna") as opened:
        page = opened.page
        await expect(page.locator("#status")).to_have_text("Live")
        opened.passes(opened.recommended("anna", "coffee", "milk", "cups"))
        await expect(page.locator("#slate .head").first).to_contain_text("The coffee")
        await page.locator("#slate > li").nth(1).locator("summary").focus()
        await page.keyboard.press("Enter")
        opened.passes(opened.recommended("anna", "milk", "cups", "tea"))
        await expect(page.locator("#slate .head").first).to_contain_text("The milk")
        await expect(page.locator("#slate details[open]")).to_have_count(1)
        await expect(page.locator("#slate > li").first.locator("details")).to_have_attribute("open", "")
        await expect(page.locator("#slate > li").first.locator("summary")).to_be_focused()


@pytest.mark.parametrize(("hash_", "shown"), [("#user=%zz", "%zz, live"), ("#user=a%26b%20c", "a&b c, live")])
async def test_any_link_to_a_shopper_opens(shop: HttpShop, hash_: str, shown: str) -> None:
    async with window(shop, path=f"/{hash_}") as opened:
        await expect(opened.page.get_by_role("heading", name=shown)).to_be_visible()
        await expect(opened.page.locator("#status")).to_have_text("Live")
        assert opened.complaints == []


@pytest.mark.parametrize("width", [320, 390])
async def test_on_a_phone_nothing_is_cut_off(shop: HttpShop, width: int) -> None:
    """320 CSS pixels are WCAG 2.2's measure (1.4.10)."""
    async with window(shop, {**PHONE, "width": width}, path="/#user=anna") as opened:
        await expect(opened.page.locator("#slate li .head")).to_have_count(9)
        await expect(opened.page.get_by_role("row", name="neighbours")).to_be_visible()
        wide = await opened.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, SCREEN], ids=["phone", "screen"])
async def test_everybody_can_use_it(shop: HttpShop, scheme: str, viewport: dict[str, int]) -> None:
    async with window(shop, viewport, scheme, path="/#user=anna") as opened:
        page = opened.page
        await expect(page.locator("#slate li .head")).to_have_count(9)
        opened.passes(event(1, item="milk"), opened.recommended("anna", "coffee", "milk", "cups"))
        await expect(page.locator("#slate [class^=move-]").first).to_be_visible()
        await page.locator("#slate summary").first.click()
        await page.locator("#results").get_by_role("button").first.click()
        await expect(page.locator("#item")).to_be_visible()
        found = await Axe().run(page)
        assert len(found.response["passes"]) > 20  # or it looked at nothing
        assert [
            f"{each['id']}: {[node['html'] for node in each['nodes']]}" for each in found.response["violations"]
        ] == []
