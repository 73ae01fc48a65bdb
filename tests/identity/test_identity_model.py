"""SIRET, how many agents, an agent who leaves, and who changed what and why: on a file and on a real server."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.errors import Misconfigured, SessionEnded
from gateway.identity import directory, openid_sessions, sessions
from gateway.identity.directory import Signature
from gateway.identity.openid import Vouched
from gateway.identity.refusals import (
    ACCOUNT_CHANGED,
    ACCOUNT_CLOSED,
    PASSWORD_WRONG,
    LogInRefused,
    VouchingRefused,
)
from gateway.identity.sessions import identify, sign_in
from gateway.identity.standing import facts_without_session
from gateway.identity.store import open_store
from gateway.identity.tables import change, session
from gateway.settings import Identity

NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
RULES = Identity(caisse="691", engagement_version="2012-07")
PASSWORD = "Correct-horse-26"
LYON, RHONE = "CCAS de Lyon", "Département du Rhône"
HAND = Signature("c.petit", "ticket 12")


@pytest.fixture
def store(anywhere):
    with contextlib.closing(open_store(anywhere)) as opened:
        directory.add_partner(opened, name=LYON, kind="external")
        yield opened


def enter(store, identifier, *profiles, partner=LYON, **more):
    directory.add_account(
        store, identifier=identifier, password=PASSWORD, partner_name=partner, profiles=profiles, now=NOON, **more
    )


def sign(store, number, *profiles, max_agents=None, to="2026-12-31", caisse="691", partner=LYON):
    directory.add_convention(
        store,
        partner_name=partner,
        number=number,
        caisse=caisse,
        starts_on=date(2026, 1, 1),
        ends_on=date.fromisoformat(to),
        profiles=profiles,
        max_agents=max_agents,
    )


def entrust(store, identifier=None, dossier="9990001"):
    return directory.add_mandate(
        store,
        dossier=dossier,
        kind="judgment",
        partner_name=LYON,
        identifier=identifier,
        starts_on=date(2026, 1, 1),
        reference="TJ Lyon 26/17",
    )


def log_in(store, identifier="m.martin"):
    return sign_in(store, RULES, identifier=identifier, password=PASSWORD, now=NOON)


def refused(act, *words):
    with pytest.raises(Misconfigured) as error:
        act()
    said = " ".join(error.value.problems)
    assert all(word in said for word in words), said


# SIRET.


@pytest.mark.parametrize(
    "siret",
    [
        "73282932000074",
        "35600000000048",  # the seat of La Poste, by Luhn
        "35600000049837",  # another of its places: not by Luhn, the digits add up to 45
    ],
)
def test_a_siret_that_insee_could_have_given_is_kept(store, siret):
    directory.add_partner(store, name=RHONE, kind="external", siret=siret)
    assert {entry.name: entry.siret for entry in directory.partners(store)} == {LYON: None, RHONE: siret}


@pytest.mark.parametrize(
    "siret",
    [
        "73282932000075",  # its last digit
        "73282923000074",  # two digits exchanged
        "73282942000073",  # its SIREN is none, though the whole passes Luhn
        "35600000049838",  # La Poste, and no multiple of five
        "35600001049837",  # not La Poste
        "00000000000000",
        "00000000000018",
        "7328293200007",
        "732829320000740",
        "732 829 320 00074",
        "7328293200007٤",
        "FR732829320000",
        "",
        "73282932000074\n",
    ],
)
def test_a_siret_that_insee_cannot_have_given_is_refused(store, siret):
    refused(lambda: directory.add_partner(store, name=RHONE, kind="external", siret=siret), "fourteen digits")
    refused(lambda: directory.set_siret(store, name=LYON, siret=siret), "fourteen digits")
    assert [entry.name for entry in directory.partners(store)] == [LYON]


def test_two_partners_never_have_one_siret(store):
    directory.set_siret(store, name=LYON, siret="73282932000074", signed=HAND)
    directory.set_siret(store, name=LYON, siret="73282932000074")
    said = f"The partner {LYON!r} has this SIRET already."
    refused(lambda: directory.add_partner(store, name=RHONE, kind="external", siret="73282932000074"), said)
    directory.add_partner(store, name=RHONE, kind="external")
    refused(lambda: directory.set_siret(store, name=RHONE, siret="73282932000074"), said)
    refused(lambda: directory.set_siret(store, name="?", siret="73282932000074"), "no partner called")
    assert [entry.detail for entry in directory.changes(store, act="partner siret")] == [
        "none → 73282932000074",
        "73282932000074 → 73282932000074",
    ]


# How many agents a convention allows.


def test_an_agent_beyond_what_the_convention_allows_is_refused(store):
    sign(store, "2026-1", "T1", "T9", max_agents=2)
    enter(store, "one", "T1")
    enter(store, "two", "T9")
    said = "The convention '2026-1' allows 2 agents, and the partner has as many"
    refused(lambda: enter(store, "three", "T9"), said)
    enter(store, "three")
    enter(store, "four", "T2")
    refused(lambda: directory.set_profiles(store, identifier="three", profiles=["T1"], now=NOON), said)
    directory.set_profiles(store, identifier="one", profiles=["T1", "T9"], now=NOON)
    assert {entry.identifier: entry.profiles for entry in directory.accounts(store)}["three"] == ()


def test_an_agent_who_left_makes_room_and_a_suspended_one_does_not(store):
    sign(store, "2026-1", "T9", max_agents=1)
    enter(store, "one", "T9")
    directory.suspend_account(store, identifier="one")
    refused(lambda: enter(store, "two", "T9"), "allows 1 agents")
    directory.close_account(store, identifier="one", signed=HAND, now=NOON)
    enter(store, "two", "T9")


def test_there_is_room_where_any_convention_of_the_caf_has_some(store):
    sign(store, "2026-1", "T9", max_agents=1)
    enter(store, "one", "T9")
    sign(store, "2026-0", "T9", to="2026-06-14")
    sign(store, "2026-2", "T9", caisse="851")
    directory.add_partner(store, name=RHONE, kind="external")
    sign(store, "2026-3", "T9", partner=RHONE)
    refused(lambda: enter(store, "two", "T9"), "'2026-1' allows 1 agents")
    sign(store, "2026-4", "T9", max_agents=2)
    enter(store, "two", "T9")
    refused(lambda: enter(store, "three", "T9"), "'2026-1' allows 1 agents")
    directory.limit_convention(store, number="2026-4", max_agents=None, signed=HAND)
    enter(store, "three", "T9")
    directory.limit_convention(store, number="2026-4", max_agents=1)
    assert [entry.detail for entry in directory.changes(store, act="convention limit")] == ["2 → any", "any → 1"]


@pytest.mark.parametrize("max_agents", [0, -1, 100_001, 10**30])
def test_a_number_of_agents_is_one_that_a_convention_can_allow(store, max_agents):
    refused(lambda: sign(store, "2026-1", "T9", max_agents=max_agents), "allows 1 to 100000 agents")
    sign(store, "2026-1", "T9", max_agents=100_000)
    refused(lambda: directory.limit_convention(store, number="2026-1", max_agents=max_agents), "1 to 100000")


def test_of_agents_entered_at_once_no_more_are_let_in_than_there_is_room_for(store, anywhere):
    sign(store, "2026-1", "T9", max_agents=3)

    def attempt(number):
        with contextlib.closing(open_store(anywhere)) as own:
            try:
                enter(own, f"agent{number}", "T9")
            except Misconfigured:
                return False
            return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(attempt, range(8))) == 3
    assert len(directory.accounts(store)) == 3


# An agent who leaves.


def test_a_leaver_is_removed_in_one_act(store):
    sign(store, "2026-1", "T9")
    enter(store, "m.martin", "T9", function="social worker")
    enter(store, "other", "T9")
    tokens = [log_in(store).token for _ in range(2)]
    kept = log_in(store, "other").token
    own, gone, shared, others = (
        entrust(store, "m.martin"),
        entrust(store, "m.martin", "9990003"),
        entrust(store),
        entrust(store, "other"),
    )
    directory.release_mandate(store, mandate_id=gone, now=NOON - timedelta(days=1))
    left = directory.close_account(store, identifier="m.martin", signed=HAND, now=NOON)
    assert (left.sessions, left.mandates) == (2, (own,))
    for token in tokens:
        with pytest.raises(SessionEnded):
            identify(store, RULES, token, now=NOON)
    assert identify(store, RULES, kept, now=NOON)[0].identifier == "other"
    released = {entry.id: entry.released_at for entry in directory.mandates(store)}
    assert released == {own: NOON, gone: NOON - timedelta(days=1), shared: None, others: None}
    [closed] = [entry for entry in directory.accounts(store) if entry.identifier == "m.martin"]
    assert (closed.closed_at, closed.suspended, closed.function) == (NOON, True, "social worker")
    rows = directory.changes(store, by="c.petit")
    told = [(entry.act, entry.subject, entry.by, entry.why, entry.at) for entry in rows]
    assert told == [
        ("account close", "m.martin", "c.petit", "ticket 12", NOON),
        ("mandate release", str(own), "c.petit", "ticket 12", NOON),
    ]


def test_from_outside_a_closed_account_is_one_that_never_was_and_the_record_knows_better(store):
    enter(store, "m.martin", "T9")
    directory.close_account(store, identifier="m.martin", signed=HAND, now=NOON)
    outside = []
    for identifier, password in (("m.martin", PASSWORD), ("m.martin", "wrong"), ("nobody", PASSWORD)):
        with pytest.raises(LogInRefused) as refusal:
            sign_in(store, RULES, identifier=identifier, password=password, now=NOON)
        outside.append((refusal.value.code, refusal.value.shown, refusal.value.said, refusal.value.status))
        if identifier == "m.martin":
            inside = (refusal.value.because, refusal.value.identifier)
            assert inside == (ACCOUNT_CLOSED if password == PASSWORD else PASSWORD_WRONG, "m.martin")
    assert len(set(outside)) == 1
    with pytest.raises(Misconfigured, match=r"The account 'm\.martin' is closed"):
        facts_without_session(
            store, RULES, identifier="m.martin", profile=None, dossier="9990001", action="consult", now=NOON
        )


def test_nothing_brings_a_closed_account_back(store):
    sign(store, "2026-1", "T9")
    enter(store, "m.martin", "T9")
    directory.close_account(store, identifier="m.martin", signed=HAND, now=NOON)
    of = {"identifier": "m.martin"}
    for act in (
        lambda: directory.resume_account(store, **of),
        lambda: directory.unlock_account(store, **of),
        lambda: directory.set_password(store, **of, password=PASSWORD),
        lambda: directory.set_profiles(store, **of, profiles=["T1"]),
        lambda: directory.set_function(store, **of, function="director"),
        lambda: directory.sign_engagement(store, **of, version="2012-07", now=NOON),
        lambda: directory.close_account(store, **of, signed=HAND, now=NOON),
        lambda: entrust(store, "m.martin"),
    ):
        refused(act, "The account 'm.martin' is closed.")
    refused(lambda: enter(store, "m.martin", "T9"), "There is an account called 'm.martin' already.")
    assert [entry.closed_at for entry in directory.accounts(store)] == [NOON]


def test_nobody_is_removed_without_a_reason_and_nothing_of_it_is_half_done(store):
    enter(store, "m.martin", "T9")
    token = log_in(store).token
    mandate = entrust(store, "m.martin")
    for why in ("", " blank around ", "x" * 201, "two\nlines"):
        with pytest.raises(Misconfigured):
            directory.close_account(store, identifier="m.martin", signed=Signature("c.petit", why), now=NOON)
    assert identify(store, RULES, token, now=NOON)[0].identifier == "m.martin"
    assert [(entry.id, entry.released_at) for entry in directory.mandates(store)] == [(mandate, None)]
    assert directory.changes(store, act="account close") == []


def test_whoever_logs_in_while_the_account_is_closed_keeps_no_session(store, anywhere):
    for number in range(6):
        enter(store, f"agent{number}", "T9")

    def knock(number):
        with contextlib.closing(open_store(anywhere)) as own, contextlib.suppress(LogInRefused):
            log_in(own, f"agent{number}")

    def close(number):
        directory.close_account(store, identifier=f"agent{number}", signed=HAND, now=NOON)

    with ThreadPoolExecutor(4) as threads:
        for number in range(6):
            list(threads.map(lambda act, one=number: act(one), (knock, close, knock)))
    with store.read() as connection:
        assert connection.execute(session.select()).all() == []


TAKEN_AWAY = {
    "closed": lambda store: directory.close_account(store, identifier="m.martin", signed=HAND, now=NOON),
    "suspended": lambda store: directory.suspend_account(store, identifier="m.martin", signed=HAND),
    "another profile": lambda store: directory.set_profiles(store, identifier="m.martin", profiles=["T1"], signed=HAND),
}


def come_vouched_for(store):
    vouched = Vouched(identifier="m.martin", partner=LYON, siret=None, profile=None, hint=None)
    return openid_sessions.open_vouched(store, RULES, vouched, profile=None, now=NOON)


@pytest.mark.looks_inside
@pytest.mark.parametrize("what", TAKEN_AWAY)
@pytest.mark.parametrize(
    ("come", "module", "refusal"),
    [(log_in, sessions, LogInRefused), (come_vouched_for, openid_sessions, VouchingRefused)],
    ids=["password", "provider"],
)
def test_what_is_taken_away_between_a_log_in_and_its_answer_refuses_the_log_in(
    store, monkeypatch, come, module, refusal, what
):
    """As if it had been taken away before: whoever logs in never had a session that could have ended."""
    enter(store, "m.martin", "T9")

    def identify_later(*arguments, **named):
        TAKEN_AWAY[what](store)
        return identify(*arguments, **named)

    monkeypatch.setattr(module, "identify", identify_later)
    with pytest.raises(refusal) as told:
        come(store)
    assert (told.value.because, told.value.identifier) == (ACCOUNT_CHANGED, "m.martin")


# Who, when, why.


def test_every_change_is_written_with_whoever_made_it(store):
    signed = {"signed": HAND}
    of = {"identifier": "m.martin", **signed}
    acts = (
        lambda: directory.add_partner(store, name=RHONE, kind="external", **signed),
        lambda: directory.set_siret(store, name=RHONE, siret="73282932000074", **signed),
        lambda: directory.add_convention(
            store,
            partner_name=RHONE,
            number="2026-1",
            caisse="691",
            starts_on=date(2026, 1, 1),
            ends_on=date(2026, 12, 31),
            profiles=["T9"],
            **signed,
        ),
        lambda: directory.suspend_convention(store, number="2026-1", **signed),
        lambda: directory.resume_convention(store, number="2026-1", **signed),
        lambda: directory.limit_convention(store, number="2026-1", max_agents=9, **signed),
        lambda: enter(store, "m.martin", "T9", **signed),
        lambda: directory.suspend_account(store, **of),
        lambda: directory.resume_account(store, **of),
        lambda: directory.unlock_account(store, **of),
        lambda: directory.set_profiles(store, **of, profiles=["T9", "T1"]),
        lambda: directory.set_function(store, **of, function="social worker"),
        lambda: directory.sign_engagement(store, **of, version="2012-07", now=NOON),
        lambda: directory.withdraw_engagement(store, **of),
        lambda: directory.set_password(store, **of, password=PASSWORD),
        lambda: directory.end_sessions(store, **of),
        lambda: directory.add_mandate(
            store,
            dossier="9990001",
            kind="masp",
            partner_name=LYON,
            starts_on=date(2026, 1, 1),
            reference="Masp",
            **signed,
        ),
        lambda: directory.release_mandate(store, mandate_id=1, now=NOON, **signed),
        lambda: directory.raise_objection(store, dossier="0000002", reference="letter", now=NOON, **signed),
        lambda: directory.lift_objection(store, dossier="0000002", now=NOON, **signed),
        lambda: directory.close_account(store, **of, now=NOON),
    )
    for number, act in enumerate(acts, 1):
        act()
        assert len(directory.changes(store, by=HAND.by)) == number
    told = [(entry.act, entry.subject, entry.detail) for entry in directory.changes(store, by=HAND.by)]
    assert told == [
        ("partner add", RHONE, ""),
        ("partner siret", RHONE, "none → 73282932000074"),
        ("convention add", "2026-1", ""),
        ("convention suspend", "2026-1", ""),
        ("convention resume", "2026-1", ""),
        ("convention limit", "2026-1", "any → 9"),
        ("account add", "m.martin", ""),
        ("account suspend", "m.martin", ""),
        ("account resume", "m.martin", ""),
        ("account unlock", "m.martin", ""),
        ("account profiles", "m.martin", "T9 → T1 T9"),
        ("account function", "m.martin", "function: none → social worker"),
        (
            "account sign",
            "m.martin",
            "engagement_version: none → 2012-07, engagement_signed_at: none → 1781517600",
        ),
        (
            "account withdraw",
            "m.martin",
            "engagement_version: 2012-07 → none, engagement_signed_at: 1781517600 → none",
        ),
        ("account password", "m.martin", ""),
        ("session end", "m.martin", ""),
        ("mandate add", "1", ""),
        ("mandate release", "1", ""),
        ("objection raise", "0000002", ""),
        ("objection lift", "0000002", ""),
        ("account close", "m.martin", "0 sessions ended, 0 mandates released"),
    ]
    assert {entry.why for entry in directory.changes(store, by=HAND.by)} == {HAND.why}


def test_what_was_refused_is_not_written(store):
    before = directory.changes(store)
    refused(lambda: directory.add_partner(store, name=LYON, kind="external", signed=HAND), "already")
    refused(lambda: directory.resume_account(store, identifier="x", signed=HAND), "no account")
    refused(lambda: directory.suspend_convention(store, number="x", signed=HAND), "no convention")
    assert directory.changes(store) == before


@pytest.mark.parametrize(
    ("signed", "said"),
    [
        (Signature("", "w"), "The name of whoever does it must be"),
        (Signature("x" * 201), "The name of whoever does it must be"),
        (Signature("c.petit", "a\x1b[31mred"), "The reason must be"),
        (Signature("c.\udcffpetit"), "The name of whoever does it must be"),
    ],
)
def test_nothing_is_done_under_a_name_or_for_a_reason_that_cannot_be_kept(store, signed, said):
    refused(lambda: directory.add_partner(store, name=RHONE, kind="external", signed=signed), said)
    assert [entry.name for entry in directory.partners(store)] == [LYON]


def test_changes_are_found_by_what_who_and_when(store):
    with store.change() as connection:
        for act, by, at in (("account add", "a", 0), ("accounting", "a", 86_400), ("account close", "b", 172_800)):
            row = {"at": at, "by": by, "act": act, "subject": "m%", "detail": "", "why": ""}
            connection.execute(change.insert().values(row))

    def acts(**asked):
        return [entry.act for entry in directory.changes(store, subject="m%", **asked)]

    assert acts() == ["account add", "accounting", "account close"]
    assert acts(act="account") == ["account add", "account close"]
    assert acts(act="account close") == ["account close"]
    assert acts(act="%") == []
    assert acts(by="a") == ["account add", "accounting"]
    assert acts(since=date(1970, 1, 2)) == ["accounting", "account close"]
    assert acts(until=date(1970, 1, 2)) == ["account add", "accounting"]
    refused(lambda: directory.changes(store, subject="\udcff"), "printable")
