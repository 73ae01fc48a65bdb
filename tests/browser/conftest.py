"""A real Chromium, the distribution's: pages are opened in it as their readers open them."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.debian import found_or_installed

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
"""RGAA 4.1 is about WCAG 2.1 AA."""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Skipped in one sentence where there is none and it may not be installed; in CI that is a failure."""
    path = found_or_installed(lambda: shutil.which("chromium"), "chromium")
    with sync_playwright() as playwright:
        # Its sandbox does not run as root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, tmp_path) -> Callable[..., Page]:
    """Opens a text as a file, so many pixels wide; whatever it logs, and whatever it asks for beside itself, fails."""

    @contextmanager
    def page(text: str, *, suffix: str, width: int) -> Iterator[Page]:
        file = tmp_path / f"page{suffix}"
        file.write_text(text, encoding="utf-8")
        context = chromium.new_context(viewport={"width": width, "height": 900})
        shown, said, asked = context.new_page(), [], []
        shown.on("console", lambda message: said.append(message.text))
        shown.on("pageerror", lambda error: said.append(str(error)))
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto(file.as_uri())
        try:
            yield shown
            assert said == []
            assert asked == [file.as_uri()]
        finally:
            context.close()

    return page


@pytest.fixture(scope="session")
def obstacles() -> Callable[[Page], list[str]]:
    """What axe finds that keeps somebody from reading a page."""
    axe = Axe()

    def found(page: Page) -> list[str]:
        result = axe.run(page, options={"runOnly": RULES})
        assert result.response["passes"], "axe tried nothing"
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in result.response["violations"]]

    return found


@pytest.fixture
def kept(tmp_path) -> Callable[[Page, str], Path]:
    """Keeps what the page looks like among the files of the test."""

    def picture(page: Page, name: str) -> Path:
        # A picture has no page that goes on below: its part in the window is what can be kept.
        page.screenshot(path=tmp_path / name, full_page=page.evaluate("document.body !== null"))
        return tmp_path / name

    return picture
