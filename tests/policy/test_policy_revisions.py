"""Policies named by a word: a folder, a file, a revision of git; no repository has anything run or fetched."""

import os
import subprocess
from pathlib import Path

import pytest

from gateway.errors import Misconfigured
from gateway.policy.grammar import LARGEST_FILE
from gateway.policy_files.folder import ROUTES
from gateway.policy_files.given import beside, both_given
from gateway.policy_files.revisions import revision

PLAIN = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=Sécurité", "-c", "user.email=securite@caf.invalid", "-c", "init.defaultBranch=main"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *identity, "-C", str(folder), *words],
        env={**clean, **PLAIN},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def write(folder: Path, texts) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture
def repository(every_text, tmp_path) -> Path:
    """A repository whose `security/policies` holds the shipped files: first as they are, then with another matrix; what
    is in the folder now is not committed."""
    top = tmp_path / "repository"
    folder = top / "security" / "policies"
    write(folder, every_text)
    (folder / "README.md").write_text("not read")
    git(tmp_path, "init", "-q", str(top))
    git(top, "add", ".")
    git(top, "commit", "-qm", "as printed")
    (folder / "matrix.polar").write_text(every_text["matrix.polar"] + "# second\n")
    git(top, "commit", "-qam", "second")
    (folder / "matrix.polar").write_text(every_text["matrix.polar"] + "# not committed\n")
    return top


@pytest.fixture
def folder(repository) -> Path:
    return repository / "security" / "policies"


def matrix_of(texts) -> str:
    return texts["matrix.polar"].rpartition("];\n")[2].rpartition(");\n")[2].strip()


def refused(call, *words) -> tuple[str, ...]:
    with pytest.raises(Misconfigured) as caught:
        call(*words)
    return caught.value.problems


def test_a_revision_is_the_folders_own_files_as_they_were(folder, every_text):
    assert revision(folder, "HEAD~1").texts() == every_text
    assert matrix_of(revision(folder, "HEAD").texts()) == "# second"
    assert matrix_of(revision(folder, "main").texts()) == "# second"


@pytest.mark.parametrize(
    "written", ["HEAD:security/policies", "HEAD:./", "HEAD:../policies", "HEAD:security/policies/"]
)
def test_a_path_in_a_revision_starts_at_the_top_or_where_the_folder_is(folder, written):
    assert matrix_of(revision(folder, written).texts()) == "# second"


def test_policies_can_be_the_whole_repository(every_text, tmp_path):
    write(tmp_path, every_text)
    git(tmp_path, "init", "-q", ".")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "all")
    assert revision(tmp_path, "HEAD").texts() == revision(tmp_path, "HEAD:").texts() == every_text


def test_two_words_are_read_side_by_side(folder, every_text, tmp_path):
    old, new = both_given("HEAD~1", str(folder), folder)
    assert (matrix_of(old), matrix_of(new)) == ("", "# not committed")
    old, new = both_given(str(folder), "HEAD", folder)
    assert (matrix_of(old), matrix_of(new)) == ("# not committed", "# second")
    old, new = both_given("HEAD~1", "HEAD", folder)
    assert (matrix_of(old), matrix_of(new)) == ("", "# second")


def test_a_single_file_is_read_in_the_place_of_its_namesake_in_the_others_folder(folder, every_text, tmp_path):
    alone = tmp_path / "desk" / "matrix.polar"
    write(alone.parent, {"matrix.polar": "# mine\n"})
    old, new = both_given(str(folder), str(alone), tmp_path)
    assert new == {**old, "matrix.polar": "# mine\n"}
    old, new = both_given(str(alone), str(folder), tmp_path)
    assert old == {**new, "matrix.polar": "# mine\n"}
    old, new = both_given("HEAD~1:security/policies/matrix.polar", str(folder), folder)
    assert old == {**new, "matrix.polar": every_text["matrix.polar"]}


def test_two_single_files_are_read_each_in_its_own_folder(folder, every_text, tmp_path):
    other = tmp_path / "other"
    write(other, {**every_text, "matrix.polar": "# other\n"})
    old, new = both_given(str(folder / "matrix.polar"), str(other / "matrix.polar"), tmp_path)
    assert (matrix_of(old), matrix_of(new)) == ("# not committed", "# other")
    old, new = both_given("HEAD~1:./matrix.polar", "HEAD:./matrix.polar", folder)
    assert (matrix_of(old), matrix_of(new)) == ("", "# second")


def test_a_path_that_exists_is_no_revision(repository, folder, tmp_path, monkeypatch):
    git(repository, "branch", "policies")
    monkeypatch.chdir(folder.parent)
    old, new = both_given("policies", "HEAD", folder)
    assert (matrix_of(old), matrix_of(new)) == ("# not committed", "# second")


def test_the_folder_whose_revisions_are_meant_is_the_one_that_is_named(folder, tmp_path):
    assert beside("HEAD", str(folder)) == beside(str(folder / "matrix.polar"), "HEAD") == folder
    assert beside("HEAD~1", "HEAD") is None


def test_a_file_that_is_none_of_a_folder_is_refused(folder, tmp_path):
    (tmp_path / "new-matrix.polar").write_text("")
    (problem,) = refused(both_given, str(folder), str(tmp_path / "new-matrix.polar"), tmp_path)
    assert "`new-matrix.polar` is none of" in problem


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("nowhere", "neither a file, a folder nor a revision of the repository"),
        ("HEAD~9", "neither a file, a folder nor a revision of the repository"),
        ("HEAD:nowhere", "there is no `nowhere` in it"),
        ("HEAD:../../..", "there is no `"),
        (":security", "neither a file, a folder nor a revision of git"),
        ("--output=/tmp/x", "neither a file, a folder nor a revision of git"),
        ("--all", "neither a file, a folder nor a revision of git"),
        ("HEAD --all", "neither a file, a folder nor a revision of the repository"),
        ("HEAD^{tree}", "neither a file, a folder nor a revision of the repository"),
        ("x" * 5000, "neither a file, a folder nor a revision of the repository"),
        ("HEAD:security", "matrix.polar: the file is missing"),
    ],
)
def test_what_is_no_revision_is_told(folder, written, said):
    problems = refused(lambda: revision(folder, written).texts())
    assert any(said in problem for problem in problems), problems


def test_a_folder_in_no_repository_has_no_revisions(every_text, tmp_path):
    write(tmp_path, every_text)
    (problem,) = refused(both_given, "HEAD~1", str(tmp_path), tmp_path)
    assert "is in no git repository" in problem
    (problem,) = refused(both_given, "HEAD~1", "HEAD", tmp_path / "nowhere")
    assert "there is no such folder" in problem


def test_a_machine_without_git_compares_folders(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(both_given, "HEAD", str(folder), folder) == ("git is not installed: compare two folders instead.",)


def test_what_a_folder_may_not_hold_a_revision_may_not_either(repository, folder, every_text):
    (folder / "matrix.polar").unlink()
    (folder / "matrix.polar").symlink_to("/etc/passwd")
    (folder / "profiles.polar").write_bytes(b"# caf\xe9\n")
    (folder / "gates.polar").write_bytes(b"#" * (LARGEST_FILE + 1))
    (folder / "schema.polar").write_bytes(b"\xef\xbb\xbf# mark\n")
    (folder / "refusals.polar").unlink()
    (folder / "refusals.polar").mkdir()
    (folder / "refusals.polar" / "x").write_text("")
    (folder / "more.polar").write_text("# ours too")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "spoilt")
    problems = refused(revision(folder, "HEAD").texts)
    assert [problem.removeprefix("HEAD: ") for problem in problems] == [
        "profiles.polar: line 1 is not UTF-8; save the file as UTF-8.",
        "matrix.polar: this is not a file.",
        "refusals.polar: this is not a file.",
        f"gates.polar: the file is larger than {LARGEST_FILE} bytes.",
        "schema.polar: the file begins with a byte-order mark; save it as UTF-8 without one.",
    ]
    write_back = {name: every_text[name] for name in every_text if name not in ("matrix.polar", "refusals.polar")}
    write(folder, write_back)
    (folder / "matrix.polar").unlink()
    (folder / "refusals.polar" / "x").unlink()
    (folder / "refusals.polar").rmdir()
    write(folder, every_text)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "mended")
    assert revision(folder, "HEAD").texts() == {**every_text, "more.polar": ""}


def test_the_surroundings_of_a_hook_do_not_lead_elsewhere(folder, every_text, tmp_path, monkeypatch):
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    assert revision(folder, "HEAD~1").texts() == every_text


def test_nothing_that_a_repository_names_is_run(repository, folder, tmp_path):
    """Hooks, filters, pagers, monitors, aliases: each of them would leave a trace."""
    trace = tmp_path / "trace"
    for key in (
        *("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.gitProxy", "credential.helper"),
        *("filter.trap.smudge", "filter.trap.clean", "filter.trap.process", "diff.trap.textconv", "diff.external"),
        *("alias.cat-file", "alias.rev-parse", "pager.ls-tree", "pager.cat-file", "uploadpack.packObjectsHook"),
    ):
        git(
            repository,
            "config",
            key,
            f"!sh -c 'echo {key} >> {trace}'" if key.startswith("alias") else f"touch {trace}",
        )
    (repository / ".git" / "info" / "attributes").write_text("* filter=trap diff=trap\n")
    hooks = repository / ".git" / "hooks"
    for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-commit"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {trace}\n")
        (hooks / name).chmod(0o755)
    assert matrix_of(revision(folder, "HEAD").texts()) == "# second"
    assert not trace.exists()


def test_what_is_not_in_the_repository_is_not_fetched(repository, folder, tmp_path):
    """A repository may promise that an object is elsewhere, and name a command as the way there."""
    trace = tmp_path / "trace"
    blob = git(repository, "rev-parse", "HEAD:security/policies/matrix.polar")
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for key, value in (
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.url", f"ext::sh -c touch% {trace}"),
        ("remote.origin.promisor", "true"),
        ("protocol.ext.allow", "always"),
    ):
        git(repository, "config", key, value)
    (problem,) = refused(lambda: revision(folder, "HEAD").texts())
    assert "is not in the repository" in problem
    assert not trace.exists()


def test_an_object_that_was_replaced_is_the_one_that_was_committed(repository, folder):
    blob = git(repository, "rev-parse", "HEAD:security/policies/matrix.polar")
    other = git(repository, "rev-parse", "HEAD~1:security/policies/matrix.polar")
    git(repository, "replace", blob, other)
    assert matrix_of(revision(folder, "HEAD").texts()) == "# second"


def test_the_route_table_is_read_with_the_rest(folder, every_text):
    assert revision(folder, "HEAD").texts()[ROUTES] == every_text[ROUTES]
