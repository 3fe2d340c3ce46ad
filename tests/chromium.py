"""A page in a real browser: Debian's chromium, driven by Playwright; without them tests skip."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WIDTHS = (360, 820, 1400)  # a phone's, a tablet's, a desktop's


@contextmanager
def started() -> Iterator[Any]:
    """Start a browser, and end it.

    Raises:
        ImportError: there is no Playwright.
        FileNotFoundError: there is no chromium.
    """
    playwright: Any = importlib.import_module("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        raise FileNotFoundError("needs chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start a browser for the tests of a module that import this."""
    pytest.importorskip("playwright.sync_api")
    if shutil.which("chromium") is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with started() as browser:
        yield browser


@contextmanager
def opened(browser: Any, path: Path, width: int = 1200, scheme: str = "light") -> Iterator[Any]:
    """Open a file; at the end, it may have requested nothing, and complained of nothing.

    Args:
        browser: the browser.
        path: an HTML file.
        width: of the window, in CSS pixels.
        scheme: ``light`` or ``dark``.
    """
    heard: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url[:100]))
    page.goto(path.as_uri())
    try:
        yield page
    finally:
        context.close()
    assert [told for told in heard if not told.startswith(("data:", path.as_uri()))] == []
