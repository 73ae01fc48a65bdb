"""A folder is known by its content, and believed when two looks agree."""

import os
import shutil
from pathlib import Path

import pytest

from gateway.policy.loading import fingerprint
from gateway.policy_files.folder import read, shipped
from gateway.policy_files.watching import Watch, look

MATRIX = "matrix.polar"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A link to a copy of the shipped folder."""
    shutil.copytree(shipped(), tmp_path / "first")
    (tmp_path / "policies").symlink_to("first")
    return tmp_path / "policies"


def swap(folder: Path, target: str) -> None:
    (folder.parent / "next").symlink_to(target)
    (folder.parent / "next").rename(folder)


def copy(folder: Path, name: str, change: str = "# more\n") -> str:
    shutil.copytree(shipped(), folder.parent / name)
    with (folder.parent / name / MATRIX).open("a") as file:
        file.write(change)
    return name


def rename_over(folder: Path) -> None:
    (folder / "new").write_text((folder / MATRIX).read_text() + "# more\n")
    (folder / "new").rename(folder / MATRIX)


def same_size_and_time(folder: Path) -> None:
    status = (folder / MATRIX).stat()
    written = (folder / MATRIX).read_text()
    (folder / MATRIX).write_text(written.replace('["T2", "T3"]', '["T2", "T4"]'))
    os.utime(folder / MATRIX, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (folder / MATRIX).stat().st_size == status.st_size


def kubernetes(folder: Path) -> None:
    """As a ConfigMap is mounted: each file leads through `..data`, which is swapped."""
    copy(folder, "v2")
    for file in [*(folder).iterdir()]:
        if file.is_file():
            file.unlink()
            file.symlink_to(f"..data/{file.name}")
    (folder / "..data").symlink_to("../v2")


CHANGES = {
    "an edit in place": lambda folder: (folder / MATRIX).write_text((folder / MATRIX).read_text() + "# more\n"),
    "a file renamed over another": rename_over,
    "a link swapped": lambda folder: swap(folder, copy(folder, "second")),
    "an edit that keeps size and time": same_size_and_time,
    "links through a folder that is swapped": kubernetes,
    "another approval": lambda folder: (folder / "approved.json").write_text("{}"),
    "no approval any more": lambda folder: (folder / "approved.json").unlink(missing_ok=True),
    "a file that is missing": lambda folder: (folder / MATRIX).unlink(),
    "a file that cannot be understood": lambda folder: (folder / MATRIX).write_bytes(b"\xff"),
    "no folder": lambda folder: folder.unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_kind_of_change_is_told_once_when_two_looks_agree(folder, change):
    watch = Watch(folder, known=look(folder).mark)
    assert [watch.again() for _ in range(3)] == [None] * 3
    change(folder)
    assert watch.again() is None, "one look is not believed"
    found = watch.again()
    assert found == look(folder)
    assert [watch.again() for _ in range(3)] == [None] * 3


def test_what_changes_at_each_look_is_not_believed(folder):
    watch = Watch(folder)
    for number in range(10):
        (folder / MATRIX).write_text(f"# {number}\n")
        assert watch.again() is None


def test_a_folder_that_was_never_seen_is_told_at_the_second_look(folder):
    watch = Watch(folder)
    assert watch.again() is None
    assert watch.again().fingerprint == fingerprint(read(folder))


def test_what_comes_back_is_told_again(folder):
    before = look(folder)
    watch = Watch(folder, known=before.mark)
    swap(folder, copy(folder, "second"))
    watch.again()
    assert watch.again().fingerprint != before.fingerprint
    swap(folder, "first")
    watch.again()
    assert watch.again() == before


def test_what_comes_back_before_it_was_told_is_as_it_was(folder):
    watch = Watch(folder, known=look(folder).mark)
    swap(folder, copy(folder, "second"))
    watch.again()
    swap(folder, "first")
    assert [watch.again() for _ in range(3)] == [None] * 3


def test_what_was_told_can_be_asked_for_again(folder):
    watch = Watch(folder, known=look(folder).mark)
    watch.tell_again()
    assert watch.again() is None
    assert watch.again() == look(folder)


def test_whose_keys_there_are_is_looked_at_with_the_approval(folder, tmp_path):
    keys = tmp_path / "approvers"
    marks = [look(folder).mark, look(folder, keys).mark]
    keys.mkdir()
    (keys / "m.durand.pem").write_text("one")
    marks.append(look(folder, keys).mark)
    (keys / "README").write_text("nobody's")
    assert look(folder, keys).mark == marks[-1]
    (keys / "m.durand.pem").write_text("another")
    marks.append(look(folder, keys).mark)
    (keys / "m.durand.pem").rename(keys / "p.martin.pem")
    marks.append(look(folder, keys).mark)
    assert len(set(marks)) == len(marks)


def test_a_file_that_decides_nothing_changes_nothing(folder):
    before = look(folder)
    (folder / "README.md").write_text("more")
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tests" / "more.toml").write_text("")
    assert look(folder) == before


def test_why_a_folder_cannot_be_read_is_told_in_sentences(folder):
    (folder / MATRIX).unlink()
    found = look(folder)
    assert (found.texts, found.fingerprint) == (None, "")
    assert [problem for problem in found.problems if MATRIX in problem and "missing" in problem]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.mkdir()], ids=["a pipe", "a folder"])
def test_an_approval_that_is_no_file_is_not_waited_for(folder, make):
    (folder / "approved.json").unlink(missing_ok=True)
    without = look(folder)
    make(folder / "approved.json")
    assert look(folder).mark != without.mark
