"""An organisation joins step by step, in one order, and by two different people of the Caf; on both databases."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from gateway.errors import Misconfigured
from gateway.identity import directory, enrolment
from gateway.identity.directory import Signature
from gateway.identity.functions import load_functions
from gateway.identity.joining import STEPS
from gateway.identity.store import open_store
from gateway.identity.tables import change, join_request
from gateway.policy_files.folder import shipped
from tests.identity.conftest import NOON, Town

on_both = pytest.mark.parametrize("town", ["thread", "postgresql"], indirect=True)
on_one = pytest.mark.parametrize("town", ["thread"], indirect=True)
FUNCTIONS = load_functions(shipped() / "functions.toml")
SIRET = "73282932000074"
OTHER_SIRET = "35600000000048"
ENTRY = {"organisation": "Udaf", "siret": SIRET, "function": "Tuteur", "profiles": ["T9"], "contact": "a@udaf.example"}
TERMS = {"number": "C-1", "caisse": "691", "starts_on": date(2026, 1, 1), "ends_on": date(2028, 12, 31)}


@pytest.fixture
def office(town):
    """The town, with the Caf's people `c.petit` and `b.roux`, of its staff, and `a.social`, who is not."""
    directory.add_partner(town.store, name="Caf", kind="caf", siret=OTHER_SIRET)
    for identifier, profiles in (("c.petit", []), ("b.roux", []), ("a.social", ["T1"])):
        directory.invite_new(
            town.store, identifier=identifier, partner_name="Caf", profiles=profiles, hours=1, now=town.noon
        )
    return town


def ask(town, **entry):
    return directory.ask_to_join(town.store, FUNCTIONS, now=town.noon, **{**ENTRY, **entry})


def step(town, name, request_id, by="c.petit", **more):
    signed = Signature(by, more.pop("why", "because"))
    if name == "sign":
        more = {**TERMS, **more}
    if name == "approve":
        more = {"hours": 72, **more}
    does = getattr(directory, f"{name}_request")
    return does(town.store, request_id=request_id, signed=signed, now=town.noon, **more)


def only(town):
    [found] = directory.join_requests(town.store)
    return found


def told(town):
    with town.store.read() as connection:
        return connection.execute(select(func.count()).select_from(change)).scalar_one()


@on_both
def test_an_organisation_joins_and_everything_it_needs_is_there(office):
    request_id = ask(office)
    step(office, "receive", request_id)
    step(office, "sign", request_id)
    assert directory.conventions(office.store) == [], "a signed convention opens nothing before its approval"
    made = step(office, "approve", request_id, "b.roux", administrator="m.durand")
    [partner] = [each for each in directory.partners(office.store) if each.name == "Udaf"]
    assert (partner.kind, partner.siret) == ("external", SIRET)
    [convention] = directory.conventions(office.store)
    assert (convention.partner, convention.number, convention.profiles) == ("Udaf", "C-1", ("T9",))
    [account] = directory.accounts(office.store, identifier="m.durand")
    assert (account.partner, account.profiles, account.function) == ("Udaf", (), "Tuteur")
    assert made.invitation and account.invited_until == made.invitation.expires_at
    assert repr(made).count(made.invitation.token) == 0
    request = only(office)
    assert (request.state, request.received_by, request.signed_by, request.decided_by) == (
        *("approved", "c.petit", "c.petit", "b.roux"),
    )
    acts = [(each.act, each.by) for each in directory.changes(office.store, act="request")]
    assert [act for act, _ in acts] == ["request add", "request receive", "request sign", "request approve"]
    assert [by for _, by in acts[1:]] == ["c.petit", "c.petit", "b.roux"]


@on_one
@pytest.mark.parametrize("name", ["approve", "refuse"])
@pytest.mark.parametrize(("receiver", "signer"), [("c.petit", "c.petit"), ("b.roux", "c.petit"), ("c.petit", "b.roux")])
def test_whoever_received_or_signed_does_not_decide(office, name, receiver, signer):
    request_id = ask(office)
    step(office, "receive", request_id, receiver)
    step(office, "sign", request_id, signer)
    before = told(office)
    with pytest.raises(Misconfigured, match="another person of the Caf"):
        step(office, name, request_id, "c.petit")
    assert (only(office).state, told(office)) == ("signed", before)
    assert [each.name for each in directory.partners(office.store)] == ["CCAS de Lyon", "Caf"]


@on_one
@pytest.mark.parametrize("by", ["a.social", "m.martin", "nobody", "root"])
@pytest.mark.parametrize("name", sorted(STEPS))
def test_nobody_but_the_staff_signs_for_the_caf(office, by, name):
    request_id = ask(office)
    with pytest.raises(Misconfigured, match="Only the Caf's staff"):
        step(office, name, request_id, by)
    directory.suspend_account(office.store, identifier="c.petit")
    with pytest.raises(Misconfigured, match="Only the Caf's staff"):
        step(office, name, request_id)


@given(steps=st.lists(st.sampled_from(sorted(STEPS)), max_size=6))
@settings(max_examples=25)
def test_each_step_comes_in_its_turn_and_no_other(one_office, steps):
    """The states are closed: what a step does not lead from, it refuses, and nothing is changed."""
    office, count = one_office
    count.append(1)
    number = f"C-{len(count)}"
    request_id = ask(office, contact=number)
    state = "asked"
    after = {"receive": "received", "sign": "signed", "approve": "approved", "refuse": "refused"}
    for name in steps:
        by = "b.roux" if name in ("approve", "refuse") else "c.petit"
        more = {"number": number} if name == "sign" else {}
        before = told(office)
        if state in STEPS[name]:
            step(office, name, request_id, by, **more)
            state = after[name]
            assert told(office) > before
        else:
            with pytest.raises(Misconfigured, match="does not come now"):
                step(office, name, request_id, by, **more)
            assert told(office) == before
        [request] = directory.join_requests(office.store, request_id=request_id)
        assert request.state == state


@pytest.fixture(scope="module")
def one_office(tmp_path_factory):

    url = f"sqlite:///{tmp_path_factory.mktemp('office') / 'directory.db'}"
    store = open_store(url)
    town = Town(store, url, None, lambda work: work(), noon=NOON)
    directory.add_partner(store, name="Caf", kind="caf")
    for identifier in ("c.petit", "b.roux"):
        directory.invite_new(store, identifier=identifier, partner_name="Caf", hours=1, now=NOON)
    yield town, []
    store.close()


@on_both
def test_the_same_asked_again_is_one_request_until_it_is_received(office):
    first = ask(office)
    assert ask(office) == first
    assert ask(office, contact="b@udaf.example") != first
    step(office, "receive", first)
    assert ask(office) not in (first, first + 1)


@on_one
def test_the_number_that_wait_is_bounded(office, monkeypatch):
    monkeypatch.setattr(enrolment, "MOST_ASKED", 2)
    first = ask(office, by_anyone=True)
    ask(office, contact="b", by_anyone=True)
    with pytest.raises(Misconfigured, match="wait to be received"):
        ask(office, contact="c", by_anyone=True)
    assert ask(office, by_anyone=True) == first
    # Whoever floods the requests keeps no operator from entering one.
    for request_id in (first, ask(office, contact="d")):
        step(office, "receive", request_id)
    ask(office, contact="c", by_anyone=True)


@on_one
@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"function": "plombier"}, "These may: agent administratif de la Caf, "),
        ({"function": "tuteur", "profiles": ["T9", "T1"]}, "may ask for T9 only"),
        ({"function": "tuteur", "profiles": []}, "may ask for T9 only"),
        ({"siret": "73282932000075"}, "SIRET"),
        ({"profiles": ["T17"]}, "A profile is written"),
        ({"contact": ""}, "The contact"),
        ({"organisation": "a\nb"}, "The organisation"),
    ],
)
def test_what_may_not_be_asked_is_not_entered(office, entry, said):
    with pytest.raises(Misconfigured, match=said):
        ask(office, **entry)
    assert directory.join_requests(office.store) == []


@on_one
def test_a_caf_does_not_join_and_nobody_of_the_staff_is_made_so(office):
    request_id = ask(office, siret=OTHER_SIRET)
    step(office, "receive", request_id)
    step(office, "sign", request_id)
    with pytest.raises(Misconfigured, match="a Caf's"):
        step(office, "approve", request_id, "b.roux", administrator="double")
    assert directory.conventions(office.store) == []


@on_both
def test_a_partner_that_is_known_is_joined_by_its_siret(office):
    directory.set_siret(office.store, name="CCAS de Lyon", siret=SIRET)
    request_id = ask(office, organisation="Ccas Lyon")
    step(office, "receive", request_id)
    step(office, "sign", request_id)
    assert step(office, "approve", request_id, "b.roux").partner == "CCAS de Lyon"


@on_both
def test_an_approval_happens_whole_or_not_at_all(office):
    request_id = ask(office)
    step(office, "receive", request_id)
    step(office, "sign", request_id)
    before = told(office)
    with pytest.raises(Misconfigured, match="already"):
        step(office, "approve", request_id, "b.roux", administrator=office.agent)
    assert (told(office), only(office).state) == (before, "signed")
    assert directory.conventions(office.store) == []


@on_one
def test_a_convention_opens_no_more_than_was_asked_for_and_fits_the_others(office):
    request_id = ask(office)
    step(office, "receive", request_id)
    with pytest.raises(Misconfigured, match="more profiles than were asked"):
        step(office, "sign", request_id, profiles=["T9", "T1"])
    taken = office.sign_convention()
    with pytest.raises(Misconfigured, match="already"):
        step(office, "sign", request_id, number=taken)
    with pytest.raises(Misconfigured, match="before the first"):
        step(office, "sign", request_id, ends_on=TERMS["starts_on"] - timedelta(days=1))
    with pytest.raises(Misconfigured, match="There is no request"):
        step(office, "sign", request_id + 1)


@on_both
def test_a_number_is_one_requests_until_it_is_refused(office):
    first, second = ask(office), ask(office, contact="b@udaf.example")
    for request_id in (first, second):
        step(office, "receive", request_id)
    step(office, "sign", first)
    before = told(office)
    with pytest.raises(Misconfigured, match=f"Request {first} has the convention 'C-1', which is signed already"):
        step(office, "sign", second)
    assert told(office) == before
    step(office, "refuse", first, "b.roux")
    step(office, "sign", second)
    step(office, "approve", second, "b.roux")


@on_one
def test_a_refusal_says_why_and_is_the_end(office):
    request_id = ask(office)
    step(office, "receive", request_id)
    with pytest.raises(Misconfigured, match="Say why"):
        step(office, "refuse", request_id, "b.roux", why="")
    step(office, "refuse", request_id, "b.roux", why="no mission")
    assert directory.changes(office.store, act="request refuse")[0].why == "no mission"
    with office.store.read() as connection:
        assert connection.execute(select(func.count()).select_from(join_request)).scalar_one() == 1


def test_every_profile_of_the_brochure_has_a_function_and_no_other_profile_has():
    opened = {profile for number in range(1, 17) if (profile := f"T{number}") not in ("T7", "T15")}
    asked = {p for p in (f"T{n}" for n in range(1, 17)) for name in FUNCTIONS.names if not FUNCTIONS.problem(name, [p])}
    assert asked == opened


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Object missing required field"),
        ("[[function]]\nname = 'x'\nprofiles = ['T1']\n", "source"),
        ("[[function]]\nname = 'x'\nprofiles = ['T17']\nsource = 's'\n", "needs profiles"),
        ("[[function]]\nname = 'x'\nprofiles = []\nsource = 's'\n", "needs profiles"),
        ("[[function]]\nname = 'X'\nprofiles = ['T1']\nsource = 's'\n" * 2, "twice"),
        ("[[function]]\nname = 'x'\nprofiles = ['T1']\nsource = 's'\nmore = 1\n", "unknown field"),
        ("[[function", "not TOML"),
        ("function = " + "[" * 5000, "not TOML"),
        ("function = " + "1" * 5000, "not TOML"),
    ],
)
def test_a_table_of_functions_that_is_not_understood_is_refused(tmp_path, text, said):
    (tmp_path / "functions.toml").write_text(text)
    with pytest.raises(Misconfigured, match=said):
        load_functions(tmp_path / "functions.toml")


@on_both
def test_lists_are_read_page_by_page_on_every_database(office):
    for number in range(5):
        ask(office, contact=f"c{number}")
        office.sign_convention(starts_on=f"2026-0{5 - number}-01")
    for rows, key in (
        (directory.join_requests, lambda row: row.id),
        (directory.conventions, lambda row: row.number),
        (directory.accounts, lambda row: row.identifier),
        (directory.partners, lambda row: row.name),
        (directory.changes, lambda row: row.id),
    ):
        whole, found = rows(office.store), []
        while True:
            page = rows(office.store, limit=2, **({"after": key(found[-1])} if found else {}))
            found += page
            if len(page) < 2:
                break
        assert found == whole


@on_both
def test_a_request_that_nobody_decides_stands_in_the_review_after_ninety_days_until_somebody_does(office):
    """With whatever else is to be looked at: page by page, a request is every Caf's until one has signed."""
    came = office.noon.date()

    def due(days=90, **asked):
        found = directory.review(office.store, today=came + timedelta(days=days), finding="undecided", **asked)
        return [(each.subject, each.partner, each.day) for each in found]

    first, second = ask(office), ask(office, siret=OTHER_SIRET, organisation="Ccas")
    assert due(89) == []
    assert due() == [(str(first), "Udaf", came), (str(second), "Ccas", came)]
    assert due(limit=1) == due()[:1]
    assert due(after=f"undecided {first}") == due()[1:]
    step(office, "receive", first)
    step(office, "sign", first)
    assert due(caisse="691") == due()
    assert due(caisse="851") == due()[1:]
    step(office, "approve", first, "b.roux")
    step(office, "receive", second)
    step(office, "refuse", second, "b.roux", why="no mission")
    assert due(9999) == []
