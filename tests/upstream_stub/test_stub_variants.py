"""Each variant is what its sentence says."""

from __future__ import annotations

import json
from typing import Any

from upstream_stub.dossiers import VARIANTS, dossier_text


def rubrics_of(numero: str) -> dict[str, Any]:
    rubrics: dict[str, Any] = json.loads(dossier_text(numero) or b"")["rubriques"]
    return rubrics


def test_every_variant_has_a_sentence_and_a_number_of_its_own() -> None:
    assert list(VARIANTS) == [f"99900{n:02d}" for n in range(1, 15)]
    assert all(sentence.endswith(".") for sentence in VARIANTS.values())


def test_a_family_without_a_child_has_no_family_allowance() -> None:
    rubrics = rubrics_of("9990003")
    assert rubrics["enfants"]["enfants"] == []
    assert {right["nature"] for right in rubrics["droits"]["droits"]} == {"ALF"}
    assert {payment["nature"] for payment in rubrics["paiement"]["versements"]} == {"ALF"}
    yearly = sum(line["montant"] for line in rubrics["ressources"]["annuelles"])
    benefit = rubrics["droits"]["droits"][0]["montant_mensuel"]
    assert int((yearly / 12 + benefit) / 2) == rubrics["qf_cnaf"]["valeur"]


def test_an_unknown_quotient_is_null_and_not_0() -> None:
    rubrics = rubrics_of("9990004")
    assert rubrics["qf_cnaf"]["valeur"] is None
    assert rubrics["qf_caf"]["valeur"] is None


def test_a_suspended_dossier_has_suspended_rights() -> None:
    rubrics = rubrics_of("9990005")
    assert rubrics["dossier"]["etat"] == "SUS"
    assert {right["etat"] for right in rubrics["droits"]["droits"]} == {"SUS"}


def test_a_struck_off_dossier_has_no_open_right_and_no_payment() -> None:
    rubrics = rubrics_of("9990006")
    assert rubrics["dossier"]["etat"] == "RAD"
    assert {right["etat"] for right in rubrics["droits"]["droits"]} == {"FIN"}
    assert rubrics["paiement"]["versements"] == []


def test_a_deceased_allocataire_leaves_a_widowed_parent() -> None:
    rubrics = rubrics_of("9990007")
    assert rubrics["dossier"]["etat"] == "RAD"
    assert rubrics["famille"]["situation"] == "VEU"
    assert [adult["role"] for adult in rubrics["famille"]["personnes"]] == ["CONJ"]
    assert all("décès" in right["motif"] for right in rubrics["droits"]["droits"])


def test_the_backend_knows_nothing_of_an_objection() -> None:
    ordinary = json.dumps(rubrics_of("9990002")).replace("9990002", "9990008")
    assert set(rubrics_of("9990008")) == set(json.loads(ordinary))
    assert rubrics_of("9990008")["dossier"]["etat"] == "AFF"
    assert "opposition" not in json.dumps(rubrics_of("9990008"))


def test_an_unknown_birth_day_is_written_as_day_00() -> None:
    assert rubrics_of("9990009")["enfants"]["enfants"][0]["date_naissance"] == "2012-04-00"


def test_accents_and_apostrophes_come_in_utf8_and_in_escapes() -> None:
    text = (dossier_text("9990010") or b"").decode()
    assert "D'Arçon-L'Hôtelier" in text
    assert r"D\u2019Ar\u00e7on-L'H\u00f4telier" in text
    assert rubrics_of("9990010")["enfants"]["enfants"][0]["nom"].endswith("D’Arçon-L'Hôtelier")


def test_rsa_with_third_party_payment_pays_the_landlord() -> None:
    rubrics = rubrics_of("9990011")
    assert (rubrics["rsa"]["etat"], rubrics["rsa"]["nature"]) == ("OUV", "SOCLE")
    assert rubrics["rsa"]["suspension"] is None
    assert rubrics["logement"]["tiers_payant"] is True
    assert rubrics["cmu_rsa_rmi"]["droit"] is True
    assert "RSA" in {right["nature"] for right in rubrics["droits"]["droits"]}
    paid = {payment["nature"]: payment["destinataire"] for payment in rubrics["paiement"]["versements"]}
    assert "bailleur" in paid["ALF"]
    assert "allocataire" in paid["AF"]


def test_empty_lists_are_empty_and_there() -> None:
    lists = [v for rubric in rubrics_of("9990012").values() for v in rubric.values() if isinstance(v, list)]
    assert len(lists) == 11
    assert not any(lists)


def test_an_unknown_rubric_carries_canaries() -> None:
    assert "CANARI-sante_mentale-suivi-9990013-" in json.dumps(rubrics_of("9990013")["sante_mentale"])


def test_renamed_fields_still_hold_what_nobody_may_see() -> None:
    text = (dossier_text("9990014") or b"").decode()
    rubrics = rubrics_of("9990014")
    for payment in rubrics["paiement"]["versements"]:
        assert "iban" not in payment
        assert payment["compte_bancaire"].startswith("CANARI-paiement-compte_bancaire-9990014-")
    for adult in rubrics["famille"]["personnes"]:
        assert "nir" not in adult
        assert adult["numero_securite_sociale"].startswith("CANARI-famille-numero_securite_sociale-9990014-")
    assert '"iban"' not in text
