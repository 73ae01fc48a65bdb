# ruff: noqa: E501 -- one break-out, one line: tables are read across
"""The engine itself, given texts that the grammar would never let through.

oso 0.27.3 as it comes grants in every case of `FAIL_OPEN` and runs the Python of many of `BREAK_OUTS`. Here each ends
in an exception: nothing is granted, printed or run.
"""

import os
import threading
import time
from pathlib import Path

import pytest
from oso import Oso
from polar.exceptions import OsoError, ParserError, PolarRuntimeError
from polar.query import Query
from polar.variable import Variable

from gateway.model import Facts
from gateway.policy.engine import Policy
from gateway.policy.lint import Folder, Row
from gateway.policy.sandbox import QUERY_MILLISECONDS, PolarAgent, PolarDossier, PolicyDefect, StrictOso, StrictQuery

AGENT = PolarAgent("T9", "external", "in_force", "signed", "password", [])
DOSSIER = PolarDossier(["judgment"], "none", [])
GATES = "\nallow(_, _, _) if never(_, _);\nnever(x, x) if x = 1 and x = 2;\n"


def asked(*texts: str) -> StrictOso:
    return StrictOso({f"{place}.polar": text + (GATES if place == 0 else "") for place, text in enumerate(texts)})


FAIL_OPEN = {
    "a misspelt attribute under not": 'grants(a: Agent) if not a.nope = "x";',
    "a misspelt attribute in a rule under not": 'grants(a: Agent) if not blocks(a); blocks(a: Agent) if a.nope = "x";',
    "a misspelt attribute two rules under not": 'grants(a: Agent) if not one(a); one(a: Agent) if two(a); two(a: Agent) if a.nope = "x";',
    "a misspelt attribute in forall": 'grants(a: Agent) if forall(x in a.nope, x = "y");',
    "a misspelt attribute after in, under not": 'grants(a: Agent) if not "x" in a.nope;',
    "a misspelt attribute in a pattern under not": "grants(a: Agent) if not blocks(a); blocks(_a: Agent{nope: true});",
    "a misspelt attribute in matches under not": "grants(a: Agent) if not a matches Agent{nope: true};",
    "a misspelt attribute of the dossier": 'grants(_a: Agent) if not secret(_a); secret(_) if dossier(d) and d.nope = "x"; dossier(d) if d = 1;',
    "a misspelt attribute under not, in brackets": 'grants(a: Agent) if not (a.profile = "T1" or a.nope = "x");',
    "a private name of Python under not": 'grants(a: Agent) if not a.__dict__ = "x";',
}  # fmt: skip


@pytest.mark.parametrize("text", FAIL_OPEN.values(), ids=list(FAIL_OPEN))
def test_what_stock_oso_grants_by_mistake_raises_instead(text, capfd):
    with pytest.raises((PolicyDefect, OsoError)):
        asked(text).holds("grants", AGENT)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("text", FAIL_OPEN.values(), ids=list(FAIL_OPEN))
def test_stock_oso_does_grant_them(text):
    """If this fails, oso was mended, and the case above proves nothing any more."""
    stock = Oso()
    stock.register_class(PolarAgent, name="Agent")
    stock.load_str(text.replace("Dossier", "Agent") + GATES)
    assert stock.query_rule_once("grants", AGENT)


BREAK_OUTS = {
    "the shell through builtins": 'x = a.__init__.__builtins__.__import__.__call__("os").popen("touch {trace}").read()',
    "the globals of a method": 'x = a.__init__.__globals__',
    "the class of the agent": "x = a.__class__",
    "the bases of the class": "x = a.__class__.__mro__",
    "every class there is": "x = String.__subclasses__()",
    "every class there is, through a list": "x = [].__class__",
    "the clock": "x = Datetime.now()",
    "a lapse of time": "x = Timedelta.max",
    "a text that formats": 'x = "{{0.__class__}}".format(a)',
    "a method of a text": 'x = "a".upper()',
    "a method of a fact": 'x = a.profile.upper()',
    "a method of a list": 'x = ["a"].count("a")',
    "a key of a dictionary": 'x = {{a: 1}}.items()',
    "a new agent": 'x = new Agent("T1", "caf", "in_force", "signed", "password")',
    "a new text": 'x = new String("a")',
    "a frozen agent rewritten": 'x = a.__setattr__("profile", "T1")',
    "the debugger": "debug() and x = 1",
    "the debugger with something to say": 'debug("a", a) and x = 1',
    "a print": "print(a) and x = 1",
    "a print under not": "not print(a) and x = 1",
    "an attribute whose name is computed": 'y = "__class__" and x = a.(y)',
    "iteration over the agent": "x in a",
    "iteration over the dossier under not": "not x in a and x = 1",
    "comparison by size": "a < a and x = 1",
    "comparison by difference": 'a.profile < a and x = 1',
    "a file": 'x = a.__class__.__init__.__globals__.open("{trace}", "w")',
}  # fmt: skip


def trying(body: str, trace: Path) -> StrictOso:
    return asked(
        f"grants(a: Agent, x) if uses(a) and {body.format(trace=trace)}; uses(_);"
        'opens(a: Agent, "consult", _: Dossier, "rsa", x) if grants(a, x);'
    )


@pytest.mark.parametrize("body", BREAK_OUTS.values(), ids=list(BREAK_OUTS))
def test_a_way_out_of_the_sandbox_is_shut(body, tmp_path, capfd, monkeypatch):
    trace = tmp_path / "trace"
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("oso stopped in its debugger"))
    with pytest.raises((PolicyDefect, OsoError)):
        list(trying(body, trace).found("grants", AGENT, Variable("x")))
    assert not trace.exists()
    assert AGENT.profile == "T9"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("body", BREAK_OUTS.values(), ids=list(BREAK_OUTS))
def test_a_way_out_of_the_sandbox_opens_nothing_in_a_decision(body, tmp_path):
    engine = trying(body, tmp_path / "trace")
    folder = Folder({"T9": "x"}, (Row("rsa", "Rsa", ("T9",), "x", 1),))
    policy = Policy(folder, engine, f"break-out {body}")
    grant = policy.decide(Facts("T9", "external", "in_force", "signed", frozenset(), "none", "password", "consult"))
    assert (grant.rubrics, grant.rules, grant.denied) == (frozenset(), (), "fault")


def test_no_message_of_a_defect_quotes_the_facts(tmp_path):
    secret = PolarAgent("Martin-1968-Lyon", "external", "in_force", "signed", "password", [])
    for body in BREAK_OUTS.values():
        with pytest.raises((PolicyDefect, OsoError)) as caught:
            list(trying(body, tmp_path).found("grants", secret, Variable("x")))
        if isinstance(caught.value, PolicyDefect):
            assert "Martin" not in str(caught.value)


def test_declared_facts_are_read():
    engine = asked(
        'grants(a: Agent, d: Dossier) if a.profile = "T9" and "judgment" in d.mandates and d.objection = "none";'
    )
    assert engine.holds("grants", AGENT, DOSSIER)
    assert not engine.holds("grants", AGENT, PolarDossier(["masp"], "none", []))


@pytest.mark.parametrize(
    "value",
    [None, 1, True, {"a": 1}, ("T9",), object(), b"T9", frozenset({"T9"})],
    ids=lambda value: type(value).__name__,
)
def test_a_fact_of_a_wrong_type_is_not_read_even_under_not(value):
    engine = asked('grants(a: Agent) if not a.profile = "T1"; reads(a: Agent) if a.profile = "T9";')
    odd = PolarAgent(value, "external", "in_force", "signed", "password", [])
    for rule in ("grants", "reads"):
        with pytest.raises(PolicyDefect):
            engine.holds(rule, odd)


@pytest.mark.parametrize(
    "text",
    [
        "loops(a) if loops(a);",
        "loops(a) if other(a); other(a) if loops(a);",
        "loops(_) if number(x) and x = -1; number(0); number(x) if number(y) and x = y + 1;",
    ],
    ids=["a rule that calls itself", "two rules in a circle", "numbers without end"],
)  # fmt: skip
def test_a_rule_without_end_ends_by_itself(text, capfd, monkeypatch):
    assert os.environ["POLAR_TIMEOUT_MS"] == str(QUERY_MILLISECONDS)
    monkeypatch.setenv("POLAR_TIMEOUT_MS", "1000")
    engine = asked(text)
    started = time.monotonic()
    with pytest.raises(PolarRuntimeError):
        engine.holds("loops", AGENT)
    assert time.monotonic() - started < QUERY_MILLISECONDS / 1000
    assert capfd.readouterr() == ("", "")


LOADS = {
    "no allow rule": 'grants("a");',
    "an unknown class": "grants(_a: Agnt);" + GATES,
    "a question that fails": '?= grants("b"); grants("a");' + GATES,
    "a question that holds": '?= grants("a"); grants("a");' + GATES,
    "a question that runs Python": '?= String.__subclasses__(); grants("a");' + GATES,
    "a rule that does not exist": 'grants("a") if nothing("a");' + GATES,
    "a variable that stands once": "grants(a);" + GATES,
    "a mistake of grammar": "grants(" + GATES,
    "an or whose precedence is not clear": "grants(a) if a = 1 and a = 2 or a = 3;" + GATES,
    "a rule against its shape": 'type grants(a: String); grants(["a"]);' + GATES,
    "a resource block": 'resource Dossier { permissions = ["read"]; }' + GATES,
}  # fmt: skip


@pytest.mark.parametrize("text", LOADS.values(), ids=list(LOADS))
def test_what_oso_warns_about_or_asks_at_load_is_refused(text, capfd):
    with pytest.raises((PolicyDefect, OsoError)):
        StrictOso({"a.polar": text})
    assert capfd.readouterr() == ("", "")


def test_questions_in_a_text_are_never_run(tmp_path):
    trace = tmp_path / "trace"
    with pytest.raises(PolicyDefect, match="question"):
        StrictOso({"a.polar": f'?= x = "a".__class__.__init__.__globals__.open("{trace}", "w");' + GATES})
    assert not trace.exists()


@pytest.mark.parametrize("question", ['grants("a")', "String.__subclasses__()", ""])
def test_a_question_in_text_is_refused(question):
    engine = asked('grants("a");')
    with pytest.raises(PolicyDefect):
        list(engine.query(question))
    with pytest.raises(PolicyDefect):
        list(engine.query(question, accept_expression=True))


def test_a_rule_that_does_not_exist_raises_rather_than_denies():
    with pytest.raises(PolarRuntimeError):
        asked('grants("a");').holds("grant", AGENT)


WAYS_OUT = {name for name in vars(Query) if name.startswith("handle_")}
TYPES = {"handle_external_isa", "handle_external_is_subclass", "handle_external_is_subspecializer"}
"""They compare a noun with a class that we registered, and reach nothing."""


def test_every_way_out_of_the_engine_is_shut_but_the_reading_of_facts_and_of_their_types():
    assert {name for name in WAYS_OUT if name in vars(StrictQuery)} == WAYS_OUT - TYPES


@pytest.mark.parametrize("name", sorted(WAYS_OUT - TYPES - {"handle_external_call"}))
def test_a_way_out_that_the_engine_takes_by_itself_ends_the_query(name):
    arguments = (AGENT, "mandates") if name == "handle_relation" else ({},)
    with pytest.raises(PolicyDefect, match="the policy tried to "):
        getattr(StrictQuery, name)(None, *arguments)


def test_an_engine_is_loaded_once():
    engine = asked('grants("a");')
    with pytest.raises((OsoError, PolicyDefect)):
        engine.load_str('grants("b");')
    assert not engine.holds("grants", "b")


def test_a_mistake_of_grammar_says_where_it_is():
    with pytest.raises(ParserError, match=r"line 2.*a\.polar"):
        StrictOso({"a.polar": '\ngrants("a"'})


def test_a_mistake_in_one_query_leaves_the_others_alone_under_threads():
    engine = asked('good(a: Agent) if a.profile = "T9"; bad(a: Agent) if not a.nope = "x";')
    answers, faults = [], []

    def ask():
        for _ in range(20):
            answers.append(engine.holds("good", AGENT))
            try:
                faults.append(engine.holds("bad", AGENT))
            except PolicyDefect:
                faults.append("defect")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 160
    assert faults == ["defect"] * 160
