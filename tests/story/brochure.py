"""The brochure's table of July 2012, typed from the paper and not read from `policies/`, and a second, slower reading
of what may leave of a stub dossier. Shares no line with the gateway.
"""

from __future__ import annotations

import json
import re

TABLE = """
                               T1 T2 T3 T4 T5 T6 T8 T9 T10 T11 T12 T13 T14 T16
paiement                       X  .  .  .  .  .  .  X  X   X   X   X   .   .
dossier                        X  .  .  .  .  .  .  X  X   X   X   X   X   X
famille                        X  .  .  X  X  .  .  X  .   X   X   X   X   X
enfants                        .  X  X  .  .  .  .  .  .   .   .   .   .   .
droits                         X  .  .  X  X  .  .  X  X   X   .   X   X   X
logement                       X  .  .  .  .  .  .  X  X   X   .   X   .   X
rmi_api                        X  .  .  X  X  .  .  X  .   .   .   .   .   .
rsa                            X  .  .  X  X  .  .  X  .   .   X   .   .   .
ressources                     X  .  .  X  X  .  .  X  X   .   X   X   .   X
creances                       X  .  .  .  .  .  .  X  .   X   .   X   .   .
qf_cnaf                        .  X  .  .  .  .  .  .  .   .   .   .   .   .
qf_caf                         .  .  X  .  .  .  .  .  .   .   .   .   .   .
maladie_maternite_affiliation  .  .  .  .  .  .  X  .  .   .   .   .   .   .
cmu_rsa_rmi                    .  .  .  .  X  X  .  .  .   .   .   .   .   .
cmuc_ressources                .  .  .  .  .  X  X  .  .   .   .   .   .   .
residence                      .  .  .  .  .  X  .  .  .   .   .   .   .   .
adresse                        X  X  X  X  X  X  X  X  X   X   X   X   X   X
attestation_paiement           X  .  .  .  .  .  .  X  .   .   .   .   .   .
courrier                       X  .  .  .  .  .  .  X  .   .   .   X   .   .
declaration_ressources         .  .  .  .  .  .  .  X  .   .   .   .   .   .
"""

_HEAD, *_ROWS = [line.split() for line in TABLE.strip("\n").splitlines()]
PROFILES = tuple(_HEAD)
SLUGS = tuple(row[0] for row in _ROWS)
OPEN = {
    profile: frozenset(row[0] for row in _ROWS if row[1 + column] == "X") for column, profile in enumerate(PROFILES)
}
"""The rubrics that each profile reads."""

DOCUMENTS = {
    "attestations": ("attestation_paiement", "ap"),
    "courriers": ("courrier", "co"),
    "declarations": ("declaration_ressources", "dr"),
}
"""The rubric behind each folder of documents, and how the stub's references in it begin."""

FIELDS = {
    "paiement": {"versements": ("mois", "date", "nature", "montant", "mode", "destinataire")},
    "famille": {
        "situation": None,
        "depuis": None,
        "personnes": ("nom_naissance", "nom_usage", "prenoms", "date_naissance", "sexe", "role"),
    },
    "adresse": dict.fromkeys(
        (
            *("destinataire", "complement_information", "complement_information_geographique"),
            *("numero_libelle_voie", "lieu_dit", "code_postal_ville", "pays"),
        )
    ),
}
"""The rubrics that leave field by field: what of them may leave, with the fields of each list's items."""

_VALUE = json.JSONDecoder().raw_decode


def members(text: str) -> dict[str, str]:
    """The members of a compact JSON object, each value as the very characters it is written with."""
    at, found = 1, {}
    while text[at] != "}":
        key, at = _VALUE(text, at + (text[at] == ","))
        _, end = _VALUE(text, at + 1)
        found[key], at = text[at + 1 : end], end
    return found


def items(text: str) -> list[str]:
    """The items of a compact JSON list, each as it is written."""
    at, found = 1, []
    while text[at] != "]":
        start = at + (text[at] == ",")
        _, at = _VALUE(text, start)
        found.append(text[start:at])
    return found


def chosen(text: str, names: tuple[str, ...]) -> str:
    """A compact object with these of its members and no other."""
    inside = members(text)
    return "{" + ",".join(f'"{name}":{inside[name]}' for name in names if name in inside) + "}"


def kept_rubric(slug: str, text: str) -> str:
    """What leaves of a rubric that is open."""
    if slug not in FIELDS:
        return text
    inside = members(text)
    for name, fields in FIELDS[slug].items():
        if fields:
            inside[name] = "[" + ",".join(chosen(item, fields) for item in items(inside[name])) + "]"
    return "{" + ",".join(f'"{name}":{inside[name]}' for name in FIELDS[slug]) + "}"


def kept_dossier(whole: bytes, opened: frozenset[str]) -> bytes:
    """What leaves of the backend's dossier for a profile that reads the rubrics `opened`."""
    top = members(whole.decode())
    rubrics = members(top["rubriques"])
    kept = ",".join(f'"{slug}":{kept_rubric(slug, rubrics[slug])}' for slug in SLUGS if slug in opened & set(rubrics))
    return f'{{"numero":{top["numero"]},"caisse":{top["caisse"]},"rubriques":{{{kept}}}}}'.encode()


def told(text: str) -> set[str]:
    """The rubrics whose canary is in a text."""
    return set(re.findall(r"CANARI-([a-z_]+)-", text))


def bank_and_national_numbers(text: str) -> list[str]:
    """The account numbers and national numbers of the stub's families that are in a text.

    Digits beside hexadecimal ones are part of a request id, a mark or a fingerprint, and mean nothing.
    """
    return re.findall(r"FR769999900001CANARI\w+|(?<![0-9a-f])[12]\d{4}99\d{8}(?![0-9a-f])", text)


def words_of(value: object) -> set[str]:
    """The texts in a JSON value that are long enough to belong to one rubric alone."""
    if isinstance(value, dict):
        return set().union(*map(words_of, value.values()))
    if isinstance(value, list):
        return set().union(*map(words_of, value))
    return {value} if isinstance(value, str) and len(value) > 7 else set()
