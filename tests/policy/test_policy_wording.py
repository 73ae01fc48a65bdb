"""What a set of situations requires is said in words that say exactly it, in two languages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.situations import EVERY, VARIABLES, bits_of
from gateway.policy.wording import LANGUAGES, changed, requirements

HELD, NOT = ("held",), ("not_held",)
JUDGMENT_OR_MASP = ({"judgment": HELD}, {"masp": HELD})


@pytest.mark.parametrize(
    ("description", "english", "french"),
    [
        (({"convention": ("in_force",)},), ["convention in force"], ["convention en vigueur"]),
        (
            ({"convention": ("suspended", "expired", "none")},),
            ["convention suspended, expired or absent"],
            ["convention suspendue, expirée ou absente"],
        ),
        (({"engagement": ("signed",)},), ["engagement signed"], ["engagement signé"]),
        (
            ({"objection": ("none",)}, {"partner_kind": ("caf",)}),
            ["no objection, or a partner of kind caf"],
            ["pas d'opposition de la personne, ou agent de la Caf"],
        ),
        (JUDGMENT_OR_MASP, ["mandate: judgment or masp"], ["mandat : jugement ou Masp"]),
        (
            ({"judgment": HELD, "masp": HELD},),
            ["mandate: judgment", "mandate: masp"],
            ["mandat : jugement", "mandat : Masp"],
        ),
        (
            ({"judgment": HELD, "masp": HELD}, {"direct_payment": HELD}),
            ["mandates: judgment and masp, or mandate: direct_payment"],
            ["mandats : jugement et Masp, ou mandat : tiers payant"],
        ),
        (
            ({"judgment": NOT, "masp": NOT}, {"instruction": HELD}),
            ["no mandate: judgment or masp, or mandate: instruction"],
            ["sans mandat : jugement ou Masp, ou mandat : instruction"],
        ),
        (
            ({"convention": ("in_force", "suspended"), "engagement": ("signed",)}, {"partner_kind": ("external",)}),
            ["(convention in force or suspended) and engagement signed, or a partner of kind external"],
            ["(convention en vigueur ou suspendue) et engagement signé, ou agent d'un partenaire extérieur"],
        ),
        (
            ({"assurance": ("federated",), "convention": ("in_force",)}, {"partner_kind": ("caf",)}),
            ["convention in force and identity proved by federation, or a partner of kind caf"],
            ["convention en vigueur et identité prouvée par fédération d'identité, ou agent de la Caf"],
        ),
        (
            ({"engagement": ("signed",), "masp": HELD}, {"partner_kind": ("caf",)}),
            ["engagement signed and mandate: masp, or a partner of kind caf"],
            ["engagement signé et mandat : Masp, ou agent de la Caf"],
        ),
        (
            ({"assurance": ("second_factor", "federated")},),
            ["identity proved by second factor or federation"],
            ["identité prouvée par second facteur ou fédération d'identité"],
        ),
        (({"action": ("consult",)},), ["to consult"], ["pour consulter"]),
        (({"action": ("message",)},), ["to send a message"], ["pour écrire un message"]),
        ((), ["never"], ["jamais"]),
        (({},), ["in every case"], ["dans tous les cas"]),
    ],
    ids=str,
)
def test_a_requirement_is_said_in_both_languages(description, english, french):
    bits = bits_of((description,))
    assert requirements(bits) == requirements(bits, "en") == english
    assert requirements(bits, "fr") == french


def test_requirements_come_in_the_order_in_which_they_are_asked():
    bits = bits_of(
        (
            ({"action": ("consult",)},),
            JUDGMENT_OR_MASP,
            ({"partner_kind": ("caf",)}, {"objection": ("none",)}),
            ({"engagement": ("signed",)},),
            ({"convention": ("in_force",)},),
        )
    )
    assert requirements(bits) == [
        *("convention in force", "engagement signed", "no objection, or a partner of kind caf"),
        *("mandate: judgment or masp", "to consult"),
    ]


def descriptions():
    words = {name: st.sets(st.sampled_from(words), min_size=1) for name, words in VARIABLES.items()}
    box = st.fixed_dictionaries({}, optional=words).map(
        lambda box: {name: tuple(sorted(found)) for name, found in box.items()}
    )
    return st.lists(st.lists(box, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple)


@settings(max_examples=60, deadline=None)
@given(one=descriptions(), other=descriptions(), language=st.sampled_from(LANGUAGES))
def test_two_sets_are_never_said_in_the_same_words(one, other, language):
    one, other = bits_of(one), bits_of(other)
    assert (requirements(one, language) == requirements(other, language)) == (one == other)


@pytest.mark.parametrize(("language", "signs"), [("en", "“”"), ("fr", "«»")])
@settings(max_examples=40, deadline=None)
@given(one=descriptions(), other=descriptions())
def test_what_changed_is_what_one_requires_and_the_other_does_not(language, signs, one, other):
    one, other = bits_of(one), bits_of(other)
    if not one or not other or EVERY in (one, other):
        return
    before, after = requirements(one, language), requirements(other, language)
    told = [line[line.index(signs[0]) + 1 : -1].strip() for line in changed(one, other, language)]
    assert told == [said for said in before if said not in after] + [said for said in after if said not in before]


def test_a_condition_that_is_dropped_or_added_is_told():
    anyone = bits_of((({"action": ("consult",)},),))
    entrusted = anyone & bits_of((JUDGMENT_OR_MASP,))
    assert changed(entrusted, anyone) == ["no longer needs “mandate: judgment or masp”"]
    assert changed(anyone, entrusted, "fr") == ["exige désormais « mandat : jugement ou Masp »"]
    assert changed(EVERY, anyone) == ["now needs “to consult”"]
    assert changed(anyone, anyone) == []


def test_another_language_is_no_language():
    for ask in (lambda: requirements(EVERY, "de"), lambda: changed(1, 2, "de")):
        with pytest.raises(KeyError):
            ask()
