"""What the fuzzers have found keeps its promises, input by input; and they run, for a moment, from there on."""

from __future__ import annotations

import importlib
import re
import shutil

import pytest

from tests.fuzz.campaign import run_all
from tests.fuzz.harnesses import CORPUS, HARNESSES

SECONDS = 5
FEW = 40
"""Inputs to begin with, the shortest: reading all that is kept would take the whole time."""
EDGES = 100
"""Of the gateway's code, that any of the harnesses has passed by the end."""
KEPT = [
    pytest.param(name, file, id=f"{name}-{file.name[:12]}")
    for name in HARNESSES
    for file in sorted((CORPUS / name).iterdir())
]


@pytest.mark.parametrize(("name", "file"), KEPT)
def test_what_was_found_once_keeps_its_promises(name, file):
    importlib.import_module(f"tests.fuzz.{name}").check(file.read_bytes())


def test_each_corpus_is_there_and_small():
    for name in HARNESSES:
        files = list((CORPUS / name).iterdir())
        assert 50 <= len(files) <= 400
        assert sum(file.stat().st_size for file in files) < 500_000


@pytest.mark.looks_inside
def test_each_fuzzer_runs_and_finds_nothing(tmp_path):
    for name in HARNESSES:
        shortest = sorted((CORPUS / name).iterdir(), key=lambda file: file.stat().st_size)[:FEW]
        (tmp_path / name).mkdir()
        for file in shortest:
            shutil.copy(file, tmp_path / name)
    for name, (code, said) in run_all(SECONDS, tmp_path).items():
        assert code == 0, f"{name}:\n{said}"
        guided = re.search(r"DONE +cov: ([0-9]+)", said)
        assert guided and int(guided[1]) > EDGES, f"{name} is not guided by what the gateway does:\n{said}"
        runs = re.search(r"stat::number_of_executed_units: *([0-9]+)", said)
        assert runs and int(runs[1]) > FEW, f"{name}:\n{said}"
