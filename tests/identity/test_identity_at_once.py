"""Two who enter the same at the same moment, on a server, where two transactions can check side by side: one has done
it, the other is told what it would have been told a moment later, and nothing is left of it."""

import contextlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from sqlalchemy import Engine, event, update

from gateway.errors import EntryConflicts, Misconfigured
from gateway.identity import directory, enrolment
from gateway.identity.directory import Signature
from gateway.identity.functions import load_functions
from gateway.identity.store import open_store
from gateway.identity.tables import join_request
from gateway.identity.wrong import as_refusal
from gateway.policy_files.folder import shipped
from tests.identity.conftest import NOON, NUMBER, PARTNER, PASSWORD

FUNCTIONS = load_functions(shipped() / "functions.toml")
SIRET, OTHER_SIRET = "73282932000074", "35600000000048"
TERMS = {"caisse": "691", "starts_on": date(2026, 1, 1), "ends_on": date(2028, 12, 31), "profiles": ["T9"]}


@pytest.fixture
def store(emptied):
    """A partner, on a server."""
    with contextlib.closing(open_store(emptied)) as opened:
        directory.add_partner(opened, name=PARTNER, kind="external")
        yield opened


@contextlib.contextmanager
def meeting(*, waits):
    """The first act has checked, and writes nothing before the second writes too, or `waits`, as it may, for somebody.

    Yields what marks each of the two, when it begins in its thread.
    """
    who = threading.local()
    checked, arrived = threading.Event(), threading.Event()

    def mark(name):
        who.name = name
        if name == "second":
            assert checked.wait(30)

    def met(connection, cursor, statement, *_):
        writes = statement.startswith(("INSERT", "UPDATE"))
        name = getattr(who, "name", None)
        if name == "first" and writes and not checked.is_set():
            checked.set()
            assert arrived.wait(30)
        if name == "second" and (writes or (waits and ("FOR UPDATE" in statement or "advisory" in statement))):
            arrived.set()

    event.listen(Engine, "before_cursor_execute", met)
    try:
        yield mark
    finally:
        event.remove(Engine, "before_cursor_execute", met)


def attempted(act, store):
    """What came of it: what it returned, or its refusal over HTTP and its sentences on the command line."""
    try:
        return act(store)
    except Misconfigured as error:
        return type(as_refusal(error.problems)), list(error.problems)


def at_once(store, first, second, *, waits=True):
    """What came of two acts of which neither saw what the other wrote when it checked. The second `waits` where it
    holds what the first holds; where it holds something else, it must be let to its writing."""
    with meeting(waits=waits) as mark:

        def attempt(name, act):
            mark(name)
            return attempted(act, store)

        with ThreadPoolExecutor(2) as pool:
            begun = [pool.submit(attempt, "first", first), pool.submit(attempt, "second", second)]
            return [each.result(60) for each in begun]


def one_after_the_other(store, *acts):
    return [attempted(act, store) for act in acts]


def refusals(outcomes):
    return [each for each in outcomes if isinstance(each, tuple)]


def told(store, act):
    return len(directory.changes(store, act=act))


def account(partner=PARTNER):
    return lambda store: directory.add_account(
        store, identifier="m.durand", password=PASSWORD, partner_name=partner, profiles=["T9"]
    )


def partner(name, siret=None):
    return lambda store: directory.add_partner(store, name=name, kind="external", siret=siret)


def siret_of(name):
    return lambda store: directory.set_siret(store, name=name, siret=SIRET)


def convention(store):
    directory.add_convention(store, partner_name=PARTNER, number="C-1", **TERMS)


@pytest.mark.parametrize(
    ("first", "second", "act", "said"),
    [
        (account(), account(), "account add", "There is an account called 'm.durand' already."),
        (account(), account("Udaf"), "account add", "There is an account called 'm.durand' already."),
        (partner("Neuf"), partner("Neuf"), "partner add", "There is a partner called 'Neuf' already."),
        (
            partner("Neuf", SIRET),
            partner("Neuf", OTHER_SIRET),
            "partner add",
            "There is a partner called 'Neuf' already.",
        ),
        (partner("A", SIRET), partner("B", SIRET), "partner add", "The partner '[AB]' has this SIRET already."),
        (
            siret_of(PARTNER),
            siret_of("Udaf"),
            "partner siret",
            f"The partner '({PARTNER}|Udaf)' has this SIRET already.",
        ),
        (convention, convention, "convention add", "There is a convention 'C-1' already."),
    ],
    ids=["account", "account of another", "name", "name with a SIRET", "SIRET", "SIRET given later", "convention"],
)
def test_of_two_who_enter_one_name_at_once_the_second_is_told_that_it_is_known(store, first, second, act, said):
    directory.add_partner(store, name="Udaf", kind="external")
    before = told(store, act)
    [(refusal, [problem])] = refusals(at_once(store, first, second))
    assert refusal is EntryConflicts
    assert re.fullmatch(said, problem)
    assert told(store, act) == before + 1


def raising(reference):
    return lambda store: directory.raise_objection(store, dossier=NUMBER, reference=reference, now=NOON)


def lifting(store):
    directory.lift_objection(store, dossier=NUMBER, now=NOON)


def test_of_two_objections_raised_at_once_on_a_dossier_one_stands(store):
    outcomes = at_once(store, raising("A 1"), raising("A 2"))
    assert outcomes == [None, (EntryConflicts, ["An objection is raised on this dossier already."])]
    assert [each.reference for each in directory.objections(store)] == ["A 1"]
    lifting(store)
    assert [each for each in directory.objections(store) if each.lifted_at is None] == []


def test_an_objection_is_lifted_once(store):
    raising("A 1")(store)
    outcomes = at_once(store, lifting, lifting)
    assert outcomes == [None, (EntryConflicts, ["No objection is raised on this dossier."])]
    assert told(store, "objection lift") == 1


@pytest.fixture
def office(store):
    """The Caf, with two of its staff."""
    directory.add_partner(store, name="Caf", kind="caf")
    for identifier in ("c.petit", "b.roux"):
        directory.add_account(store, identifier=identifier, password=PASSWORD, partner_name="Caf")
    return store


def asking(contact="a@udaf.example", organisation="Udaf", siret=SIRET):
    return lambda store: directory.ask_to_join(
        store,
        FUNCTIONS,
        organisation=organisation,
        siret=siret,
        function="Tuteur",
        profiles=["T9"],
        contact=contact,
        by_anyone=True,
        now=NOON,
    )


def step(name, request_id=1, by="c.petit", **more):
    """What one of the staff does to a request."""
    if name == "sign":
        more = {"number": "C-1", **TERMS, **more}
    if name == "approve":
        more = {"hours": 72, **more}
    does = getattr(directory, f"{name}_request")
    return lambda store: does(store, request_id=request_id, signed=Signature(by, "because"), now=NOON, **more)


def brought(store, *names, request_id=1):
    """The request after these steps."""
    for name in names:
        step(name, request_id)(store)


def states(store):
    return [each.state for each in directory.join_requests(store)]


def test_the_same_asked_twice_at_once_is_one_request(store):
    assert at_once(store, asking(), asking()) == [1, 1]
    assert states(store) == ["asked"]


def test_the_last_place_among_those_that_wait_is_taken_once(store, monkeypatch):
    monkeypatch.setattr(enrolment, "MOST_ASKED", 1)
    [entered, (refusal, _)] = at_once(store, asking(), asking("b@udaf.example"))
    assert (entered, refusal) == (1, EntryConflicts)
    assert states(store) == ["asked"]


@pytest.mark.parametrize(
    ("before", "first", "second", "state"),
    [
        ((), "receive", "receive", "received"),
        (("receive",), "sign", "sign", "signed"),
        (("receive",), "refuse", "sign", "refused"),
        (("receive", "sign"), "approve", "approve", "approved"),
        (("receive", "sign"), "approve", "refuse", "approved"),
        (("receive", "sign"), "refuse", "approve", "refused"),
    ],
)
def test_of_two_steps_at_once_one_is_taken_and_the_other_is_out_of_turn(office, before, first, second, state):
    asking()(office)
    brought(office, *before)
    one, other = (step(name, by="b.roux" if name in ("approve", "refuse") else "c.petit") for name in (first, second))
    [done, refused] = at_once(office, one, other)
    assert not isinstance(done, tuple)
    assert refused == (EntryConflicts, [f"Request 1 is {state}: this step does not come now."])
    assert states(office) == [state]
    assert told(office, "request") == 1 + len(before) + 1


def test_of_two_requests_signed_at_once_one_has_the_number(office):
    for request_id, contact in enumerate("ab", 1):
        asking(contact)(office)
        brought(office, "receive", request_id=request_id)
    outcomes = at_once(office, step("sign", 1), step("sign", 2))
    assert outcomes == [None, (EntryConflicts, ["Request 1 has the convention 'C-1', which is signed already."])]
    assert states(office) == ["signed", "received"]


def signed_alike(office):
    """Two requests, of two organisations, with one number: as an earlier version let them be signed."""
    for request_id, (organisation, siret) in enumerate((("Udaf", SIRET), ("Ccas", OTHER_SIRET)), 1):
        asking(organisation=organisation, siret=siret)(office)
        brought(office, "receive", request_id=request_id)
        step("sign", request_id, number=f"C-{request_id}")(office)
    with office.change() as connection:
        connection.execute(update(join_request).values(number="C-1"))


@pytest.mark.parametrize("how", [at_once, one_after_the_other], ids=lambda how: how.__name__)
def test_of_two_requests_signed_with_one_number_one_is_approved(office, how):
    signed_alike(office)
    outcomes = how(office, step("approve", 1, "b.roux"), step("approve", 2, "b.roux"))
    # At once, either may be the first: each holds its own request.
    assert refusals(outcomes) == [(EntryConflicts, ["There is a convention 'C-1' already."])]
    assert sorted(states(office)) == ["approved", "signed"]
    assert len([each.name for each in directory.partners(office) if each.name in ("Udaf", "Ccas")]) == 1


def test_of_two_requests_of_one_organisation_approved_at_once_the_second_is_told_that_it_is_known(office):
    for request_id, contact in enumerate("ab", 1):
        asking(contact)(office)
        brought(office, "receive", request_id=request_id)
        step("sign", request_id, number=f"C-{request_id}")(office)
    approvals = [step("approve", request_id, "b.roux") for request_id in (1, 2)]
    outcomes = at_once(office, *approvals, waits=False)
    [(refusal, _)] = refusals(outcomes)
    assert refusal is EntryConflicts
    assert sorted(states(office)) == ["approved", "signed"]
    approvals[0 if isinstance(outcomes[0], tuple) else 1](office)
    assert [each.partner for each in directory.conventions(office)] == ["Udaf", "Udaf"]
