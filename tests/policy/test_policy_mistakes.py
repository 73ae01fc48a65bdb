# ruff: noqa: E501 -- one mistake, one line: tables are read across
"""Mistakes in the policy files, each with what its author is told.

Every one is refused before oso sees a letter of it: oso accepts many of them without a word, and some end the process.
"""

import pytest

from gateway.errors import Misconfigured
from gateway.policy import loading
from gateway.policy.lint import FILES, named_rubrics
from gateway.policy.loading import load
from gateway.policy.sandbox import PolicyDefect
from gateway.policy_files.folder import load_folder

P, M, C, R, G, S = FILES

T2 = 'profile("T2",'
ENFANTS = 'rubric("enfants",     "Enfants",     ["T2", "T3"], '
IN_FORCE = 'agent.convention = "in_force"'
ENTRUSTED = 'dossiers(agent.profile, kinds, _) and "any" in kinds'
RAISED = 'dossier.objection = "raised" and agent.partner_kind = "external"'
SLUGS = '"paiement", "dossier", "famille"'

MISTAKES = {
    # ------------------------------------------------------------------ words that do not exist
    "a misspelt rule in a head": (M, 'rubric("qf_caf",', 'rubrique("qf_caf",', "matrix.polar:16: there is no rule named `rubrique`. Did you mean `rubric`?"),
    "a misspelt rule in a condition": (C, "dossiers(agent.profile, kinds, _) and kind in kinds", "dossier(agent.profile, kinds, _) and kind in kinds", "conditions.polar:38: there is no rule named `dossier`. Did you mean `dossiers`?"),
    "a misspelt rule behind the not": (G, "not refusal(", "not refusals(", "gates.polar:14: there is no rule named `refusals`. Did you mean `refusal`?"),
    "a misspelt rubric": (M, '"creances"', '"creance"', "matrix.polar:14: unknown rubric `creance`. Did you mean `creances`?"),
    "a rubric by its label": (M, '"creances"', '"Créances"', "matrix.polar:14: unknown rubric `Créances`. Did you mean `creances`?"),
    "an unknown profile in a row": (M, ENFANTS, ENFANTS.replace("T3", "T33"), "matrix.polar:8: unknown profile `T33`. Did you mean `T3`?"),
    "a profile that the brochure lacks": (M, ENFANTS, ENFANTS.replace("T3", "T7"), "matrix.polar:8: unknown profile `T7`."),
    "two profiles in one string": (M, ENFANTS, ENFANTS.replace('"T2", "T3"', '"T2, T3"'), "matrix.polar:8: unknown profile `T2, T3`."),
    "a profile in lower case": (M, ENFANTS, ENFANTS.replace("T3", "t3"), "matrix.polar:8: unknown profile `t3`."),
    "a profile with a Greek letter": (M, ENFANTS, ENFANTS.replace("T3", "Τ3"), "matrix.polar:8: unknown profile `Τ3`. A letter of it comes from another alphabet"),
    "an unknown profile among the dossiers": (C, 'dossiers("T8",', 'dossiers("T88",', "conditions.polar:24: unknown profile `T88`. Did you mean `T8`?"),
    "a misspelt reason": (C, '["judgment", "masp"], "b', '["judgement", "masp"], "b', "conditions.polar:25: unknown reason `judgement`. Did you mean `judgment`?"),
    "a misspelt fact": (C, "agent.convention = ", "agent.convention_state = ", "conditions.polar:5: there is no fact `agent.convention_state`. Did you mean `convention`?"),
    "a misspelt fact in a refusal": (R, "dossier.objection", "dossier.objections", "refusals.polar:5: there is no fact `dossier.objections`. Did you mean `objection`?"),
    "a fact of the dossier asked of the agent": (R, "dossier.objection", "agent.objection", "refusals.polar:5: there is no fact `agent.objection`."),
    "a fact of something that has none": (R, "agent.partner_kind", "kind.partner_kind", "refusals.polar:5: `kind` is not the agent or the dossier of this rule"),
    "a misspelt word": (C, '"in_force"', '"in force"', "conditions.polar:5: `in force` is never a value of `convention`. Did you mean `in_force`?"),
    "a misspelt word in a list": (C, '"second_factor", "federated"', '"secondfactor", "federated"', "conditions.polar:12: `secondfactor` is never a value of `assurance`. Did you mean `second_factor`?"),
    "a misspelt word in a refusal": (R, '"raised"', '"rised"', "refusals.polar:5: `rised` is never a value of `objection`. Did you mean `raised`?"),
    "a misspelt word behind a variable": (R, RAISED, 'state = dossier.objection and state = "rised" and agent.partner_kind = "external"', "refusals.polar:5: `rised` is never a value of `objection`. Did you mean `raised`?"),
    "a misspelt mandate behind a variable": (R, RAISED, 'kind in dossier.mandates and kind in ["judgement"] and agent.partner_kind = "external"', "refusals.polar:5: `judgement` is never a value of `mandates`. Did you mean `judgment`?"),
    "a misspelt mandate": (R, RAISED, '"maps" in dossier.mandates and agent.partner_kind = "external"', "refusals.polar:5: `maps` is never a value of `mandates`. Did you mean `masp`?"),
    "a misspelt action in a head": (G, 'opens(agent: Agent, "consult"', 'opens(agent: Agent, "consutl"', "gates.polar:18: `consutl` is never a value of `action`. Did you mean `consult`?"),
    "a misspelt action in a call": (G, 'admitted(agent, "consult"', 'admitted(agent, "consutl"', "gates.polar:19: `consutl` is never a value of `action`. Did you mean `consult`?"),
    "a misspelt profile in a call": (C, ENTRUSTED, ENTRUSTED.replace("agent.profile", '"T99"'), "conditions.polar:35: `T99` is never a value of `profile`. Did you mean `T9`?"),
    "an unknown class in a head": (C, "convention(agent: Agent,", "convention(agent: Agnt,", "conditions.polar:5: place 1 of `convention` must be the agent, written `agent: Agent`."),
    "an unknown class in a shape": (S, "type refusal(agent: Agent", "type refusal(agent: Agnt", "schema.polar:16: there is no type `Agnt`. Did you mean `Agent`?"),
    # ------------------------------------------------------------------ things twice, or missing
    "a row twice, word for word": (M, "\nrubric(\"qf_caf\",      \"QF Caf\",      [\"T3\"], ", '\nrubric("qf_caf", "QF Caf", ["T3"], "x");\nrubric("qf_caf", "QF Caf", ["T3"], "x");#', "matrix.polar:17: this repeats line 16"),
    "a rubric with two rows": (M, 'rubric("qf_caf",', 'rubric("qf_cnaf",', "matrix.polar:16: the rubric `qf_cnaf` already has its row on line 15."),
    "a profile twice in a row": (M, ENFANTS, ENFANTS.replace("T3", "T2"), "matrix.polar:8: the profile `T2` stands twice in this list."),
    "a profile with two lines": (P, T2, 'profile("T1",', "profiles.polar:5: the profile `T1` already has a line."),
    "a profile with two dossiers lines": (C, 'dossiers("T2",', 'dossiers("T1",', "conditions.polar:19: `T1` already has its `dossiers` line."),
    "a rubric listed twice": (S, SLUGS, '"paiement", "paiement", "dossier", "famille"', "schema.polar:27: the rubric `paiement` is listed twice"),
    "a shape declared twice": (S, "type allow(", "type opens(agent: Agent);\ntype allow(", "schema.polar:22: the shape of `opens` is declared twice."),
    "a row that is missing": (M, 'rubric("enfants"', '#rubric("enfants"', "matrix.polar:1: the rubric `enfants` of schema.polar has no row."),
    "a dossiers line that is missing": (C, 'dossiers("T16",', '#dossiers("T16",', "conditions.polar:1: the profile `T16` has no `dossiers` line."),
    "a shape that is missing": (S, "type refusal(", "type denial(", "schema.polar:1: the shape of `refusal` is missing."),
    "a rule that is missing": (C, 'engagement(agent: Agent, "', '#engagement(agent: Agent, "', "conditions.polar:1: the rule `engagement` is missing."),
    "a rule that nothing uses": (G, "\n  engagement(agent, signed) and", '\n  signed = "signed" and', "schema.polar:11: nothing uses the rule `engagement`: it would have no effect."),
    "a row without a label": (M, '"Enfants"', '" "', "matrix.polar:8: the row of `enfants` needs a label and the source it comes from."),
    "a row without a source": (M, '"brochure 2012, row 4"', '""', "matrix.polar:8: the row of `enfants` needs a label and the source it comes from."),
    "a profile without a label": (P, '"Bailleurs sociaux bénéficiaires de tiers payants"', '""', "profiles.polar:12: the profile `T10` has no label."),
    "a profile without dossiers": (C, '"T9",  ["judgment", "masp"]', '"T9",  []', 'conditions.polar:25: give either ["any"] or the reasons'),
    "any dossier and a reason": (C, '["direct_payment"]', '["any", "direct_payment"]', 'conditions.polar:26: give either ["any"] or the reasons'),
    # ------------------------------------------------------------------ lines that would match everything
    "an unquoted profile": (M, ENFANTS, ENFANTS.replace('"T3"', "T3"), 'matrix.polar:8: `T3` must be written between double quotes: "T3".'),
    "an unquoted name used twice": (M, ENFANTS, ENFANTS.replace('"T2", "T3"', "all, all"), 'matrix.polar:8: `all` is not between double quotes: without them it would match anything. Write "all".'),
    "a row for any rubric": (M, 'rubric("enfants",', "rubric(_,", "matrix.polar:8: place 1 of `rubric` must be a text between double quotes."),
    "a row for any rubric, with its type": (M, 'rubric("enfants",', "rubric(_slug: String,", "matrix.polar:8: `_slug` is not between double quotes"),
    "a row for any list of profiles": (M, '["T2", "T3"], ', "_profiles: List, ", "matrix.polar:8: `_profiles` is not between double quotes"),
    "a row with one profile and no list": (M, '["T2", "T3"], ', '"T2", ', "matrix.polar:8: place 3 of `rubric` must be a list between square brackets."),
    "a list of any rubric": (S, SLUGS, '"paiement", anything, "dossier", "famille"', "schema.polar:27: `anything` is not between double quotes"),
    "a head without the type of the agent": (C, 'convention(agent: Agent, "', 'convention(agent, "', "conditions.polar:5: place 1 of `convention` must be the agent, written `agent: Agent`."),
    "a fixed comparison": (C, IN_FORCE, '"in_force" = "in_force" and agent.convention = "in_force"', "conditions.polar:5: this compares two fixed values: it is always true or always false."),
    "a fact compared with itself": (C, IN_FORCE, "agent.convention = agent.convention", "conditions.polar:5: this compares a thing with itself: it is always true."),
    "a variable compared with itself": (C, IN_FORCE, "agent.convention = state and state = state", "conditions.polar:5: this compares a thing with itself: it is always true."),
    # ------------------------------------------------------------------ refusals that would refuse nothing
    "a list where one word is asked": (R, '= "raised"', '= ["raised"]', "refusals.polar:5: `objection` is one word, never equal to a list: ask with `in`."),
    "one word where a list is asked": (R, 'objection = "raised"', 'objection in "raised"', "refusals.polar:5: one word is `in` a list"),
    "a list in a list": (R, RAISED, '["masp"] in dossier.mandates and agent.partner_kind = "external"', "refusals.polar:5: one word is `in` a list"),
    "nothing in an empty list": (R, 'objection = "raised"', "objection in []", "refusals.polar:5: nothing is `in` an empty list: this is never true."),
    "mandates that equal a word": (R, RAISED, 'dossier.mandates = "masp" and agent.partner_kind = "external"', "refusals.polar:5: mandates are asked with `in`"),
    "mandates in a list": (R, RAISED, 'dossier.mandates in ["masp"] and agent.partner_kind = "external"', "refusals.polar:5: mandates are asked with `in`"),
    "a word in one word": (R, RAISED, '"T1" in agent.profile and dossier.objection = "raised"', "refusals.polar:5: `profile` is one word, not a list"),
    "agent and dossier exchanged": (G, "not refusal(agent, dossier, _)", "not refusal(dossier, agent, _)", "gates.polar:14: place 1 of `refusal` must be the agent of this rule."),
    "a text in the place of the agent": (G, "not refusal(agent, dossier, _)", 'not refusal("agent", dossier, _)', "gates.polar:14: place 1 of `refusal` must be the agent of this rule."),
    # ------------------------------------------------------------------ what only gates.polar may do
    "a not among the conditions": (C, IN_FORCE, f"{IN_FORCE} and not engagement(agent, _)", "conditions.polar:5: `not` is refused here: a denial belongs in refusals.polar, as a rule."),
    "a not among the refusals": (R, RAISED, f"{RAISED} and not convention(agent, _)", "refusals.polar:5: `not` is refused here"),
    "a not before another rule": (G, "not refusal(agent, dossier, _)", "not convention(agent, _)", "gates.polar:14: `not` may only stand before `refusal(…)`."),
    "a not before a fact": (G, "not refusal(agent, dossier, _)", "not agent.nope = own", "gates.polar:14: `not` may only stand before a rule"),
    "a not before a comparison": (G, "not refusal(agent, dossier, _)", 'not "x" in agent.nope', "gates.polar:14: `not` may only stand before a rule"),
    "a not before brackets": (G, "not refusal(agent, dossier, _)", "not (refusal(agent, dossier, _))", "gates.polar:14: expected a string, a list or a variable, found `(`."),
    "no refusal asked at all": (G, "  not refusal(agent, dossier, _) and\n", "", "gates.polar:11: `not refusal(…)` must stand exactly once in the folder, here 0 times."),
    "a second opens": (G, "allow_request(agent", 'opens(_agent: Agent, "consult", _dossier: Dossier, "rsa", "all");\nallow_request(agent', "gates.polar:25: `opens` has 2 rules; it may have only one, or it could be bypassed."),
    "a second allow_field": (G, "allow_request(agent", "allow_field(_a: Agent, _b: String, _d: Dossier, _s: String) if standing(_a, _b, _);\nallow_request(agent", "gates.polar:28: `allow_field` has 2 rules; it may have only one"),
    "allow_field in another file": (M, 'rubric("enfants"', 'allow_field(_agent, "consult", _dossier, _slug);\nrubric("enfants"', "matrix.polar:8: `allow_field` is defined in gates.polar only, not here."),
    "a refusal among the conditions": (C, 'convention(agent: Agent, "', 'refusal(_agent: Agent, _dossier: Dossier, "x") if agent = dossier;\nconvention(agent: Agent, "', "conditions.polar:5: `refusal` is defined in refusals.polar only, not here."),
    "a row in profiles.polar": (P, T2, 'rubric("rsa", "Rsa", ["T1"], "x");\nprofile("T2",', "profiles.polar:5: `rubric` is defined in matrix.polar only, not here."),
    "a shape outside the schema": (M, 'rubric("enfants"', 'type rubric(slug, label, profiles, source);\nrubric("enfants"', "matrix.polar:8: shapes (`type …`) are declared in schema.polar only."),
    "a rule in the schema": (S, "type refusal(", 'profile("T7", "x");\ntype refusal(', "schema.polar:16: `profile` does not belong here: only shapes"),
    "a row with an if": (M, '"brochure 2012, row 4")', '"brochure 2012, row 4") if profile("T1", _)', "matrix.polar:8: a line of matrix.polar states a fact: it cannot have an `if`."),
    "a dossiers line with an if": (C, '"brochure 2012, profile T16")', '"brochure 2012, profile T16") if profile("T16", _)', "conditions.polar:32: write dossiers("),
    "too few things in a row": (M, ' "brochure 2012, row 4")', ")", "matrix.polar:8: `rubric` takes 4 things, here it has 3."),
    "too many things in a call": (C, ENTRUSTED, ENTRUSTED.replace("_)", "_, _)"), "conditions.polar:35: `dossiers` takes 3 things, here it has 4."),
    "a condition that calls itself": (C, IN_FORCE, "convention(agent, _)", "conditions.polar:5: the rule `convention` rests on itself"),
    "two conditions in a circle": (C, IN_FORCE, "entrusted(agent, agent, _)", "conditions.polar:5: place 2 of `entrusted` must be the dossier of this rule."),
    "a refusal of those who are admitted": (R, RAISED, f'{RAISED} and admitted(agent, "consult", dossier, _)', "refusals.polar:4: the rule `refusal` rests on itself"),
    "a variable that stands once": (G, "engagement(agent, signed)", "engagement(agent, singed)", "gates.polar:6: `singed` stands only once: is it misspelt? Unused, write `_singed`."),
    "an unused variable that is used": (C, "entrusted(agent: Agent, _dossier: Dossier, \"any dossier\") if", 'entrusted(agent: Agent, _dossier: Dossier, "any dossier") if "masp" in _dossier.mandates and', "conditions.polar:34: `_dossier` is used, so its name must not begin with `_`."),
    "the list of rubrics asked as a rule": (C, IN_FORCE, f"{IN_FORCE} and rubric_slugs(_)", "conditions.polar:5: there is no rule named `rubric_slugs`."),
    # ------------------------------------------------------------------ what is not in the grammar
    "a question": (C, "# Which dossiers", '?= allow("a", "b", "c");\n# Which dossiers', "conditions.polar:14: a question (`?=`) is never asked of a policy"),
    "an object made": (C, IN_FORCE, "x = new Agent()", "conditions.polar:5: `new` may not stand here."),
    "the debugger": (C, IN_FORCE, f"{IN_FORCE} and debug()", "conditions.polar:5: `debug` may not stand here."),
    "a print": (C, IN_FORCE, f"{IN_FORCE} and print(agent)", "conditions.polar:5: `print` may not stand here."),
    "a cut": (C, IN_FORCE, f"cut and {IN_FORCE}", "conditions.polar:5: `cut` may not stand here."),
    "a forall": (C, IN_FORCE, "forall(x in agent.nope, x = agent)", "conditions.polar:5: `forall` may not stand here."),
    "a matches": (C, IN_FORCE, "agent matches Agent", "conditions.polar:5: expected `=` or `in`, found `matches`."),
    "a method": (C, IN_FORCE, 'agent.convention.startswith("in")', "conditions.polar:5: facts are read, never called"),
    "a call of a fact": (C, IN_FORCE, "agent.convention()", "conditions.polar:5: facts are read, never called"),
    "a fact of a fact": (C, IN_FORCE, 'agent.partner.kind = "caf"', "conditions.polar:5: facts are read, never called"),
    "a fact whose name is computed": (C, IN_FORCE, 'agent.("convention") = "in_force"', "conditions.polar:5: expected the name of a fact, found `(`."),
    "a name of Python's": (C, IN_FORCE, 'agent.__class__ = "x"', "conditions.polar:5: names beginning with two underscores are refused."),
    "the engine's own name for a fact": (C, IN_FORCE, '"in_force" = agent.convention and _value_3 in ["in_force"]', "conditions.polar:5: a name that begins with `_` must not end with a digit: such names are the engine's own."),
    "the engine's own name for a place": (C, IN_FORCE, 'agent.convention = "in_force" and dossiers(_, _7, _)', "conditions.polar:5: a name that begins with `_` must not end with a digit: such names are the engine's own."),
    "a variable with two underscores": (C, IN_FORCE, '__x = "in_force"', "conditions.polar:5: names beginning with two underscores are refused."),
    "a class of oso's": (C, IN_FORCE, "x in String.__subclasses__()", 'conditions.polar:5: `String` must be written between double quotes: "String".'),
    "a text that formats": (C, IN_FORCE, '"{0.__class__}".format(agent) = "x"', "conditions.polar:5: expected `=` or `in`, found `.`."),
    "a sum": (C, IN_FORCE, f'{IN_FORCE} and "a" + "b" = "ab"', "conditions.polar:5: `+` is not used in these policies."),
    "a comparison by size": (C, IN_FORCE, 'agent.convention > "i"', "conditions.polar:5: values are compared with `=` and `in` only"),
    "a comparison by difference": (C, IN_FORCE, 'agent.convention != "none"', "conditions.polar:5: `!` is not used in these policies: say what is required."),
    "two equal signs": (C, IN_FORCE, 'agent.convention == "in_force"', "conditions.polar:5: expected a string, a list or a variable, found `=`."),
    "an assignment": (C, IN_FORCE, 'x := "in_force"', "conditions.polar:5: expected `=` or `in`, found `:`."),
    "a number": (C, IN_FORCE, "agent.convention = 1", "conditions.polar:5: numbers are not used in these policies"),
    "an Arabic-Indic digit": (C, IN_FORCE, "agent.convention = ٣", "conditions.polar:5: numbers are not used in these policies"),
    "infinity": (R, RAISED, "inf = dossier.objection and inf = agent.partner_kind", "refusals.polar:5: `inf` may not stand here."),
    "not a number": (R, RAISED, "nan = dossier.objection and nan = agent.partner_kind", "refusals.polar:5: `nan` may not stand here."),
    "true": (C, IN_FORCE, "agent.convention = true", "conditions.polar:5: `true` may not stand here."),
    "nil": (C, IN_FORCE, "agent.convention = nil", "conditions.polar:5: `nil` may not stand here."),
    "single quotes": (M, '"Enfants"', "'Enfants'", "matrix.polar:8: strings are written with double quotes"),
    "curly quotes": (M, '"Enfants"', "“Enfants”", "matrix.polar:8: strings are written with straight double quotes"),
    "a quotation in a string": (M, '"Enfants"', '"Les "enfants""', "matrix.polar:8: expected `,` or `)`, found `enfants`. Is a quotation mark missing before it?"),
    "a string that never ends": (M, '"Enfants"', '"Enfants', "matrix.polar:8: expected `,` or `)`, found `T2`. Is a quotation mark missing before it?"),
    "a string on two lines": (M, '"Enfants"', '"Enf\nants"', "matrix.polar:8: this string has no end on its line, or contains a backslash."),
    "an escaped letter": (M, '"T2", "T3"], ', r'"T2", "\x543"], ', "matrix.polar:8: this string has no end on its line, or contains a backslash."),
    "a pattern with braces": (R, "agent: Agent", 'agent: Agent{partner_kind: "external"}', "refusals.polar:4: braces are not used in these policies."),
    "a dictionary": (C, IN_FORCE, 'x = {a: "b"}', "conditions.polar:5: braces are not used in these policies."),
    "the rest of a list": (C, "kind in kinds and kind in d", "[kind, *_] = kinds and kind in d", "conditions.polar:38: `*` is not used in these policies."),
    "a list inside a list": (M, '["T2", "T3"], ', '[["T2", "T3"]], ', "matrix.polar:8: a list inside a list is not used in these policies."),
    "a type in a call": (G, "convention(agent, in_force)", "convention(agent: Agent, in_force)", "gates.polar:5: expected `,` or `)`, found `:`."),
    "a resource block": (M, 'rubric("enfants"', 'resource Dossier { permissions = ["read"]; }\nrubric("enfants"', "matrix.polar:8: `resource` may not stand here."),
    "an actor block": (M, 'rubric("enfants"', 'actor Agent;\nrubric("enfants"', "matrix.polar:8: `actor` may not stand here."),
    "a missing semicolon": (M, '"brochure 2012, row 4");', '"brochure 2012, row 4")', "matrix.polar:9: expected `;`, found `rubric`."),
    "a missing last semicolon": (R, '"external";', '"external"', "refusals.polar:5: the last rule has no `;` at its end."),
    "a missing bracket": (M, '"brochure 2012, row 4");', '"brochure 2012, row 4";', "matrix.polar:8: expected `,` or `)`, found `;`."),
    "a missing comma": (M, '"T2", "T3"], ', '"T2" "T3"], ', "matrix.polar:8: expected `,` or `]`, found `\"T3\"`."),
    # ------------------------------------------------------------------ letters that are not what they seem
    "an accent in the name of a rule": (C, IN_FORCE, "éligible(agent)", "conditions.polar:5: the character LATIN SMALL LETTER E WITH ACUTE may stand only between double quotes or after #."),
    "an accent glued to a name": (C, IN_FORCE, 'agent.conventioné = "x"', "conditions.polar:5: the character LATIN SMALL LETTER E WITH ACUTE"),
    "a Cyrillic letter in a name": (C, "agent.convention = ", "agent.сonvention = ", "conditions.polar:5: the character CYRILLIC SMALL LETTER ES"),
    "a new profile with a Cyrillic letter": (P, T2, 'profile("Т1", "x");\nprofile("T2",', "profiles.polar:5: `Т1` cannot name a profile"),
    "a new profile that is empty": (P, T2, 'profile("", "x");\nprofile("T2",', "profiles.polar:5: `` cannot name a profile"),
    "a rubric with a Cyrillic letter": (S, SLUGS, '"dоssier", "paiement", "dossier", "famille"', "schema.polar:27: `dоssier` cannot name a rubric"),
    "an accent in two characters": (M, '"Créances"', '"Cre\u0301ances"', "matrix.polar:14: an accent is written as two characters here"),
    "a byte-order mark": (M, "# Who sees what", "\ufeff# Who sees what", "matrix.polar:1: the character ZERO WIDTH NO-BREAK SPACE"),
    "a byte-order mark before a rule": (M, 'rubric("enfants"', '\ufeffrubric("enfants"', "matrix.polar:8: the character ZERO WIDTH NO-BREAK SPACE"),
    "a zero-width space inside a string": (M, '"Enfants"', '"Enf\u200bants"', "matrix.polar:8: the invisible character U+200B is refused, even inside a string or a comment."),
    "a no-break space inside a string": (M, '"Enfants"', '"Enf\xa0ants"', "matrix.polar:8: the invisible character U+00A0"),
    "a no-break space between words": (C, IN_FORCE, 'agent.convention\xa0= "in_force"', "conditions.polar:5: the character NO-BREAK SPACE may stand only"),
    "a text turned round in a comment": (R, "# The person", "# \u202eThe person", "refusals.polar:3: the invisible character U+202E"),
    "a soft hyphen in a comment": (R, "# The person", "# The per\xadson", "refusals.polar:3: the invisible character U+00AD"),
    "a null character": (M, '"Enfants"', '"Enf\x00ants"', "matrix.polar:8: the invisible character U+0000"),
    "half a character": (M, '"Enfants"', '"Enf\ud800ants"', "matrix.polar:8: the invisible character U+D800"),
    "a line separator in a comment": (R, "# The person", "# The\u2028person", "refusals.polar:3: the invisible character U+2028"),
    "a rule behind a comment, after a carriage return": (M, "# Who sees what", '# Who sees what\rallow_field(_, "consult", _, _);', "matrix.polar:1: a carriage return stands alone here"),
    "a carriage return inside a string": (M, '"Enfants"', '"Enf\rants"', "matrix.polar:8: this string has no end on its line"),
}  # fmt: skip


def refused(texts):
    with pytest.raises(Misconfigured) as caught:
        load(texts)
    return caught.value.problems


@pytest.fixture
def no_oso(monkeypatch):
    """Fails the test if a text reaches oso."""

    def reached(texts):
        raise AssertionError("oso was given the text")

    monkeypatch.setattr(loading, "StrictOso", reached)


@pytest.mark.parametrize(("file", "old", "new", "said"), MISTAKES.values(), ids=list(MISTAKES))
@pytest.mark.usefixtures("no_oso")
def test_a_mistake_is_refused_before_oso_with_its_file_its_line_and_a_sentence(changed, file, old, new, said):
    problems = refused(changed(file, old, new))
    assert any(problem.startswith(said) for problem in problems), "\n".join(problems)
    for problem in problems:
        assert problem.endswith((".", "?", "`.")), f"not a sentence: {problem}"
        assert len(problem) < 600


WHOLE_FILES = {
    "a file that is missing": (lambda texts: {k: v for k, v in texts.items() if k != R}, "refusals.polar:1: the file is missing. Without it nothing can be decided."),
    "no file at all": (lambda texts: {}, "schema.polar:1: the file is missing."),
    "a superfluous file": (lambda texts: {**texts, "extra.polar": ""}, "extra.polar:1: this file is not one of profiles.polar, matrix.polar,"),
    "a file in capitals": (lambda texts: {**texts, "Refusals.polar": texts[R]}, "Refusals.polar:1: this file is not one of"),
    "a file whose name no one can read": (lambda texts: {**texts, "\udcff.polar": ""}, r"\udcff.polar:1: this file is not one of"),
    "an empty matrix": (lambda texts: {**texts, M: ""}, "matrix.polar:1: the rule `rubric` is missing."),
    "an empty list of profiles": (lambda texts: {**texts, P: ""}, "profiles.polar:1: the rule `profile` is missing."),
    "empty conditions": (lambda texts: {**texts, C: ""}, "conditions.polar:1: the rule `convention` is missing."),
    "empty refusals": (lambda texts: {**texts, R: "# no one refused"}, "refusals.polar:1: the rule `refusal` is missing."),
    "empty gates": (lambda texts: {**texts, G: " \n"}, "gates.polar:1: the rule `opens` is missing."),
    "an empty schema": (lambda texts: {**texts, S: "# nothing"}, "schema.polar:1: the shape of `opens` is missing."),
    "two files exchanged": (lambda texts: {**texts, P: texts[M], M: texts[P]}, "matrix.polar:4: `profile` is defined in profiles.polar only, not here."),
    "a file of one megabyte": (lambda texts: {**texts, M: texts[M] + "#" * 1_000_000}, "matrix.polar:1: the file has 10"),
    "a file larger in bytes than in letters": (lambda texts: {**texts, M: "#" + "é" * 200_000}, "matrix.polar:1: the file has 400001 bytes; at most 262144 are read."),
    "8 000 brackets": (lambda texts: {**texts, C: texts[C] + "\nconvention(agent: Agent, x) if " + "(" * 8_000 + "x" + ")" * 8_000 + ";"}, "conditions.polar:40: brackets nest deeper than 8."),
    "8 000 lists": (lambda texts: {**texts, M: "rubric(" + "[" * 8_000 + "]" * 8_000 + ");"}, "matrix.polar:1: brackets nest deeper than 8."),
    "50 000 conditions": (lambda texts: {**texts, C: texts[C] + "\nconvention(a: Agent, x) if " + " and ".join(["x=a"] * 20_000) + ";"}, "conditions.polar:40: this rule is too long: split it, or end it with `;`."),
    "50 000 profiles in a list": (lambda texts: {**texts, M: 'rubric("rsa", "Rsa", [' + '"T1",' * 50_000 + '], "x");'}, "matrix.polar:1: this rule is too long"),
    "40 000 mistakes": (lambda texts: {**texts, P: "".join(f'profile("Q{n}","x");' for n in range(12_000)), M: 'rubric("q",["Q"]);' * 12_000}, "matrix.polar:1: `rubric` takes 4 things, here it has 2."),
    "a matrix of ends": (lambda texts: {**texts, M: ";" * 200_000}, "matrix.polar:1: expected the name of a rule, found `;`."),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), WHOLE_FILES.values(), ids=list(WHOLE_FILES))
@pytest.mark.usefixtures("no_oso")
def test_a_file_that_is_missing_too_many_or_too_much_is_refused_before_oso(texts, change, said):
    problems = refused(change(texts))
    assert any(problem.startswith(said) for problem in problems), "\n".join(problems[:10])
    assert len(problems) <= 200


@pytest.mark.usefixtures("no_oso")
def test_mistakes_of_several_files_are_told_all_at_once(texts):
    problems = refused(
        {
            **texts,
            M: texts[M].replace('"creances"', '"creance"').replace('"enfants"', '"enfant"'),
            C: texts[C].replace('"in_force"', '"inforce"'),
            R: texts[R].replace('"raised"', '"rised"'),
        }
    )
    places = {problem.split(": ")[0] for problem in problems}
    assert {"matrix.polar:8", "matrix.polar:14", "conditions.polar:5", "refusals.polar:5"} <= places


@pytest.mark.usefixtures("no_oso")
def test_files_that_cannot_be_read_are_told_all_at_once(texts):
    problems = refused({**texts, M: "rubric(", C: "convention(1);", R: "not", "extra.polar": ""})
    assert [problem.split(":")[0] for problem in problems] == ["extra.polar", M, C, R]


LOADED_BY_OSO = {
    "an alternative beside the gate": (lambda texts: {**texts, G: texts[G].replace('admitted(agent, "consult", dossier, labels) and', '(admitted(agent, "consult", dossier, labels) or labels = "x") and')}, "opens rubrics without a convention."),
    "a convention that may be suspended or none": (lambda texts: {**texts, C: texts[C].replace(IN_FORCE, 'agent.convention in ["in_force", "none"]')}, "T1 opens rubrics without a convention."),
    "an engagement that may be missing": (lambda texts: {**texts, C: texts[C].replace('= "signed"', 'in ["signed", "missing"]')}, "T1 opens rubrics without an engagement."),
    "a refusal that spares everyone": (lambda texts: {**texts, R: texts[R].replace('partner_kind = "external"', 'partner_kind = "caf"')}, "on a dossier under objection."),
    "a rubric named like a label of the route table": (lambda texts: {**texts, S: texts[S].replace('"adresse"', '"always"'), M: texts[M].replace('"adresse"', '"always"')}, 'opens the rubric "always", which does not exist'),
    "a profile that stands for none": (lambda texts: {**texts, **{file: texts[file].replace('"T16"', '"T0"') for file in (P, M, C)}}, 'the profile "T0" does not exist and yet it opens something.'),
    "a reason that is not a text": (lambda texts: {**texts, C: texts[C].replace('convention(agent: Agent, "convention in force")', "convention(agent: Agent, label)").replace(IN_FORCE, f"{IN_FORCE} and label = agent")}, "the policy fails when it is asked"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), LOADED_BY_OSO.values(), ids=list(LOADED_BY_OSO))
def test_a_policy_that_is_well_formed_and_wrong_is_refused_at_load(texts, change, said):
    problems = refused(change(texts))
    assert any(said in problem for problem in problems), "\n".join(problems)


@pytest.mark.parametrize(
    ("schema", "rubrics"),
    [
        ({}, []),
        ({S: "rubric_slugs("}, []),
        ({S: 'rubric_slugs(["rsa", "droits", "rsa"]);'}, ["rsa", "droits"]),
        ({S: 'rubric_slugs(["rsa"]);\nothers(["droits"]);\nrubric_slugs(x) if x = "famille";'}, ["rsa"]),
    ],
)
def test_the_rubrics_of_a_folder_are_those_its_schema_names_whatever_else_is_wrong(schema, rubrics):
    assert named_rubrics(schema) == rubrics


def test_what_oso_alone_refuses_is_told_in_one_line_without_its_advertisement(texts, monkeypatch):
    def refusing(_):
        raise PolicyDefect("the policy tried\n  to fly\nGet help with Oso from our engineers: https://" + "x" * 400)

    monkeypatch.setattr(loading, "StrictOso", refusing)
    with pytest.raises(Misconfigured) as caught:
        load(texts)
    assert caught.value.problems == ("policies: the policy tried to fly",)


def test_an_unknown_profile_of_plain_letters_is_not_said_to_be_of_another_alphabet(changed):
    with pytest.raises(Misconfigured) as caught:
        load(changed(M, ENFANTS, ENFANTS.replace("T3", "T7")))
    (problem,) = caught.value.problems
    assert problem.startswith("matrix.polar:8: unknown profile `T7`. Profiles are listed in profiles.polar.")


def test_windows_ends_of_line_are_read_like_others(texts):
    assert load({**texts, R: texts[R].replace("\n", "\r\n")}).rows


def test_a_folder_with_a_mistake_is_refused_with_the_name_of_its_file(every_text, tmp_path):
    for name, text in every_text.items():
        (tmp_path / name).write_text(text.replace('rubric("creances"', 'rubric("creance"'), encoding="utf-8")
    with pytest.raises(Misconfigured) as caught:
        load_folder(tmp_path)
    assert caught.value.problems[0].startswith("matrix.polar:")
    assert any("Did you mean `creances`?" in problem for problem in caught.value.problems)
