"""`cafpro policy approve`, `rollback` and `key` as people type them, by one person and by two."""

import fcntl
import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import structs

from gateway.cli.policy import approve as approving
from gateway.cli.policy.proposal import Proposal
from gateway.errors import Misconfigured
from gateway.policy.loading import fingerprint
from gateway.policy_files import history
from gateway.policy_files.approval_text import understood, written
from gateway.policy_files.approved import APPROVED, ApprovalRules, unapproved
from gateway.policy_files.folder import load_folder, read
from gateway.policy_files.history import HISTORY, PENDING
from gateway.policy_files.signatures import private_key, signed
from tests.approval.conftest import close_enfants, edit, free_t9, open_enfants, show_iban

ANYBODY = ApprovalRules()
WHY = '--reason "T4 enfants=decision 2026-12"'


def approval(file: Path):
    return understood(file.read_bytes())


def in_order(folder: Path, rules: ApprovalRules = ANYBODY) -> list[str]:
    return unapproved(folder, load_folder(folder), rules)


def test_what_is_approved_already_is_said_and_nothing_is_written(cafpro, folder):
    before = sorted(folder.rglob("*"))
    said = cafpro("approve", folder)
    assert (said.exit_code, sorted(folder.rglob("*"))) == (0, before)
    assert "nothing to approve" in said.output


def test_an_opening_wants_a_name_and_a_reason_which_are_asked_for_with_the_very_options(cafpro, folder):
    open_enfants(folder)
    said = cafpro("approve", folder)
    assert said.exit_code == 2
    assert "+ T4 now sees enfants" in said.stdout
    assert "--by NAME" in said.stderr
    assert "--reason 'T4 enfants=WHY'" in said.stderr
    assert approval(folder / APPROVED).number == 1
    assert not (folder / HISTORY).exists()


def test_an_opening_is_approved_with_its_reason_and_both_approvals_are_kept(cafpro, folder):
    open_enfants(folder)
    said = cafpro(f"approve --by m.durand {WHY}", folder)
    assert said.exit_code == 0, said.output
    made = approval(folder / APPROVED)
    assert (made.number, made.replaces, made.by) == (2, 1, "m.durand")
    assert made.reasons == {"T4 enfants": "decision 2026-12"}
    assert "enfants" in made.matrix[0].cells["T4"]
    assert in_order(folder) == []
    first, second = sorted((folder / HISTORY).iterdir())
    assert (first.name, second.name) == ("0001-fe769fa3cb6c", f"0002-{made.fingerprint[:12]}")
    assert load_folder(first).fingerprint == approval(first / APPROVED).fingerprint
    assert load_folder(second).fingerprint == made.fingerprint
    assert not list(folder.rglob(".*")), "nothing half-made is left"


def test_closings_want_one_reason_for_all(cafpro, folder):
    close_enfants(folder)
    said = cafpro("approve --by m.durand", folder)
    assert said.exit_code == 2
    assert "--because WHY" in said.stderr
    said = cafpro('approve --by m.durand --because "T3 has no use for it"', folder)
    assert said.exit_code == 0, said.output
    made = approval(folder / APPROVED)
    assert (made.because, made.reasons) == ("T3 has no use for it", {})
    assert "enfants" not in made.matrix[0].cells["T3"]


def test_a_cell_that_was_closed_with_approval_is_an_opening_when_it_comes_back(cafpro, folder):
    before = read(folder)
    close_enfants(folder)
    assert cafpro("approve --by m.durand --because closed", folder).exit_code == 0
    for name, text in before.items():
        (folder / name).write_text(text)
    said = cafpro("approve --by m.durand --because again", folder)
    assert said.exit_code == 2
    assert "--reason 'T3 enfants=WHY'" in said.stderr


def test_each_opening_of_several_wants_its_reason_and_one_may_stand_for_some(cafpro, folder):
    open_enfants(folder)
    free_t9(folder)
    show_iban(folder)
    said = cafpro(f"approve --by m.durand {WHY}", folder)
    assert said.exit_code == 2
    asked = [line for line in said.stderr.splitlines() if "--reason" in line]
    assert len(asked) == 14, "13 cells of T9 and a part that two routes answer"
    cells = ", ".join(f"T9 {slug}" for slug in _slugs_of_t9(folder))
    said = cafpro(
        f'approve --by m.durand {WHY} --reason "{cells}=no judgment needed" '
        '--reason "/rubriques/paiement/versements/*/iban=asked for by the accountants"',
        folder,
    )
    assert said.exit_code == 0, said.output
    assert len(approval(folder / APPROVED).reasons) == 15
    assert in_order(folder) == []


def _slugs_of_t9(folder: Path) -> list[str]:
    return [slug for one in approval(folder / APPROVED).matrix for slug in one.cells.get("T9", ())]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--by m.durand --reason \"\u03a44 enfants=x\"", "is not newly opened. Did you mean `T4 enfants`?"),
        ("--by m.durand --reason \"T4 famille=x\"", "`T4 famille` is not newly opened"),
        ("--by m.durand --reason \"T4 enfants\"", "must be written NAME=WHY"),
        ("--by m.durand --reason \"T4 enfants=\"", "must be written NAME=WHY"),
        ("--by m.durand --reason \"T4 enfants=a\" --reason \"T4 enfants=b\"", "has two reasons"),
        ("--by m.durand --reason \"T4 enfants=a\u200bb\"", "one line of visible characters"),
        ("--by \"m.\u202edurand\" --reason \"T4 enfants=a\"", "one line of visible characters"),
        (f"--by m.durand --reason \"T4 enfants={'x' * 501}\"", "one line of visible characters"),
    ],
    ids=["a homoglyph", "another cell", "no reason", "an empty one", "two", "invisible", "a turned name", "a novel"],
)  # fmt: skip
def test_a_reason_is_about_an_opening_and_says_something(cafpro, folder, words, expected):
    open_enfants(folder)
    said = cafpro(f"approve {words}", folder)
    assert said.exit_code == 2
    assert expected in said.stderr
    assert approval(folder / APPROVED).number == 1


def test_policies_that_are_refused_are_not_approved(cafpro, folder):
    edit(folder / "matrix.polar", '"Enfants",     ["T2", "T3"]', '"Enfants",     ["T2", T3]')
    said = cafpro("approve --by m.durand --because x", folder)
    assert said.exit_code == 1
    assert "matrix.polar:8" in said.stderr
    assert approval(folder / APPROVED).number == 1


def test_the_first_approval_of_a_folder_wants_one_reason(cafpro, folder):
    (folder / APPROVED).unlink()
    said = cafpro('approve --by m.durand --because "as the brochure says"', folder)
    assert said.exit_code == 0, said.output
    assert "T1 now sees" in said.stdout
    assert approval(folder / APPROVED).replaces == 0
    assert in_order(folder) == []


def test_an_approval_that_was_spoilt_is_told_and_compared_with_the_last_one_of_the_history(cafpro, folder):
    open_enfants(folder)
    assert cafpro(f"approve --by m.durand {WHY}", folder).exit_code == 0
    show_iban(folder)
    (folder / APPROVED).write_bytes((folder / APPROVED).read_bytes().replace(b"m.durand", b"m.dupond"))
    said = cafpro("approve --by m.durand --because x", folder)
    assert said.exit_code == 2
    assert "was changed by hand" in said.stderr
    assert "--reason '/rubriques/paiement/versements/*/iban=WHY'" in said.stderr
    assert "T4 enfants" not in said.stderr


# Back.


def test_rollback_puts_back_what_was_before_and_forth_again(cafpro, folder):
    original = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    open_enfants(folder)
    assert cafpro(f"approve --by m.durand {WHY}", folder).exit_code == 0
    changed = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    said = cafpro("rollback", folder)
    assert said.exit_code == 0, said.output
    assert "put back as approval 1 (fe769fa3cb6c, by brochure 2012" in said.stdout
    assert f"cafpro policy rollback {folder} --to 2" in said.stdout
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == original
    assert in_order(folder) == []
    said = cafpro("rollback", folder)
    assert (said.exit_code, "is the first" in said.stderr) == (1, True)
    assert cafpro("rollback --to 2", folder).exit_code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == changed


def test_after_a_rollback_the_next_approval_follows_what_was_put_back_and_has_a_number_of_its_own(cafpro, folder):
    open_enfants(folder)
    assert cafpro(f"approve --by m.durand {WHY}", folder).exit_code == 0
    assert cafpro("rollback", folder).exit_code == 0
    close_enfants(folder)
    assert cafpro("approve --by m.durand --because closed", folder).exit_code == 0
    made = approval(folder / APPROVED)
    assert (made.number, made.replaces) == (3, 1)


def test_rollback_keeps_what_nobody_has_approved(cafpro, folder):
    open_enfants(folder)
    assert cafpro(f"approve --by m.durand {WHY}", folder).exit_code == 0
    (folder / "matrix.polar").write_bytes(b"half \xff written")
    (folder / "stray.polar").write_text("allow(_, _, _);\n")
    said = cafpro("rollback", folder)
    assert said.exit_code == 0, said.output
    [kept] = (folder / HISTORY).glob("replaced-*")
    assert (kept / "matrix.polar").read_bytes() == b"half \xff written"
    assert (kept / "stray.polar").read_text() == "allow(_, _, _);\n"
    assert str(kept) in said.stdout
    assert in_order(folder) == []


def test_what_nobody_has_approved_is_taken_back_also_before_there_is_a_history(cafpro, folder):
    original = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    open_enfants(folder)
    assert f"cafpro policy rollback {folder} --to 1" in cafpro("rollback", folder).stderr
    assert cafpro("rollback --to 1", folder).exit_code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == original


@pytest.mark.parametrize("writes", range(8))
def test_a_rollback_that_ends_early_opens_nothing_and_can_be_begun_again(cafpro, folder, monkeypatch, writes):
    """Whatever stands there in between is held to what is approved; the last file written is the approval."""
    close_enfants(folder)
    assert cafpro("approve --by m.durand --because closed", folder).exit_code == 0
    done = []
    really = history.write

    def until_then(file, content):
        if file.parent == folder:
            if len(done) == writes:
                raise KeyboardInterrupt
            done.append(file.name)
        really(file, content)

    monkeypatch.setattr(history, "write", until_then)
    assert cafpro("rollback", folder).exit_code == 1
    monkeypatch.setattr(history, "write", really)
    assert len(done) == writes
    assert approval(folder / APPROVED).number == 2
    opens = "matrix.polar" in done
    assert bool(in_order(folder)) == opens, "T3 sees the children where the approval says that it does not"
    assert cafpro("rollback", folder).exit_code == 0
    assert approval(folder / APPROVED).number == 1
    assert in_order(folder) == []


def test_what_is_put_back_is_what_was_approved_and_not_what_the_history_was_made_to_say(cafpro, folder):
    close_enfants(folder)
    assert cafpro("approve --by m.durand --because closed", folder).exit_code == 0
    first = folder / HISTORY / "0001-fe769fa3cb6c"
    open_enfants_in_history = (first / "matrix.polar").read_text().replace('["T2", "T3"]', '["T2", "T3", "T4"]')
    (first / "matrix.polar").write_text(open_enfants_in_history)
    assert cafpro("rollback", folder).exit_code == 0
    assert load_folder(folder).fingerprint.startswith("fe769fa3cb6c")


@pytest.mark.parametrize("how", ["a link", "two of one number", "another's name", "a spoilt approval"])
def test_a_history_that_was_meddled_with_is_refused(cafpro, folder, tmp_path, how):
    open_enfants(folder)
    assert cafpro(f"approve --by m.durand {WHY}", folder).exit_code == 0
    place = folder / HISTORY
    first = place / "0001-fe769fa3cb6c"
    if how == "a link":
        place.rename(tmp_path / "elsewhere")
        place.symlink_to(tmp_path / "elsewhere")
    elif how == "two of one number":
        shutil.copytree(first, place / "0001-000000000000")
    elif how == "another's name":
        first.rename(place / "0001-000000000000")
    else:
        (first / APPROVED).write_text("{}")
    before = (folder / "matrix.polar").read_bytes()
    said = cafpro("rollback", folder)
    assert said.exit_code == 1
    assert str(place) in said.stderr
    assert (folder / "matrix.polar").read_bytes() == before


def test_a_link_in_the_place_of_the_approval_is_replaced_and_not_followed(cafpro, folder, tmp_path):
    (folder / APPROVED).rename(tmp_path / "elsewhere.json")
    (folder / APPROVED).symlink_to(tmp_path / "elsewhere.json")
    before = (tmp_path / "elsewhere.json").read_bytes()
    open_enfants(folder)
    assert cafpro(f"approve --by m.durand {WHY}", folder).exit_code == 0
    assert (tmp_path / "elsewhere.json").read_bytes() == before
    assert not (folder / APPROVED).is_symlink()


# By which rules.


def test_the_rules_are_those_of_the_configuration_above_the_folder(cafpro, folder, signed_here, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    said = cafpro("approve --key", tmp_path / "s.petit.key", folder)
    assert said.exit_code == 0, said.output
    assert "signed by s.petit of those who may approve; 2 must" in said.stdout
    assert "No configuration" not in said.stderr
    monkeypatch.chdir(folder)
    said = cafpro("approve . --key", tmp_path / "p.martin.key")
    assert said.exit_code == 0, said.output
    assert in_order(folder, signed_here) == []
    open_enfants(folder)
    assert "Approvals are signed here" in cafpro(f"approve . --by m.durand {WHY}").stderr
    (folder / APPROVED).write_bytes(written(structs.replace(approval(folder / APPROVED), signatures=())))
    said = cafpro("rollback . --to 1")
    assert (said.exit_code, "it cannot be put back as it is" in said.stderr) == (1, True)


@pytest.mark.parametrize("where", ["proposed", "policies/drafts/next"])
def test_a_copy_and_a_draft_go_by_the_rules_above_them(cafpro, folder, signed_here, tmp_path, monkeypatch, where):
    copy = tmp_path / where
    shutil.copytree(folder, copy)
    monkeypatch.chdir(copy)
    open_enfants(copy)
    assert "Approvals are signed here" in cafpro(f"approve . --by m.durand {WHY}").stderr
    said = cafpro("approve . --because first --key", tmp_path / "m.durand.key")
    assert said.exit_code == 0, said.output
    assert (copy / PENDING).exists()
    assert approval(copy / APPROVED).number == 1


def test_where_no_configuration_is_found_that_is_said(cafpro, folder):
    open_enfants(folder)
    said = cafpro(f"approve --by m.durand {WHY}", folder)
    assert (said.exit_code, "No configuration says who must sign" in said.stderr) == (0, True), said.output
    said = cafpro("rollback", folder)
    assert (said.exit_code, "No configuration says who must sign" in said.stderr) == (0, True), said.output


@pytest.mark.usefixtures("signed_here")
def test_the_command_that_is_printed_names_the_configuration_that_was_named(cafpro, folder, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "gateway.toml").rename(tmp_path / "other.toml")
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = tmp_path / "other.toml"
    said = cafpro("approve --key", tmp_path / "s.petit.key", "--config", config)
    assert f"cafpro policy approve {folder} --config {config} --key FILE" in said.stdout


# Ended early, and at once.


@pytest.mark.parametrize("writes", range(13))
def test_an_approval_that_ends_early_opens_nothing_and_can_be_begun_again(cafpro, folder, monkeypatch, writes):
    open_enfants(folder)
    done = []
    really = history.write

    def until_then(file, content):
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(file)
        really(file, content)

    monkeypatch.setattr(history, "write", until_then)
    assert cafpro(f"approve --by m.durand {WHY}", folder).exit_code == 1
    monkeypatch.setattr(history, "write", really)
    assert len(done) == writes
    assert approval(folder / APPROVED).number == 1
    assert in_order(folder), "T4 sees the children, which nobody has approved"
    assert not list(folder.rglob(".*")), "nothing half-made is left"
    assert cafpro(f"approve --by m.durand {WHY}", folder).exit_code == 0
    assert in_order(folder) == []


def meanwhile(monkeypatch, act):
    """While the first command asks the policies what they open, `act` is done, once."""
    really, begun = Proposal.enumerated, []

    def slowly(self):
        if not begun:
            begun.append(self)
            act()
        return really(self)

    monkeypatch.setattr(Proposal, "enumerated", slowly)
    return begun


def held(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_of_two_who_approve_at_once_the_second_is_told_and_writes_nothing(cafpro, folder, monkeypatch):
    open_enfants(folder)
    stood = {}

    def another():
        edit(folder / "matrix.polar", '["T2", "T3", "T4"]', '["T2"]')
        assert cafpro("approve --by p.martin --because closed", folder).exit_code == 0
        stood.update(held(folder))

    begun = meanwhile(monkeypatch, another)
    said = cafpro(f"approve --by m.durand {WHY}", folder)
    assert begun
    assert said.exit_code == 1
    assert "somebody else has approved, signed or put back something here meanwhile" in said.stderr
    assert held(folder) == stood
    assert approval(folder / APPROVED).by == "p.martin"


def test_what_is_put_back_while_somebody_approves_stays_so(cafpro, folder, monkeypatch):
    open_enfants(folder)
    assert cafpro(f"approve --by m.durand {WHY}", folder).exit_code == 0
    edit(folder / "matrix.polar", '["T2", "T3", "T4"]', '["T2", "T4"]')
    stood = {}

    def back():
        assert cafpro("rollback", folder).exit_code == 0
        stood.update(held(folder))

    begun = meanwhile(monkeypatch, back)
    said = cafpro("approve --by p.martin --because closed", folder)
    assert begun
    assert said.exit_code == 1, said.output
    assert "run it again" in said.stderr
    assert held(folder) == stood
    assert approval(folder / APPROVED).number == 1


def test_of_two_who_sign_at_once_no_signature_is_lost_without_a_word(cafpro, folder, signed_here, monkeypatch):
    assert cafpro("approve --key s.petit.key").exit_code == 0
    assert cafpro("approve --key p.martin.key").exit_code == 0
    open_enfants(folder)

    def another():
        assert cafpro(f"approve --key p.martin.key {WHY}").exit_code == 0

    begun = meanwhile(monkeypatch, another)
    said = cafpro(f"approve --key m.durand.key {WHY}")
    assert begun
    assert said.exit_code == 1
    assert [one.by for one in approval(folder / PENDING).signatures] == ["p.martin"]
    assert cafpro("approve --key m.durand.key").exit_code == 0
    assert in_order(folder, signed_here) == []


def test_whatever_is_written_is_written_alone(cafpro, folder, signed_here, monkeypatch):
    """Nobody else can have the folder's lock while a file is put in its place."""
    really, places = history.write, []

    def alone(file, content):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
        places.append(file.name)
        really(file, content)

    monkeypatch.setattr(history, "write", alone)
    monkeypatch.setattr(approving, "write", alone)
    assert cafpro("approve --key s.petit.key").exit_code == 0
    assert cafpro("approve --key p.martin.key").exit_code == 0
    open_enfants(folder)
    assert cafpro(f"approve --key m.durand.key {WHY}").exit_code == 0
    assert cafpro("approve --key p.martin.key").exit_code == 0
    assert cafpro("rollback", folder).exit_code == 0
    assert {APPROVED, PENDING, "matrix.polar"} <= set(places)
    with history.alone_in(folder):
        pass


def test_a_folder_that_is_none_cannot_be_locked(tmp_path):
    with pytest.raises(Misconfigured, match="nowhere"), history.alone_in(tmp_path / "nowhere"):
        pass


# Signed.


@pytest.fixture
def signed_here(cafpro, tmp_path):
    """A configuration that asks for signatures: two of three people's."""
    (tmp_path / "approvers").mkdir()
    for name in ("m.durand", "p.martin", "s.petit"):
        assert cafpro(f"key {name} --out", tmp_path / f"{name}.key").exit_code == 0
        (tmp_path / f"{name}.pem").rename(tmp_path / "approvers" / f"{name}.pem")
    (tmp_path / "record.key").write_text("00" * 32)
    (tmp_path / "gateway.toml").write_text(
        '[upstream]\nurl = "http://127.0.0.1:9"\n[record]\nkey_file = "record.key"\n[identity]\ncaisse = "851"\n'
        '[policies]\npath = "policies"\napprovers = 2\napprover_keys = "approvers"\n'
    )
    return ApprovalRules(2, tmp_path / "approvers")


def test_a_key_is_its_owners_alone_and_never_written_over(cafpro, tmp_path):
    said = cafpro("key m.durand --out", tmp_path / "m.durand.key")
    assert said.exit_code == 0
    assert stat.S_IMODE((tmp_path / "m.durand.key").stat().st_mode) == 0o600
    before = (tmp_path / "m.durand.key").read_bytes()
    assert b"PRIVATE" in before
    assert b"PUBLIC" in (tmp_path / "m.durand.pem").read_bytes()
    assert cafpro("key m.durand --out", tmp_path / "m.durand.key").exit_code == 2
    assert cafpro("key m.durand --out", tmp_path / "other.key").exit_code == 2, "the public one is there"
    assert not (tmp_path / "other.key").exists()
    assert (tmp_path / "m.durand.key").read_bytes() == before
    for name in ("M.Durand", "\u043c.durand", "../x", "", "-x"):
        assert cafpro("key --out x.key --", name).exit_code == 2


def test_two_people_sign_and_the_first_alone_puts_nothing_in_force(cafpro, folder, signed_here):
    assert "signed by nobody" in in_order(folder, signed_here)[0], "what travels with the package is not signed"
    assert cafpro("approve --key s.petit.key").exit_code == 0
    assert cafpro("approve --key p.martin.key").exit_code == 0
    open_enfants(folder)
    said = cafpro("approve --key m.durand.key")
    assert (said.exit_code, "--reason 'T4 enfants=WHY'" in said.stderr) == (2, True)
    said = cafpro(f"approve --key m.durand.key {WHY}")
    assert said.exit_code == 0, said.output
    assert "signed by m.durand of those who may approve; 2 must" in said.stdout
    assert approval(folder / APPROVED).number == 1
    assert approval(folder / PENDING).signatures[0].by == "m.durand"
    assert in_order(folder, signed_here)
    said = cafpro("approve --key p.martin.key")
    assert said.exit_code == 0, said.output
    assert "Proposed by m.durand" in said.stdout
    assert [one.by for one in approval(folder / APPROVED).signatures] == ["m.durand", "p.martin"]
    assert not (folder / PENDING).exists()
    assert in_order(folder, signed_here) == []


def test_one_person_does_not_sign_twice(cafpro, folder, signed_here, tmp_path):
    open_enfants(folder)
    assert cafpro("approve --key m.durand.key --because first").exit_code == 0
    said = cafpro("approve --key m.durand.key")
    assert said.exit_code == 1
    assert "is signed by m.durand already; somebody else must sign it too" in said.stderr
    shutil.copy(tmp_path / "approvers" / "m.durand.pem", tmp_path / "approvers" / "m.durand2.pem")
    said = cafpro("approve --key m.durand.key")
    assert said.exit_code == 1
    assert "is the key of m.durand too" in said.stderr
    (tmp_path / "approvers" / "m.durand2.pem").unlink()
    pending = approval(folder / PENDING)
    [one] = pending.signatures
    for name in ("m.durand2", "p.martin"):
        forged = structs.replace(pending, signatures=(one, structs.replace(one, by=name)))
        (folder / APPROVED).write_bytes(written(forged))
        assert in_order(folder, signed_here), "the same signature under another name"


def test_what_waits_for_a_signature_must_say_what_the_policies_open(cafpro, folder, signed_here, tmp_path):
    """The first of two writes into the matrix more than the policies open, and signs it: the second does not sign."""
    open_enfants(folder)
    assert cafpro("approve --key m.durand.key --because first").exit_code == 0
    pending = approval(folder / PENDING)
    more = {**pending.matrix[0].cells, "T2": ("enfants", "famille", "adresse")}
    wider = structs.replace(pending.matrix[0], cells=more)
    forged = structs.replace(pending, matrix=(wider, *pending.matrix[1:])).sealed()
    (folder / PENDING).write_bytes(written(signed(forged, "m.durand", private_key(tmp_path / "m.durand.key"))))
    said = cafpro("approve --key p.martin.key")
    assert said.exit_code == 1
    assert "does not say what these policies open" in said.stderr
    assert approval(folder / APPROVED).number == 1


def test_what_waits_for_a_signature_is_dropped_when_the_policies_change(cafpro, folder, signed_here):
    open_enfants(folder)
    assert cafpro("approve --key m.durand.key --because first").exit_code == 0
    free_t9(folder)
    said = cafpro("approve --key p.martin.key --because second")
    assert said.exit_code == 0
    assert "is about something else than is here now" in said.stderr
    assert [one.by for one in approval(folder / PENDING).signatures] == ["p.martin"]
    assert approval(folder / APPROVED).number == 1


def test_what_waited_is_not_signed_once_another_approval_has_come(cafpro, folder, signed_here):
    """An old pending approval, kept aside and put back: it was about another difference."""
    open_enfants(folder)
    assert cafpro("approve --key m.durand.key --because first").exit_code == 0
    old = (folder / PENDING).read_bytes()
    assert cafpro("approve --key p.martin.key").exit_code == 0
    edit(folder / "matrix.polar", '"Enfants",     ["T2", "T3", "T4"]', '"Enfants",     ["T2", "T3"]')
    assert cafpro("approve --key m.durand.key --because closed").exit_code == 0
    assert cafpro("approve --key p.martin.key").exit_code == 0
    open_enfants_again = folder / "matrix.polar"
    edit(open_enfants_again, '"Enfants",     ["T2", "T3"]', '"Enfants",     ["T2", "T3", "T4"]')
    (folder / PENDING).write_bytes(old)
    said = cafpro("approve --key p.martin.key")
    assert said.exit_code == 2
    assert "is about something else than is here now" in said.stderr
    assert "--reason 'T4 enfants=WHY'" in said.stderr


def test_an_old_approval_counts_as_long_as_the_keys_that_signed_it(cafpro, folder, signed_here, tmp_path):
    """Replayed: whoever may write the folder can put back what was once approved, as rollback does. What was signed
    by somebody who has left no longer counts."""
    open_enfants(folder)
    assert cafpro("approve --key m.durand.key --because first").exit_code == 0
    assert cafpro("approve --key p.martin.key").exit_code == 0
    opening = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    edit(folder / "matrix.polar", '"Enfants",     ["T2", "T3", "T4"]', '"Enfants",     ["T2", "T3"]')
    assert cafpro("approve --key m.durand.key --because closed").exit_code == 0
    assert cafpro("approve --key s.petit.key").exit_code == 0
    (tmp_path / "approvers" / "p.martin.pem").unlink()
    assert in_order(folder, signed_here) == []
    for name, content in opening.items():
        (folder / name).write_bytes(content)
    assert "signed by m.durand of those who may approve; 2 must" in in_order(folder, signed_here)[0]
    assert cafpro("rollback --to 2").exit_code == 1


def test_a_signed_approval_that_is_changed_in_anything_no_longer_counts(cafpro, folder, signed_here):
    open_enfants(folder)
    assert cafpro("approve --key m.durand.key --because first").exit_code == 0
    assert cafpro("approve --key p.martin.key").exit_code == 0
    made = approval(folder / APPROVED)
    for changes in (
        {"number": 3},
        {"replaces": 0},
        {"by": "s.petit"},
        {"at": "2027-01-01T00:00:00Z"},
        {"because": "x"},
        {"reasons": {}},
        {"matrix": made.matrix[1:]},
        {"texts": {**made.texts, "matrix.polar": (*made.texts["matrix.polar"], "# x")}},
    ):
        forged = structs.replace(made, **changes)
        if "texts" in changes:
            forged = structs.replace(forged, fingerprint=fingerprint(forged.files()))
        if forged.content() == made.content():
            continue
        forged = structs.replace(forged.sealed(), signatures=made.signatures)
        (folder / APPROVED).write_bytes(written(forged))
        [said, *_] = in_order(folder, signed_here)
        assert "is not what m.durand signed" in said, changes


def test_a_key_that_others_may_read_or_that_may_not_approve_is_refused(cafpro, folder, signed_here, tmp_path):
    open_enfants(folder)
    (tmp_path / "m.durand.key").chmod(0o640)
    said = cafpro("approve --key m.durand.key --because x")
    assert (said.exit_code, "chmod 600" in said.stderr) == (1, True)
    (tmp_path / "m.durand.key").chmod(0o600)
    assert cafpro("key stranger --out", tmp_path / "stranger.key").exit_code == 0
    said = cafpro("approve --key stranger.key --because x")
    assert (said.exit_code, "is not the key of anybody who may approve" in said.stderr) == (1, True)
    assert cafpro("approve --by m.durand --because x").exit_code == 2, "without a key"
    assert cafpro("approve --key m.durand.key --by p.martin --because x").exit_code == 2, "in another's name"
    (tmp_path / "stranger.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert cafpro("approve --key stranger.key --because x").exit_code == 1
    os.mkfifo(tmp_path / "pipe.key", 0o600)
    assert cafpro("approve --key pipe.key --because x").exit_code == 1
    assert approval(folder / APPROVED).number == 1
    assert not (folder / PENDING).exists()


@pytest.mark.parametrize("what", ["no key", "a name with a capital", "a private key", "another kind of key", "a pipe"])
def test_a_folder_of_keys_that_is_not_in_order_approves_nothing(folder, signed_here, tmp_path, what):
    keys = tmp_path / "approvers"
    if what == "no key":
        (keys / "x.pem").write_text("hello")
    elif what == "a name with a capital":
        shutil.copy(keys / "m.durand.pem", keys / "M.Durand.pem")
    elif what == "a private key":
        shutil.copy(tmp_path / "m.durand.key", keys / "x.pem")
    elif what == "another kind of key":
        key = generate_private_key(SECP256R1()).public_key()
        (keys / "x.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    else:
        os.mkfifo(keys / "x.pem")
    [said] = in_order(folder, signed_here)
    assert said.startswith(str(keys))


def test_without_a_configuration_two_signatures_can_be_gathered_all_the_same(cafpro, folder, signed_here, tmp_path):
    """The policies in a repository of their own, far from any gateway: whoever signs second adds to the first's."""
    (tmp_path / "gateway.toml").unlink()
    open_enfants(folder)
    assert cafpro(f"approve --by m.durand --key m.durand.key {WHY}", folder).exit_code == 0
    assert "signed by m.durand of those" in in_order(folder, signed_here)[0]
    said = cafpro("approve --by p.martin --key p.martin.key", folder)
    assert said.exit_code == 0, said.output
    assert in_order(folder, signed_here) == []
    kept = folder / HISTORY / f"0002-{approval(folder / APPROVED).fingerprint[:12]}"
    assert len(approval(kept / APPROVED).signatures) == 2


def test_the_policies_of_the_package_are_signed_by_two_without_a_change(cafpro, folder, signed_here):
    assert cafpro("approve --key m.durand.key").exit_code == 0
    assert in_order(folder, signed_here)
    assert cafpro("approve --key p.martin.key").exit_code == 0
    assert in_order(folder, signed_here) == []
    assert approval(folder / APPROVED).by == "brochure 2012"


def test_the_file_is_laid_out_for_people(folder):
    text = (folder / APPROVED).read_text()
    assert max(map(len, text.splitlines())) <= 200
    assert '        "T2": ["enfants", "qf_cnaf", "adresse"],' in text
    assert json.loads(text)["by"] == "brochure 2012"
