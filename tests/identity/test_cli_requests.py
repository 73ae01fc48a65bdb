"""The commands of joining: each person of the Caf proves who they are with their own password."""

import json

import pytest

from tests.identity.test_cli_directory import cafpro, folder

__all__ = ["folder"]

PASSWORDS = {"c.petit": "Cheval-vert-du-marais-26", "b.roux": "Renard-du-bocage-26"}


@pytest.fixture
def office(folder):
    cafpro("partner", "add", "Caf", "--kind", "caf")
    for identifier, password in PASSWORDS.items():
        cafpro("account", "add", identifier, "--partner", "Caf", "--password-stdin", typed=f"{password}\n")
    assert cafpro("request", "add", "--organisation", "Udaf", "--siret", "73282932000074", "--function", "tuteur",
                  "--profile", "T9", "--contact", "direction@udaf.example") == "1\n"  # fmt: skip


def signed(step, by, *more, password=None, status=0):
    words = ("request", step, "1", *more, "--as", by, "--password-stdin")
    return cafpro(*words, typed=f"{password or PASSWORDS[by]}\n", status=status)


SIGN = ("--number", "C-1", "--caisse", "691", "--from", "2026-01-01", "--to", "2028-12-31")


def test_an_organisation_joins_by_two_people(office):
    signed("receive", "c.petit")
    signed("sign", "c.petit", *SIGN)
    assert "another person of the Caf" in signed("approve", "c.petit", status=2)
    link = signed("approve", "b.roux", "--administrator", "m.durand", "--why", "complete")
    assert link.startswith("http://127.0.0.1:8080/-/activation#")
    assert "number,partner" in cafpro("convention", "list", "--format", "csv")
    [request] = json.loads(cafpro("request", "list", "--state", "approved", "--format", "json"))
    assert (request["signed_by"], request["decided_by"], request["profiles"]) == ("c.petit", "b.roux", ["T9"])
    shown = cafpro("request", "show", "1")
    assert "request approve" in shown and "complete" in shown
    assert cafpro("request", "show", "7", status=2) == "There is no request 7.\n"
    assert "does not come now" in signed("refuse", "b.roux", "--why", "late", status=2)


def test_nobody_signs_as_another(office):
    wrong = signed("receive", "c.petit", password=PASSWORDS["b.roux"], status=2)
    unknown = signed("receive", "nobody", password="Cheval-vert-du-marais-26", status=2)
    assert wrong == unknown
    assert "The identifier or the password is wrong" in wrong
    for _ in range(9):
        signed("receive", "c.petit", password="x", status=2)
    assert signed("receive", "c.petit", status=2) == wrong, "locked, as after ten wrong passwords anywhere"
    cafpro("account", "unlock", "c.petit")
    signed("receive", "c.petit")
    cafpro("account", "suspend", "b.roux")
    assert signed("refuse", "b.roux", "--why", "x", status=2) == wrong
    cafpro("partner", "add", "Ccas")
    cafpro("account", "add", "m.martin", "--partner", "Ccas", "--password-stdin", typed="Correct-horse-26\n")
    assert signed("refuse", "m.martin", "--why", "x", password="Correct-horse-26", status=2) == wrong


def test_a_function_that_may_not_ask_is_told_those_that_may(folder):
    said = cafpro("request", "add", "--organisation", "Udaf", "--siret", "73282932000074", "--function", "plombier",
                  "--profile", "T9", "--contact", "x", status=2)  # fmt: skip
    assert "tuteur, curateur" in said
