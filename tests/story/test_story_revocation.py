"""A right that is withdrawn while the gateway runs is gone on the next request, and back when it is given back.

Each case: an agent who reads a dossier; an administrator's act beside the running gateway; the refusal, outward and
in the record; the act that undoes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from gateway.identity.tables import account, convention, mandate
from tests.story.brochure import OPEN, kept_dossier
from tests.story.running import PASSWORD, Answer, Gateway, circle, is_problem
from upstream_stub.dossiers import dossier_text

OTHER_PASSWORD = "Une-autre-phrase-2013"
NUMBERS = count(1_000_001)
"""A dossier of its own for each agent: mandates and objections do not meet."""
SERIAL = count(1)


def day(offset: int) -> date:
    """So many days from today, which is the caisse's day."""
    return datetime.now(ZoneInfo("Europe/Paris")).date() + timedelta(days=offset)


@dataclass
class Agent:
    """An agent of a partner of its own, signed in, before a dossier of its own."""

    gateway: Gateway
    profile: str
    identifier: str
    dossier: str
    session: dict[str, str] = field(default_factory=dict)
    mandate: int = 0

    @property
    def partner(self) -> str:
        return f"Partenaire {self.identifier}"

    @property
    def convention(self) -> str:
        return f"C-{self.identifier}"

    def ask(self) -> Answer:
        return self.gateway.ask(f"/dossiers/{self.dossier}", self.session)

    def reads(self) -> None:
        answer = self.ask()
        whole = dossier_text(self.dossier)
        assert whole
        assert (answer.status, answer.body) == (200, kept_dossier(whole, OPEN[self.profile]))

    def is_refused(self, status: int, code: str, *, kept: str = "") -> None:
        answer = self.ask()
        is_problem(answer, status, code)
        row = self.gateway.recorded(answer)
        assert (row["status"], row["code"], row["rubrics"]) == (status, kept or code, "[]")

    def cafpro(self, *words: str, typed: str = "") -> None:
        self.gateway.cafpro(*words, typed=typed)

    def write(self, table, **values) -> None:
        """Dates that no command changes, as time would."""
        with self.gateway.store.change() as connection:
            where = {
                convention: convention.c.number == self.convention,
                mandate: mandate.c.id == self.mandate,
                account: account.c.identifier == self.identifier,
            }
            assert connection.execute(update(table).where(where[table]).values(**values)).rowcount == 1


@pytest.fixture
def agent_of(gateway: Gateway) -> Callable[..., Agent]:
    def enter(profile: str = "T1", *, mandate: str = "", kind: str = "external", **entry: object) -> Agent:
        found = Agent(gateway, profile, f"agent-{next(SERIAL)}", str(next(NUMBERS)))
        gateway.enter(found.identifier, profile, kind=kind, **entry)
        if mandate:
            found.mandate = gateway.entrust(found.identifier, found.dossier, mandate)
        found.session = gateway.log_in(found.identifier)
        return found

    return enter


@pytest.mark.attack(15)
def test_a_suspended_convention_opens_nothing_until_it_is_resumed(agent_of):
    agent = agent_of()
    agent.reads()
    agent.cafpro("convention", "suspend", agent.convention)
    agent.is_refused(403, "GW312")
    agent.cafpro("convention", "resume", agent.convention)
    agent.reads()


@pytest.mark.attack(15)
@pytest.mark.parametrize(
    ("values", "code"),
    [
        pytest.param({"ends_on": day(-1)}, "GW313", id="ended yesterday"),
        pytest.param({"starts_on": day(2)}, "GW311", id="begins the day after tomorrow"),
        pytest.param({"caisse": "850"}, "GW311", id="with another caisse"),
        pytest.param({"profiles": "T2 T3"}, "GW311", id="opens other profiles"),
        pytest.param({"profiles": ""}, "GW311", id="opens no profile"),
        pytest.param({"profiles": "T10 T11"}, "GW311", id="opens profiles that begin alike"),
    ],
)
def test_a_convention_opens_only_its_days_its_caisse_and_its_profiles(agent_of, values, code):
    agent = agent_of()
    agent.reads()
    agent.write(convention, **values)
    agent.is_refused(403, code)
    agent.write(convention, starts_on=day(-30), ends_on=day(30), caisse="851", profiles="T1")
    agent.reads()


def test_a_first_and_a_last_day_both_count(agent_of):
    agent = agent_of("T9", mandate="judgment")
    agent.write(convention, starts_on=day(0), ends_on=day(0))
    agent.write(mandate, starts_on=day(0), ends_on=day(0))
    agent.reads()


def test_a_convention_with_this_caisse_opens_what_another_caisses_did_not(agent_of):
    agent = agent_of(caisse="850")
    agent.is_refused(403, "GW311")
    dates = ("--from", str(day(-1)), "--to", str(day(30)))
    agent.cafpro(
        "convention",
        "add",
        f"{agent.convention}-851",
        "--partner",
        agent.partner,
        "--caisse",
        "851",
        *dates,
        "--profile",
        "T1",
    )
    agent.reads()


@pytest.mark.attack(15)
def test_without_an_engagement_nothing_opens_until_it_is_signed(agent_of):
    agent = agent_of()
    agent.reads()
    agent.cafpro("account", "withdraw", agent.identifier)
    agent.is_refused(403, "GW314")
    agent.cafpro("account", "sign", agent.identifier)
    agent.reads()


@pytest.mark.attack(15)
def test_an_engagement_in_an_old_wording_opens_nothing_until_the_new_one_is_signed(agent_of):
    agent = agent_of()
    agent.cafpro("account", "sign", agent.identifier, "--version", "2010-01")
    agent.is_refused(403, "GW315")
    agent.cafpro("account", "sign", agent.identifier)
    agent.reads()


@pytest.mark.attack(15)
@pytest.mark.parametrize(
    ("profile", "kind"), [("T9", "judgment"), ("T9", "masp"), ("T10", "direct_payment")], ids=lambda word: word
)
def test_a_released_mandate_closes_the_dossier_until_there_is_another(agent_of, profile, kind):
    agent = agent_of(profile, mandate=kind)
    agent.reads()
    agent.cafpro("mandate", "release", str(agent.mandate))
    agent.is_refused(403, "GW320")
    agent.cafpro(
        *("mandate", "add", agent.dossier, "--kind", kind, "--partner", agent.partner),
        *("--from", str(day(-1)), "--reference", "RG-26-0001"),
    )
    agent.reads()


@pytest.mark.attack(15)
@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"ends_on": day(-1)}, id="ended yesterday"),
        pytest.param({"starts_on": day(2)}, id="begins the day after tomorrow"),
        pytest.param({"kind": "instruction"}, id="of another kind"),
        pytest.param({"kind": "direct_payment"}, id="of another profile's kind"),
        pytest.param({"dossier": "1999999"}, id="on another dossier"),
    ],
)
def test_a_mandate_opens_only_its_days_its_kind_and_its_dossier(agent_of, values):
    agent = agent_of("T9", mandate="judgment")
    agent.reads()
    agent.write(mandate, **values)
    agent.is_refused(403, "GW320")
    agent.write(mandate, starts_on=day(-7), ends_on=None, kind="judgment", dossier=agent.dossier)
    agent.reads()


@pytest.mark.attack(18)
def test_a_mandate_of_one_agent_does_not_serve_its_colleague(gateway, agent_of):
    agent, other = agent_of("T9"), agent_of("T9")
    gateway.entrust(other.identifier, agent.dossier, "judgment", identifier=other.identifier)
    agent.is_refused(403, "GW320")
    with gateway.store.change() as connection:
        known = connection.execute(account.select().where(account.c.identifier == other.identifier)).one()
    agent.write(account, partner_id=known.partner_id)
    agent.is_refused(403, "GW320")
    other.dossier = agent.dossier
    other.reads()


@pytest.mark.attack(15)
@pytest.mark.parametrize(("profile", "kind"), [("T1", ""), ("T9", "judgment"), ("T10", "direct_payment")], ids=str)
def test_an_objection_closes_the_dossier_to_partners_until_it_is_lifted(agent_of, profile, kind):
    agent = agent_of(profile, mandate=kind)
    agent.reads()
    agent.cafpro("objection", "raise", agent.dossier, "--reference", "Lettre du 3 février")
    agent.is_refused(403, "GW320", kept="GW321")
    agent.cafpro("objection", "lift", agent.dossier)
    agent.reads()


def test_an_objection_does_not_bind_the_cafs_own_staff(agent_of):
    agent = agent_of("T1", kind="caf")
    agent.cafpro("objection", "raise", agent.dossier, "--reference", "Lettre du 4 février")
    agent.reads()


@pytest.mark.attack(28)
def test_no_mandate_and_an_objection_look_the_same_from_outside(gateway, agent_of):
    agent = agent_of("T9", mandate="judgment")
    addresses = [f"/dossiers/{agent.dossier}{rest}" for rest in ("", "/rubriques/adresse", "/courriers/co-1.pdf")]
    agent.cafpro("mandate", "release", str(agent.mandate))
    without = [gateway.ask(address, agent.session) for address in addresses]
    gateway.entrust(agent.identifier, agent.dossier, "judgment")
    agent.reads()
    agent.cafpro("objection", "raise", agent.dossier, "--reference", "Lettre du 5 février")
    objected = [gateway.ask(address, agent.session) for address in addresses]
    unknown = [gateway.ask(address.replace(agent.dossier, "0000000"), agent.session) for address in addresses]
    assert [answer.lasting() for answer in without] == [answer.lasting() for answer in objected]
    assert [answer.lasting() for answer in without] == [answer.lasting() for answer in unknown]
    assert {gateway.recorded(answer)["code"] for answer in without} == {"GW320"}
    assert {gateway.recorded(answer)["code"] for answer in objected} == {"GW321"}


@pytest.mark.attack(15)
def test_a_suspended_account_is_refused_with_its_open_session_until_it_is_resumed(gateway, agent_of):
    agent = agent_of()
    agent.reads()
    agent.cafpro("account", "suspend", agent.identifier)
    agent.is_refused(403, "GW110")
    log_in = gateway.sign_in(agent.identifier)
    is_problem(log_in, 401, "GW103")
    assert gateway.recorded(log_in)["because"] == "suspended account"
    agent.cafpro("account", "resume", agent.identifier)
    agent.reads()


def test_a_closed_account_has_no_session_and_from_outside_never_was(gateway, agent_of):
    agent = agent_of()
    agent.reads()
    agent.cafpro("account", "close", agent.identifier, "--why", "Départ le 30 juin")
    agent.is_refused(401, "GW102")
    log_in, unknown = gateway.sign_in(agent.identifier), gateway.sign_in("personne-ici")
    is_problem(log_in, 401, "GW103")
    assert log_in.lasting() == unknown.lasting()
    assert gateway.recorded(log_in)["because"] == "closed account"
    assert gateway.recorded(unknown)["because"] == "unknown identifier"


@pytest.mark.attack(15)
def test_a_profile_that_is_taken_away_ends_its_session(gateway, agent_of):
    agent = agent_of()
    agent.cafpro("account", "profiles", agent.identifier, "--profile", "T2")
    agent.is_refused(401, "GW102")
    agent.session, agent.profile = gateway.log_in(agent.identifier), "T2"
    agent.is_refused(403, "GW311")
    agent.write(convention, profiles="T1 T2")
    agent.reads()


@pytest.mark.attack(15)
def test_an_agent_without_any_profile_left_reads_nothing(gateway, agent_of):
    agent = agent_of()
    agent.cafpro("account", "profiles", agent.identifier)
    agent.is_refused(401, "GW102")
    agent.session = gateway.log_in(agent.identifier)
    agent.is_refused(403, "GW301")
    agent.cafpro("account", "profiles", agent.identifier, "--profile", "T1")
    agent.session = gateway.log_in(agent.identifier)
    agent.reads()


def test_one_profile_at_a_time_never_a_union(gateway, agent_of):
    agent = agent_of()
    agent.write(account, profiles="T1 T2")
    agent.write(convention, profiles="T1 T2")
    is_problem(gateway.sign_in(agent.identifier), 422, "GW112")
    is_problem(gateway.sign_in(agent.identifier, profile="T3"), 422, "GW112")
    for profile in ("T1", "T2"):
        agent.session, agent.profile = gateway.log_in(agent.identifier, profile=profile), profile
        agent.reads()


@pytest.mark.attack(15)
def test_a_session_that_is_ended_is_refused_until_the_agent_logs_in_again(gateway, agent_of):
    agent = agent_of()
    agent.reads()
    agent.cafpro("session", "end", agent.identifier)
    agent.is_refused(401, "GW102")
    agent.session = gateway.log_in(agent.identifier)
    agent.reads()


@pytest.mark.attack(15)
def test_a_new_password_ends_the_sessions_of_the_old_one(gateway, agent_of):
    agent = agent_of()
    agent.cafpro("account", "password", agent.identifier, "--password-stdin", typed=f"{OTHER_PASSWORD}\n")
    agent.is_refused(401, "GW102")
    is_problem(gateway.sign_in(agent.identifier, password=PASSWORD), 401, "GW103")
    agent.session = gateway.log_in(agent.identifier, password=OTHER_PASSWORD)
    agent.reads()


@pytest.mark.attack(15)
def test_a_change_acts_in_every_process_of_the_gateway(gateway, agent_of):
    agent = agent_of()
    with circle(gateway, f"/dossiers/{agent.dossier}", agent.session) as around:
        for act, status in (("suspend", 403), ("resume", 200), ("suspend", 403)):
            assert {answer.status for answer in around.ask()} == {403 if status == 200 else 200}
            agent.cafpro("convention", act, agent.convention)
            assert {answer.status for answer in around.ask()} == {status}
