"""The families that tests and demonstrations need, each under its own number."""

from __future__ import annotations

from collections.abc import Callable

from upstream_stub.marks import BASE_CASE, Mark
from upstream_stub.rubrics import HOUSING_BENEFIT, Rubric, family, quotient
from upstream_stub.writing import Escaped

Family = dict[str, Rubric]

VARIANTS: dict[str, str] = {
    BASE_CASE: "The base case: a couple, two children, 18 000 € a year, quotient 633.",
    "9990002": "A second ordinary family, of the same kind, with other values.",
    "9990003": "A couple without a child: no child listed, no family allowance, a quotient over two parts.",
    "9990004": "Both quotients are unknown: null, which is not 0.",
    "9990005": "The dossier is suspended, and so are its rights.",
    "9990006": "The dossier is struck off: its rights are closed, nothing is paid any more.",
    "9990007": "The allocataire has died: the dossier is struck off, the other parent is widowed.",
    "9990008": "An ordinary dossier whose person objected to sharing; the backend knows nothing of it.",
    "9990009": "The first child's birth day is unknown: 2012-04-00.",
    "9990010": "Names with accents and apostrophes, some written as escapes.",
    "9990011": "Rsa socle, and a housing benefit paid to the landlord.",
    "9990012": "Every list is empty.",
    "9990013": "The backend sends a rubric nobody has heard of: sante_mentale.",
    "9990014": "The backend renamed iban to compte_bancaire and nir to numero_securite_sociale.",
}


def without_child(rubrics: Family) -> None:
    rubrics["enfants"]["enfants"] = []
    rubrics["droits"]["droits"] = rubrics["droits"]["droits"][1:]
    rubrics["paiement"]["versements"] = rubrics["paiement"]["versements"][1::2]
    mark = Mark(rubrics["dossier"]["numero"], "qf_cnaf")
    rubrics["qf_cnaf"]["valeur"] = quotient(mark, benefits=(HOUSING_BENEFIT,), parts=2)


def with_unknown_quotients(rubrics: Family) -> None:
    rubrics["qf_cnaf"]["valeur"] = None
    rubrics["qf_caf"]["valeur"] = None


def suspended(rubrics: Family) -> None:
    rubrics["dossier"]["etat"] = "SUS"
    for right in rubrics["droits"]["droits"]:
        right["etat"] = "SUS"


def struck_off(rubrics: Family) -> None:
    rubrics["dossier"]["etat"] = "RAD"
    rubrics["paiement"]["versements"] = []
    for right in rubrics["droits"]["droits"]:
        right["etat"] = "FIN"


def deceased(rubrics: Family) -> None:
    struck_off(rubrics)
    rubrics["famille"]["situation"] = "VEU"
    rubrics["famille"]["personnes"] = rubrics["famille"]["personnes"][1:]
    mark = Mark(rubrics["dossier"]["numero"], "droits")
    for right in rubrics["droits"]["droits"]:
        right["motif"] = mark.text("motif", f"{right['nature']}-décès de l'allocataire")


def with_unknown_birth_day(rubrics: Family) -> None:
    rubrics["enfants"]["enfants"][0]["date_naissance"] = "2012-04-00"


def with_accents_and_apostrophes(rubrics: Family) -> None:
    for adult in rubrics["famille"]["personnes"]:
        adult["nom_naissance"] += " D'Arçon-L'Hôtelier"
        adult["prenoms"] += " Anaïs-Noëlle"
    for child in rubrics["enfants"]["enfants"]:
        child["nom"] = Escaped(child["nom"] + " D’Arçon-L'Hôtelier")
    rubrics["adresse"]["destinataire"] += " D'Arçon-L'Hôtelier"


def on_rsa_with_third_party_payment(rubrics: Family) -> None:
    numero = rubrics["dossier"]["numero"]
    rubrics["rsa"] |= {"etat": "OUV", "nature": "SOCLE", "suspension": None, "motif_suspension": None}
    rubrics["cmu_rsa_rmi"]["droit"] = True
    rubrics["logement"]["tiers_payant"] = True
    landlord = Mark(numero, "paiement").text("destinataire", "bailleur-Office de l'habitat")
    for payment in rubrics["paiement"]["versements"][1::2]:
        payment["destinataire"] = landlord
    mark = Mark(numero, "droits")
    rights = rubrics["droits"]["droits"]
    reason = mark.text("motif", "rsa-ressources sous le plafond")
    rights.append(rights[0] | {"nature": "RSA", "montant_mensuel": mark.amount(412), "motif": reason})


def with_empty_lists(rubrics: Family) -> None:
    for rubric in rubrics.values():
        rubric.update({name: [] for name, value in rubric.items() if isinstance(value, list)})


def with_an_unknown_rubric(rubrics: Family) -> None:
    mark = Mark(rubrics["dossier"]["numero"], "sante_mentale")
    rubrics["sante_mentale"] = {
        "suivi": mark.text("suivi", "rendez-vous au centre médico-psychologique"),
        "depuis": mark.date(2011, 3),
        "praticiens": [{"nom": mark.text("nom", "Dr Rivière")}],
    }


def with_renamed_fields(rubrics: Family) -> None:
    numero = rubrics["dossier"]["numero"]
    for n, payment in enumerate(rubrics["paiement"]["versements"]):
        words = f"{n}-{payment.pop('iban')}"
        payment["compte_bancaire"] = Mark(numero, "paiement").text("compte_bancaire", words)
    for n, adult in enumerate(rubrics["famille"]["personnes"]):
        words = f"{n}-{adult.pop('nir')}"
        adult["numero_securite_sociale"] = Mark(numero, "famille").text("numero_securite_sociale", words)


CHANGES: dict[str, Callable[[Family], None]] = {
    "9990003": without_child,
    "9990004": with_unknown_quotients,
    "9990005": suspended,
    "9990006": struck_off,
    "9990007": deceased,
    "9990009": with_unknown_birth_day,
    "9990010": with_accents_and_apostrophes,
    "9990011": on_rsa_with_third_party_payment,
    "9990012": with_empty_lists,
    "9990013": with_an_unknown_rubric,
    "9990014": with_renamed_fields,
}
"""What sets a variant apart from an ordinary family; the numbers that are missing here are ordinary."""


def variant(numero: str) -> Family:
    """The rubrics of one of VARIANTS."""
    rubrics = family(numero)
    if change := CHANGES.get(numero):
        change(rubrics)
    return rubrics
