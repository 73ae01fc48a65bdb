"""The commands of joining: each person of the Caf proves who they are with their own password."""

import json
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from click.testing import CliRunner

from gateway.app import seal_of
from gateway.cli.main import main
from gateway.database.connections import BUSY_MS, Database
from gateway.identity import enrolling
from gateway.identity.proving import PATIENCE_MS
from gateway.identity.sealing import new_seal_key
from gateway.identity.sessions import sign_in
from gateway.identity.store import open_store
from gateway.settings import load
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
    assert "The identifier, the password or the code of its second factor is wrong" in wrong
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


@pytest.fixture
def enrolled(office, folder):
    """`c.petit` with a second factor: the application, and the recovery codes."""
    (folder / "second-factor.key").write_text(f"{new_seal_key()}\n")
    with (folder / "gateway.toml").open("a") as file:
        file.write('second_factor_key_file = "second-factor.key"\n')
    settings = load(folder / "gateway.toml", {})
    seal, store, now = seal_of(settings), open_store(settings.store.url), datetime.now(UTC)
    words = {"identifier": "c.petit", "password": PASSWORDS["c.petit"]}
    agent = sign_in(store, settings.identity, **words, now=now).agent
    begun = enrolling.begin_factor(store, seal, agent, password=words["password"], now=now)
    application = pyotp.TOTP(begun.secret)
    codes = enrolling.confirm_factor(store, seal, agent, code=application.now(), now=now)
    store.close()
    return application, codes


def test_whoever_has_a_second_factor_signs_with_it(enrolled):
    application, codes = enrolled
    password = PASSWORDS["c.petit"]
    wrong = signed("receive", "c.petit", status=2)
    assert "the code of its second factor is wrong" in wrong
    assert signed("receive", "c.petit", password=f"{password}\n000000", status=2) == wrong
    assert signed("receive", "c.petit", password=f"wrong\n{codes[0]}", status=2) == wrong
    soon = application.at(datetime.now(UTC) + timedelta(seconds=30))
    signed("receive", "c.petit", password=f"{password}\n{soon}")
    assert signed("sign", "c.petit", *SIGN, password=f"{password}\n{soon}", status=2) == wrong, "each is good once"
    signed("sign", "c.petit", *SIGN, password=f"{password}\n{codes[0]}")
    for _ in range(10):
        assert signed("approve", "c.petit", password=f"{password}\n000000", status=2) == wrong
    locked = signed("approve", "c.petit", password=f"{password}\n{codes[1]}", status=2)
    assert locked == wrong, "locked, as after ten wrong passwords anywhere"
    assert signed("refuse", "b.roux", "--why", "x", password=f"{PASSWORDS['b.roux']}\nwhatever") == ""


def test_it_takes_no_longer_to_hear_that_the_code_was_wrong(enrolled, monkeypatch):
    """Whoever holds the store up meanwhile would learn by the wait that the password was right."""
    waits, change = [], Database.change

    def noting(store, *, wait_ms=BUSY_MS):
        waits.append(wait_ms)
        return change(store, wait_ms=wait_ms)

    monkeypatch.setattr(Database, "change", noting)
    for typed in ("wrong\n000000", f"{PASSWORDS['c.petit']}\n000000", f"{PASSWORDS['c.petit']}\n"):
        signed("receive", "c.petit", password=typed, status=2)
    assert waits == [PATIENCE_MS] * 3


def test_a_key_that_cannot_be_read_is_said_before_anything_is_typed(enrolled, folder):
    (folder / "second-factor.key").write_text("none\n")
    said = cafpro("request", "receive", "1", "--as", "c.petit", status=1)
    assert said.startswith("identity.second_factor_key_file:") and "Password" not in said


def test_on_a_terminal_both_are_asked_for(enrolled):
    """Of whoever has no second factor too: nobody learns there that the password was right."""
    words = ("request", "receive", "1", "--as")
    _, codes = enrolled
    assert "is wrong" in cafpro(*words, "c.petit", typed=f"{PASSWORDS['c.petit']}\n\n", status=2)
    said = CliRunner().invoke(main, [*words, "c.petit"], input=f"{PASSWORDS['c.petit']}\n{codes[0]}\n")
    assert (said.exit_code, said.stdout) == (0, "")
    assert said.stderr == "Password: \nCode of the second factor (empty where the account has none): \n"
    done = CliRunner().invoke(
        main, ["request", "refuse", "1", "--why", "x", "--as", "b.roux"], input=f"{PASSWORDS['b.roux']}\n\n"
    )
    assert done.exit_code == 0, done.output


def test_a_function_that_may_not_ask_is_told_those_that_may(folder):
    said = cafpro("request", "add", "--organisation", "Udaf", "--siret", "73282932000074", "--function", "plombier",
                  "--profile", "T9", "--contact", "x", status=2)  # fmt: skip
    assert "tuteur, curateur" in said


@pytest.mark.parametrize("siret", ["\udcff", "732829320000\x00", ""])
def test_a_siret_that_is_no_text_is_refused_in_a_sentence(office, siret):
    assert "SIRET must be" in cafpro("request", "list", "--siret", siret, status=2)
    assert cafpro("request", "list", "--siret", "73282932000075") == "None.\n"
