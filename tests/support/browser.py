"""Drive a real Chromium, which the tests of pages look through."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.support.real_services import ROOT

SCREENSHOTS = ROOT / "var" / "test" / "screenshots"
WAIT_MS = 90_000  # for anything that a page is to show; machines are busy
NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--no-sandbox",  # as root, in a container
    "--no-proxy-server",
)


def chromium() -> str:
    """Return the path of the browser; without one the test is skipped, or fails with CI=true."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no Chromium is installed: apt-get install chromium")
        pytest.skip("needs Chromium: apt-get install chromium")
    return found


@contextmanager
def browsing(*, language: str = "en-US", width: int = 1_280) -> Iterator[BrowserContext]:
    """Open a browser without any history, for a reader of this language, on a screen so wide."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=SWITCHES)
        try:
            context = browser.new_context(
                locale=language, viewport={"width": width, "height": 1_000}
            )
            context.set_default_timeout(WAIT_MS)
            yield context
        finally:
            browser.close()


def complaints_of(page: Page) -> list[str]:
    """Return a list that fills with the errors of the page's scripts and of its policy."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "console",
        lambda told: (
            found.append(told.text)
            if told.type == "error" and "favicon" not in told.location.get("url", "")
            else None
        ),
    )
    return found


def photograph(page: Page, name: str) -> Path:
    """Keep a picture of the whole page for people, and return its path."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=str(path), full_page=True, animations="disabled")
    return path
