"""What the stub's dossiers promise to the tests that rely on them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from upstream_stub.dossiers import BASE_CASE, SLUGS, VARIANTS, dossier_text, find_dossier, rubric_text

FIELDS: dict[str, dict[str, str]] = {
    "paiement": {"": "versements", "versements": "mois date nature montant mode destinataire iban"},
    "dossier": {"": "numero caisse etat ouvert_le responsable mis_a_jour_le"},
    "famille": {
        "": "situation depuis personnes",
        "personnes": "nom_naissance nom_usage prenoms date_naissance sexe role nir",
    },
    "enfants": {"": "enfants", "enfants": "nom prenoms date_naissance sexe a_charge residence_alternee"},
    "droits": {"": "droits", "droits": "nature debut fin montant_mensuel etat motif"},
    "logement": {"": "occupation loyer charges bailleur aide tiers_payant surface"},
    "rmi_api": {"": "periodes", "periodes": "nature debut fin montant"},
    "rsa": {"": "numero_demande date_demande etat nature majoration montant depuis suspension motif_suspension"},
    "ressources": {
        "": "annuelles mensuelles",
        "annuelles": "personne nature annee montant abattement neutralisation",
        "mensuelles": "personne nature mois periode montant",
    },
    "creances": {
        "": "creances",
        "creances": "nature motif date montant_initial solde recouvrement_mensuel",
    },
    "qf_cnaf": {"": "valeur mois annee mois_calcul annee_calcul"},
    "qf_caf": {"": "valeur mois annee regle"},
    "maladie_maternite_affiliation": {"": "prestation debut fin regime"},
    "cmu_rsa_rmi": {"": "droit depuis"},
    "cmuc_ressources": {"": "montant debut fin"},
    "residence": {"": "resident constatee_le"},
    "adresse": {
        "": "destinataire complement_information complement_information_geographique numero_libelle_voie "
        "lieu_dit code_postal_ville pays"
    },
    "attestation_paiement": {"": "documents", "documents": "reference date objet sens etat"},
    "courrier": {"": "documents", "documents": "reference date objet sens etat"},
    "declaration_ressources": {"": "documents", "documents": "reference date objet sens etat"},
}
"""Per rubric, the fields of its object ("") and of the entries of its lists."""

ORDINARY = ["9990001", "9990002", "9990008"]
RENAMED = "9990014"


def rubrics_of(numero: str) -> dict[str, Any]:
    text = dossier_text(numero)
    assert text is not None
    # Amounts as they are written, because 1.10 and 1.1 are the same number and not the same bytes.
    rubrics: dict[str, Any] = json.loads(text, parse_float=Decimal)["rubriques"]
    return rubrics


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that holds no other, with the field it stands in."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    else:
        yield path, value


@pytest.mark.parametrize("numero", VARIANTS)
def test_every_dossier_has_every_rubric_in_the_brochures_order(numero: str) -> None:
    extra = ["sante_mentale"] if numero == "9990013" else []
    assert list(rubrics_of(numero)) == [*SLUGS, *extra]


@pytest.mark.parametrize("numero", [numero for numero in VARIANTS if numero != RENAMED])
def test_every_rubric_has_every_field_of_its_table_and_no_other(numero: str) -> None:
    rubrics = rubrics_of(numero)
    for slug, shapes in FIELDS.items():
        assert list(rubrics[slug]) == shapes[""].split(), slug
        for name, entries in shapes.items():
            for entry in rubrics[slug][name] if name else []:
                assert list(entry) == entries.split(), slug


@pytest.mark.parametrize("numero", ORDINARY)
def test_an_ordinary_dossier_has_something_in_every_list_and_no_null(numero: str) -> None:
    for slug, rubric in rubrics_of(numero).items():
        assert all(rubric[name] for name in FIELDS[slug] if name), slug
        assert None not in dict(leaves(rubric)).values(), slug


def test_the_base_case_adds_up_to_a_quotient_of_633() -> None:
    rubrics = rubrics_of(BASE_CASE)
    yearly = sum(line["montant"] for line in rubrics["ressources"]["annuelles"])
    benefits = [right["montant_mensuel"] for right in rubrics["droits"]["droits"]]
    adults, children = len(rubrics["famille"]["personnes"]), len(rubrics["enfants"]["enfants"])
    assert (yearly, benefits, adults, children) == (18000, [149, 250], 2, 2)
    assert rubrics["logement"]["aide"] == 250
    parts = adults + children / Decimal(2)
    assert rubrics["qf_cnaf"]["valeur"] == (yearly / 12 + sum(benefits)) / parts == 633


def test_the_second_family_is_coherent_too_and_shares_no_long_value_with_the_first() -> None:
    first, second = rubrics_of(BASE_CASE), rubrics_of("9990002")
    yearly = sum(line["montant"] for line in second["ressources"]["annuelles"])
    benefits = sum(right["montant_mensuel"] for right in second["droits"]["droits"])
    assert 0 <= (yearly / 12 + benefits) / 3 - second["qf_cnaf"]["valeur"] < 1
    texts = [{v for _, v in leaves(r) if isinstance(v, str) and v.startswith("CANARI")} for r in (first, second)]
    assert texts[0]
    assert not texts[0] & texts[1]


CODE = re.compile(r"[A-Z]{1,7}")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-([0-9]{2})")
MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
NAMED_ELSEWHERE = {"numero", "caisse", "reference", "iban", "nir"}


@pytest.mark.parametrize("numero", VARIANTS)
def test_every_text_is_a_code_a_month_a_date_of_its_rubric_or_a_canary_of_its_rubric(numero: str) -> None:
    for slug, rubric in rubrics_of(numero).items():
        rank = [*SLUGS, "sante_mentale"].index(slug) + 1
        for field, value in leaves(rubric):
            if not isinstance(value, str) or field in NAMED_ELSEWHERE:
                continue
            if date := DATE.fullmatch(value):
                assert int(date[1]) == rank or value == "2012-04-00", (slug, value)
            elif not (CODE.fullmatch(value) or MONTH.fullmatch(value)):
                assert value.startswith(f"CANARI-{slug}-{field}-{numero}-"), (slug, value)


@pytest.mark.parametrize("numero", VARIANTS)
def test_the_cents_of_an_amount_name_its_rubric_save_the_round_ones_of_the_base_case(numero: str) -> None:
    for slug, rubric in rubrics_of(numero).items():
        cents = {value % 1 * 100 for _, value in leaves(rubric) if isinstance(value, Decimal)}
        round_ones = {0} if numero == BASE_CASE else set()
        assert cents <= {SLUGS.index(slug) + 1 if slug in SLUGS else 21} | round_ones, slug


@pytest.mark.parametrize("numero", VARIANTS)
def test_no_value_of_a_rubric_appears_in_another_one(numero: str) -> None:
    dossier = find_dossier(numero)
    assert dossier is not None
    rubrics = rubrics_of(numero)
    as_sent = {slug: (dossier.rubric(slug) or b"").decode() for slug in rubrics}
    as_read = {slug: json.dumps(rubric, ensure_ascii=False, default=str) for slug, rubric in rubrics.items()}
    names = json.dumps([*rubrics, "numero", "caisse", "rubriques"])
    for slug, rubric in rubrics.items():
        elsewhere = [as_sent[other] + as_read[other] for other in rubrics if other != slug]
        for _, value in leaves(rubric):
            if isinstance(value, str) and len(value) > 7:
                assert not any(value in text for text in [*elsewhere, names]), (slug, value)


def test_an_account_and_a_national_number_are_there_to_be_withheld_and_nowhere_else() -> None:
    for numero in VARIANTS.keys() - {RENAMED}:
        text = (dossier_text(numero) or b"").decode()
        secrets = Counter(v for f, v in leaves(json.loads(text)) if f in {"iban", "nir"})
        if numero not in {"9990012"}:
            assert secrets
        for secret, times in secrets.items():
            assert len(secret) in (15, 27)
            assert text.count(secret) == times


def test_the_bytes_are_such_that_writing_them_again_would_show() -> None:
    text = (dossier_text(BASE_CASE) or b"").decode()
    again = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    assert again != text
    assert '"montant_initial":640.10' in text
    assert '"numero_demande":85100000000000009990001,' in text
    assert r"r\u00e9ponse" in text
    assert "Lemaître" in text
    assert not re.search(r'[{,:]\s|\s[,:}"]\s', text), "compact"


@pytest.mark.parametrize("numero", [*VARIANTS, "1000042", "9980001"])
def test_a_rubric_alone_is_the_same_bytes_as_in_the_whole(numero: str) -> None:
    whole = dossier_text(numero)
    assert whole is not None
    for slug in json.loads(whole)["rubriques"]:
        rubric = rubric_text(numero, slug)
        assert rubric is not None
        assert f'"{slug}":'.encode() + rubric in whole


def test_the_whole_says_its_number_and_its_caisse_as_the_dossier_rubric_does() -> None:
    document = json.loads(dossier_text(BASE_CASE) or b"")
    assert list(document) == ["numero", "caisse", "rubriques"]
    assert document["numero"] == document["rubriques"]["dossier"]["numero"] == BASE_CASE
    assert document["caisse"] == document["rubriques"]["dossier"]["caisse"] == "851"


@pytest.mark.parametrize("numero", ["", "0000000", "999000", "99900011", "9990015", "٩٩٩٠٠٠١", "999000a", " 9990001"])
def test_any_other_number_is_no_dossier(numero: str) -> None:
    assert dossier_text(numero) is None
    assert rubric_text(numero, "adresse") is None


def test_an_unknown_rubric_is_no_rubric() -> None:
    assert rubric_text(BASE_CASE, "sante_mentale") is None
