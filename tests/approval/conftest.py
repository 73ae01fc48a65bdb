"""Folders of policies to approve, and the command as it is typed."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from gateway.policy_files import approved
from gateway.policy_files import folder as policy_folder
from gateway.policy_files.folder import shipped
from gateway.policy_files.history import HISTORY

_loaded: dict[tuple[object, ...], object] = {}
_enumerated: dict[str, object] = {}


@pytest.fixture(autouse=True)
def each_policy_once(monkeypatch):
    """What is loaded and enumerated is so for all tests: seconds for each text, whoever asks."""
    load, really = policy_folder.load, approved.openings

    def loaded(texts, named, **how):
        key = (named, *sorted(how.items()), *texts)
        if key not in _loaded:
            _loaded[key] = load(texts, named, **how)
        return _loaded[key]

    def once(policy):
        if policy.fingerprint not in _enumerated:
            _enumerated[policy.fingerprint] = really(policy)
        return _enumerated[policy.fingerprint]

    monkeypatch.setattr(policy_folder, "load", loaded)
    monkeypatch.setattr(approved, "openings", once)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A copy of the shipped policies with their approval, without any history."""
    made = tmp_path / "policies"
    shutil.copytree(shipped(), made, ignore=shutil.ignore_patterns(HISTORY, "drafts", "tests"))
    return made


Command = Callable[..., Result]


@pytest.fixture
def cafpro(tmp_path, monkeypatch) -> Command:
    """`cafpro policy …`, standing where no configuration is."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("CAFPRO_")]:
        monkeypatch.delenv(name)

    def run(line: str, *words: object) -> Result:
        return CliRunner().invoke(main, ["policy", *shlex.split(line), *map(str, words)])

    return run


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, (file, old)
    file.write_text(text.replace(old, new))


def open_enfants(folder: Path) -> None:
    """T4 sees the children."""
    edit(folder / "matrix.polar", '"Enfants",     ["T2", "T3"]', '"Enfants",     ["T2", "T3", "T4"]')


def close_enfants(folder: Path) -> None:
    """T3 no longer sees the children."""
    edit(folder / "matrix.polar", '"Enfants",     ["T2", "T3"]', '"Enfants",     ["T2"]')


def free_t9(folder: Path) -> None:
    """T9 needs no mandate any more."""
    edit(folder / "conditions.polar", 'dossiers("T9",  ["judgment", "masp"]', 'dossiers("T9",  ["any"]')


def show_iban(folder: Path) -> None:
    """Bank details leave with the payments."""
    edit(
        folder / "routes.toml",
        '"/rubriques/paiement/versements/*/iban"  = "never"',
        '"/rubriques/paiement/versements/*/iban"  = "paiement"',
    )
