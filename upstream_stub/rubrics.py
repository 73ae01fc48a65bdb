"""What each rubric of a family's dossier holds: couple, two children, modest wages, a rented flat.

Dates are `YYYY-MM-DD`, months `YYYY-MM`, amounts euros with two decimals, coded fields codes of at most
seven characters. Three rubrics hold what no rubric opens, or what another rubric is about, so that whoever
withholds it must know their fields by name:

- paiement: versements[*]: mois, date, nature, montant, mode, destinataire, iban
- famille: situation, depuis, personnes[*]: nom_naissance, nom_usage, prenoms, date_naissance, sexe, role, nir
- adresse: destinataire, complement_information, complement_information_geographique, numero_libelle_voie,
  lieu_dit, code_postal_ville, pays
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from upstream_stub.marks import CAISSE, Mark
from upstream_stub.writing import Escaped

Rubric = dict[str, Any]

WAGES = (12000, 6000)
FAMILY_ALLOWANCE = 149
HOUSING_BENEFIT = 250
PARTS = 3
"""Fiscal parts of the quotient: two adults count two, two children one."""


def versement(mark: Mark, n: int) -> Rubric:
    """One payment: the benefit less the social debt contribution (CRDS), so about a euro under the right."""
    year, month = mark.month_before(n // 2)
    return {
        "mois": f"{year}-{month:02d}",
        "date": mark.date(year, month),
        "nature": ("AF", "ALF")[n % 2],
        "montant": mark.amount((148, 248)[n % 2]),
        "mode": "VIR",
        "destinataire": mark.text("destinataire", f"{n}-allocataire"),
        "iban": mark.iban(),
    }


def paiement(mark: Mark) -> Rubric:
    return {"versements": [versement(mark, n) for n in range(4)]}


def dossier(mark: Mark) -> Rubric:
    return {
        "numero": mark.numero,
        "caisse": CAISSE,
        "etat": "AFF",
        "ouvert_le": mark.date(2003, 5),
        "responsable": mark.text("responsable", "Mme Lemaître"),
        "mis_a_jour_le": mark.date(*mark.month_before(1)),
    }


def personne(mark: Mark, n: int, *, nom: str, usage: str, prenoms: str, sexe: str) -> Rubric:
    year, month = 1978 + n + mark.shift % 10, 3 + n
    return {
        "nom_naissance": mark.text("nom_naissance", f"{n}-{nom}"),
        "nom_usage": mark.text("nom_usage", f"{n}-{usage}"),
        "prenoms": mark.text("prenoms", f"{n}-{prenoms}"),
        "date_naissance": mark.date(year, month),
        "sexe": sexe,
        "role": "MON" if n == 0 else "CONJ",
        "nir": mark.nir(n, sex="1" if sexe == "M" else "2", year=year, month=month),
    }


def famille(mark: Mark) -> Rubric:
    return {
        "situation": "MAR",
        "depuis": mark.date(2003, 9),
        "personnes": [
            personne(mark, 0, nom="Lemaître", usage="Garnier", prenoms="Claire Hélène", sexe="F"),
            personne(mark, 1, nom="Garnier", usage="Garnier", prenoms="Mathieu", sexe="M"),
        ],
    }


def enfant(mark: Mark, n: int) -> Rubric:
    return {
        "nom": mark.text("nom", f"{n}-Garnier"),
        "prenoms": mark.text("prenoms", f"{n}-" + ("Zoé", "Théo")[n % 2]),
        "date_naissance": mark.date(1999 + (5 + 3 * n + mark.shift) % 12, 9 - n % 9),
        "sexe": "FM"[n % 2],
        "a_charge": True,
        "residence_alternee": n % 2 == 1,
    }


def enfants(mark: Mark) -> Rubric:
    return {"enfants": [enfant(mark, n) for n in range(2)]}


def droit(mark: Mark, n: int) -> Rubric:
    return {
        "nature": ("AF", "ALF")[n % 2],
        "debut": mark.date(*mark.month_before(17 + n)),
        "fin": mark.date(2012, 12),
        "montant_mensuel": mark.figure((FAMILY_ALLOWANCE, HOUSING_BENEFIT)[n % 2]),
        "etat": "OUV",
        "motif": mark.text("motif", f"{n}-droit ouvert après étude"),
    }


def droits(mark: Mark) -> Rubric:
    return {"droits": [droit(mark, n) for n in range(2)]}


def logement(mark: Mark) -> Rubric:
    return {
        "occupation": "LOC",
        "loyer": mark.amount(512),
        "charges": mark.amount(54),
        "bailleur": mark.text("bailleur", "Office de l'habitat du Bocage"),
        "aide": mark.figure(HOUSING_BENEFIT),
        "tiers_payant": False,
        "surface": 74,
    }


def periode(mark: Mark, n: int) -> Rubric:
    return {
        "nature": ("RMI", "API")[n % 2],
        "debut": mark.date(2005, 2 + n % 10),
        "fin": mark.date(2006, 2 + n % 10),
        "montant": mark.amount(421 + n % 50),
    }


def rmi_api(mark: Mark) -> Rubric:
    """Rights closed since the Rsa replaced them."""
    return {"periodes": [periode(mark, 0)]}


def rsa(mark: Mark) -> Rubric:
    return {
        # 23 digits: more than a double, a 64-bit integer or a careless parser can hold.
        "numero_demande": 85_100_000_000_000_000_000_000 + int(mark.numero),
        "date_demande": mark.date(2011, 10),
        "etat": "SUS",
        "nature": "ACTIV",
        "majoration": False,
        "montant": mark.amount(112),
        "depuis": mark.date(2011, 11),
        "suspension": mark.date(2012, 1),
        "motif_suspension": mark.text("motif_suspension", "déclaration trimestrielle non reçue"),
    }


def annuelle(mark: Mark, n: int) -> Rubric:
    return {
        "personne": ("MON", "CONJ")[n % 2],
        "nature": "SAL",
        "annee": 2010,
        "montant": mark.figure(WAGES[n % 2]),
        "abattement": mark.amount(WAGES[n % 2] // 10),
        "neutralisation": False,
    }


def mensuelle(mark: Mark, n: int) -> Rubric:
    year, month = mark.month_before(1 + n // 2)
    return {
        "personne": ("MON", "CONJ")[n % 2],
        "nature": "SAL",
        "mois": f"{year}-{month:02d}",
        "periode": "MENS",
        "montant": mark.amount(WAGES[n % 2] // 12),
    }


def ressources(mark: Mark) -> Rubric:
    return {
        "annuelles": [annuelle(mark, n) for n in range(2)],
        "mensuelles": [mensuelle(mark, n) for n in range(2)],
    }


def creance(mark: Mark, n: int) -> Rubric:
    return {
        "nature": "INDU",
        "motif": mark.text("motif", f"{n}-trop-perçu après changement d'activité"),
        "date": mark.date(*mark.month_before(8 + n)),
        "montant_initial": mark.amount(640 + n % 100),
        "solde": mark.amount(371 + n % 100),
        "recouvrement_mensuel": mark.amount(45),
    }


def creances(mark: Mark) -> Rubric:
    return {"creances": [creance(mark, 0)]}


def quotient(mark: Mark, *, benefits: tuple[int, ...], parts: int) -> int:
    """The national quotient: a twelfth of the yearly wages and the month's benefits, by fiscal part."""
    monthly = sum(wage + mark.shift for wage in WAGES) / 12
    return int((monthly + sum(benefit + mark.shift for benefit in benefits)) / parts)


def qf_cnaf(mark: Mark) -> Rubric:
    return {
        "valeur": quotient(mark, benefits=(FAMILY_ALLOWANCE, HOUSING_BENEFIT), parts=PARTS),
        "mois": 6,
        "annee": 2012,
        "mois_calcul": 5,
        "annee_calcul": 2012,
    }


def qf_caf(mark: Mark) -> Rubric:
    return {
        "valeur": mark.amount(597),
        "mois": 6,
        "annee": 2012,
        "regle": mark.text("regle", "règlement intérieur d'action sociale"),
    }


def maladie_maternite_affiliation(mark: Mark) -> Rubric:
    return {
        "prestation": mark.text("prestation", "complément de libre choix d'activité"),
        "debut": mark.date(2010, 4),
        "fin": mark.date(2013, 3),
        "regime": mark.text("regime", "régime général"),
    }


def cmu_rsa_rmi(mark: Mark) -> Rubric:
    return {"droit": False, "depuis": mark.date(2011, 7)}


def cmuc_ressources(mark: Mark) -> Rubric:
    return {"montant": mark.amount(17954), "debut": mark.date(2011, 6), "fin": mark.date(2012, 5)}


def residence(mark: Mark) -> Rubric:
    return {"resident": True, "constatee_le": mark.date(2012, 2)}


def adresse(mark: Mark) -> Rubric:
    lines = {
        "destinataire": "M. et Mme Garnier",
        "complement_information": "Appartement 12",
        "complement_information_geographique": "Résidence des Tilleuls",
        "numero_libelle_voie": "7 rue de l'Église",
        "lieu_dit": "La Genétouze",
        "code_postal_ville": "85000 LA ROCHE SUR YON",
        "pays": "FRANCE",
    }
    return {line: mark.text(line, words) for line, words in lines.items()}


DOCUMENT_PREFIXES = {"attestation_paiement": "ap", "courrier": "co", "declaration_ressources": "dr"}
"""How the references of each rubric's documents begin."""


def document(mark: Mark, n: int) -> Rubric:
    """One entry of a list of documents; its reference names the document itself at its own address."""
    objects = {
        "attestation_paiement": "attestation de paiement du mois",
        "courrier": "réponse à votre réclamation",
        "declaration_ressources": "déclaration trimestrielle",
    }
    words = mark.text("objet", f"{n}-{objects[mark.slug]}")
    return {
        "reference": f"{DOCUMENT_PREFIXES[mark.slug]}-{mark.numero}-{n}",
        "date": mark.date(*mark.month_before(n)),
        # The old backend escapes its letters and nothing else; kept so, a re-serialisation would show.
        "objet": Escaped(words) if mark.slug == "courrier" else words,
        "sens": "ENT" if mark.slug == "declaration_ressources" else "SOR",
        "etat": "ENV",
    }


def documents(mark: Mark) -> Rubric:
    return {"documents": [document(mark, n) for n in range(2)]}


RUBRICS: dict[str, Callable[[Mark], Rubric]] = {
    "paiement": paiement,
    "dossier": dossier,
    "famille": famille,
    "enfants": enfants,
    "droits": droits,
    "logement": logement,
    "rmi_api": rmi_api,
    "rsa": rsa,
    "ressources": ressources,
    "creances": creances,
    "qf_cnaf": qf_cnaf,
    "qf_caf": qf_caf,
    "maladie_maternite_affiliation": maladie_maternite_affiliation,
    "cmu_rsa_rmi": cmu_rsa_rmi,
    "cmuc_ressources": cmuc_ressources,
    "residence": residence,
    "adresse": adresse,
    "attestation_paiement": documents,
    "courrier": documents,
    "declaration_ressources": documents,
}


def family(numero: str) -> dict[str, Rubric]:
    """An ordinary family's twenty rubrics under that number, in the brochure's order, yours to change."""
    return {slug: rubric(Mark(numero, slug)) for slug, rubric in RUBRICS.items()}
