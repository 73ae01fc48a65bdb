# ruff: noqa: E501 -- one mistake, one line: tables are read across
"""Mistakes somebody could make in the policies, or put there: what catches each, and what its author is told.

python -m tests.policy.seeded     # tries them all and writes tests/policy/SEEDED.md

`tests/policy/test_policy_seeded.py` tries each again and fails where the page says anything else.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple
from unittest.mock import patch

from gateway.cli.policy.differing import entries
from gateway.errors import Misconfigured
from gateway.policy.anatomy import anatomy
from gateway.policy.cases import Judge
from gateway.policy.difference import difference, profiles_compared, rubrics_compared
from gateway.policy.enumeration import Decisions, Enumerated, openings
from gateway.policy.layout import FILES
from gateway.policy_files import approved
from gateway.policy_files.approved import ApprovalRules, unapproved
from gateway.policy_files.case_files import read_tests
from gateway.policy_files.child import checked_folder
from gateway.policy_files.comparison import Comparison
from gateway.policy_files.folder import ROUTES, InForce, load_folder, load_texts, read, shipped
from gateway.policy_files.looking import looked_at
from gateway.proxy.authorise import refusal_of
from gateway.redaction.compared import compared

PAGE: Final = Path(__file__).with_name("SEEDED.md")
HEAD: Final = ("mistake", "caught by", "what is said", "kept from a running gateway by")

P, M, C, R, G, S = FILES
Texts = Mapping[str, str]


class Mistake(NamedTuple):
    """`caught_by` the command that is the first to see it, with a sentence that holds `said`. `profiles`: whom it
    touches, where only what the policies decide shows it. `raw`: what is on the disk, where that is no text of ours."""

    change: Callable[[Texts], dict[str, str]]
    caught_by: str
    said: str
    profiles: tuple[str, ...] = ()
    raw: Mapping[str, Callable[[bytes], bytes]] = {}


def check(file: str, old: str, new: str, said: str) -> Mistake:
    return Mistake(_part(file, old, new), "check", said)


def also(file: str, more: str, said: str) -> Mistake:
    return Mistake(lambda texts: {**texts, file: texts[file] + more}, "check", said)


def raw(file: str, change: Callable[[bytes], bytes], said: str) -> Mistake:
    return Mistake(dict, "check", said, raw={file: change})


def decided(caught_by: str, file: str, old: str, new: str, said: str, *profiles: str) -> Mistake:
    return Mistake(_part(file, old, new), caught_by, said, profiles)


def _part(file: str, old: str, new: str) -> Callable[[Texts], dict[str, str]]:
    def change(texts: Texts) -> dict[str, str]:
        assert texts[file].count(old) == 1, f"{old!r} stands {texts[file].count(old)} times in {file}"
        return {**texts, file: texts[file].replace(old, new)}

    return change


IN_FORCE = 'if agent.convention = "in_force"'
SIGNED = 'if agent.engagement = "signed"'
RAISED = 'dossier.objection = "raised" and agent.partner_kind = "external"'
ENFANTS = '"Enfants",     ["T2", "T3"]'
NOT_REFUSED = "  not refusal(agent, dossier, _) and\n"
ADMITTED = 'admitted(agent, "consult", dossier, labels) and'

MISTAKES: Final[Mapping[str, Mistake]] = {
    # ------------------------------------------------------------------ typos, in every position
    "a misspelt rule where it is defined": check(M, 'rubric("qf_caf",', 'rubrique("qf_caf",', "Did you mean `rubric`?"),
    "a misspelt rule where it is used": check(C, 'dossiers(agent.profile, kinds, _) and "any"', 'dossier(agent.profile, kinds, _) and "any"', "there is no rule named `dossier`"),
    "a misspelt rubric": check(M, '"creances"', '"creance"', "unknown rubric `creance`. Did you mean `creances`?"),
    "a rubric by its label": check(M, '"creances"', '"Créances"', "unknown rubric `Créances`. Did you mean `creances`?"),
    "a misspelt profile": check(M, ENFANTS, '"Enfants",     ["T2", "T33"]', "unknown profile `T33`. Did you mean `T3`?"),
    "a profile in lower case": check(M, ENFANTS, '"Enfants",     ["T2", "t3"]', "unknown profile `t3`"),
    "two profiles in one string": check(M, ENFANTS, '"Enfants",     ["T2, T3"]', "unknown profile `T2, T3`"),
    "a misspelt fact": check(C, "agent.engagement", "agent.engagment", "Did you mean `engagement`?"),
    "a misspelt word": check(C, '"in_force"', '"in force"', "`in force` is never a value of `convention`. Did you mean `in_force`?"),
    "a misspelt mandate": check(C, '["judgment", "masp"], "b', '["judgement", "masp"], "b', "Did you mean `judgment`?"),
    "a misspelt action": check(G, ADMITTED, ADMITTED.replace("consult", "consutl"), "`consutl` is never a value of `action`. Did you mean `consult`?"),
    "a misspelt variable": check(G, "engagement(agent, signed)", "engagement(agent, singed)", "`singed` stands only once: is it misspelt?"),
    "a misspelt type": check(C, "convention(agent: Agent,", "convention(agent: Agnt,", "must be the agent, written `agent: Agent`"),
    "a misspelt `and`": check(C, 'dossiers(agent.profile, kinds, _) and "any"', 'dossiers(agent.profile, kinds, _) adn "any"', "found `adn`. Did you mean `and`?"),
    "a rule without its `;`": check(C, '"federated"];', '"federated"]', "Is the `;` missing at the end of line 12?"),
    "a string without its second quote": check(M, '"Enfants"', '"Enfants', "Is a quotation mark missing before it?"),
    "a bracket that is not closed": check(M, ENFANTS, '"Enfants",     ["T2", "T3"', "expected `,` or `]`"),
    "a misspelt key of the route table": check(ROUTES, 'at      = "/rubriques/{rubric}"', 'att     = "/rubriques/{rubric}"', 'Did you mean "at"?'),
    "a rubric that only the route table knows": check(ROUTES, 'rubric        = "courrier"', 'rubric        = "courier"', 'Did you mean "courrier"?'),
    # ------------------------------------------------------------------ twice, or nowhere
    "a row twice": check(M, 'rubric("qf_caf",      "QF Caf",      ["T3"],                                                              "brochure 2012, row 12");', 'rubric("qf_caf", "QF Caf", ["T3"], "x");\nrubric("qf_caf", "QF Caf", ["T3"], "x");', "this repeats line 16"),
    "a rubric with two rows": check(M, 'rubric("qf_caf",', 'rubric("qf_cnaf",', "the rubric `qf_cnaf` already has its row on line 15"),
    "a rubric without a row": check(M, 'rubric("enfants"', '#rubric("enfants"', "the rubric `enfants` of schema.polar has no row"),
    "a profile without its dossiers": check(C, 'dossiers("T16",', '#dossiers("T16",', "the profile `T16` has no `dossiers` line"),
    # ------------------------------------------------------------------ wildcards
    "a profile without quotes": check(M, ENFANTS, '"Enfants",     ["T2", T3]', '`T3` must be written between double quotes: "T3"'),
    "a name without quotes, twice: every profile": check(M, ENFANTS, '"Enfants",     [all, all]', "without them it would match anything"),
    "a row for any rubric": check(M, 'rubric("enfants",', "rubric(_slug: String,", "without them it would match anything"),
    "a row for any profiles": check(M, ENFANTS, '"Enfants",     _profiles: List', "without them it would match anything"),
    "a star for every profile": check(M, ENFANTS, '"Enfants",     ["*"]', "unknown profile `*`"),
    "any rubric, by a second gate": check(G, "allow_request(agent", 'allow_field(_a: Agent, "consult", _d: Dossier, _slug: String);\nallow_request(agent', "`allow_field` has 2 rules; it may have only one"),
    "a row that opens by itself": check(M, 'rubric("enfants"', 'allow_field(_a, "consult", _d, _s);\nrubric("enfants"', "`allow_field` is defined in gates.polar only"),
    # ------------------------------------------------------------------ letters that look alike, or cannot be seen
    "a Greek letter in a profile": check(M, ENFANTS, '"Enfants",     ["T2", "Τ3"]', "A letter of it comes from another alphabet"),
    "a Cyrillic letter in a fact": check(C, "agent.convention", "agent.сonvention", "CYRILLIC SMALL LETTER ES"),
    "an accent typed in two parts": check(M, '"Créances"', '"Cre\u0301ances"', "an accent is written as two characters here"),
    "a no-break space between two words": check(C, IN_FORCE, IN_FORCE.replace("if ", "if\u00a0"), "NO-BREAK SPACE"),
    "a line turned round by an invisible character": check(R, "# The person refused", "# \u202eThe person refused", "the invisible character U+202E"),
    "a carriage return that ends a comment": check(R, "# The person refused", "# \rrefusal(_a: Agent, _d: Dossier, \"x\");", "a carriage return stands alone here"),
    "a byte-order mark": raw(M, lambda content: b"\xef\xbb\xbf" + content, "the file begins with a byte-order mark"),
    "a file saved as Latin-1": raw(M, lambda content: content.decode().encode("latin-1"), "is not UTF-8; save the file as UTF-8"),
    # ------------------------------------------------------------------ guards
    "the convention is not asked for": check(G, "  convention(agent, in_force) and\n", '  in_force = "" and\n', "nothing uses the rule `convention`"),
    "the refusals are not asked for": check(G, NOT_REFUSED, "", "`not refusal(…)` must stand exactly once in the folder, here 0 times"),
    "`and` became `or` beside the gate": check(G, ADMITTED, f'({ADMITTED.removesuffix(" and")} or labels = "x") and', "opens rubrics"),
    "a convention may be suspended as well": check(C, IN_FORCE, 'if agent.convention in ["in_force", "suspended"]', "opens rubrics with a suspended convention"),
    "`and` became `or` in the convention": check(C, IN_FORCE, f'{IN_FORCE} or agent.partner_kind = "external"', "opens rubrics without a convention"),
    "whatever the engagement, if it has a state": check(C, 'engagement(agent: Agent, "engagement signed") if agent.engagement = "signed"', "engagement(agent: Agent, state) if agent.engagement = state", "opens rubrics with an unknown engagement state"),
    "the condition on the dossier is dropped": check(C, "entrusted(agent: Agent, dossier: Dossier, kind) if\n  dossiers(agent.profile, kinds, _) and kind in kinds and kind in dossier.mandates;", "entrusted(agent: Agent, dossier: Dossier, kind) if\n  dossiers(agent.profile, kinds, _) and kind in kinds;", "`dossier` stands only once"),
    "a mandate of any kind, also of one that nobody knows": decided("check", C, "dossiers(agent.profile, kinds, _) and kind in kinds and kind in dossier.mandates", "dossiers(agent.profile, _, _) and kind in dossier.mandates", "although `mandates` is kinds that nobody knows", "T9"),
    "a refusal of the Caf's own agents instead of the others": check(R, '"external"', '"caf"', "on a dossier under objection"),
    "a refusal that compares with a list": check(R, '= "raised"', '= ["raised"]', "never equal to a list"),
    "agent and dossier exchanged": check(G, "not refusal(agent, dossier, _)", "not refusal(dossier, agent, _)", "place 1 of `refusal` must be the agent of this rule"),
    # ------------------------------------------------------------------ `not`
    "`not` over a missing fact": check(R, RAISED, "not agent.nope = 1", "`not` may only stand before a rule"),
    "`not` before a misspelt rule": check(G, "not refusal(", "not refusals(", "there is no rule named `refusals`"),
    "`not` over a condition": check(R, RAISED, f"{RAISED} and not convention(agent, _)", "`not` is refused here"),
    "`not` over a refusal that reads a missing fact": check(R, "dossier.objection", "dossier.objections", "there is no fact `dossier.objections`"),
    # ------------------------------------------------------------------ ways out of the policy (each found to work on stock oso)
    "a way out: a shell, through the builtins": check(C, IN_FORCE, 'if x = agent.__init__.__builtins__.__import__.__call__("os").popen("id").read()', "names beginning with two underscores are refused"),
    "a way out: the subclasses of String": check(C, IN_FORCE, "if x in String.__subclasses__()", "must be written between double quotes"),
    "a way out: the clock": check(C, IN_FORCE, "if x = Datetime.now()", "must be written between double quotes"),
    "a way out: the format of a string": check(C, IN_FORCE, 'if x = "{0.__class__}".format(agent)', "found `.`"),
    "a way out: a new object": check(C, IN_FORCE, 'if x = new Agent("T1")', "`new` may not stand here"),
    "a way out: a method of the agent": check(C, IN_FORCE, 'if agent.profile.startswith("T")', "facts are read, never called"),
    "a way out: the engine's own name for a fact": also(C, '\nentrusted(agent: Agent, dossier: Dossier, "tenants") if\n  agent.profile = "T10" and dossier.objection = "none" and\n  agent.assurance in ["password", "second_factor", "federated"] and _value_11 in ["federated"];\n', "a name that begins with `_` must not end with a digit"),
    "a way out: overwriting a frozen fact": check(C, IN_FORCE, 'if object.__setattr__(agent, "profile", "T1")', "names beginning with two underscores are refused"),
    "a way out: a question that runs at load": also(G, '\n?= allow_field(_, "consult", _, "rsa");\n', "a question (`?=`) is never asked of a policy"),
    "a way out: print": check(C, IN_FORCE, "if print(agent)", "`print` may not stand here"),
    "a way out: the debugger, which waits for ever": check(C, IN_FORCE, "if debug()", "`debug` may not stand here"),
    "a way out: cut": check(C, IN_FORCE, "if cut", "`cut` may not stand here"),
    "a way out: forall over a missing fact": check(C, IN_FORCE, "if forall(x in agent.nope, x = 1)", "`forall` may not stand here"),
    "a way out: a pattern of the agent's": check(C, "convention(agent: Agent,", "convention(agent: Agent{profile: \"T1\"},", "braces are not used"),
    "a way out: isa": check(C, IN_FORCE, "if agent matches Agent", "expected `=` or `in`, found `matches`"),
    "a way out: a file beside the others": Mistake(lambda texts: {**texts, "extra.polar": 'allow_field(_, "consult", _, _);'}, "check", "this file is not one of"),
    # ------------------------------------------------------------------ too much
    "a condition that rests on itself": check(C, IN_FORCE, "if convention(agent, _)", "the rule `convention` rests on itself"),
    "two rules that rest on each other": check(R, RAISED, f'{RAISED} and admitted(agent, "consult", dossier, _)', "the rule `refusal` rests on itself, directly or through others: no end"),
    "a file of one megabyte": raw(M, lambda content: content + b"#" * 1_000_000, "the file is larger than 262144 bytes"),
    "8 000 brackets, which end stock oso": also(C, "convention(agent: Agent, x) if " + "(" * 8_000 + "x" + ")" * 8_000 + ";", "brackets nest deeper than 8"),
    "30 000 conditions, which hold stock oso for long": also(C, "convention(a: Agent, x) if " + " and ".join(["x=a"] * 30_000) + ";", "this rule is too long"),
    # ------------------------------------------------------------------ well formed, and another meaning: only the decisions show it
    "a cross in the column beside": decided("test", M, '["T8"],                          "brochure 2012, row 13"', '["T6"],                          "brochure 2012, row 13"', "T6, the health insurance funds", "T6", "T8"),
    "two columns exchanged": decided("test", M, '["T1", "T9", "T10", "T11", "T12", "T13"],                            "brochure 2012, row 1"', '["T2", "T9", "T10", "T11", "T12", "T13"],                            "brochure 2012, row 1"', "T2, providers of social action", "T1", "T2"),
    "a cross too many": decided("test", M, '["T1", "T9", "T11", "T13"],                                          "brochure 2012, row 10"', '["T1", "T5", "T9", "T11", "T13"],                                    "brochure 2012, row 10"', "T5, those who follow", "T5"),
    "two rows exchanged": Mistake(lambda texts: {**texts, M: texts[M].replace('rubric("qf_cnaf",', 'rubric("@",').replace('rubric("qf_caf",', 'rubric("qf_cnaf",').replace('rubric("@",', 'rubric("qf_caf",')}, "test", "T2, providers of social action", ("T2", "T3")),
    "a mandate that is not asked for any more": decided("test", C, '"T9",  ["judgment", "masp"]', '"T9",  ["any"]', "T9 is let in by no other mandate", "T9"),
    "a mandate of one kind more": decided("test", C, '["direct_payment"]', '["direct_payment", "instruction"]', "T10 is let in by no other mandate", "T10"),
    "`and` became `or` in the mandates": decided("test", C, "kind in kinds and kind in dossier.mandates", "(kind in kinds or kind in dossier.mandates)", "T9 is let in by no other mandate", "T9"),
    "an engagement that federated agents need not sign": decided("check", C, SIGNED, f'{SIGNED} or agent.assurance = "federated"', "although `engagement` is a word that nobody knows", "T2"),
    "a refusal that spares who has but a password": decided("diff", R, RAISED, f'{RAISED} and agent.assurance in ["second_factor", "federated"]', "+ T2 sees under other conditions enfants, qf_cnaf, adresse", "T2"),
    "the bank details belong to a rubric": decided("diff", ROUTES, '"/rubriques/paiement/versements/*/iban"  = "never"', '"/rubriques/paiement/versements/*/iban"  = "paiement"', "/rubriques/paiement/versements/*/iban", "T2"),
    "a field more may leave": decided("diff", ROUTES, '"mode", "destinataire"]', '"mode", "destinataire", "compte"]', "/rubriques/paiement/versements/*/compte", "T2"),
}  # fmt: skip


@cache
def shipped_texts() -> Texts:
    return read(shipped())


def row(name: str, mistake: Mistake) -> tuple[str, str, str, str]:
    """The line of the page. Raises `AssertionError` where nothing catches the mistake, or nothing keeps it out."""
    with patch.dict(os.environ, POLAR_TIMEOUT_MS="60000"):  # a busy machine is none of the mistakes
        return name, *_tried(mistake)


def _tried(mistake: Mistake) -> tuple[str, str, str]:
    if mistake.raw:
        with tempfile.TemporaryDirectory() as folder:
            return _on_disk(Path(folder), mistake)
    texts = mistake.change(shipped_texts())
    *_, found = looked_at(texts)
    said = [f"{each.file}:{each.line}:{each.column}: {each.said}" for each in found.problems]
    if mistake.caught_by != "check":
        assert said == [], "check sees it first"
        said = list({"test": _failed_tests, "diff": _differences}[mistake.caught_by](texts, mistake.profiles))
    return mistake.caught_by, _one(said, mistake.said), _kept_out(texts, mistake.profiles, proven=not found.problems)


def _on_disk(folder: Path, mistake: Mistake) -> tuple[str, str, str]:
    for name, text in shipped_texts().items():
        content = text.encode()
        (folder / name).write_bytes(mistake.raw[name](content) if name in mistake.raw else content)
    found, _ = checked_folder(folder)
    said = [f"{each.file}:{each.line}:{each.column}: {each.said}" for each in found.problems]
    try:
        load_folder(folder)
    except Misconfigured:
        return "check", _one(said, mistake.said), "the load"
    raise AssertionError("it is loaded")


def _one(said: list[str], fragment: str) -> str:
    telling = [each for each in said if fragment in each]
    assert telling, "\n".join([f"nothing says {fragment!r}:", *said])
    return telling[0] if len(telling[0]) <= 300 else f"{telling[0][:300]}…"


def _failed_tests(texts: Texts, profiles: tuple[str, ...]) -> Iterator[str]:
    """The decision tables about these profiles that are not kept."""
    policy = load_texts(texts, proven=True).policy
    tests = read_tests(shipped(), policy)
    assert not tests.problems
    judge = Judge(policy, Decisions(policy).of, lambda grant, facts: refusal_of(grant, facts).shown, anatomy(texts))
    for case in tests.suite.cases:
        if {facts.profile for facts in case.facts} <= {*profiles} and judge.case(case).failed:
            yield f"FAILED {case.file}:{case.line}: {case.name}"


def _differences(texts: Texts, profiles: tuple[str, ...]) -> Iterator[str]:
    old, new = (load_texts(each, proven=True) for each in (shipped_texts(), texts))
    one, other = (_enumerated(in_force, profiles) for in_force in (old, new))
    found = Comparison(
        one,
        other,
        tuple(difference(one.openings, other.openings)),
        profiles_compared(one, other),
        rubrics_compared(one, other),
        tuple(compared(old.routes, new.routes)),
    )
    assert found.opens
    for entry in entries(found):
        yield " ".join((entry.sign, entry.who, entry.what, ", ".join(entry.rubrics))).rstrip()


def _enumerated(in_force: InForce, profiles: tuple[str, ...]) -> Enumerated:
    policy = in_force.policy
    return Enumerated(policy.fingerprint, policy.profiles, policy.rows, openings(policy, profiles=profiles))


def _kept_out(texts: Texts, profiles: tuple[str, ...], *, proven: bool) -> str:
    """What keeps a running gateway from it. The approval is asked about the profiles it touches: the others take long."""
    try:
        in_force = load_texts(texts, proven=proven)
    except Misconfigured:
        return "the load"
    opened = openings(in_force.policy, profiles=profiles)
    with patch.object(approved, "all_openings", lambda _: opened):
        refused = unapproved(shipped(), in_force, ApprovalRules())
    assert any(sentence.startswith("not approved: ") for sentence in refused), refused
    return "the approval"


def written() -> list[tuple[str, ...]]:
    """The rows of the page."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")] if PAGE.exists() else []
    return [tuple(cell.strip() for cell in _cells(line)) for line in lines[2:]]


def _cells(line: str) -> list[str]:
    return [cell.replace("&#124;", "|") for cell in line.strip("|").split("|")]


def in_page(cells: tuple[str, ...]) -> tuple[str, ...]:
    """The cells as the page can hold them: what would break a line or hide in it is written out."""
    return tuple(
        "".join(each if each.isprintable() else f"U+{ord(each):04X}" for each in cell).strip() for cell in cells
    )


def main() -> int:
    rows = [in_page(row(name, mistake)) for name, mistake in MISTAKES.items()]
    lines = [
        "| " + " | ".join(cell.replace("|", "&#124;") for cell in cells) + " |"
        for cells in (HEAD, ("---",) * len(HEAD), *rows)
    ]
    PAGE.write_text(f"{ABOUT}\n\n" + "\n".join(lines) + "\n")
    return 0


ABOUT: Final = """# Mistakes in the policies, and what catches each

Written by `python -m tests.policy.seeded`, compared line by line by `test_policy_seeded.py`. Each is made in the shipped
policies; `check`, `test` and `diff` are `cafpro policy check` and so on, and the first of them that sees it is named,
with what it says. The last column is what a gateway does with such a folder: it refuses to load it, or it loads it and
refuses to put it in force, because it opens what nobody approved."""

if __name__ == "__main__":
    sys.exit(main())
