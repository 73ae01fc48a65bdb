"""The route table that travels with the project, before every dossier that the stub backend can send."""

from __future__ import annotations

import ast
import json
import pathlib
import sys
import tomllib

import pytest

import gateway.redaction
from gateway.redaction import compile_routes, redact
from tests.redaction.oracle import SLUGS, expected
from upstream_stub.dossiers import VARIANTS, dossier_text, rubric_text

TEXT = (pathlib.Path(__file__).parents[2] / "policies" / "routes.toml").read_text("utf-8")
TABLE = compile_routes(TEXT, SLUGS)
DOSSIER = tomllib.loads(TEXT)["route"][0]
NUMBERS = [*VARIANTS, "1000001", "1100001", "9980001"]
GRANTS = [frozenset({slug}) for slug in SLUGS] + [frozenset(SLUGS), frozenset({"paiement", "famille", "adresse"})]


@pytest.mark.parametrize("number", NUMBERS)
def test_each_grant_gets_its_rubrics_and_nothing_else(number):
    body = dossier_text(number)
    for granted in GRANTS:
        redacted = redact(body, TABLE.plan(TABLE.routes[0], {"numero": number}, granted), number)
        assert (redacted.body, redacted.left) == expected(body, DOSSIER["parts"], DOSSIER["fields"], granted)
        assert set(json.loads(redacted.body)["rubriques"]) == granted & set(json.loads(body)["rubriques"])
        assert b'"iban"' not in redacted.body
        assert b'"nir"' not in redacted.body


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("slug", SLUGS)
def test_one_rubric_is_the_same_at_its_own_address(number, slug):
    body = rubric_text(number, slug)
    if body is None:
        return
    alone = redact(body, TABLE.plan(TABLE.routes[1], {"numero": number, "rubric": slug}, {slug}), number).body
    inside = redact(dossier_text(number), TABLE.plan(TABLE.routes[0], {"numero": number}, {slug}), number).body
    assert inside.endswith(b'"rubriques":{"' + slug.encode() + b'":' + alone + b"}}")


def test_an_ordinary_dossier_has_nothing_unclassified():
    redacted = redact(dossier_text("9990001"), TABLE.plan(TABLE.routes[0], {}, frozenset(SLUGS)), "9990001")
    assert redacted.unclassified == ()
    assert redacted.left == set(SLUGS)


def test_every_rubric_can_leave_by_the_dossier():
    assert TABLE.routes[0].rubrics({}) == set(SLUGS)


def test_redaction_imports_nothing_impure():
    allowed = {"gateway.errors", "gateway.model", "msgspec"}
    impure = {"os", "io", "time", "datetime", "random", "socket", "pathlib", "subprocess", "threading", "logging"}
    for file in pathlib.Path(gateway.redaction.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                pure = (
                    name in sys.stdlib_module_names - impure or name.split(".")[0] in sys.stdlib_module_names - impure
                )
                assert pure or name in allowed or name.startswith("gateway.redaction"), f"{file.name} imports {name}"
