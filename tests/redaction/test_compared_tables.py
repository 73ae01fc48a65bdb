"""What changed between two route tables, and above all: whatever a table newly lets out is said to open."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.errors import NotOpen, UpstreamNotUnderstood
from gateway.model import ALWAYS, NEVER, THE_NUMBER
from gateway.policy_files.folder import shipped
from gateway.redaction import RouteTable, compile_routes, redact
from gateway.redaction.compared import PartChange, compared
from gateway.redaction.parts import Part
from gateway.redaction.paths import read_template
from gateway.redaction.table import Content, Route
from tests.redaction.oracle import SLUGS

SHIPPED = (shipped() / "routes.toml").read_text()
NUMBER = "0012345"
EXAMPLES = int(os.environ.get("REDACTION_EXAMPLES", "400"))


def changed(*edits):
    """What the shipped table with these texts replaced changes, as tuples."""
    text = SHIPPED
    for one, other in edits:
        assert one in text
        text = text.replace(one, other)
    return compared(compile_routes(SHIPPED, SLUGS), compile_routes(text, SLUGS))


def openings(*edits):
    return [(c.route, c.what, c.pointer, c.before, c.after) for c in changed(*edits) if c.opens]


IBAN = '"/rubriques/paiement/versements/*/iban"  = "never"'
FAMILLE = '"/rubriques/famille"               = ["situation", "depuis", "personnes"]'


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("part", "", None, "rsa"), "dossier: the whole answer belonged to nothing, and belongs to rsa"),
        (("part", "/a", "rsa", None), "dossier: /a belonged to rsa, and belongs to nothing"),
        (("whole", "/a", "listed", "whole"), "dossier: /a left listed, and leaves whole"),
        (("query", "", "annee", None), "dossier: the query parameter was annee, and is nothing"),
    ],
)
def test_a_change_is_a_sentence(change, said):
    assert str(PartChange("dossier", *change, opens=True)) == said


def test_a_table_differs_in_nothing_from_itself():
    assert changed() == []


def test_a_comment_or_another_order_of_fields_changes_nothing():
    assert changed(("# no parameter is accepted", "")) == []
    assert changed((FAMILLE, '"/rubriques/famille" = ["personnes", "situation", "depuis"]')) == []


def test_what_is_taken_off_never_opens_in_each_route_that_answers_it():
    at = "/rubriques/paiement/versements/*/iban"
    assert openings((IBAN, IBAN.replace("never", "paiement"))) == [
        ("dossier", "part", at, "never", "paiement"),
        ("rubric", "part", at, "never", "paiement"),
    ]


def test_a_field_that_moves_to_another_rubric_opens():
    more = '\n"/rubriques/adresse/destinataire" = "famille"'
    assert openings((IBAN, IBAN + more)) == [
        ("dossier", "part", "/rubriques/adresse/destinataire", "adresse", "famille"),
        ("rubric", "part", "/rubriques/adresse/destinataire", "adresse", "famille"),
    ]


def test_a_field_that_is_moved_to_never_or_no_longer_listed_closes():
    for edits in (
        [(IBAN, IBAN + '\n"/rubriques/adresse/destinataire" = "never"')],
        [(FAMILLE, FAMILLE.replace(', "depuis"', ""))],
    ):
        found = changed(*edits)
        assert found
        assert not [change for change in found if change.opens]


def test_a_field_that_is_added_to_a_closed_part_opens():
    assert openings((FAMILLE, FAMILLE.replace('"depuis"', '"depuis", "nationalite"'))) == [
        ("dossier", "part", "/rubriques/famille/nationalite", None, "famille"),
        ("rubric", "part", "/rubriques/famille/nationalite", None, "famille"),
    ]


def test_a_closed_part_that_is_taken_whole_opens_and_so_does_what_it_withheld():
    text = SHIPPED.replace(FAMILLE, "").replace('"/rubriques/famille/personnes/*/nir"     = "never"', "")
    text = "\n".join(line for line in text.split("\n") if not line.startswith('"/rubriques/famille/personnes/*" '))
    found = compared(compile_routes(SHIPPED, SLUGS), compile_routes(text, SLUGS))
    opened = {(c.what, c.pointer, c.before, c.after) for c in found if c.opens and c.route == "dossier"}
    assert opened == {
        ("whole", "/rubriques/famille", "listed", "whole"),
        ("part", "/rubriques/famille/personnes/*/nir", "never", "famille"),
    }
    back = compared(compile_routes(text, SLUGS), compile_routes(SHIPPED, SLUGS))
    assert PartChange("dossier", "whole", "/rubriques/famille", "whole", "listed", opens=False) in back
    assert not [change for change in back if change.opens]


def test_whose_dossier_an_answer_is_must_stay_known():
    assert openings(('"/numero"                                = "number"', '"/numero" = "always"')) == [
        ("dossier", "number", "", "/numero", None)
    ]
    assert openings(('"/numero"                                = "number"', '"/numero" = "never"')) == [
        ("dossier", "number", "", "/numero", None)
    ]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (
            ("query  = [] ", 'query = ["annee"]'),
            [("dossier", "query", "", None, "annee")],
        ),
        (
            ('rubric        = "attestation_paiement"\ncontent_types = ["application/pdf"]',
             'rubric = "attestation_paiement"\ncontent_types = ["text/html", "application/pdf"]'),
            [("attestation", "content_types", "", None, "text/html")],
        ),
        (
            ('rubric        = "courrier"', 'rubric = "adresse"'),
            [("courrier", "rubric", "", "courrier", "adresse")],
        ),
        (
            ('name   = "dossier"\nmatch  = "GET /dossiers/{numero}"\naction = "consult"',
             'name = "dossier"\nmatch = "GET /dossiers/{numero}"\naction = "message"'),
            [("dossier", "action", "", "consult", "message")],
        ),
        (
            ("/courriers/{id}.pdf", "/letters/{id}.pdf"),
            [("courrier", "route", "", None, "GET /dossiers/{numero}/letters/{id}.pdf")],
        ),
    ],
    ids=["query", "content type", "rubric of a document", "action", "new address"],
)  # fmt: skip
def test_what_a_route_newly_takes_or_answers_opens_and_its_removal_does_not(edit, expected):
    assert openings(edit) == expected
    text = SHIPPED.replace(*edit)
    back = compared(compile_routes(text, SLUGS), compile_routes(SHIPPED, SLUGS))
    [(route, what, pointer, before, after)] = expected
    if what == "route":  # the address of before comes with it
        assert [change.opens for change in back if change.before == after] == [False]
    else:
        assert back == [PartChange(route, what, pointer, after, before, opens=what in ("action", "rubric"))]


def test_a_route_that_is_gone_or_renamed_opens_nothing():
    start, end = (
        SHIPPED.index('[[route]]\nname          = "courrier"'),
        SHIPPED.index('[[route]]\nname          = "declaration"'),
    )
    gone = compared(compile_routes(SHIPPED, SLUGS), compile_routes(SHIPPED[:start] + SHIPPED[end:], SLUGS))
    address = "GET /dossiers/{numero}/courriers/{id}.pdf"
    assert gone == [PartChange("courrier", "route", "", address, None, opens=False)]
    assert changed(('name          = "courrier"', 'name = "lettre"')) == [
        PartChange("lettre", "name", "", "courrier", "lettre", opens=False)
    ]


def test_a_new_rubric_opens_its_part_and_its_address():
    found = compared(compile_routes(SHIPPED, SLUGS), compile_routes(SHIPPED, [*SLUGS, "pension"]))
    assert [(c.route, c.pointer, c.before, c.after, c.opens) for c in found] == [
        ("dossier", "/rubriques/pension", None, "pension", True),
        ("rubric", "/rubriques/pension", None, "pension", True),
    ]
    back = compared(compile_routes(SHIPPED, [*SLUGS, "pension"]), compile_routes(SHIPPED, SLUGS))
    assert [c.opens for c in back] == [False, False]


def test_what_only_some_rubrics_had_but_everyone_has_now_opens_and_the_reverse_does_not():
    caisse = '"/caisse"                                = "always"'
    assert openings((caisse, '"/caisse" = "dossier"')) == []
    text = SHIPPED.replace(caisse, '"/caisse" = "dossier"')
    back = compared(compile_routes(text, SLUGS), compile_routes(SHIPPED, SLUGS))
    assert [(c.pointer, c.before, c.after, c.opens) for c in back] == [("/caisse", "dossier", "always", True)]


def test_every_change_is_said_in_a_sentence():
    table = compile_routes(SHIPPED, SLUGS)
    other = RouteTable([replace(route, name=f"x{route.name}", action="message") for route in table.routes[:2]])
    for change in (*compared(table, other), *compared(other, table)):
        assert "{" not in str(change).replace("{numero}", "").replace("{id}", "").replace("{rubric}", "")


# Brute force ----------------------------------------------------------------------------------------------------------

LABELS = ("famille", "adresse", ALWAYS, NEVER, None)
KEYS = ("a", "b", "c")
GRANTS = [frozenset(some) for size in (1, 2) for some in combinations(("famille", "adresse"), size)]
TEMPLATE = read_template("/dossiers/{numero}", SLUGS)


@st.composite
def parts(draw, inherited=None, depth=0, in_list=False):
    label = draw(st.sampled_from(LABELS)) or inherited
    kind = draw(st.sampled_from(("object", "list", "leaf"))) if 0 < depth < 3 else ("leaf" if depth else "object")
    if kind == "list":
        return Part(label, item=draw(parts(label, depth + 1, True)))
    if kind == "object":
        names = draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=3))
        members = {name: draw(parts(label, depth + 1, in_list)) for name in names}
        if depth == 0 and draw(st.booleans()):
            members["n"] = Part(draw(st.sampled_from((THE_NUMBER, ALWAYS, NEVER))))
        return Part(label, members)
    return Part(label or NEVER)


@st.composite
def edited(draw, part, inherited=None, depth=0, in_list=False):
    """The part with some of what is in it labelled otherwise, gone, new, or of another kind."""
    what = draw(st.sampled_from(("kept",) * 6 + ("label", "drop", "add", "anew", "leaf")))
    if what == "anew" and depth:
        return draw(parts(inherited, depth, in_list))
    label = draw(st.sampled_from(LABELS)) if what == "label" else part.label
    label = label or inherited
    if part.item is not None:
        return Part(label, item=draw(edited(part.item, label, depth + 1, True)))
    if part.members is None or (what == "leaf" and depth):
        return Part(label or NEVER)
    members = {name: draw(edited(inner, label, depth + 1, in_list)) for name, inner in part.members.items()}
    if what == "drop" and members:
        del members[draw(st.sampled_from(sorted(members)))]
    if what == "add" and depth < 3:
        members[draw(st.sampled_from(KEYS))] = draw(parts(label, depth + 1, in_list))
    return Part(label, members)


@st.composite
def values(draw, one, other, counter):
    """What a backend may send where both of these look: of the shape of either, or anything where none looks."""
    shapes = [part for part in (one, other) if part is not None and (part.members is not None or part.item is not None)]
    if not shapes or draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from((None, {}, []))) if draw(st.integers(0, 3)) == 0 else next(counter)
    shape = draw(st.sampled_from(shapes))
    if shape.item is not None:
        count = draw(st.integers(0, 2))
        inner = (one.item if one else None, other.item if other else None)
        return [draw(values(*inner, counter)) for _ in range(count)]
    names = dict.fromkeys(name for part in (one, other) if part and part.members for name in part.members)
    inside = {}
    for name in (*names, "unknown"):
        if draw(st.integers(0, 5)):
            inner = ((part.members or {}).get(name) if part else None for part in (one, other))
            inside[name] = draw(values(*inner, counter))
    return inside


def route_of(part):
    contents = {"": Content(part, "", part.rubrics())}
    return Route("r", "GET", TEMPLATE, "consult", "json", (), ("application/json",), "", contents)


def let_out(table, body, granted):
    """The answer, or None where nothing leaves; raises where the document is not understood."""
    route = table.routes[0]
    try:
        return json.loads(redact(body, table.plan(route, {}, granted), NUMBER).body)
    except NotOpen:
        return Nothing


class Nothing:
    """No answer at all."""


def no_more_than(new, old):
    """Whether everything of the new answer was in the old one; what a list lost may be anywhere in it."""
    if new is Nothing or old is Nothing:
        return new is Nothing
    if old is None and new in ({}, []):
        return True  # what is closed itself is answered as if it were there, and empty
    if isinstance(new, dict) and isinstance(old, dict):
        return all(name in old and no_more_than(value, old[name]) for name, value in new.items())
    if isinstance(new, list) and isinstance(old, list):
        rest = iter(old)
        return all(any(no_more_than(value, each) for each in rest) for value in new)
    return type(new) is type(old) and new == old


def lets_out_more(old, new, document):
    body = json.dumps(document, separators=(",", ":")).encode()
    for granted in GRANTS:
        try:
            now = let_out(new, body, granted)
        except UpstreamNotUnderstood:
            continue
        try:
            before = let_out(old, body, granted)
        except UpstreamNotUnderstood as refused:
            # Another's dossier let out is an opening; another shape than declared is not compared.
            before = Nothing if "another dossier" in str(refused.because) else now
        if not no_more_than(now, before):
            return True
    return False


def frame(**members):
    return Part(None, members)


A, F = Part("adresse"), Part("famille")
IN_LIST = {label: Part(None, {"l": Part("adresse", item=Part(label, {"b": F}))}) for label in ("adresse", None)}


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        # The frame leaves, empty, to whoever sees something in it: that it is there could not be known before.
        (frame(a=Part("adresse", {"b": F})), frame(a=frame(b=F)), [("part", "/a", "adresse", None, True)]),
        (frame(a=Part("adresse", {"b": A})), frame(a=frame(b=A)), [("part", "/a", "adresse", None, False)]),
        (
            frame(a=Part("adresse", {"c": frame(b=F)})),
            frame(a=frame(c=frame(b=F))),
            [("part", "/a", "adresse", None, True)],
        ),
        (IN_LIST["adresse"], IN_LIST[None], [("part", "/l/*", "adresse", None, False)]),
        # What the place around has become is said once.
        (
            frame(a=Part("adresse", {"b": A, "c": Part("adresse", {"d": A})})),
            frame(a=Part("famille", {"b": F, "c": Part("famille", {"d": F})})),
            [("part", "/a", "adresse", "famille", True)],
        ),
        (
            frame(a=F),
            frame(a=Part("famille", {"b": Part("famille", {"c": F})})),
            [("whole", "/a", "whole", "listed", False)],
        ),
        (
            frame(n=Part(THE_NUMBER)),
            frame(n=Part(ALWAYS)),
            [("part", "/n", "number", "always", False), ("number", "", "/n", None, True)],
        ),
        (
            frame(n=Part(THE_NUMBER), m=Part(ALWAYS)),
            frame(n=Part(ALWAYS), m=Part(THE_NUMBER)),
            [
                ("part", "/n", "number", "always", False),
                ("part", "/m", "always", "number", False),
                ("number", "", "/n", "/m", True),
            ],
        ),
    ],
)
def test_what_has_changed_is_told_once_where_it_begins(one, other, told):
    found = compared(RouteTable([route_of(one)]), RouteTable([route_of(other)]))
    assert [(c.what, c.pointer, c.before, c.after, c.opens) for c in found] == told


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_a_table_that_lets_out_anything_of_any_document_that_the_former_did_not_is_said_to_open(data):
    one = data.draw(parts())
    other = data.draw(edited(one)) if data.draw(st.booleans()) else data.draw(parts())
    old, new = RouteTable([route_of(one)]), RouteTable([route_of(other)])
    assume(not any(change.opens for change in compared(old, new)))
    counter = iter(range(1, 10_000))
    document = data.draw(values(one, other, counter))
    if isinstance(document, dict) and "n" in {*(one.members or ()), *(other.members or ())}:
        document["n"] = data.draw(st.sampled_from((NUMBER, NUMBER, "7654321")))
    assert not lets_out_more(old, new, document)


@settings(max_examples=EXAMPLES // 4, deadline=None)
@given(parts())
def test_no_table_differs_from_another_reading_of_itself(part):
    table = RouteTable([route_of(part)])
    assert compared(table, RouteTable([route_of(part)])) == []
