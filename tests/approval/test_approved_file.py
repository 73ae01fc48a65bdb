# ruff: noqa: E501 -- one case, one line: tables are read across
"""`approved.json` as anyone may have written it: refused in a sentence unless it is what the command wrote."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.errors import Misconfigured
from gateway.policy.approval import Condition
from gateway.policy.loading import fingerprint
from gateway.policy_files.approval_text import LARGEST, Approval, Signature, understood, written
from gateway.policy_files.approved import APPROVED, ApprovalRules, approval_in, as_given, read_approval, unapproved
from gateway.policy_files.folder import load_folder, read, shipped
from tests.approval.conftest import close_enfants, free_t9, open_enfants, show_iban

RULES = ApprovalRules()
SHIPPED = (shipped() / APPROVED).read_bytes()
APPROVAL = understood(SHIPPED)
IN_FORCE = load_folder(shipped())


def problem(folder: Path, content: bytes | None = None) -> str:
    if content is not None:
        (folder / APPROVED).write_bytes(content)
    with pytest.raises(Misconfigured) as caught:
        approval_in(folder, RULES)
    [sentence] = caught.value.problems
    return sentence


def resealed(**changes) -> bytes:
    """What somebody writes who knows how the digest is made."""
    return written(structs.replace(APPROVAL, **changes).sealed())


def spoilt(change) -> bytes:
    """The file with something changed by hand, laid out as before."""
    known = json.loads(SHIPPED)
    change(known)
    return json.dumps(known, ensure_ascii=False, indent=2).encode()


OPEN = Condition((), {"T4": ("enfants",)})
SPOILT = {
    "empty": (b"", "is not JSON"),
    "no JSON": (b"{", "is not JSON"),
    "not UTF-8": (SHIPPED.replace(b"brochure 2012", b"brochure \xff"), "is not JSON"),
    "a byte-order mark": (b"\xef\xbb\xbf" + SHIPPED, "is not JSON"),
    "a list": (b"[]", "is not an approval"),
    "nested": (b"[" * 100_000, "is not an approval"),
    "nested where a text belongs": (b'{"by":' + b"[" * 100_000, "is not an approval"),
    "too large": (b" " * LARGEST + SHIPPED, "is larger than"),
    "an unknown key": (spoilt(lambda known: known.update(extra=1)), "unknown field `extra`"),
    "an unknown key inside": (spoilt(lambda known: known["matrix"][0].update(always=True)), "unknown field `always`"),
    "a missing key": (spoilt(lambda known: known.pop("reasons")), "missing required field `reasons`"),
    "another type": (spoilt(lambda known: known.update(number="1")), "Expected `int`"),
    "a number that is one to Python": (spoilt(lambda known: known.update(number=True)), "Expected `int`"),
    "a repeated key": (SHIPPED.replace(b'"number": 1,', b'"number": 1,\n  "number": 1,'), "was changed by hand"),
    "white space": (SHIPPED + b"\n", "was changed by hand"),
    "an escape": (SHIPPED.replace(b"brochure 2012", b"brochure\\u00202012", 1), "was changed by hand"),
    "another layout": (spoilt(lambda known: None), "was changed by hand"),
    "a cell more": (SHIPPED.replace(b'"T2": ["enfants",', b'"T2": ["famille", "enfants",'), "was changed by hand"),
    "another fingerprint": (spoilt(lambda known: known.update(fingerprint="0" * 64)), "names other texts than it holds"),
    "another text": (SHIPPED.replace(b'"brochure 2012, row 4', b'"brochure 2012, row 5'), "names other texts"),
    "another name": (SHIPPED.replace(b'"by": "brochure 2012"', b'"by": "m.durand"'), "was changed by hand"),
    "another version": (resealed(version=2), "has the version 2"),
    "no number": (resealed(number=0), "numbers that no approval has"),
    "a number beyond all": (resealed(number=10**30), "numbers that no approval has"),
    "its own successor": (resealed(replaces=1), "numbers that no approval has"),
    "no instant": (resealed(at="yesterday"), "an instant that is none"),
    "nobody": (resealed(by=""), "a name or a reason that is empty"),
    "an invisible name": (resealed(by="m.durand\u200b"), "a name or a reason that is empty, invisible"),
    "a name that is reordered": (resealed(by="\u202em.durand"), "a name or a reason that is empty, invisible"),
    "an endless reason": (resealed(because="x" * 501), "a name or a reason that is empty, invisible or longer"),
    "a reason on two lines": (resealed(reasons={"T4 enfants": "a\nb"}), "a name or a reason"),
    "a text too few": (resealed(texts={name: APPROVAL.texts[name] for name in list(APPROVAL.texts)[1:]}), "must hold the texts"),
    "a text too many": (resealed(texts={**APPROVAL.texts, "more.polar": ("",)}), "must hold the texts"),
    "a condition that is none": (resealed(matrix=(Condition((({"age": ("18",)},),), {}),)), "a condition that says nothing"),
    "two conditions for a cell": (resealed(matrix=(*APPROVAL.matrix, Condition((), {"T2": ("enfants",)}))), "the cell T2 enfants twice"),
    "endless conditions": (resealed(matrix=(OPEN,) * 20_000), "conditions"),
    "a signature that is none": (written(structs.replace(APPROVAL, signatures=(Signature("a", "0"),))), "a signature that is none"),
    "two of one name": (written(structs.replace(APPROVAL, signatures=(Signature("a", "0" * 128),) * 2)), "two of one name"),
    "a homoglyph who signs": (written(structs.replace(APPROVAL, signatures=(Signature("\u0430", "0" * 128),))), "a signature that is none"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), SPOILT.values(), ids=SPOILT)
def test_what_the_command_did_not_write_is_refused_with_what_to_do(folder, content, expected):
    said = problem(folder, content)
    assert said.startswith(f"{folder / APPROVED}: ")
    assert expected in said
    assert f"cafpro policy approve {folder}" in said
    assert len(said) < 800
    assert unapproved(folder, IN_FORCE, RULES) == [said], "even where the files are those that were approved"


def test_without_an_approval_nothing_may_be_in_force(folder):
    (folder / APPROVED).unlink()
    assert problem(folder) == (
        f"{folder / APPROVED}: there is none, so nothing is approved. Write: cafpro policy approve {folder}"
    )


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a link to nothing", "a link to a device", "unreadable"])
def test_what_is_no_file_is_refused_and_not_waited_for(folder, kind):
    file = folder / APPROVED
    file.unlink()
    if kind == "a folder":
        file.mkdir()
    elif kind == "a pipe":
        os.mkfifo(file)
    elif kind == "a link to nothing":
        file.symlink_to("nowhere")
    elif kind == "a link to a device":
        file.symlink_to("/dev/zero")
    else:
        file.symlink_to(file.name)  # to itself
    assert str(file) in problem(folder)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_file_with_any_byte_changed_is_refused_or_is_the_same_approval(data):
    at = data.draw(st.integers(0, len(SHIPPED) - 1))
    length = data.draw(st.integers(0, 12))
    content = SHIPPED[:at] + data.draw(st.binary(max_size=12)) + SHIPPED[at + length :]
    try:
        approval = understood(content)
    except ValueError:
        return
    assert content == SHIPPED
    assert approval == APPROVAL


def test_the_shipped_policies_are_approved_as_they_are_and_in_every_cell():
    assert read_approval(shipped() / APPROVED).fingerprint == load_folder(shipped()).fingerprint
    assert APPROVAL.by == "brochure 2012"
    assert sum(len(slugs) for condition in APPROVAL.matrix for slugs in condition.cells.values()) == 89
    assert APPROVAL.files() == read(shipped())


# What may be in force.


def test_what_is_exactly_approved_costs_no_enumeration(folder, monkeypatch):
    monkeypatch.setattr("gateway.policy_files.approved.openings", None)
    assert unapproved(folder, load_folder(folder), RULES) == []


def test_the_approved_matrix_is_what_the_approved_policies_open(folder):
    """Asked all the same: as if the texts were others."""
    (folder / "matrix.polar").write_text((folder / "matrix.polar").read_text() + "# one more comment\n")
    in_force = load_folder(folder)
    assert in_force.fingerprint != APPROVAL.fingerprint
    assert unapproved(folder, in_force, RULES) == []


def test_what_closes_needs_no_approval(folder):
    close_enfants(folder)
    assert unapproved(folder, load_folder(folder), RULES) == []


OPENED = {
    "a cell": (
        open_enfants,
        ["not approved: T4 sees enfants: convention in force; engagement signed; no objection, or a partner of kind caf;"],
    ),
    "a condition that falls away": (free_t9, ["not approved: T9 sees courrier:", "no mandate: judgment"]),
    "a part": (
        show_iban,
        ["not approved: dossier: /rubriques/paiement/versements/*/iban belonged to never, and belongs to paiement."],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), OPENED.values(), ids=OPENED)
def test_what_opens_more_is_named_with_its_condition_and_the_command(folder, change, expected):
    change(folder)
    first, *said, last = unapproved(folder, load_folder(folder), RULES)
    assert first == f"{folder}: opens what {APPROVAL} does not."
    assert last == f"Look at it and approve it: cafpro policy approve {folder}"
    for text in expected:
        assert text in "\n".join(said)


def test_what_closes_one_cell_and_opens_another_is_refused_for_the_other_alone(folder):
    close_enfants(folder)
    show_iban(folder)
    said = unapproved(folder, load_folder(folder), RULES)
    assert "enfants" not in "\n".join(said)
    assert "/iban" in "\n".join(said)


def test_an_approval_of_other_policies_does_not_become_one_by_its_fingerprint(folder, tmp_path):
    """Somebody writes the new fingerprint, and the new texts with it, into an approval that opens less: it is resealed
    and counts where nobody signs, but says so by being another approval; where keys are asked for it does not."""
    open_enfants(folder)
    in_force = load_folder(folder)
    forged = as_given(read(folder), by="brochure 2012", because="-")
    (folder / APPROVED).write_bytes(written(forged))
    assert unapproved(folder, in_force, RULES) == []
    (tmp_path / "keys").mkdir()
    [said] = unapproved(folder, in_force, ApprovalRules(1, tmp_path / "keys"))
    assert "signed by nobody of those who may approve; 1 must" in said


def test_an_old_approval_put_back_beside_new_policies_approves_no_more_than_it_did(folder):
    old = (folder / APPROVED).read_bytes()
    open_enfants(folder)
    (folder / APPROVED).write_bytes(written(as_given(read(folder), by="m.durand", because="new")))
    assert unapproved(folder, load_folder(folder), RULES) == []
    (folder / APPROVED).write_bytes(old)
    assert "T4 sees enfants" in "\n".join(unapproved(folder, load_folder(folder), RULES))


def test_what_is_checked_is_what_was_loaded_and_not_what_stands_there_now(folder):
    """The files are swapped for harmless ones between the reading and the check: what was read is what is judged."""
    harmless = read(folder)
    open_enfants(folder)
    in_force = load_folder(folder)
    for name, text in harmless.items():
        (folder / name).write_text(text)
    assert "T4 sees enfants" in "\n".join(unapproved(folder, in_force, RULES))


def test_an_approval_whose_own_routes_are_no_longer_understood_is_told(folder):
    broken = structs.replace(APPROVAL, texts={**APPROVAL.texts, "routes.toml": ("[[rout]]",)})
    broken = structs.replace(broken, fingerprint=fingerprint(broken.files()))
    (folder / APPROVED).write_bytes(written(broken.sealed()))
    [said, *_] = unapproved(folder, IN_FORCE, RULES)
    assert said.startswith("approved routes.toml:1: ")


def test_thousands_of_openings_are_told_in_a_bounded_number_of_sentences(folder):
    nothing: Approval = structs.replace(APPROVAL, matrix=())
    (folder / APPROVED).write_bytes(written(nothing.sealed()))
    (folder / "matrix.polar").write_text((folder / "matrix.polar").read_text() + "# more\n")
    said = unapproved(folder, load_folder(folder), RULES)
    assert len(said) == 43
    assert said[-2] == "not approved: 49 more."
