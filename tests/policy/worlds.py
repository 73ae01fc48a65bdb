"""Policies made up at random: as data, as the texts of a folder, and as what plain Python says they open.

Nothing here knows how the gateway decides, enumerates or compares: only how policies are written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from hypothesis import strategies as st

PROFILES = ("T1", "T9")
SLUGS = ("paiement", "courrier", "rsa")
PARTNERS = ("caf", "external")
CONVENTIONS = ("in_force", "suspended", "expired", "none")
ENGAGEMENTS = ("signed", "outdated", "missing")
MANDATES = ("judgment", "masp", "direct_payment", "instruction")
OBJECTIONS = ("none", "raised")
ASSURANCES = ("password", "second_factor", "federated")
ACTIONS = ("consult", "message")

HELD = tuple(
    frozenset(kind for kind, held in zip(MANDATES, those, strict=True) if held)
    for those in product((True, False), repeat=len(MANDATES))
)
SITUATIONS = tuple(
    product(PARTNERS, CONVENTIONS, ENGAGEMENTS, HELD, OBJECTIONS, ASSURANCES, ACTIONS),
)
Situation = tuple[str, str, str, frozenset[str], str, str, str]
Rule = Mapping[str, Sequence[str]]
"""What must hold together: a fact and the words of which it must be one; `mandates` and those of which one is held."""


@dataclass(frozen=True)
class World:
    """One policy."""

    table: Mapping[str, Sequence[str]]
    dossiers: Mapping[str, Sequence[str]]
    conventions: Sequence[Rule]
    engagements: Sequence[Rule]
    assurances: Sequence[Rule]
    entrusted: Sequence[Rule]
    refusals: Sequence[Rule]

    def opened(self) -> dict[tuple[str, str], set[Situation]]:
        """Each cell and the situations in which it is open, one question after the other."""
        cells: dict[tuple[str, str], set[Situation]] = {(p, s): set() for p in PROFILES for s in SLUGS}
        for profile in PROFILES:
            for situation in SITUATIONS:
                if self.admits(profile, situation):
                    for slug in SLUGS:
                        if profile in self.table[slug]:
                            cells[profile, slug].add(situation)
        return cells

    def admits(self, profile: str, situation: Situation) -> bool:
        partner, convention, engagement, held, objection, assurance, action = situation
        facts = {
            "profile": profile,
            "partner_kind": partner,
            "convention": convention,
            "engagement": engagement,
            "objection": objection,
            "assurance": assurance,
        }

        def any_of(rules: Sequence[Rule]) -> bool:
            for rule in rules:
                for fact, words in rule.items():
                    if not (held & set(words) if fact == "mandates" else facts[fact] in words):
                        break
                else:
                    return True
            return False

        wanted = self.dossiers[profile]
        return (
            action == "consult"
            and any_of(self.conventions)
            and any_of(self.engagements)
            and any_of(self.assurances)
            and (wanted == ("any",) or bool(held & set(wanted)) or any_of(self.entrusted))
            and not any_of(self.refusals)
        )

    def texts(self, shipped: Mapping[str, str]) -> dict[str, str]:
        """The folder that says so; what is nobody's choice here is taken from the shipped one."""
        slugs = ", ".join(f'"{slug}"' for slug in SLUGS)
        schema = shipped["schema.polar"]
        return {
            **shipped,
            "schema.polar": schema[: schema.index("rubric_slugs([")] + f"rubric_slugs([{slugs}]);\n",
            "profiles.polar": "".join(f'profile("{profile}", "profile {profile}");\n' for profile in PROFILES),
            "matrix.polar": "".join(
                f'rubric("{slug}", "{slug}", {_listed(self.table[slug])}, "row {number}");\n'
                for number, slug in enumerate(SLUGS)
            ),
            "conditions.polar": "".join(
                [
                    *(f'dossiers("{p}", {_listed(kinds)}, "{p}");\n' for p, kinds in self.dossiers.items()),
                    *_rules("convention", ("agent",), self.conventions),
                    *_rules("engagement", ("agent",), self.engagements),
                    *_rules("assurance", ("agent", "_action: String"), self.assurances),
                    'entrusted(agent: Agent, _dossier: Dossier, "any dossier") if\n'
                    '  dossiers(agent.profile, kinds, _) and "any" in kinds;\n'
                    "entrusted(agent: Agent, dossier: Dossier, kind) if\n"
                    "  dossiers(agent.profile, kinds, _) and kind in kinds and kind in dossier.mandates;\n",
                    *_rules("entrusted", ("agent", "dossier"), self.entrusted),
                ]
            ),
            "refusals.polar": "".join(_rules("refusal", ("agent", "dossier"), self.refusals)),
        }


def _listed(words: Sequence[str]) -> str:
    return json.dumps(list(words))


def _rules(name: str, parameters: Sequence[str], rules: Sequence[Rule]) -> list[str]:
    return [_rule(name, parameters, rule, number) for number, rule in enumerate(rules)]


def _rule(name: str, parameters: Sequence[str], rule: Rule, number: int) -> str:
    goals = []
    for fact, words in rule.items():
        noun = "dossier" if fact in ("mandates", "objection") else "agent"
        if fact == "mandates":
            goals.append(f"kind in dossier.mandates and kind in {_listed(words)}")
        elif len(words) == 1:
            goals.append(f'{noun}.{fact} = "{words[0]}"')
        else:
            goals.append(f"{noun}.{fact} in {_listed(words)}")
    body = " and ".join(goals)
    typed = {"agent": "agent: Agent", "dossier": "dossier: Dossier"}
    head = [typed[one] if f"{one}." in body else f"_{typed[one]}" if one in typed else one for one in parameters]
    return f'{name}({", ".join(head)}, "{name} {number}") if {body};\n'


def some_of(words: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """Some words, never all: a fact that may have any is not asked for."""
    return st.sets(st.sampled_from(words), min_size=1, max_size=len(words) - 1).map(
        lambda chosen: tuple(word for word in words if word in chosen)
    )


OF_THE_AGENT = {"profile": some_of(PROFILES), "partner_kind": some_of(PARTNERS), "assurance": some_of(ASSURANCES)}
OF_THE_DOSSIER = {"objection": some_of(OBJECTIONS), "mandates": some_of(MANDATES)}


def rules(base: Rule, more: Mapping[str, st.SearchStrategy], optional: Mapping[str, st.SearchStrategy], least: int = 1):
    """The first is `base`, perhaps with more; others ask for `more`; no two are the same."""
    one = st.fixed_dictionaries({fact: st.just(words) for fact, words in base.items()}, optional=optional)
    other = st.fixed_dictionaries(dict(more), optional=optional)
    found = st.tuples(st.lists(one, min_size=least, max_size=1), st.lists(other, max_size=1))
    return found.map(lambda lists: [*lists[0], *(rule for rule in lists[1] if rule not in lists[0])])


CAF = st.just(("caf",))
"""What stands in for a convention or an engagement may only do so for the Caf's own staff: a canary asks."""


@st.composite
def worlds(draw: st.DrawFn) -> World:
    few = {fact: OF_THE_AGENT[fact] for fact in ("profile", "assurance")}
    return World(
        table={slug: tuple(p for p in PROFILES if draw(st.booleans())) for slug in SLUGS},
        dossiers={p: draw(st.one_of(st.just(("any",)), some_of(MANDATES))) for p in PROFILES},
        conventions=draw(
            rules({"convention": ("in_force",)}, {"partner_kind": CAF, "convention": some_of(CONVENTIONS)}, few)
        ),
        engagements=draw(
            rules({"engagement": ("signed",)}, {"partner_kind": CAF, "engagement": some_of(ENGAGEMENTS)}, few)
        ),
        assurances=[{"assurance": draw(some_of(ASSURANCES))}],
        entrusted=draw(rules({"mandates": ("masp",)}, OF_THE_DOSSIER, OF_THE_AGENT, least=0)),
        refusals=draw(
            rules(
                {"objection": ("raised",)},
                {"profile": some_of(PROFILES), "mandates": some_of(MANDATES)},
                {"assurance": some_of(ASSURANCES)},
            )
        ),
    )


ROUTES = """
[[route]]
name = "dossier"
match = "GET /dossiers/{numero}"
action = "consult"
answer = "json"
query = []
[route.parts]
"/numero" = "number"
"/rubriques/{rubric}" = "{rubric}"
"""
"""A route table that fits these rubrics."""

ORDINARY = World(
    table={"paiement": ("T1", "T9"), "courrier": ("T9",), "rsa": ("T1",)},
    dossiers={"T1": ("any",), "T9": ("judgment", "masp")},
    conventions=[{"convention": ("in_force",)}],
    engagements=[{"engagement": ("signed",)}],
    assurances=[{"assurance": ("password", "federated")}],
    entrusted=[],
    refusals=[{"objection": ("raised",), "partner_kind": ("external",)}],
)
"""A small policy like the shipped one, decided in little time."""
