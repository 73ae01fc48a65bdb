"""A real Chromium, the distribution's, and axe, which looks at its pages as their readers would."""

import os
import shutil
from collections.abc import Callable, Iterator

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


@pytest.fixture(scope="session")
def obstacles() -> Callable[[Page], list[str]]:
    """What axe finds that keeps somebody from reading a page."""
    axe = Axe()

    def found(page: Page) -> list[str]:
        result = axe.run(page, options={"runOnly": RULES})
        assert result.response["passes"], "axe tried nothing"
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in result.response["violations"]]

    return found
