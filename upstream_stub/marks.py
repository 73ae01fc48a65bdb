"""The distinctive values of a dossier: each tells which rubric it came from, so that a leak can be traced.

In rubric number r of the brochure's table (1 paiement … 20 declaration_ressources):

- free text begins with `CANARI-{rubric}-{field}-{numero}-`;
- a date falls on day r of its month (`2012-06-01` is of paiement, `2012-06-10` of creances);
- an amount ends with r cents (`148.01` is of paiement, `45.10` of creances), save the base case's round ones;
- codes and months are shorter than eight characters and are the only strings two rubrics may share.
"""

from __future__ import annotations

from dataclasses import dataclass

from upstream_stub.writing import Raw

CAISSE = "851"
BASE_CASE = "9990001"

SLUGS = (
    "paiement",
    "dossier",
    "famille",
    "enfants",
    "droits",
    "logement",
    "rmi_api",
    "rsa",
    "ressources",
    "creances",
    "qf_cnaf",
    "qf_caf",
    "maladie_maternite_affiliation",
    "cmu_rsa_rmi",
    "cmuc_ressources",
    "residence",
    "adresse",
    "attestation_paiement",
    "courrier",
    "declaration_ressources",
)


@dataclass(frozen=True, slots=True)
class Mark:
    """What makes the values of one rubric of one dossier recognisable."""

    numero: str
    slug: str

    @property
    def rank(self) -> int:
        """The rubric's place in the brochure's table, from 1; 21 for one that is not in it."""
        return SLUGS.index(self.slug) + 1 if self.slug in SLUGS else len(SLUGS) + 1

    @property
    def shift(self) -> int:
        """0 for the base case, which alone has round figures; something else for its neighbours."""
        return (int(self.numero) - int(BASE_CASE)) % 97

    def text(self, field: str, words: str) -> str:
        """Free text of that field: the canary, then French words."""
        return f"CANARI-{self.slug}-{field}-{self.numero}-{words}"

    def amount(self, euros: int) -> Raw:
        """An amount in euros whose cents name the rubric."""
        return Raw(f"{euros + self.shift}.{self.rank:02d}")

    def figure(self, euros: int) -> Raw:
        """A round amount in the base case, `amount` elsewhere."""
        return Raw(f"{euros}.00") if self.shift == 0 else self.amount(euros)

    def date(self, year: int, month: int) -> str:
        """A date of that month whose day names the rubric."""
        return f"{year:04d}-{month:02d}-{self.rank:02d}"

    def month_before(self, months: int) -> tuple[int, int]:
        """Year and month, so many months before June 2012 (never more than ten years)."""
        count = 2012 * 12 + 5 - (months + self.shift) % 120
        return count // 12, count % 12 + 1

    def iban(self) -> str:
        """A well-formed account number of a bank that does not exist."""
        return f"FR769999900001CANARI{self.numero[-5:]}42"

    def nir(self, person: int, *, sex: str, year: int, month: int) -> str:
        """A national number (15 digits) born in a department that does not exist."""
        return f"{sex}{year % 100:02d}{month:02d}99{self.numero[-6:]}{person:02d}"
