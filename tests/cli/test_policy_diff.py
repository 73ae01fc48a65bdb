"""`cafpro policy diff`, as a security team and its pipeline use it."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from gateway.cli.main import main
from gateway.cli.policy import differing
from gateway.policy_files.comparison import comparison as compared
from gateway.policy_files.folder import read, shipped
from gateway.redaction.compared import PartChange
from tests.policy.test_policy_revisions import git, write
from tests.policy.worlds import ORDINARY, ROUTES

STANDING = ["convention in force", "engagement signed", "no objection, or a partner of kind caf"]
STANDING_NOW = [*STANDING, "identity proved by password or federation", "to consult"]


@pytest.fixture(scope="module")
def cafpro():
    runner = CliRunner()
    return lambda *words, **options: runner.invoke(main, [str(word) for word in words], **options)


@pytest.fixture(scope="module", autouse=True)
def compared_once():
    """What was decided twice already is not decided again for another format."""
    known = {}

    def comparison(old, new):
        key = (tuple(old.items()), tuple(new.items()))
        if key not in known:
            known[key] = compared(old, new)
        return known[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gateway.cli.policy.diff.comparison", comparison)
        yield


def folder_of(world, path: Path, routes: str = ROUTES, **texts: str) -> Path:
    write(path, {**world.texts(read(shipped())), "routes.toml": routes, **texts})
    return path


@pytest.fixture
def old(tmp_path) -> Path:
    return folder_of(ORDINARY, tmp_path / "old")


@pytest.fixture
def diff(cafpro, old, tmp_path):
    """What the command says of the ordinary policy and this one."""

    def run(world=ORDINARY, *, form: str = "text", routes: str = ROUTES, **texts: str):
        new = folder_of(world, tmp_path / "new", routes, **texts)
        return cafpro("policy", "diff", old, new, "--format", form)

    return run


def test_the_draft_of_the_two_shifted_rows_opens_two_cells_and_closes_two(cafpro):
    said = cafpro("policy", "diff", shipped(), shipped() / "drafts" / "brochure-columns", "--format", "json")
    assert said.exit_code == 1, said.output
    whole = json.loads(said.stdout)
    assert [(cell["profile"], cell["rubric"], cell["change"]) for cell in whole["cells"]] == [
        ("T5", "cmu_rsa_rmi", "closed"),
        ("T6", "maladie_maternite_affiliation", "opened"),
        ("T8", "cmu_rsa_rmi", "opened"),
        ("T8", "maladie_maternite_affiliation", "closed"),
    ]
    for cell in whole["cells"]:
        there, nowhere = ("after", "before") if cell["change"] == "opened" else ("before", "after")
        assert cell[there] == [*STANDING, "to consult"]
        assert cell[nowhere] == ["never"]
    assert whole["routes"] == []
    assert whole["profiles"] == {"added": [], "removed": [], "reworded": []}
    assert whole["rubrics"]["reworded"] == ["maladie_maternite_affiliation", "cmu_rsa_rmi"]


def test_a_comment_has_no_effect(diff):
    matrix = ORDINARY.texts(read(shipped()))["matrix.polar"]
    said = diff(**{"matrix.polar": "# Whatever is said here.\n" + matrix})
    assert said.exit_code == 0
    assert said.stdout.splitlines()[-1] == "No effect: nobody sees more or less than before."
    for form, sign in (("markdown", "No effect"), ("html", "Aucun effet&nbsp;: personne ne voit ni plus ni moins")):
        said = diff(form=form, **{"matrix.polar": "# Whatever is said here.\n" + matrix})
        assert said.exit_code == 0
        assert sign in said.stdout


def test_a_comment_in_the_routes_has_no_effect(diff):
    said = diff(routes=ROUTES + "# more\n")
    assert (said.exit_code, said.stdout.splitlines()[-1]) == (0, "No effect: nobody sees more or less than before.")


def test_a_mandate_that_is_no_longer_needed_is_an_opening(diff):
    said = diff(replace(ORDINARY, dossiers={"T1": ("any",), "T9": ("any",)}))
    assert said.exit_code == 1
    assert said.stdout.splitlines()[2:] == [
        "+ T9 sees under other conditions paiement, courrier",
        "      no longer needs “mandate: judgment or masp”",
        "Cells of which more is seen: 2; of which less is seen: 0.",
    ]


def test_a_mandate_that_is_newly_needed_opens_nothing(diff):
    said = diff(replace(ORDINARY, dossiers={"T1": ("instruction",), "T9": ("judgment", "masp")}))
    assert said.exit_code == 0
    assert said.stdout.splitlines()[2:] == [
        "- T1 sees under other conditions paiement, rsa",
        "      now needs “mandate: instruction”",
        "Cells of which more is seen: 0; of which less is seen: 2.",
    ]


def test_another_mandate_instead_opens_and_closes(diff):
    said = diff(replace(ORDINARY, dossiers={"T1": ("any",), "T9": ("judgment", "instruction")}))
    assert said.exit_code == 1
    assert said.stdout.splitlines()[2:] == [
        "~ T9 sees under other conditions paiement, courrier",
        "      no longer needs “mandate: judgment or masp”",
        "      now needs “mandate: judgment or instruction”",
        "Cells of which more is seen: 2; of which less is seen: 2.",
    ]


def test_a_cell_that_opens_says_under_which_conditions(diff):
    said = diff(replace(ORDINARY, table={**ORDINARY.table, "courrier": ("T1", "T9")}))
    assert said.exit_code == 1
    assert [line.strip() for line in said.stdout.splitlines()[2:-1]] == ["+ T1 now sees courrier", *STANDING_NOW]


def test_a_cell_that_closes_is_no_finding(diff):
    said = diff(replace(ORDINARY, table={**ORDINARY.table, "courrier": ()}))
    assert said.exit_code == 0
    assert said.stdout.splitlines()[2] == "- T9 no longer sees courrier"


def test_a_part_that_moves_to_another_rubric_is_an_opening(diff):
    said = diff(
        routes=ROUTES + '"/rubriques/rsa/adresse" = "courrier"\n[route.fields]\n"/rubriques/rsa" = ["montant"]\n'
    )
    assert said.exit_code == 1
    assert "+ route dossier: /rubriques/rsa/adresse belonged to rsa, and belongs to courrier" in said.stdout
    said = diff(routes=ROUTES + '"/rubriques/rsa/adresse" = "never"\n[route.fields]\n"/rubriques/rsa" = ["montant"]\n')
    assert said.exit_code == 0
    assert "- route dossier: /rubriques/rsa/adresse belonged to rsa, and belongs to never" in said.stdout
    said = diff(
        routes=ROUTES + '"/rubriques/rsa/adresse" = "never"\n[route.fields]\n"/rubriques/rsa" = ["montant"]\n',
        form="html",
    )
    assert "dossier\u00a0: /rubriques/rsa/adresse relevait de «\u00a0rsa\u00a0», et ne sort jamais" in said.stdout


FRENCH = [
    (("part", "/a", None, "adresse"), "/a ne relevait d'aucune rubrique, et relève de «~adresse~»"),
    (("part", "/a", "adresse", None), "/a relevait de «~adresse~», et ne relève plus d'aucune rubrique"),
    (("part", "", "never", "always"), "toute la réponse ne sortait jamais, et sort toujours"),
    (("part", "/n", "number", "rsa"), "/n était le numéro du dossier, et relève de «~rsa~»"),
    (("whole", "/a", "listed", "whole"), "/a sortait champ par champ, et sort en entier"),
    (("whole", "/a", "whole", None), "/a sortait en entier, et ne sort plus"),
    (("number", "", "/numero", None), "le numéro du dossier n'est plus lu~; il l'était à /numero"),
    (("number", "", None, "/numero"), "le numéro du dossier est lu à /numero"),
    (("route", "", "GET /x", None), "adresse retirée~: GET /x"),
    (("name", "", "autre", "r"), "le nom était autre"),
    (("query", "", None, "vue"), "paramètre ajouté~: «~vue~»"),
    (("rubric", "", None, "courrier"), "le document ne relevait d'aucune rubrique, et relève de «~courrier~»"),
    (("action", "", "list", "consult"), "l'action était «~list~», et devient «~consult~»"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), FRENCH, ids=[said[:40] for _, said in FRENCH])
def test_a_change_of_a_route_is_told_in_french(change, said):
    assert differing._in_french(PartChange("r", *change, opens=True)) == f"r~: {said}".replace("~", "\u00a0")


def test_profiles_and_rubrics_that_come_and_go_are_told(cafpro, old, tmp_path):
    texts = read(old)
    new = tmp_path / "new"
    write(
        new,
        {
            **texts,
            "profiles.polar": texts["profiles.polar"].replace('"profile T9"', '"Tuteurs"') + 'profile("T17", "New");\n',
            "conditions.polar": texts["conditions.polar"] + 'dossiers("T17", ["any"], "decision 12");\n',
            "matrix.polar": texts["matrix.polar"].replace('rubric("rsa", "rsa"', 'rubric("logement", "Logement"'),
            "schema.polar": texts["schema.polar"].replace('"rsa"', '"logement"'),
        },
    )
    said = cafpro("policy", "diff", old, new)
    assert said.exit_code == 1
    lines = said.stdout.splitlines()
    for line in (
        "- T1 no longer sees rsa",
        "+ T1 now sees logement",
        "~ T17 profile added",
        "~ logement rubric added",
        "~ rsa rubric removed",
        "Profiles with another label or source: T9.",
    ):
        assert line in lines
    whole = json.loads(cafpro("policy", "diff", old, new, "--format", "json").stdout)
    assert whole["profiles"] == {"added": ["T17"], "removed": [], "reworded": ["T9"]}
    assert whole["rubrics"] == {"added": ["logement"], "removed": ["rsa"], "reworded": []}


def test_a_table_that_says_the_same_in_other_words_has_no_effect(diff):
    """Rows in another order, a condition written in two rules: texts differ, decisions do not."""
    texts = ORDINARY.texts(read(shipped()))
    rows = texts["matrix.polar"].splitlines(keepends=True)
    one = 'assurance(agent: Agent, _action: String, "assurance 0") if agent.assurance in ["password", "federated"];\n'
    assert one in texts["conditions.polar"]
    two = one.replace('in ["password", "federated"]', '= "password"') + one.replace(
        'in ["password", "federated"]', '= "federated"'
    ).replace("assurance 0", "assurance 1")
    said = diff(
        **{"matrix.polar": "".join(reversed(rows)), "conditions.polar": texts["conditions.polar"].replace(one, two)}
    )
    assert (said.exit_code, said.stdout.splitlines()[-1]) == (0, "No effect: nobody sees more or less than before.")


def test_a_revision_is_compared_with_the_folder_and_with_another_revision(cafpro, old, tmp_path, monkeypatch):
    git(tmp_path, "init", "-q", ".")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "as printed")
    folder_of(replace(ORDINARY, table={**ORDINARY.table, "courrier": ("T1", "T9")}), old)
    said = cafpro("policy", "diff", "HEAD", old)
    assert said.exit_code == 1
    assert "+ T1 now sees courrier" in said.stdout
    git(tmp_path, "commit", "-qam", "courrier for T1")
    monkeypatch.chdir(old)
    said = cafpro("policy", "diff", "HEAD~1", "HEAD")
    assert said.exit_code == 1, "where one stands in a folder of policies, revisions are its own"
    assert "+ T1 now sees courrier" in said.stdout
    said = cafpro("policy", "diff", "HEAD", "HEAD~1")
    assert said.exit_code == 0
    assert "- T1 no longer sees courrier" in said.stdout
    monkeypatch.chdir(tmp_path)
    assert cafpro("policy", "diff", "HEAD:old", "HEAD~1:old", "--policies", old).exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["old", "nowhere"], "neither a file nor a folder, and old is in no git repository"),
        (["old", "empty"], "matrix.polar: the file is missing"),
        (["old", "broken"], "matrix.polar:1:"),
        (["broken", "old"], "matrix.polar:1:"),
        (["old"], "Missing argument 'B'"),
        (["old", "old", "--format", "pdf"], "'pdf' is not one of"),
    ],
    ids=str,
)
def test_what_cannot_be_compared_ends_with_2_and_never_with_0(cafpro, old, tmp_path, monkeypatch, words, said):
    folder_of(ORDINARY, tmp_path / "broken", **{"matrix.polar": "rubric(\n"})
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    done = cafpro("policy", "diff", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_both_sides_mistakes_are_told_at_once(cafpro, tmp_path, monkeypatch):
    folder_of(ORDINARY, tmp_path / "one", **{"matrix.polar": "rubric(\n"})
    folder_of(ORDINARY, tmp_path / "other", **{"profiles.polar": "profile(\n"})
    said = cafpro("policy", "diff", tmp_path / "one", tmp_path / "other")
    assert said.exit_code == 2
    assert "matrix.polar:1:" in said.stderr
    assert "profiles.polar:1:" in said.stderr


def test_on_a_terminal_openings_are_red_and_closings_green(old, tmp_path, monkeypatch, capsys):
    new = folder_of(
        replace(ORDINARY, table={"paiement": ("T1", "T9"), "courrier": ("T1",), "rsa": ("T1",)}), tmp_path / "n"
    )
    terminal = Console(force_terminal=True, color_system="standard", highlight=False, soft_wrap=True)
    monkeypatch.setattr("gateway.cli.policy.differing.Console", lambda **_: terminal)
    with pytest.raises(SystemExit):
        main(["policy", "diff", str(old), str(new)])
    lines = capsys.readouterr().out.splitlines()
    assert "\x1b[31m+ T1 now sees courrier\x1b[0m" in lines
    assert "\x1b[32m- T9 no longer sees courrier\x1b[0m" in lines


def test_what_a_pipe_reads_has_no_colours_and_no_broken_lines(diff):
    said = diff(replace(ORDINARY, table=dict.fromkeys(ORDINARY.table, ("T1", "T9"))))
    assert "\x1b" not in said.stdout
    assert "+ T9 now sees rsa" in said.stdout.splitlines()


EVIL = '<script>alert(1)</script> [x](https://evil.invalid) **b** `c` a|b @everyone & "'.replace('"', "’")


@pytest.mark.parametrize("form", ["html", "markdown"])
def test_what_a_policy_author_wrote_is_text_wherever_it_is_shown(diff, form):
    texts = ORDINARY.texts(read(shipped()))
    new = replace(ORDINARY, table={**ORDINARY.table, "courrier": ("T1", "T9")})
    matrix = new.texts(read(shipped()))["matrix.polar"].replace('"courrier", "courrier"', f'"courrier", "{EVIL}"')
    assert EVIL in matrix
    said = diff(new, form=form, **{"matrix.polar": matrix})
    assert said.exit_code == 1, texts
    assert "alert(1)" in said.stdout
    for live in (
        ("<script", "</script", "](https:", "`c`", "**b", "a|b") if form == "markdown" else ("<script", "</script")
    ):
        assert live not in said.stdout
    if form == "markdown":
        assert "@everyone" not in said.stdout
        row = next(line for line in said.stdout.splitlines() if "alert(1)" in line)
        assert len(re.findall(r"\|", row)) == 6


def test_markdown_is_one_table_for_a_merge_request(diff):
    said = diff(replace(ORDINARY, dossiers={"T1": ("any",), "T9": ("any",)}), form="markdown")
    lines = said.stdout.splitlines()
    assert lines[0].startswith("### Policies: ")
    assert lines[2] == "**Cells of which more is seen: 2; of which less is seen: 0.**"
    assert lines[4:] == [
        "| | who | what | rubrics | conditions |",
        "|---|---|---|---|---|",
        "| 🔴 opens | T9 | sees under other conditions | paiement, courrier "
        "| no longer needs “mandate: judgment or masp” |",
    ]


def test_the_draft_is_no_part_of_what_is_loaded(tmp_path):
    folder = Path(shutil.copytree(shipped(), tmp_path / "policies"))
    with_drafts = read(folder)
    shutil.rmtree(folder / "drafts")
    assert read(folder) == with_drafts
