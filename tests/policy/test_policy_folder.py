"""The folder on disk: what cannot be read is told whole, and nothing is put in force by halves."""

import os
from pathlib import Path

import pytest

from gateway.errors import Misconfigured
from gateway.policy.grammar import LARGEST_FILE
from gateway.policy.lint import FILES
from gateway.policy_files.folder import ROUTES, load_folder, load_texts, read, shipped


@pytest.fixture
def folder(every_text, tmp_path) -> Path:
    """A copy of the shipped folder that a test may spoil."""
    copy = tmp_path / "policies"
    copy.mkdir()
    for name, text in every_text.items():
        (copy / name).write_text(text, encoding="utf-8")
    return copy


def problems_of(folder: Path) -> tuple[str, ...]:
    with pytest.raises(Misconfigured) as caught:
        load_folder(folder)
    return caught.value.problems


def test_the_shipped_folder_is_found_from_any_working_directory(monkeypatch, tmp_path):
    here = shipped()
    monkeypatch.chdir(tmp_path)
    assert shipped() == here
    assert here.is_absolute()
    assert {*FILES, ROUTES} <= {path.name for path in here.iterdir()}


def test_a_folder_is_read_whole_and_nothing_else_is_read(folder, every_text):
    (folder / "README.md").write_text("not a policy")
    (folder / "drafts").mkdir()
    (folder / "drafts" / "matrix.polar").write_text("rubric(")
    (folder / "matrix.polar~").write_text("rubric(")
    assert read(folder) == every_text


def test_a_copy_of_the_folder_decides_under_the_same_fingerprint(folder, in_force):
    copy = load_folder(folder)
    assert copy.fingerprint == in_force.fingerprint
    assert copy.policy.rows == in_force.policy.rows


def test_a_folder_that_does_not_exist_is_one_sentence(tmp_path):
    assert problems_of(tmp_path / "nowhere") == (f"{tmp_path / 'nowhere'}: there is no such folder of policies.",)


def test_a_file_in_place_of_the_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    assert problems_of(tmp_path / "file") == (f"{tmp_path / 'file'}: there is no such folder of policies.",)


def test_a_name_that_the_system_refuses_is_one_sentence(tmp_path):
    (problem,) = problems_of(tmp_path / ("x" * 300))
    assert problem.endswith("cannot be read (File name too long).")


def test_a_folder_that_may_not_be_listed_is_one_sentence(folder, monkeypatch):
    def denied(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", denied)
    assert problems_of(folder) == (f"{folder}: cannot be read (Permission denied).",)


def test_every_missing_file_is_told_at_once(tmp_path):
    assert problems_of(tmp_path) == tuple(
        f"{tmp_path / name}: the file is missing. Without it nothing can be decided." for name in (*FILES, ROUTES)
    )


@pytest.mark.parametrize("name", [*FILES, ROUTES])
def test_a_folder_without_one_of_its_files_is_refused(folder, name):
    (folder / name).unlink()
    assert problems_of(folder) == (f"{folder / name}: the file is missing. Without it nothing can be decided.",)


SPOILT = {
    "Latin-1": (b"# a\n# b\nrubric(\"Cr\xe9ances\");", "line 3 is not UTF-8; save the file as UTF-8."),
    "a character cut in two": (b"# \xc3", "line 1 is not UTF-8; save the file as UTF-8."),
    "an encoded surrogate": (b"# a\n# \xed\xa0\x80", "line 2 is not UTF-8; save the file as UTF-8."),
    "a long form": (b"# \xc0\xaf", "line 1 is not UTF-8; save the file as UTF-8."),
    "a byte-order mark": (b"\xef\xbb\xbf# a", "the file begins with a byte-order mark; save it as UTF-8 without one."),
    "UTF-16": ("# a".encode("utf-16"), "the file begins with a byte-order mark; save it as UTF-8 without one."),
    "UTF-16, the other way round": (b"\xfe\xff\x00#", "the file begins with a byte-order mark; save it as UTF-8 wit"),
    "too much": (b"#" * (LARGEST_FILE + 1), f"the file is larger than {LARGEST_FILE} bytes."),
    "far too much": (b"#" * 5_000_000, f"the file is larger than {LARGEST_FILE} bytes."),
}  # fmt: skip


@pytest.mark.parametrize("name", ["matrix.polar", ROUTES])
@pytest.mark.parametrize(("content", "said"), SPOILT.values(), ids=list(SPOILT))
def test_a_file_that_is_not_a_text_of_bounded_size_is_refused(folder, name, content, said):
    (folder / name).write_bytes(content)
    (problem,) = problems_of(folder)
    assert problem.startswith(f"{folder / name}: {said}")


def test_a_folder_in_place_of_a_file_is_refused(folder):
    (folder / "matrix.polar").unlink()
    (folder / "matrix.polar").mkdir()
    assert problems_of(folder) == (f"{folder / 'matrix.polar'}: this is not a file.",)


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(folder):
    (folder / "matrix.polar").unlink()
    os.mkfifo(folder / "matrix.polar")
    assert problems_of(folder) == (f"{folder / 'matrix.polar'}: this is not a file.",)


def test_a_link_to_nothing_is_a_missing_file(folder):
    (folder / "matrix.polar").unlink()
    (folder / "matrix.polar").symlink_to(folder / "nowhere")
    (problem,) = problems_of(folder)
    assert problem.endswith("matrix.polar: the file is missing. Without it nothing can be decided.")


def test_a_file_that_may_not_be_read_is_refused(folder, monkeypatch):
    opened = Path.open

    def denied(self, *arguments, **others):
        if self.name == "matrix.polar":
            raise PermissionError(13, "Permission denied")
        return opened(self, *arguments, **others)

    monkeypatch.setattr(Path, "open", denied)
    assert problems_of(folder) == (f"{folder / 'matrix.polar'}: cannot be read (Permission denied).",)


def test_files_that_cannot_be_read_are_told_all_at_once(folder):
    (folder / "gates.polar").unlink()
    (folder / "matrix.polar").write_bytes(b"\xff")
    (folder / ROUTES).write_bytes(b"\n\xff")
    said = [problem.rsplit("/", 1)[1].split(":")[0] for problem in problems_of(folder)]
    assert sorted(said) == ["gates.polar", "matrix.polar", "routes.toml"]


@pytest.mark.parametrize("name", ["draft.polar", "Matrix.polar", "matrix (copy).polar", "éligible.polar"])
def test_a_superfluous_policy_file_is_refused(folder, name):
    (folder / name).write_text("")
    (problem,) = problems_of(folder)
    assert problem.startswith(f"{name}:1: this file is not one of profiles.polar, matrix.polar,")


def test_a_superfluous_file_whose_name_is_not_text_is_refused(folder):
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.polar")).write_text("")
    (problem,) = problems_of(folder)
    problem.encode()
    assert problem.startswith(r"\udcff.polar:1: this file is not one of")


def test_a_mistake_in_the_route_table_is_refused_with_its_line(folder):
    (folder / ROUTES).write_text((folder / ROUTES).read_text() + "\nunknown = 1\n")
    assert all(problem.startswith("routes.toml") for problem in problems_of(folder))


def test_mistakes_of_the_policies_and_of_the_route_table_are_told_together(folder):
    for name, old, new in (
        ("matrix.polar", '"creances"', '"creance"'),
        ("refusals.polar", '"raised"', '"rised"'),
        (ROUTES, 'action = "consult"', 'action = "consulter"'),
    ):
        (folder / name).write_text((folder / name).read_text().replace(old, new, 1))
    told = {problem.split(":")[0] for problem in problems_of(folder)}
    assert told == {"matrix.polar", "refusals.polar", ROUTES}


def test_a_route_table_beside_an_unreadable_schema_is_not_blamed_for_it(folder):
    (folder / "schema.polar").write_text("rubric_slugs(")
    assert {problem.split(":")[0] for problem in problems_of(folder)} == {"schema.polar"}


def test_a_rubric_that_only_the_route_table_knows_is_refused(every_text):
    spoilt = every_text[ROUTES].replace('"/numero" ', '"/nom" = "nobody"\n"/numero" ')
    with pytest.raises(Misconfigured) as caught:
        load_texts({**every_text, ROUTES: spoilt})
    assert "nobody" in "\n".join(caught.value.problems)
