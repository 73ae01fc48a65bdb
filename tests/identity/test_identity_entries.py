"""What an administrator types is refused whole, with all that is wrong in it; nothing is half done."""

from datetime import date

import pytest

from gateway.errors import Misconfigured
from gateway.identity import directory

JANUARY, JUNE = date(2026, 1, 1), date(2026, 6, 30)
CONVENTION = {"number": "2026-014", "caisse": "691", "starts_on": JANUARY, "ends_on": JUNE, "profiles": ["T1"]}
MANDATE = {"dossier": "9990001", "kind": "judgment", "starts_on": JANUARY, "reference": "TJ Lyon"}
ACCOUNT = {"identifier": "a.new", "password": "Correct-horse-26", "profiles": ["T1"]}


def problems(change, store, **entry):
    with pytest.raises(Misconfigured) as error:
        change(store, **entry)
    return set(error.value.problems)


def test_an_account_with_everything_wrong_says_everything(town):
    assert problems(
        directory.add_account, town.store, identifier="M. Martin", password="short", partner_name="?", profiles=["T0"]
    ) == {
        "The identifier must match [a-z0-9][a-z0-9._-]{0,63}.",
        "The password is too easy to guess: 24 bits, 50 are asked. "
        "Make it longer, or mix small letters, capitals, digits and signs.",
        "There is no partner called '?'.",
        "A profile is written T1 to T16.",
    }
    assert [entry.identifier for entry in directory.accounts(town.store)] == [town.agent]


@pytest.mark.parametrize(
    "identifier", ["", "-a", ".a", "_a", "A", "é", "a b", "a@b", "a\n", "a" * 65, "\ud800", "a\x00"]
)
def test_an_identifier_is_small_letters_digits_and_three_signs(town, identifier):
    entry = {**ACCOUNT, "identifier": identifier, "partner_name": town.partner}
    assert "The identifier must match [a-z0-9][a-z0-9._-]{0,63}." in problems(
        directory.add_account, town.store, **entry
    )


@pytest.mark.parametrize("profile", ["T0", "T17", "T01", "t1", "T", "1", "", " T1", "T1 T9", "T1,T9", "T1\n", "T١"])
def test_a_profile_is_written_t1_to_t16(town, profile):
    said = {"A profile is written T1 to T16."}
    assert problems(directory.set_profiles, town.store, identifier=town.agent, profiles=["T1", profile]) == said
    entry = {**CONVENTION, "profiles": [profile], "partner_name": town.partner}
    assert problems(directory.add_convention, town.store, **entry) == said


def test_profiles_are_kept_once_in_the_order_of_their_numbers(town):
    directory.set_profiles(town.store, identifier=town.agent, profiles=["T16", "T2", "T10", "T2"])
    assert directory.accounts(town.store)[0].profiles == ("T2", "T10", "T16")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"partner_name": "UDAF"}, "There is no partner called 'UDAF'."),
        ({"number": ""}, "The number must be 1 to 200 printable characters, without blanks around them."),
        ({"number": "\ud800"}, "The number must be 1 to 200 printable characters, without blanks around them."),
        ({"caisse": "69"}, "The caisse must be three digits, such as 691."),
        ({"caisse": "٦٩١"}, "The caisse must be three digits, such as 691."),
        ({"starts_on": JUNE, "ends_on": JANUARY}, "The last day comes before the first."),
        ({"profiles": []}, "A convention opens at least one profile."),
    ],
)
def test_a_convention_is_refused_for_each_thing_wrong(town, change, said):
    entry = {**CONVENTION, "partner_name": town.partner, **change}
    assert problems(directory.add_convention, town.store, **entry) == {said}
    assert directory.conventions(town.store) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dossier": "999000"}, "The dossier must be seven digits, such as 9990001."),
        ({"dossier": "٩٩٩٠٠٠١"}, "The dossier must be seven digits, such as 9990001."),
        ({"kind": "Judgment"}, "The kind must be one of judgment, masp, direct_payment, instruction."),
        ({"partner_name": "UDAF"}, "There is no partner called 'UDAF'."),
        ({"identifier": "nobody"}, "There is no account called 'nobody'."),
        ({"identifier": "staff"}, "The account 'staff' is not of the partner 'CCAS de Lyon'."),
        ({"ends_on": date(2025, 12, 31)}, "The last day comes before the first."),
        ({"reference": " "}, "The reference must be 1 to 200 printable characters, without blanks around them."),
        ({"reference": "a\nb"}, "The reference must be 1 to 200 printable characters, without blanks around them."),
        ({"reference": "x" * 201}, "The reference must be 1 to 200 printable characters, without blanks around them."),
    ],
)
def test_a_mandate_is_refused_for_each_thing_wrong(town, change, said):
    directory.add_partner(town.store, name="Caf", kind="caf")
    directory.add_account(town.store, identifier="staff", password=town.password, partner_name="Caf")
    entry = {**MANDATE, "partner_name": town.partner, **change}
    assert problems(directory.add_mandate, town.store, **entry) == {said}
    assert directory.mandates(town.store) == []


def test_nothing_is_entered_twice(town):
    directory.add_convention(town.store, partner_name=town.partner, **CONVENTION)
    assert problems(directory.add_convention, town.store, partner_name=town.partner, **CONVENTION) == {
        "There is a convention '2026-014' already."
    }
    assert problems(directory.add_partner, town.store, name=town.partner, kind="external") == {
        "There is a partner called 'CCAS de Lyon' already."
    }
    assert problems(
        directory.add_account, town.store, **{**ACCOUNT, "identifier": town.agent, "partner_name": town.partner}
    ) == {"There is an account called 'm.martin' already."}


def test_a_partners_kind_is_known_and_its_name_is_plain(town):
    assert problems(directory.add_partner, town.store, name="\x1b[31mred", kind="internal") == {
        "The name must be 1 to 200 printable characters, without blanks around them.",
        "The kind must be one of caf, external.",
    }


def test_what_is_released_or_lifted_is_so_once(town):
    number = town.entrust()
    directory.release_mandate(town.store, mandate_id=number, now=town.noon)
    assert problems(directory.release_mandate, town.store, mandate_id=number, now=town.noon) == {
        f"Mandate {number} is released already."
    }
    assert problems(directory.release_mandate, town.store, mandate_id=99, now=town.noon) == {"There is no mandate 99."}
    directory.raise_objection(town.store, dossier=town.number, reference="letter", now=town.noon)
    assert problems(directory.raise_objection, town.store, dossier=town.number, reference="", now=town.noon) == {
        "The reference must be 1 to 200 printable characters, without blanks around them.",
        "An objection is raised on this dossier already.",
    }
    directory.lift_objection(town.store, dossier=town.number, now=town.noon)
    assert problems(directory.lift_objection, town.store, dossier=town.number, now=town.noon) == {
        "No objection is raised on this dossier."
    }
    assert problems(directory.lift_objection, town.store, dossier="12", now=town.noon) == {
        "The dossier must be seven digits, such as 9990001."
    }


@pytest.mark.parametrize("identifier", ["nobody", "", "\ud800", "M.MARTIN"])
def test_an_unknown_account_cannot_be_changed(town, identifier):
    said = {f"There is no account called {identifier!r}."}
    for change, more in (
        (directory.suspend_account, {}),
        (directory.resume_account, {}),
        (directory.end_sessions, {}),
        (directory.withdraw_engagement, {}),
        (directory.set_profiles, {"profiles": ["T1"]}),
        (directory.set_password, {"password": "Correct-horse-26"}),
        (directory.sign_engagement, {"version": "2012-07", "now": town.noon}),
        (directory.open_sessions, {"now": town.noon}),
    ):
        assert problems(change, town.store, identifier=identifier, **more) == said


@pytest.mark.parametrize("number", ["none", "\ud800"])
def test_an_unknown_convention_cannot_be_changed(town, number):
    for change in (directory.suspend_convention, directory.resume_convention):
        assert problems(change, town.store, number=number) == {f"There is no convention {number!r}."}


def test_lists_can_be_one_partners_and_an_unknown_partner_is_said(town):
    directory.add_partner(town.store, name="UDAF", kind="external")
    directory.add_account(town.store, **ACCOUNT, partner_name="UDAF")
    town.sign_convention()
    town.entrust()
    for listed, mine in ((directory.accounts, 1), (directory.conventions, 1), (directory.mandates, 1)):
        assert len(listed(town.store, partner_name=town.partner)) == mine
        assert problems(listed, town.store, partner_name="?") == {"There is no partner called '?'."}
    assert [entry.identifier for entry in directory.accounts(town.store, partner_name="UDAF")] == ["a.new"]
    assert directory.mandates(town.store, partner_name="UDAF") == directory.conventions(town.store, partner_name="UDAF")
    assert problems(directory.mandates, town.store, dossier="x") == problems(
        directory.objections, town.store, dossier="x"
    )
