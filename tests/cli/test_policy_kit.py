"""The kit for a repository of policies: its hook and its pipelines are run for real, in a real repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway.cli.init import furnish
from gateway.policy_files.folder import ROUTES as ROUTES_FILE
from gateway.policy_files.folder import read, shipped
from tests.policy.worlds import ORDINARY, ROUTES

KIT = shipped() / "kit"
CASES = """
[[case]]
name = "a social worker reads payments and the Rsa"
profile = "T1"
opens = ["paiement", "rsa"]

[[case]]
name = "a guardian reads what is entrusted"
profile = "T9"
mandates = ["judgment"]
opens = ["paiement", "courrier"]
"""
OPENED = ('"courrier", "courrier", ["T9"]', '"courrier", "courrier", ["T1", "T9"]')


@pytest.fixture
def surroundings(tmp_path) -> dict[str, str]:
    """The `cafpro` of these tests comes first; what would leave this machine only notes what it was asked."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("pip", "gh", "curl"):
        (tools / name).write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> "{tmp_path}/asked"\n')
        (tools / name).chmod(0o755)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    who = {
        f"GIT_{role}_{what}": "securite@caf.invalid" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    path = f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**plain, **who, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


@pytest.fixture
def run(surroundings):
    """Runs a command in a folder; its code and all that it said."""

    def command(folder: Path, *words: str, **more: str) -> tuple[int, str]:
        done = subprocess.run(
            words, cwd=folder, env={**surroundings, **more}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return done.returncode, done.stdout

    return command


def furnished(folder: Path) -> Path:
    """A small folder of policies with tests of its own."""
    (folder / "tests").mkdir(parents=True)
    for name, text in {**ORDINARY.texts(read(shipped())), ROUTES_FILE: ROUTES, "tests/cases.toml": CASES}.items():
        (folder / name).write_text(text)
    return folder


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


@pytest.fixture
def guarded(run):
    """A repository with the hook in it, put there as the hook itself says, and everything committed once."""

    def make(top: Path, folder: str = ".", *, looked_at: bool = False) -> Path:
        furnished(top / folder)
        assert run(top, "git", "init", "-q", "-b", "main", ".")[0] == 0
        assert run(top, "install", "-m", "755", str(KIT / "pre-commit"), ".git/hooks/pre-commit")[0] == 0
        run(top, "git", "config", "cafpro.policies", folder)
        run(top, "git", "add", ".")
        code, said = run(top, "git", "commit", "-qm", "as printed", *(() if looked_at else ("--no-verify",)))
        assert code == 0, said
        return top

    return make


def test_a_good_change_is_committed_and_what_it_opens_is_shown(guarded, run, tmp_path):
    top = guarded(tmp_path / "repository", looked_at=True)
    change(top / "matrix.polar", *OPENED)
    change(top / "tests" / "cases.toml", 'opens = ["paiement", "rsa"]', 'opens = ["paiement", "courrier", "rsa"]')
    code, said = run(top, "git", "commit", "-qam", "courrier for T1")
    assert code == 0, said
    assert "+ T1 now sees courrier" in said
    assert run(top, "git", "log", "--format=%s")[1].splitlines() == ["courrier for T1", "as printed"]


def test_a_policy_that_is_refused_is_not_committed(guarded, run, tmp_path):
    top = guarded(tmp_path / "repository")
    change(top / "matrix.polar", '"courrier", "courrier", ["T9"]', '"courier", "courrier", ["T9"]')
    code, said = run(top, "git", "commit", "-qam", "a slip")
    assert code != 0
    assert "Did you mean `courrier`?" in said
    assert run(top, "git", "log", "--format=%s")[1].splitlines() == ["as printed"]


def test_a_policy_that_breaks_a_test_is_not_committed(guarded, run, tmp_path):
    top = guarded(tmp_path / "repository")
    change(top / "matrix.polar", *OPENED)
    code, said = run(top, "git", "commit", "-qam", "more than was wanted")
    assert code != 0
    assert "a social worker reads payments and the Rsa" in said
    assert run(top, "git", "log", "--format=%s")[1].splitlines() == ["as printed"]


def test_what_is_committed_is_looked_at_and_not_what_lies_there(guarded, run, tmp_path):
    top = guarded(tmp_path / "repository")
    good = (top / "matrix.polar").read_text()
    (top / "matrix.polar").write_text("rubric(\n")
    run(top, "git", "add", "matrix.polar")
    (top / "matrix.polar").write_text(good)
    code, said = run(top, "git", "commit", "-qm", "mended only on the desk")
    assert code != 0
    assert "matrix.polar:1:" in said
    run(top, "git", "add", "matrix.polar")
    (top / "matrix.polar").write_text("rubric(\n")
    (top / "notes.txt").write_text("a note")
    run(top, "git", "add", "notes.txt")
    assert run(top, "git", "commit", "-qm", "spoilt only on the desk")[0] == 0


def test_policies_in_a_folder_of_a_larger_repository_are_looked_at_there(guarded, run, tmp_path):
    top = guarded(tmp_path / "repository", "security/policies")
    change(top / "security" / "policies" / "matrix.polar", *OPENED)
    code, said = run(top, "git", "commit", "-qam", "more than was wanted")
    assert code != 0
    assert "a social worker reads payments and the Rsa" in said
    run(top, "git", "checkout", "-q", "HEAD", "--", ".")
    (top / "README").write_text("elsewhere")
    run(top, "git", "add", "README")
    code, said = run(top, "git", "commit", "-qm", "elsewhere", PATH="/usr/bin:/bin")
    assert (code, said) == (0, ""), "what touches no policy needs no gateway"


def test_a_repository_without_policies_says_how_to_name_them(run, tmp_path):
    run(tmp_path, "git", "init", "-q", ".")
    run(tmp_path, "install", "-m", "755", str(KIT / "pre-commit"), ".git/hooks/pre-commit")
    (tmp_path / "x").write_text("")
    run(tmp_path, "git", "add", "x")
    code, said = run(tmp_path, "git", "commit", "-qm", "x")
    assert code == 1
    assert "there are no policies in `.`: say where with git config cafpro.policies" in said


def steps_of_github() -> list[str]:
    pipeline = yaml.safe_load((KIT / "github.yml").read_text())
    assert pipeline["permissions"] == {"contents": "read", "pull-requests": "write"}
    return [step["run"] for step in pipeline["jobs"]["policies"]["steps"] if "run" in step]


def steps_of_gitlab() -> list[str]:
    return yaml.safe_load((KIT / "gitlab.yml").read_text())["policies"]["script"]


@pytest.fixture
def branch(guarded, run, tmp_path):
    """A repository whose branch opens a cell, and what both pipelines are told about it."""
    top = guarded(tmp_path / "repository")
    base = run(top, "git", "rev-parse", "HEAD")[1].strip()
    change(top / "matrix.polar", *OPENED)
    change(top / "tests" / "cases.toml", 'opens = ["paiement", "rsa"]', 'opens = ["paiement", "courrier", "rsa"]')
    run(top, "git", "commit", "--no-verify", "-qam", "courrier for T1")
    told = {
        **{"BASE": base, "NUMBER": "7", "PACKAGE": "cafpro-gateway", "RUNNER_TEMP": str(tmp_path)},
        **{"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "CAFPRO_PACKAGE": "cafpro-gateway"},
        **{
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
            "CAFPRO_COMMENTS": "token",
            "CI_API_V4_URL": "https://git.invalid/api",
        },
        **{"CI_MERGE_REQUEST_PROJECT_ID": "12", "CI_MERGE_REQUEST_IID": "34"},
    }
    return top, told


@pytest.mark.parametrize(("steps", "posted"), [(steps_of_github, "gh pr comment 7"), (steps_of_gitlab, "notes")])
def test_a_pipeline_checks_tests_and_posts_the_difference(branch, run, tmp_path, steps, posted):
    top, told = branch
    for step in steps():
        code, said = run(top, "bash", "-eo", "pipefail", "-c", step, **told)
        assert code == 0, said
    (difference,) = [file for file in (tmp_path / "diff.md", top / "diff.md") if file.exists()]
    assert "| 🔴 opens | T1 | now sees | courrier |" in difference.read_text()
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == "pip install --quiet cafpro-gateway"
    assert posted in asked[-1]
    assert "diff.md" in asked[-1]
    if steps is steps_of_github:
        assert (tmp_path / "summary.md").read_text() == difference.read_text()


@pytest.mark.parametrize("steps", [steps_of_github, steps_of_gitlab])
def test_a_pipeline_stops_at_a_policy_that_is_refused(branch, run, tmp_path, steps):
    top, told = branch
    (top / "matrix.polar").write_text("rubric(\n")
    codes = [run(top, "bash", "-eo", "pipefail", "-c", step, **told)[0] for step in steps()[:2]]
    assert codes == [0, 1]


def test_a_new_gateway_has_the_kit_beside_its_policies(tmp_path):
    values = {"bind": "127.0.0.1:8080", "public_url": "http://127.0.0.1:8080", "upstream": "http://127.0.0.1:9000"}
    configuration = furnish(tmp_path / "caf", **values, caisse="851", policies=shipped())
    made = configuration.parent / "policies"
    for file in (*KIT.iterdir(), *(shipped() / "drafts").rglob("*.*")):
        assert (made / file.relative_to(shipped())).read_bytes() == file.read_bytes()
