"""Each change of a rule that a policy's tests must notice: what it would mean, and what is written then."""

import re
from collections.abc import Iterator

import pytest

from gateway.policy.anatomy import anatomy
from gateway.policy.layout import FILES, SCHEMA
from gateway.policy.mutants import rule_mutants

SCHEMA_TEXT = """
type dossiers(profile: String, kinds: List, source: String);
type verified();
type known(a: Agent);
type convention(a: Agent, label);
type assurance(a: Agent, action: String, label);
type entrusted(a: Agent, d: Dossier, label);
type refusal(a: Agent, d: Dossier, label);
type admitted(a: Agent, action: String, d: Dossier, label);
type allow(a: Agent, action: String, d: Dossier);
"""
ALWAYS = 'assurance(a: Agent, _: String, _) if a.assurance in ["password", "second_factor", "federated"];'
ALWAYS += ' known(a: Agent) if a.profile in ["T1", "T2"];'
CHANGES = """
conditions.polar: dossiers("T1", ["any"], "x");
    wanted some mandate of T1 {'profile': ['T1']}
        dossiers("T1", ["judgment", "masp", "direct_payment", "instruction"], "x")
conditions.polar: dossiers("T2", ["masp", "judgment"], "x");
    let T2 open any dossier {'profile': ['T2']}
        dossiers("T2", ["any"], "x")
    did not let T2 in by masp {'mandates': ['masp'], 'profile': ['T2']}
        dossiers("T2", ["judgment"], "x")
    did not let T2 in by judgment {'mandates': ['judgment'], 'profile': ['T2']}
        dossiers("T2", ["masp"], "x")
    also let T2 in by direct_payment {'mandates': ['direct_payment'], 'profile': ['T2']}
        dossiers("T2", ["masp", "judgment", "direct_payment"], "x")
    also let T2 in by instruction {'mandates': ['instruction'], 'profile': ['T2']}
        dossiers("T2", ["masp", "judgment", "instruction"], "x")
conditions.polar: dossiers("T2", ["masp", "masp"], "x");
    let T2 open any dossier {'profile': ['T2']}
        dossiers("T2", ["any"], "x")
    did not let T2 in by masp {'mandates': ['masp'], 'profile': ['T2']}
        dossiers("T2", [], "x")
    also let T2 in by judgment {'mandates': ['judgment'], 'profile': ['T2']}
        dossiers("T2", ["masp", "masp", "judgment"], "x")
    also let T2 in by direct_payment {'mandates': ['direct_payment'], 'profile': ['T2']}
        dossiers("T2", ["masp", "masp", "direct_payment"], "x")
    also let T2 in by instruction {'mandates': ['instruction'], 'profile': ['T2']}
        dossiers("T2", ["masp", "masp", "instruction"], "x")
conditions.polar: convention(a: Agent, "if so") if a.convention = "in_force" and a.profile in ["T1"];
    did not count {}
        (a.convention = "in_force" and a.profile in ["T1"]) and "-" = "+"
    did not ask: a.convention = "in_force" {'convention': ['expired', 'none', 'suspended']}
        [a] = [a] and a.profile in ["T1"]
    asked the contrary of: a.convention = "in_force" {'convention': ['in_force']}
        a.convention in ["suspended", "expired", "none"] and a.profile in ["T1"]
    also took suspended for convention {'convention': ['suspended']}
        a.convention in ["in_force", "suspended"] and a.profile in ["T1"]
    also took expired for convention {'convention': ['expired']}
        a.convention in ["in_force", "expired"] and a.profile in ["T1"]
    also took none for convention {'convention': ['none']}
        a.convention in ["in_force", "none"] and a.profile in ["T1"]
    did not ask: a.profile in ["T1"] {'profile': ['T2']}
        a.convention = "in_force" and [a] = [a]
    asked the contrary of: a.profile in ["T1"] {'profile': ['T1']}
        a.convention = "in_force" and a.profile in ["T2"]
conditions.polar: convention(a: Agent, _) if a.profile in ["T2", "T1"];
    did not count {}
        (a.profile in ["T2", "T1"]) and "-" = "+"
    asked the contrary of: a.profile in ["T2", "T1"] {'profile': ['T1', 'T2']}
        a.profile in []
    did not take T2 for profile {'profile': ['T2']}
        a.profile in ["T1"]
    did not take T1 for profile {'profile': ['T1']}
        a.profile in ["T2"]
conditions.polar: entrusted(a: Agent, d: Dossier, "masp") if "masp" in d.mandates;
    did not count {}
        ("masp" in d.mandates) and "-" = "+"
    did not ask: "masp" in d.mandates {'mandates': ['direct_payment', 'instruction', 'judgment']}
        [d] = [d]
    asked the contrary of: "masp" in d.mandates {'mandates': ['masp']}
        not ("masp" in d.mandates)
    asked for judgment {'mandates': ['judgment']}
        "judgment" in d.mandates
    asked for direct_payment {'mandates': ['direct_payment']}
        "direct_payment" in d.mandates
    asked for instruction {'mandates': ['instruction']}
        "instruction" in d.mandates
conditions.polar: assurance(_: Agent, "consult", "if") if dossiers("T1", kinds, _) and "any" in kinds;
    held whatever the action {'action': ['message']}
        assurance(_: Agent, _any: String, "if") if dossiers("T1", kinds, _) and "any" in kinds
    did not count {}
        (dossiers("T1", kinds, _) and "any" in kinds) and "-" = "+"
    did not ask: "any" in kinds {}
        dossiers("T1", kinds, _) and [kinds] = [kinds]
    asked the contrary of: "any" in kinds {}
        dossiers("T1", kinds, _) and not ("any" in kinds)
conditions.polar: verified() if "a" = x and x in ["a", "b"];
    did not count {}
        ("a" = x and x in ["a", "b"]) and "-" = "+"
    did not ask: "a" = x {}
        [x] = [x] and x in ["a", "b"]
    asked the contrary of: "a" = x {}
        not ("a" = x) and x in ["a", "b"]
    did not ask: x in ["a", "b"] {}
        "a" = x and [x] = [x]
    asked the contrary of: x in ["a", "b"] {}
        "a" = x and not (x in ["a", "b"])
refusals.polar: refusal(a: Agent, _: Dossier, x) if [x] = ["a"] and not convention(a, _);
    did not count {}
        ([x] = ["a"] and not convention(a, _)) and "-" = "+"
    did not ask: [x] = ["a"] {}
        [x] = [x] and not convention(a, _)
    asked the contrary of: [x] = ["a"] {}
        not ([x] = ["a"]) and not convention(a, _)
    did not ask: not convention(a, _) {}
        [x] = ["a"] and [a] = [a]
    asked the contrary of: not convention(a, _) {}
        [x] = ["a"] and convention(a, _)
gates.polar: admitted(a: Agent, "consult", d: Dossier, x) if assurance(a, "consult", one) and x = [one];
    held whatever the action {'action': ['message']}
        admitted(a: Agent, _any: String, d: Dossier, x) if assurance(a, "consult", one) and x = [one]
    asked the contrary of: assurance(a, "consult", one) {}
        not assurance(a, "consult", _) and one = "-" and x = [one]
gates.polar: admitted(a: Agent, t: String, d: Dossier, x) if entrusted(a, d, x) and not refusal(a, d, _);
    did not ask: entrusted(a, d, x) {}
        [a, d, x] = [a, d, x] and not refusal(a, d, _)
    asked the contrary of: entrusted(a, d, x) {}
        not entrusted(a, d, x) and not refusal(a, d, _)
    did not ask: not refusal(a, d, _) {}
        entrusted(a, d, x) and [a, d] = [a, d]
    asked the contrary of: not refusal(a, d, _) {}
        entrusted(a, d, x) and refusal(a, d, _)
gates.polar: admitted(a: Agent, t: String, d: Dossier, x) if refusal(a.profile, ["y", z], "w", it, _, z);
    did not ask: refusal(a.profile, ["y", z], "w", it, _, z) {}
        [a] = [a] and it = "-" and z = "-"
    asked the contrary of: refusal(a.profile, ["y", z], "w", it, _, z) {}
        not refusal(a.profile, ["y", z], "w", _, _, _) and it = "-" and z = "-"
gates.polar: admitted(a: Agent, t: String, d: Dossier, x) if known(a);
    asked the contrary of: known(a) {}
        not known(a)
gates.polar: admitted(a: Agent, t: String, d: Dossier, y) if convention(a, x) and entrusted(a, d, x);
    did not ask: convention(a, x) {}
        [a] = [a] and x = "-" and entrusted(a, d, x)
    asked the contrary of: convention(a, x) {}
        not convention(a, _) and x = "-" and entrusted(a, d, x)
    did not ask: entrusted(a, d, x) {}
        convention(a, x) and [a, d, x] = [a, d, x]
    asked the contrary of: entrusted(a, d, x) {}
        convention(a, x) and not entrusted(a, d, x)
gates.polar: admitted(a: Agent, t: String, d: Dossier, x) if verified() and not refusal("a", "b", "c");
    did not ask: verified() {}
        "-" = "-" and not refusal("a", "b", "c")
    asked the contrary of: verified() {}
        not verified() and not refusal("a", "b", "c")
    did not ask: not refusal("a", "b", "c") {}
        verified() and "-" = "-"
    asked the contrary of: not refusal("a", "b", "c") {}
        verified() and refusal("a", "b", "c")
gates.polar: allow(a: Agent, t: String, d: Dossier) if admitted(a, t, d, _);
"""


def rules() -> Iterator[tuple[str, str, list[str]]]:
    """Each rule of `CHANGES`: its file, its text and the lines under it."""
    for block in re.split(r"\n(?=\S)", CHANGES.strip()):
        first, *lines = block.split("\n")
        file, _, rule = first.partition(": ")
        yield file, rule, [line.strip() for line in lines]


@pytest.mark.parametrize(("file", "rule", "lines"), list(rules()), ids=[rule for _, rule, _ in rules()])
def test_the_changes_of_a_rule(file, rule, lines):
    """The profiles are T1 and T2; beside the rule stands `ALWAYS`."""
    assert told(file, rule) == lines


def told(file: str, rule: str) -> list[str]:
    """Of each change of `rule` two lines: its sentence and what it is likely to be noticed with; then its body, or the
    rule where the body is as it was."""
    texts = {**dict.fromkeys(FILES, ""), SCHEMA: SCHEMA_TEXT, "conditions.polar": ALWAYS}
    texts[file] += f"\n{rule}"
    begin = f"if {file}:{texts[file].count(chr(10)) + 1} (`{rule.partition('(')[0]}`) "
    lines = []
    for mutant in rule_mutants(texts, anatomy(texts), ("T1", "T2")):
        if mutant.said.startswith(begin):
            about = {fact: sorted(words) for fact, words in sorted(mutant.about.items())}
            head, _, body = mutant.text.rpartition("\n")[2].removesuffix(";").partition(" if ")
            whole = f"{head} if {body}" if f" if {body};" in rule else body or head
            lines += [f"{mutant.said.removeprefix(begin)} {about}", whole]
            assert (mutant.file, f"if {file}:{mutant.line}") == (file, begin.partition(" (")[0])
    return lines


def test_a_change_is_told_with_the_line_of_its_condition():
    rule = 'refusal(a: Agent, d: Dossier, "x") if\n  a.convention = "none"\n  and "masp" in d.mandates\n  and known(a);'
    texts = {**dict.fromkeys(FILES, ""), SCHEMA: SCHEMA_TEXT, "refusals.polar": rule}
    mutants = list(rule_mutants(texts, anatomy(texts), ("T1", "T2")))
    assert all(mutant.said.startswith(f"if refusals.polar:{mutant.line} (`refusal`) ") for mutant in mutants)
    first = {line: next(m.said for m in mutants if m.line == line).partition(") ")[2] for line in range(1, 5)}
    assert first == {
        1: "did not count",
        2: 'did not ask: a.convention = "none"',
        3: 'did not ask: "masp" in d.mandates',
        4: "did not ask: known(a)",
    }
    assert len(mutants) == 1 + 5 + 5 + 2
