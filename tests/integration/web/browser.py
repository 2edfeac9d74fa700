"""The distribution's Chromium, driven by Playwright; nothing is downloaded.

Rules: whatever the page logs, throws, or asks of another host is collected, and is a failure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from playwright.async_api import Page as Tab
from playwright.async_api import async_playwright

from tests.services import need

WIDE = (1280, 900)
PHONE = (390, 844)


@dataclass
class Window:
    """A browser's window on the page.

    Attributes:
        tab: what is clicked through.
        faults: what went wrong in it: errors, warnings, requests elsewhere.
        asked: every address that was asked for.
    """

    tab: Tab
    faults: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def read(self, expression: str) -> object:
        """Return what a JavaScript expression gives, as an awaitable."""
        return self.tab.evaluate(expression)

    async def until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true; watches every change of the page."""
        # polling by frames; a predicate as text would need the page to allow eval
        await self.tab.wait_for_function(f"() => ({expression})", timeout=30_000)

    async def says(self, selector: str, text: str) -> None:
        """Wait until an element's text contains this."""
        await self.tab.locator(selector).filter(has_text=text).first.wait_for(timeout=30_000)

    async def sign_in(self, url: str, token: str) -> None:
        """Open the page and sign in with the form."""
        await self.tab.goto(url)
        await self.tab.get_by_label("Token").fill(token)
        await self.tab.get_by_role("button", name="Sign in").click()
        await self.tab.locator("#page").wait_for(state="visible")


@asynccontextmanager
async def window(
    url: str,
    size: tuple[int, int] = WIDE,
    scheme: Literal["dark", "light"] = "light",
    *,
    still: bool = False,
) -> AsyncIterator[Window]:
    """Open a window; skips the test where there is no Chromium.

    Args:
        url: of the page; a request to any other origin is a fault.
        size: width and height, pixels.
        scheme: what the system prefers.
        still: whether the system asks for reduced motion.
    """
    (chromium,) = need("Chromium", "chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            reduced_motion="reduce" if still else "no-preference",
        )
        opened = Window(await context.new_page())
        _listen(opened, url)
        yield opened
        await browser.close()


def _listen(opened: Window, url: str) -> None:
    tab, faults = opened.tab, opened.faults

    def asked(address: str) -> None:
        opened.asked.append(address)
        if not address.startswith((f"{url}/", "blob:", "data:")):
            faults.append(f"asked {address}")

    def logged(kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            faults.append(f"{kind}: {text}")

    tab.on("request", lambda request: asked(request.url))
    tab.on("console", lambda message: logged(message.type, message.text))
    tab.on("pageerror", lambda error: faults.append(f"threw {error}"))
    tab.on("dialog", lambda dialog: faults.append(f"dialog {dialog.message}"))
