"""The table in each of its forms: the same marks, the same totals, the same legend."""

import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.cli.policy.picture import as_html, as_svg, legend
from gateway.policy.enumeration import Enumerated, Openings
from gateway.policy.grid import Grid
from gateway.policy.lint import Row
from gateway.policy.situations import bits_of
from gateway.policy_files.enumerated import enumerated
from gateway.policy_files.folder import read, shipped
from tests.policy.test_policy_matrix import LABELS, OPEN_PER_PROFILE, PROFILES, TABLE

MARKS = {profile: "A" if profile == "T9" else "B" if profile == "T10" else "X" for profile in PROFILES}
"""What the domain says of each profile's dossiers, typed again."""
WANTED = [
    [LABELS[slug], *(MARKS[profile] if crossed == "X" else "" for profile, crossed in zip(PROFILES, row, strict=True))]
    for slug, row in TABLE.items()
]
TOTALS = [str(OPEN_PER_PROFILE[profile]) for profile in PROFILES]
ROW_TOTALS = [str(row.count("X")) for row in TABLE.values()]
IN_FRENCH = {
    "X": "ouvert si : convention en vigueur ; engagement signé ; "
    "pas d'opposition de la personne, ou agent de la Caf ; pour consulter.",
    "A": "comme X, et en plus : mandat : jugement ou Masp.",
    "B": "comme X, et en plus : mandat : tiers payant.",
}


@pytest.fixture(scope="module")
def decided() -> Enumerated:
    return enumerated(read(shipped()))


@pytest.fixture(scope="module")
def grid(decided) -> Grid:
    return Grid(decided)


@pytest.fixture
def matrix(decided, monkeypatch):
    """What the command prints; the shipped policies are decided once for all these tests."""
    monkeypatch.setattr("gateway.cli.policy.matrix.enumerated", lambda texts: decided)

    def run(form: str) -> str:
        said = CliRunner().invoke(main, ["policy", "matrix", "--format", form])
        assert said.exit_code == 0, said.output
        return said.stdout.replace("\u00a0", " ")

    return run


class Tables(HTMLParser):
    """The cells of a page, row by row, and everything that could reach out of it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self._in_cell = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [
            f"{name}={value}" for name, value in attrs if name in ("src", "href", "srcset", "action", "style")
        ]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._in_cell = True
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data):
        if self._in_cell:
            self.rows[-1][-1] += data


def test_the_page_shows_the_brochures_crosses_with_conditions_totals_and_sources(matrix):
    page = Tables(matrix("html"))
    head, *rows, foot = page.rows
    assert head == ["Rubrique", *PROFILES, "Profils", "Source"]
    assert [row[:-2] for row in rows] == WANTED
    assert [row[-2] for row in rows] == ROW_TOTALS
    assert [row[-1] for row in rows] == [f"brochure 2012, row {number}" for number in range(1, 21)]
    assert foot == ["Rubriques ouvertes", *TOTALS, "89", ""]


@pytest.mark.parametrize("form", ["html", "svg", "markdown"])
def test_each_mark_is_explained_in_french_and_the_policies_are_named(matrix, decided, form):
    text = matrix(form).replace("&#39;", "'")
    for sentence in IN_FRENCH.values():
        assert sentence in text
    assert decided.fingerprint in text


@pytest.mark.parametrize("form", ["html", "svg"])
def test_a_picture_holds_no_script_no_link_and_no_date(matrix, form):
    text = matrix(form)
    if form == "html":
        page = Tables(text)
        assert "script" not in page.tags
        assert page.links == []
    else:
        assert {child.tag.rpartition("}")[2] for child in ElementTree.fromstring(text).iter()} == {
            *("svg", "title", "desc", "rect", "text", "tspan", "g", "path"),
        }
    assert "url(" not in text
    assert "@import" not in text
    assert re.sub(r"http://www\.w3\.org/2000/svg", "", text).count("http") == 0
    assert not re.search(r"20(?!12\b)\d\d-\d\d|\d\d:\d\d", text)
    assert text == matrix(form), "what is printed twice is the same twice"


def test_the_picture_is_well_formed_and_has_the_same_cells(matrix):
    picture = ElementTree.fromstring(matrix("svg"))
    space = {"s": "http://www.w3.org/2000/svg"}
    rows = picture.findall("s:g[@class='row']", space)
    assert picture.get("lang") == "fr"
    assert picture.findtext("s:title", namespaces=space) == "Qui voit quoi"
    shown = []
    for row in rows:
        label = row.find("s:text[@class='label']/s:title", space).text
        shown.append((label, [mark.text for mark in row.findall("s:text[@class='mark']", space)]))
    assert shown == [(row[0], [mark for mark in row[1:] if mark]) for row in WANTED]
    totals = picture.findall("s:g[@class='totals']/s:text[@class='total']", space)
    assert [total.text for total in totals] == [*TOTALS, "89"]


def test_the_table_for_the_terminal_has_marks_totals_and_an_english_legend(matrix, decided):
    lines = [line.split() for line in matrix("table").splitlines() if line.strip()]
    assert lines[0] == ["rubric", *PROFILES, "profiles"]
    text = matrix("table")
    for label in LABELS.values():
        assert label in text
    assert {mark: len(re.findall(rf"(?<= ){mark}(?= )", text.split("open ")[0])) for mark in "XAB"} == {
        **{"X": 70, "A": 13, "B": 6},
    }
    assert ["open", *TOTALS, "89"] in lines
    assert "  A  as X, and also: mandate: judgment or masp." in text.splitlines()
    assert f"fingerprint {decided.fingerprint}" in text


def test_markdown_has_the_same_rows_and_totals(matrix):
    lines = [line for line in matrix("markdown").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["Rubrique", *PROFILES, "Profils", "Source"]
    assert [row[:-2] for row in cells[2:-1]] == WANTED
    assert [cell.strip("*") for cell in cells[-1]] == ["Rubriques ouvertes", *TOTALS, "89", ""]


def test_json_names_rubric_label_profiles_conditions_and_source(matrix):
    rows = json.loads(matrix("json"))
    assert len(rows) == 20
    standing = ["convention in force", "engagement signed", "no objection, or a partner of kind caf"]
    assert rows[9] == {
        "rubric": "creances",
        "label": "Créances",
        "profiles": ["T1", "T9", "T11", "T13"],
        "conditions": {
            "T1": [*standing, "to consult"],
            "T9": [*standing, "mandate: judgment or masp", "to consult"],
            "T11": [*standing, "to consult"],
            "T13": [*standing, "to consult"],
        },
        "source": "brochure 2012, row 10",
    }


def test_a_folder_that_is_refused_has_no_table(tmp_path):
    said = CliRunner().invoke(main, ["policy", "matrix", "--policies", str(tmp_path)])
    assert (said.exit_code, said.stdout) == (1, "")
    assert "matrix.polar: the file is missing" in said.stderr


CASE = '<b onclick="x">\'&]]>'


def made_up(cells, rows=("a", "b"), profiles=("T1", "T2")) -> Grid:
    return Grid(
        Enumerated(
            "f" * 64,
            {profile: f"{CASE} {profile}" for profile in profiles},
            tuple(Row(slug, f"{CASE} {slug}", (), f"{CASE} source", 1) for slug in rows),
            Openings(cells),
        )
    )


HELD = bits_of((({"judgment": ("held",)},),))
PROVED = bits_of((({"assurance": ("federated",)},),))


def test_the_most_frequent_condition_is_the_plain_mark_and_others_are_letters_as_they_are_met():
    grid = made_up({("T1", "a"): PROVED, ("T2", "a"): HELD, ("T1", "b"): HELD, ("T2", "b"): HELD & PROVED})
    marks = {cell: grid.mark(*cell) for cell in (("T1", "a"), ("T2", "a"), ("T1", "b"), ("T2", "b"))}
    assert marks == {("T1", "a"): "A", ("T2", "a"): "X", ("T1", "b"): "X", ("T2", "b"): "B"}
    assert [(entry.mark, entry.sentence) for entry in legend(grid, "en")] == [
        ("X", "open where: mandate: judgment."),
        ("A", "open where: identity proved by federation."),
        ("B", "as X, and also: identity proved by federation."),
    ]


def test_more_conditions_than_letters_have_two_letters():
    rows = [f"r{number}" for number in range(60)]
    grid = made_up({("T1", slug): 1 << number for number, slug in enumerate(rows)}, rows=rows)
    marks = [grid.mark("T1", slug) for slug in rows]
    assert len(set(marks)) == 60
    assert [*marks[:3], *marks[24:28]] == ["X", "A", "B", "Y", "Z", "AA", "AB"]


def test_a_table_without_an_open_cell_says_so():
    grid = made_up({})
    assert grid.total == 0
    assert "toutes les cases sont fermées." in as_html(grid)
    assert "toutes les cases sont fermées." in as_svg(grid)


def test_labels_and_sources_are_text_wherever_they_are_shown():
    grid = made_up({("T1", "a"): HELD})
    page = Tables(as_html(grid))
    assert "b" not in page.tags
    assert page.rows[1][0] == f"{CASE} a"
    picture = ElementTree.fromstring(as_svg(grid))
    assert f"{CASE} a" in {element.text for element in picture.iter()}
