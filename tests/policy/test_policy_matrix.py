"""The table that the policies decide is the brochure's, cell by cell.

The table below was typed from the brochure of July 2012, not from the policies.
"""

import pytest
from msgspec.structs import replace

from gateway.policy.matrix import column, matrix

BROCHURE = """
                               T1 T2 T3 T4 T5 T6 T8 T9 T10 T11 T12 T13 T14 T16
paiement                     | X  .  .  .  .  .  .  X  X   X   X   X   .   .
dossier                      | X  .  .  .  .  .  .  X  X   X   X   X   X   X
famille                      | X  .  .  X  X  .  .  X  .   X   X   X   X   X
enfants                      | .  X  X  .  .  .  .  .  .   .   .   .   .   .
droits                       | X  .  .  X  X  .  .  X  X   X   .   X   X   X
logement                     | X  .  .  .  .  .  .  X  X   X   .   X   .   X
rmi_api                      | X  .  .  X  X  .  .  X  .   .   .   .   .   .
rsa                          | X  .  .  X  X  .  .  X  .   .   X   .   .   .
ressources                   | X  .  .  X  X  .  .  X  X   .   X   X   .   X
creances                     | X  .  .  .  .  .  .  X  .   X   .   X   .   .
qf_cnaf                      | .  X  .  .  .  .  .  .  .   .   .   .   .   .
qf_caf                       | .  .  X  .  .  .  .  .  .   .   .   .   .   .
maladie_maternite_affiliation| .  .  .  .  .  .  X  .  .   .   .   .   .   .
cmu_rsa_rmi                  | .  .  .  .  X  X  .  .  .   .   .   .   .   .
cmuc_ressources              | .  .  .  .  .  X  X  .  .   .   .   .   .   .
residence                    | .  .  .  .  .  X  .  .  .   .   .   .   .   .
adresse                      | X  X  X  X  X  X  X  X  X   X   X   X   X   X
attestation_paiement         | X  .  .  .  .  .  .  X  .   .   .   .   .   .
courrier                     | X  .  .  .  .  .  .  X  .   .   .   X   .   .
declaration_ressources       | .  .  .  .  .  .  .  X  .   .   .   .   .   .
"""
HEAD, *ROWS = BROCHURE.strip().splitlines()
PROFILES = HEAD.split()
TABLE = {row.split("|")[0].strip(): row.split("|")[1].split() for row in ROWS}
CELLS = [(profile, slug, TABLE[slug][place] == "X") for place, profile in enumerate(PROFILES) for slug in TABLE]
OPEN_PER_PROFILE = {
    **{"T1": 12, "T2": 3, "T3": 3, "T4": 6, "T5": 7, "T6": 4, "T8": 3},
    **{"T9": 13, "T10": 6, "T11": 7, "T12": 6, "T13": 9, "T14": 4, "T16": 6},
}
LABELS = {
    **{"paiement": "Paiement", "dossier": "Dossier", "famille": "Famille", "enfants": "Enfants", "droits": "Droits"},
    **{"logement": "Logement", "rmi_api": "Rmi - Api", "rsa": "Rsa", "ressources": "Ressources"},
    **{"creances": "Créances", "qf_cnaf": "Qf Cnaf", "qf_caf": "QF Caf"},
    **{"maladie_maternite_affiliation": "Maladie maternité Affiliation", "cmu_rsa_rmi": "Cmu Rsa socle ou Rmi"},
    **{"cmuc_ressources": "Cmuc Ressources", "residence": "Résidence", "adresse": "Adresse"},
    **{"attestation_paiement": "Attestation de paiement", "courrier": "Courrier"},
    "declaration_ressources": "Déclaration de ressources",
}


def test_the_typed_table_has_280_cells_of_which_89_are_open():
    assert len(CELLS) == 280
    assert sum(crossed for _, _, crossed in CELLS) == 89


@pytest.mark.parametrize(("profile", "slug", "crossed"), CELLS, ids=lambda value: str(value))
def test_a_rubric_is_open_exactly_where_the_brochure_has_a_cross(policy, everything_in_order, profile, slug, crossed):
    assert (slug in policy.decide(replace(everything_in_order, profile=profile)).rubrics) is crossed


@pytest.mark.parametrize(("profile", "total"), OPEN_PER_PROFILE.items())
def test_a_profile_opens_as_many_rubrics_as_its_column_has_crosses(policy, profile, total):
    assert len(column(policy, profile)) == total


def test_the_whole_matrix_has_the_profiles_of_the_brochure_in_its_order_and_89_open_cells(policy):
    whole = matrix(policy)
    assert list(whole) == PROFILES
    assert sum(len(opened) for opened in whole.values()) == 89


def test_the_rows_are_the_brochures_in_its_order_with_label_and_source(policy):
    assert {row.slug: row.label for row in policy.rows} == LABELS
    assert [row.slug for row in policy.rows] == list(TABLE)
    assert [row.source for row in policy.rows] == [f"brochure 2012, row {number}" for number in range(1, 21)]


@pytest.mark.parametrize("profile", PROFILES)
def test_each_open_rubric_says_its_row_and_the_conditions_that_held(policy, everything_in_order, profile):
    grant = policy.decide(replace(everything_in_order, profile=profile))
    assert {rule[0] for rule in grant.rules} == grant.rubrics
    assert grant.denied == ""
    for slug, source, *conditions in grant.rules:
        assert source == f"brochure 2012, row {list(TABLE).index(slug) + 1}"
        assert conditions[:3] == ["convention in force", "engagement signed", "identity proved"]
        assert conditions[3] in ("any dossier", "judgment", "masp", "direct_payment")


@pytest.mark.parametrize(
    "profile",
    [
        *("T7", "T15", "T0", "T17", "T01", "T", "t1", " T1", "T1 ", "T1\n", "", "T1,T9", "T1 T9", "['T1']", '"T1"'),
        *("*", "_", "any", "profile", "None", "Τ1", "Т9", "T１", "T1\u200b", "T1\x00", "T" * 10_000, "\ud800"),
    ],
    ids=ascii,
)
def test_a_profile_that_the_brochure_does_not_have_opens_nothing(policy, everything_in_order, profile):
    for kind in ("caf", "external"):
        grant = policy.decide(replace(everything_in_order, profile=profile, partner_kind=kind))
        assert grant.rubrics == frozenset()
        assert grant.rules == ()
        assert grant.denied in ("profile", "fault")


@pytest.mark.parametrize(
    ("slug", "profiles"),
    [
        ("maladie_maternite_affiliation", {"T8"}),
        ("cmu_rsa_rmi", {"T5", "T6"}),
        ("qf_cnaf", {"T2"}),
        ("qf_caf", {"T3"}),
        ("adresse", set(PROFILES)),
    ],
)
def test_what_looks_like_an_anomaly_of_the_source_is_encoded_as_it_is_printed(policy, slug, profiles):
    assert {profile for profile, opened in matrix(policy).items() if slug in opened} == profiles


def test_resources_are_open_to_landlords_and_closed_to_over_indebtedness_as_printed(policy):
    assert "ressources" in column(policy, "T10")
    assert "ressources" not in column(policy, "T11")


def test_no_profile_sees_a_rubric_of_a_message(policy, everything_in_order):
    for profile in PROFILES:
        grant = policy.decide(replace(everything_in_order, profile=profile, action="message"))
        assert (grant.rubrics, grant.denied) == (frozenset(), "rubric")
