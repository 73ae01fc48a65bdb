"""The table and a difference, opened in a real browser: what can be seen, read aloud, and printed."""

import re
from pathlib import Path

import pytest

from gateway.cli.policy.differing import as_html as difference_page
from gateway.cli.policy.picture import as_html, as_svg
from gateway.policy.enumeration import Enumerated
from gateway.policy.grid import Grid
from gateway.policy.lint import Row
from gateway.policy_files.comparison import Comparison, comparison
from gateway.policy_files.folder import read, shipped
from tests.policy.test_policy_matrix import LABELS, OPEN_PER_PROFILE, PROFILES

WIDTHS = (1280, 390)
STANDING = (
    "convention en vigueur ; engagement signé ; pas d'opposition de la personne, ou agent de la Caf ; pour consulter"
)
LONG = "Une rubrique dont le libellé ne tient pas sur une ligne, ni même sur deux : <b>&amp;</b> " * 3


@pytest.fixture(scope="module")
def compared() -> Comparison:
    """The shipped policies and the draft that travels with them."""
    return comparison(read(shipped()), read(shipped() / "drafts" / "brochure-columns"))


@pytest.fixture(scope="module")
def grid(compared) -> Grid:
    return Grid(compared.old)


@pytest.fixture(scope="module")
def wordy(compared) -> Grid:
    """The same table with labels and sources that are much too long."""
    old = compared.old
    rows = tuple(Row(row.slug, f"{LONG}{row.slug}", row.profiles, f"{LONG}{row.line}", row.line) for row in old.rows)
    return Grid(Enumerated(old.fingerprint, dict.fromkeys(old.profiles, LONG), rows, old.openings))


def drawn(page, selector: str) -> list[str]:
    """As `visible`, of a picture."""
    found = page.locator(selector).all()
    assert all(one.bounding_box()["width"] for one in found if one.text_content())
    return [one.text_content().replace("\u00a0", " ") for one in found]


def visible(page, selector: str) -> list[str]:
    found = page.locator(selector).all()
    assert all(one.is_visible() for one in found)
    return [one.inner_text().strip() for one in found]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_shows_the_table_its_totals_and_its_legend(opened, obstacles, kept, grid, width):
    with opened(as_html(grid), suffix=".html", width=width) as page:
        assert page.title() == "Qui voit quoi – Cafpro"
        assert visible(page, "thead th") == ["Rubrique", *PROFILES, "Profils", "Source"]
        assert visible(page, "tbody th") == list(LABELS.values())
        assert page.locator("tbody tr").count() == 20
        assert page.locator("tbody tr:first-child td").count() == 14 + 2
        marks = visible(page, "tbody td.mark")
        assert {mark: marks.count(mark) for mark in marks} == {"X": 70, "A": 13, "B": 6}
        assert visible(page, "tfoot td")[:-1] == [*(str(total) for total in OPEN_PER_PROFILE.values()), "89"]
        assert visible(page, ".legend .sign") == ["X", "A", "B"]
        assert visible(page, ".legend li")[1].endswith("comme X, et en plus\u00a0: mandat\u00a0: jugement ou Masp.")
        assert visible(page, ".profiles strong") == list(PROFILES)
        assert visible(page, "code") == [grid.fingerprint]
        assert obstacles(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "only the table scrolls sideways"
        assert kept(page, "table.png").stat().st_size > 20_000


def test_a_wide_screen_shows_the_whole_table_and_a_narrow_one_scrolls_it_under_its_labels(opened, grid):
    hidden = "document.querySelector('.wide').scrollWidth - document.querySelector('.wide').clientWidth"
    with opened(as_html(grid), suffix=".html", width=1280) as page:
        assert page.evaluate(hidden) == 0
    with opened(as_html(grid), suffix=".html", width=390) as page:
        assert page.evaluate(hidden) > 0
        page.locator(".wide").focus()
        before = page.locator("tbody th").first.bounding_box()["x"]
        page.evaluate("document.querySelector('.wide').scrollLeft = 400")
        assert page.locator("tbody th").first.bounding_box()["x"] == before
        assert page.locator("tbody tr:first-child td").nth(8).is_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_picture_shows_the_same_and_nothing_covers_anything(opened, obstacles, kept, grid, wordy, width):
    with opened(as_svg(grid), suffix=".svg", width=width) as page:
        assert drawn(page, ".row .label tspan") == list(LABELS.values())
        assert drawn(page, ".profile tspan") == list(PROFILES)
        assert len(drawn(page, ".mark")) == 89
        assert drawn(page, ".totals .total") == [*(str(total) for total in OPEN_PER_PROFILE.values()), "89"]
        assert [line for line in drawn(page, ".legend tspan") if line][:6] == [
            *("X", f"ouvert si : {STANDING}.", "A", "comme X, et en plus : mandat : jugement ou Masp."),
            *("B", "comme X, et en plus : mandat : tiers payant."),
        ]
        assert obstacles(page) == []
        assert kept(page, "picture.png").stat().st_size > 20_000
    for one in (grid, wordy):
        with opened(as_svg(one), suffix=".svg", width=width) as page:
            assert overlapping(page) == []


def overlapping(page) -> list[list[str]]:
    """Texts that cover each other or leave the picture, in the browser's own fonts."""
    return page.evaluate(
        """() => {
          const texts = [...document.querySelectorAll('text')].filter(one => one.getBBox().width);
          const own = one => [...one.childNodes].filter(n => n.nodeName != 'title').map(n => n.textContent).join('');
          const boxes = texts.map(one => [one.getBBox(), own(one)]);
          const picture = document.documentElement.viewBox.baseVal, found = [];
          boxes.forEach(([a, said], at) => {
            if (a.x < 0 || a.x + a.width > picture.width || a.y + a.height > picture.height) found.push([said]);
            boxes.slice(at + 1).forEach(([b, other]) => {
              const apart = a.x + a.width <= b.x || b.x + b.width <= a.x
                || a.y + a.height <= b.y + 2 || b.y + b.height <= a.y + 2;
              if (!apart) found.push([said, other]);
            });
          });
          return found;
        }"""
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_of_a_difference_says_what_opens_and_what_closes(opened, obstacles, kept, compared, width):
    with opened(difference_page(compared, ("avant", "après")), suffix=".html", width=width) as page:
        assert visible(page, "tbody .sign") == ["− ferme", "+ ouvre", "+ ouvre", "− ferme"]
        assert visible(page, "tbody th") == ["T5", "T6", "T8", "T8"]
        assert visible(page, ".verdict.opens")[0].startswith("Ce changement ouvre quelque chose.")
        colours = [
            one.evaluate("one => getComputedStyle(one).backgroundColor") for one in page.locator("tbody .sign").all()
        ]
        assert colours[0] == colours[3] != colours[1] == colours[2]
        assert obstacles(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert kept(page, "difference.png").stat().st_size > 10_000


def test_long_and_hostile_words_stay_inside_the_page(opened, obstacles, wordy):
    with opened(as_html(wordy), suffix=".html", width=390) as page:
        assert page.locator("tbody b").count() == 0
        assert visible(page, "tbody th")[0] == f"{LONG}paiement"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert obstacles(page) == []


def test_on_paper_the_table_is_whole_on_its_first_sheet(opened, grid, tmp_path):
    with opened(as_html(grid), suffix=".html", width=1280) as page:
        page.pdf(path=tmp_path / "table.pdf", prefer_css_page_size=True)
        assert sheets(tmp_path / "table.pdf") <= 2
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 1046, "height": 718})  # A4 across, without its margins, in CSS pixels
        table = page.locator("table").bounding_box()
        assert table["x"] + table["width"] <= 1046
        assert table["y"] + table["height"] <= 718


def sheets(file: Path) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", file.read_bytes()))
