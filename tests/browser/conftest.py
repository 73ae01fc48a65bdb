"""Pages are opened in Chromium as their readers open them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page


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


@pytest.fixture
def kept(tmp_path) -> Callable[[Page, str], Path]:
    """Keeps what the page looks like among the files of the test."""

    def picture(page: Page, name: str) -> Path:
        # A picture has no page that goes on below: its part in the window is what can be kept.
        page.screenshot(path=tmp_path / name, full_page=page.evaluate("document.body !== null"))
        return tmp_path / name

    return picture
