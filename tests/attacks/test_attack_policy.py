# ruff: noqa: E501 -- one malice, one line: tables are read across
"""Lines 19 to 22: a policy folder that was made to do something else than decide, before the running gateway.

The folder of a gateway that runs is spoilt. `cafpro check`, the real command, and for whatever could run, hang or grow
`cafpro serve` too, which asks the same function, must refuse it with a sentence that names the file and the line, execute
nothing of it, and end; the running gateway, which looks at its folder every second, must go on deciding as before.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException
from itertools import count
from pathlib import Path
from threading import Event

import psutil
import pytest
from sqlalchemy import Table, text, update

from gateway.identity.tables import account, convention, mandate, partner, session
from gateway.policy.loading import fingerprint
from gateway.policy_files.folder import read, shipped
from tests.story import warm
from tests.story.brochure import OPEN, kept_dossier
from tests.story.fixtures import StartGateway
from tests.story.running import PATIENCE, Answer, Client, Gateway, environment, is_problem, until
from upstream_stub.dossiers import dossier_text

CPU_SECONDS = 30
"""Of processor time, which other processes do not take away: a command that wants more is ended by the system."""
DOSSIER = "9990001"
COPIES = count(1)
NOT_OURS = "CANARI-executed"
"""The file that a policy would make if anything of it were executed."""

P, M, C, R, G, S, ROUTES = (
    *("profiles.polar", "matrix.polar", "conditions.polar", "refusals.polar", "gates.polar", "schema.polar"),
    "routes.toml",
)
IN_FORCE = 'agent.convention = "in_force"'
RAISED = 'dossier.objection = "raised"'
ENFANTS = '"Enfants",     ["T2", "T3"]'
REFUSAL = "not refusal(agent, dossier, _)"
BUILTINS = "agent.__init__.__builtins__.__import__.__call__"
TOUCH = f'("os").popen("touch {NOT_OURS}").read()'


def part(file: str, old: str, new: str) -> Callable[[Path], None]:
    """`old`, which stands once in the file, replaced."""

    def spoil(folder: Path) -> None:
        written = (folder / file).read_text()
        assert written.count(old) == 1, (file, old)
        (folder / file).write_text(written.replace(old, new))

    return spoil


def more(file: str, added: str) -> Callable[[Path], None]:
    """A file with something behind it; one that was not there, too."""

    def spoil(folder: Path) -> None:
        with (folder / file).open("a") as opened:
            opened.write(added)

    return spoil


def instead(file: str, made: Callable[[Path], object]) -> Callable[[Path], None]:
    """Something else in the place of the file."""

    def spoil(folder: Path) -> None:
        (folder / file).unlink()
        made(folder / file)

    return spoil


CODE = {
    # CWE-94: what a policy could do in oso 0.27.3, where nothing keeps it from Python.
    "CWE-94: a shell through an attribute": (part(C, IN_FORCE, f"x = {BUILTINS}{TOUCH} and x = agent.convention"), "conditions.polar:5: names beginning with two underscores are refused."),
    "CWE-94: a shell in a question, asked while the file is loaded": (more(C, f'\n?= x = "a" and {BUILTINS}{TOUCH} = x;\n'), "conditions.polar:40: a question (`?=`) is never asked of a policy"),
    "CWE-94: a shell in a refusal, which no profile escapes": (part(R, RAISED, f"{RAISED} and x = {BUILTINS}{TOUCH} and x = x"), "refusals.polar:5: names beginning with two underscores are refused."),
    "CWE-94: a shell in a file of its own": (more("zz.polar", f'?= x = "a" and {BUILTINS}{TOUCH} = x;\n'), "zz.polar:1: this file is not one of"),
    "CWE-94: a class of oso's": (part(C, IN_FORCE, "x in String.__subclasses__() and x = agent.convention"), 'conditions.polar:5: `String` must be written between double quotes: "String".'),
    "CWE-94: a text that formats its way in": (part(C, IN_FORCE, '"{0.__class__}".format(agent) = "x"'), "conditions.polar:5: expected `=` or `in`, found `.`."),
    "CWE-94: an object made": (part(C, IN_FORCE, 'x = new Agent("T1") and x = agent'), "conditions.polar:5: `new` may not stand here."),
    "CWE-94: a method of a fact": (part(C, IN_FORCE, 'agent.convention.startswith("in") = agent.profile'), "conditions.polar:5: facts are read, never called"),
    "a print of whoever asks": (part(C, IN_FORCE, f"{IN_FORCE} and print(agent)"), "conditions.polar:5: `print` may not stand here."),
    "a debugger, which waits for a key": (part(C, IN_FORCE, f"{IN_FORCE} and debug()"), "conditions.polar:5: `debug` may not stand here."),
    "a rule that rests on itself": (part(C, IN_FORCE, f"{IN_FORCE} and convention(agent, _)"), "conditions.polar:5: the rule `convention` rests on itself"),
    "two rules that rest on each other": (part(R, RAISED, f'{RAISED} and admitted(agent, "consult", dossier, _)'), "refusals.polar:4: the rule `refusal` rests on itself"),
    "8 000 brackets, which end oso's process": (more(C, "\nconvention(agent: Agent, x) if " + "(" * 8_000 + "x" + ")" * 8_000 + ";"), "conditions.polar:40: brackets nest deeper than 8."),
    "20 000 conditions, which keep oso busy for a minute": (more(C, "\nconvention(a: Agent, x) if " + " and ".join(["x=a"] * 20_000) + ";"), "conditions.polar:40: this rule is too long"),
    "7 000 rows alike": (more(M, 'rubric("rsa", "Rsa", ["T1"], "x");\n' * 7_000), "matrix.polar:26: this repeats line 25: remove one of the two."),
    "a file of five megabytes": (more(M, "#" * 5_000_000), "matrix.polar: the file is larger than 262144 bytes."),
    "four hundred files of a megabyte": (lambda folder: [more(f"{n}.polar", "#" * 1_000_000)(folder) for n in range(400)], "199.polar:1: this file is not one of"),
    "a file without an end": (instead(C, lambda file: file.symlink_to("/dev/zero")), "conditions.polar: this is not a file."),
    "a pipe into which nobody writes": (instead(C, os.mkfifo), "conditions.polar: this is not a file."),
    "a file that leads to itself": (instead(C, lambda file: file.symlink_to(file)), "conditions.polar: cannot be read (Too many levels of symbolic links)."),
    "a route table of lists in lists": (more(ROUTES, "\nx = " + "[" * 1_000), "routes.toml:76: brackets, braces or dotted keys nest deeper than 8."),
    "a route table with a number of 5 000 digits": (more(ROUTES, "\nx = " + "9" * 5_000), "routes.toml:76: this line has more than 2000 characters"),
    "a route table with a key of 100 000 steps": (more(ROUTES, "\n" + "a." * 100_000 + "b = 1"), "routes.toml:76: this line has more than 2000 characters"),
    "a route table with 20 000 routes": (more(ROUTES, "\n[[route]]" * 20_000), "routes.toml:271: there are more than 200 routes."),
    "a part 900 levels deep": (part(ROUTES, '"/caisse"  ', f'"{"/a" * 900}" = "always"\n"/caisse"  '), "routes.toml:23: the pointer"),
}  # fmt: skip

NEGATIONS = {
    # CWE-636: in oso, `not` over an attribute that does not exist holds, and the rule grants.
    "CWE-636: not, over a fact that does not exist": (part(C, IN_FORCE, f'{IN_FORCE} and not agent.nope = "x"'), "conditions.polar:5: `not`"),
    "CWE-636: not, in the file that may": (part(G, REFUSAL, 'not agent.nope = "x"'), "gates.polar:14: `not` may only stand before a rule"),
    "CWE-636: not, over a list that does not exist": (part(G, REFUSAL, 'not "x" in agent.nope'), "gates.polar:14: `not` may only stand before a rule"),
    "CWE-636: not, over a rule with a misspelt fact": (part(R, RAISED, 'dossier.objections = "raised"'), "refusals.polar:5: there is no fact `dossier.objections`."),
    "CWE-636: not, over the fact of another": (part(R, RAISED, 'agent.objection = "raised"'), "refusals.polar:5: there is no fact `agent.objection`."),
    "CWE-636: not, over a pattern": (part(R, "agent: Agent,", "agent: Agent{nope: true},"), "refusals.polar:4: braces are not used in these policies."),
    "CWE-636: not, over another rule": (part(G, REFUSAL, "not convention(agent, _)"), "gates.polar:14: `not` may only stand before `refusal(…)`."),
    "CWE-636: a second not": (part(G, REFUSAL, f"{REFUSAL} and {REFUSAL}"), "gates.polar:14: `not refusal(…)` must stand exactly once in the folder, here 2 times."),
    "CWE-636: no not at all": (part(G, f"  {REFUSAL} and\n", ""), "gates.polar:11: `not refusal(…)` must stand exactly once in the folder, here 0 times."),
    "CWE-636: forall, over a fact that does not exist": (part(C, IN_FORCE, f"{IN_FORCE} and forall(x in agent.nope, x = agent)"), "conditions.polar:5: `forall` may not stand here."),
    "CWE-636: a difference": (part(C, IN_FORCE, 'agent.convention != "suspended"'), "conditions.polar:5: `!` is not used in these policies"),
    "CWE-636: a refusal that no one meets": (part(R, RAISED, 'dossier.objection = "raise"'), "refusals.polar:5: `raise` is never a value of `objection`. Did you mean `raised`?"),
}  # fmt: skip

WORDS = {
    "a profile without its quotes, which is a variable and matches all": (part(M, ENFANTS, '"Enfants",     ["T2", T3]'), 'matrix.polar:8: `T3` must be written between double quotes: "T3".'),
    "twice the same name without quotes, about which oso says nothing": (part(M, ENFANTS, '"Enfants",     [all, all]'), "matrix.polar:8: `all` is not between double quotes: without them it would match anything."),
    "a row for every rubric": (part(M, 'rubric("enfants",', "rubric(_,"), "matrix.polar:8: place 1 of `rubric` must be a text between double quotes."),
    "a variable that stands once": (part(G, "engagement(agent, signed)", "engagement(agent, singed)"), "gates.polar:6: `singed` stands only once: is it misspelt?"),
    "a misspelt rubric": (part(M, '"creances"', '"creance"'), "matrix.polar:14: unknown rubric `creance`. Did you mean `creances`?"),
    "a misspelt profile": (part(M, ENFANTS, '"Enfants",     ["T2", "t3"]'), "matrix.polar:8: unknown profile `t3`."),
    "a profile in letters of another alphabet": (part(M, ENFANTS, '"Enfants",     ["T2", "Τ3"]'), "matrix.polar:8: unknown profile `Τ3`. A letter of it comes from another alphabet"),
    "an unknown class, about which oso only prints": (part(C, "convention(agent: Agent,", "convention(agent: Agnt,"), "conditions.polar:5: place 1 of `convention` must be the agent, written `agent: Agent`."),
    "a head without a class, which anything matches": (part(C, "convention(agent: Agent,", "convention(agent,"), "conditions.polar:5: place 1 of `convention` must be the agent, written `agent: Agent`."),
    "a misspelt rule, which oso takes for another": (part(R, "refusal(agent: Agent", "refusall(agent: Agent"), "refusals.polar:4: there is no rule named `refusall`. Did you mean `refusal`?"),
    "a misspelt rubric in the route table": (part(ROUTES, 'rubric        = "courrier"', 'rubric        = "courier"'), "routes.toml:64: a document cannot belong to \"courier\""),
    "a misspelt `never`": (part(ROUTES, '"/rubriques/famille/personnes/*/nir"     = "never"', '"/rubriques/famille/personnes/*/nir"     = "neveer"'), "routes.toml:26: \"/rubriques/famille/personnes/*/nir\" cannot be \"neveer\": the policies have no such rubric. Did you mean \"never\"?"),
    "a state that opens beside the one that should": (part(C, IN_FORCE, 'agent.convention in ["in_force", "none"]'), "T1 opens rubrics without a convention."),
    "an objection that binds the Caf alone": (part(R, '= "external"', '= "caf"'), "on a dossier under objection."),
}  # fmt: skip

LISTS = {
    "a list of dossiers": (more(ROUTES, '\n[[route]]\nname = "liste"\nmatch = "GET /dossiers"\naction = "consult"\nanswer = "json"\nquery = []\n[route.parts]\n"/*/adresse" = "adresse"\n'), "routes.toml:78: \"GET /dossiers\": the path must contain {numero} exactly once: every route is about one dossier."),
    "a list that a parameter pages": (more(ROUTES, '\n[[route]]\nname = "liste"\nmatch = "GET /dossiers"\naction = "consult"\nanswer = "json"\nquery = ["page"]\n[route.parts]\n"/total" = "always"\n'), "routes.toml:78:"),
    "an answer that calls itself a list": (part(ROUTES, 'name   = "dossier"\nmatch  = "GET /dossiers/{numero}"\naction = "consult"\nanswer = "json"', 'name   = "dossier"\nmatch  = "GET /dossiers/{numero}"\naction = "consult"\nanswer = "list"'), "routes.toml:18:"),
    "two dossiers in one address": (part(ROUTES, '"GET /dossiers/{numero}"', '"GET /dossiers/{numero}/{numero}"'), "routes.toml:16:"),
}  # fmt: skip


class Running:
    """A gateway with two workers, and its folder of policies, which a malicious hand spoils and we put right again."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.folder = gateway.folder / "policies"
        gateway.enter("t2", "T2")
        self.session = gateway.log_in("t2")
        self.fingerprint = gateway.ask(f"/dossiers/{DOSSIER}", self.session).one("X-Policy")

    def undisturbed(self) -> None:
        """Answers on fresh connections, decided by the policies of the start, nothing else in the process."""
        for _ in range(4):
            with closing(Client(self.gateway.url)) as client:
                decided(client.ask(f"/dossiers/{DOSSIER}", self.session), self.fingerprint)

    @contextmanager
    def spoilt(self, spoil: Callable[[Path], object]) -> Iterator[None]:
        try:
            spoil(self.folder)
            yield
        finally:
            shutil.rmtree(self.folder)
            shutil.copytree(shipped(), self.folder)


def decided(answer: Answer, fingerprint: str) -> None:
    """T2's dossier, whole, by exactly these policies."""
    whole = dossier_text(DOSSIER)
    assert whole
    assert (answer.status, answer.body) == (200, kept_dossier(whole, OPEN["T2"])), answer
    assert answer.one("X-Policy") == fingerprint


@pytest.fixture(scope="module")
def running(start_gateway: StartGateway, stub_url: str) -> Running:
    return Running(start_gateway(stub_url, server__workers=2))


def refuses(command: str, gateway: Gateway, work: Path) -> str:
    """What `cafpro check` or `cafpro serve` says when it refuses to go on: with exit 1, by itself, at no great cost."""

    done = warm.run(
        ["gateway.cli", command, "--config", str(gateway.configuration)],
        environment(),
        seconds=4 * PATIENCE,
        folder=work,
        processor_seconds=CPU_SECONDS,
    )
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def is_refused(running: Running, work: Path, spoil: Callable[[Path], object], told: str, *commands: str) -> None:
    """By these commands alike, nothing of it executed, and the running gateway as before."""
    (work / "here").mkdir()
    rows = len(running.gateway.record_rows())
    with running.spoilt(spoil):
        with ThreadPoolExecutor(2) as hands:
            told_by = list(hands.map(lambda command: refuses(command, running.gateway, work / "here"), commands))
        for said in told_by:
            assert any(told in line for line in said.splitlines()), said[:2000]
            assert len(said) < 200_000
        running.undisturbed()
        errors = [line for line in running.gateway.log().splitlines() if '"error"' in line]
        assert all("POLICIES NOT IN FORCE" in line for line in errors), errors
    # A shell would have run where the command was started, or in the gateway's folder.
    assert list((work / "here").iterdir()) == []
    assert not list(running.gateway.folder.rglob(f"*{NOT_OURS}*")) and not Path(NOT_OURS).exists()
    assert [row["status"] for row in running.gateway.record_rows()[rows:]] == [200] * 4


@pytest.mark.attack(19)
@pytest.mark.parametrize(("spoil", "told"), CODE.values(), ids=CODE)
def test_a_policy_that_is_a_program_or_too_much_is_refused_and_not_run(running, tmp_path, spoil, told):
    is_refused(running, tmp_path, spoil, told, "check", "serve")


@pytest.mark.attack(20)
@pytest.mark.parametrize(("spoil", "told"), NEGATIONS.values(), ids=NEGATIONS)
def test_a_negation_that_would_grant_is_refused(running, tmp_path, spoil, told):
    is_refused(running, tmp_path, spoil, told, "check")


@pytest.mark.attack(21)
@pytest.mark.parametrize(("spoil", "told"), WORDS.values(), ids=WORDS)
def test_a_misspelt_word_is_refused_with_its_line(running, tmp_path, spoil, told):
    is_refused(running, tmp_path, spoil, told, "check")


@pytest.mark.attack(27)
@pytest.mark.parametrize(("spoil", "told"), LISTS.values(), ids=LISTS)
def test_a_route_that_answers_several_dossiers_is_refused(running, tmp_path, spoil, told):
    """CWE-203: totals, pages and order of such an answer would tell of hidden ones. There is no such route yet."""
    is_refused(running, tmp_path, spoil, told, "check")


NEVER = [None, "", " ", "x", "IN_FORCE", "in_force ", "t2", "T99", "*", "true", 1, "T2 ; T1", "T2,T1", "Τ2"]
"""What a fact may come to be in a directory that something else has written to; never what opens."""
FACTS: dict[str, tuple[Table, str, list[object]]] = {
    "the profiles of the account": (account, "profiles", [value for value in NEVER if value is not None]),
    "the engagement": (account, "engagement_version", [*NEVER, "2012-08", "2012-7", "²012-07"]),
    "the profiles of the convention": (convention, "profiles", [value for value in NEVER if value is not None]),
    "the caisse of the convention": (convention, "caisse", ["", "8510", "0851", "851 ", "８５１", "x"]),
    "the profile of the session": (session, "profile", [value for value in NEVER if value is not None]),
    "the assurance": (session, "assurance", [value for value in NEVER if value is not None]),
    "the kind of partner": (partner, "kind", [value for value in NEVER if value is not None]),
    "the kind of the mandate": (mandate, "kind", [*(value for value in NEVER if value is not None), "JUDGMENT", "judgement"]),
    "the dossier of the mandate": (mandate, "dossier", ["", "999000", "9990002", "%", "_______", "９９９０００１"]),
}  # fmt: skip


@pytest.fixture
def guardian(running: Running) -> tuple[Gateway, dict[str, str]]:
    """A T9 agent with one convention, one session, one mandate, for this test alone."""
    gateway, number = running.gateway, len(running.gateway.record_rows())
    identifier = f"gardien-{number}"
    gateway.enter(identifier, "T9")
    gateway.entrust(identifier, DOSSIER, "judgment")
    return gateway, gateway.log_in(identifier)


@pytest.mark.attack(20)
@pytest.mark.parametrize(("table", "column", "values"), FACTS.values(), ids=FACTS)
def test_a_fact_that_is_missing_empty_or_no_word_of_the_vocabulary_opens_nothing(guardian, table, column, values):
    """CWE-636, on the gateway itself: each input of the conditions, one at a time, in the directory it is read from."""
    gateway, headers = guardian
    with gateway.store.change() as connection:
        # The guardian's are the last that were made.
        key, last = ("account_id", "account") if table is session else ("id", table.name)
        where = text(f"{key} = (SELECT max(id) FROM {last})")
        good = connection.execute(table.select().where(where)).mappings().one()[column]
    decoded = kept_dossier(dossier_text(DOSSIER), OPEN["T9"])
    for value in values:
        with gateway.store.change() as connection:
            connection.execute(update(table).where(where).values({column: value}))
        answer = gateway.ask(f"/dossiers/{DOSSIER}", headers)
        assert answer.status in (401, 403, 503), (value, answer)
        is_problem(answer, answer.status, answer.json()["code"])
        assert gateway.recorded(answer)["rubrics"] == "[]"
        with gateway.store.change() as connection:
            connection.execute(update(table).where(where).values({column: good}))
        answer = gateway.ask(f"/dossiers/{DOSSIER}", headers)
        assert (answer.status, answer.body) == (200, decoded), value


class Load:
    """Four clients that ask one after the other as long as the block lasts, two of them on a new connection each time.

    Each answer is compared whole, and its X-Policy counted.
    """

    def __init__(self, gateway: Gateway, headers: dict[str, str], fingerprint: str) -> None:
        self._gateway, self._headers, self._fingerprint = gateway, headers, fingerprint
        self._over = Event()
        self.answered: Counter[int] = Counter()

    def __enter__(self) -> Load:
        self._hands = ThreadPoolExecutor(4)
        self._asking = [self._hands.submit(self._ask, hand) for hand in range(4)]
        self.goes_on()
        return self

    def goes_on(self) -> None:
        """Returns once each of them has had twenty more answers."""
        before = Counter(self.answered)

        def further() -> bool:
            for asking in self._asking:
                if asking.done():
                    asking.result()
            return all(self.answered[hand] >= before[hand] + 20 for hand in range(4))

        until(further, "everyone is answered")

    def _ask(self, hand: int) -> None:
        client = Client(self._gateway.url)
        with closing(client):
            while not self._over.is_set():
                if hand % 2:
                    client.close()
                decided(client.ask(f"/dossiers/{DOSSIER}", self._headers), self._fingerprint)
                self.answered[hand] += 1

    def __exit__(self, kind: object, *_: object) -> None:
        self._over.set()
        self._hands.shutdown()
        if kind is None:
            for asking in self._asking:
                asking.result()


@pytest.fixture(scope="module")
def deployed(start_gateway: StartGateway, stub_url: str, tmp_path_factory: pytest.TempPathFactory) -> Running:
    """A gateway whose folder is a link, as those who deploy by swapping links have it."""
    root = tmp_path_factory.mktemp("deployed")
    shutil.copytree(shipped(), root / "first")
    (root / "policies").symlink_to("first")
    (root / "scrape.token").write_text("s" * 40)
    (root / "scrape.token").chmod(0o600)
    running = Running(
        start_gateway(
            stub_url,
            server__workers=2,
            policies__path=root / "policies",
            policies__reload_seconds=0.2,
            metrics__token_file=root / "scrape.token",
        )
    )
    running.folder = root / "policies"
    return running


@pytest.fixture
def swapped(deployed: Running) -> Iterator[Running]:
    """The same, and afterwards the link leads to a copy of the shipped folder again."""
    yield deployed
    link(deployed.folder, fresh(deployed.folder))
    until(lambda: not stale(deployed.gateway), "what is in force is what is there", seconds=4 * PATIENCE)


def fresh(folder: Path) -> str:
    """The name of another copy of the shipped folder, beside this one."""
    name = f"folder-{next(COPIES)}"
    shutil.copytree(shipped(), folder.parent / name)
    return name


def open_to_all(folder: Path) -> None:
    """Policies in good order that open to T2 what is not T2's."""
    part(M, 'rubric("paiement",    "Paiement",    ["T1",', 'rubric("paiement",    "Paiement",    ["T1", "T2",')(folder)


def link(folder: Path, target: Path | str) -> None:
    """The link, swapped as `ln -sfn` and `mv -T` do: there is no instant without one."""
    (folder.parent / "next").symlink_to(target)
    (folder.parent / "next").rename(folder)


def other(folder: Path, spoil: Callable[[Path], object]) -> None:
    """Another folder, spoilt, in the place of the first by one swap."""
    made = fresh(folder)
    spoil(folder.parent / made)
    link(folder, made)


def half(folder: Path) -> None:
    written = (folder / M).read_bytes()
    (folder / M).write_bytes(written[: len(written) // 2])


def interrupted(folder: Path) -> None:
    """Someone's copy that stopped half-way: some of the files are those of other policies."""
    open_to_all(folder)
    (folder / C).unlink()


BAD = {
    "a folder that opens more": ("unapproved", lambda folder: other(folder, open_to_all)),
    "a folder that opens more, written over the first": ("unapproved", open_to_all),
    "a field that another rubric opens": ("unapproved", lambda folder: other(folder, part(ROUTES, '"/rubriques/famille/personnes/*/nir"     = "never"', '"/rubriques/famille/personnes/*/nir"     = "famille"'))),
    "a folder of which half is written": ("refused", lambda folder: other(folder, half)),
    "a file of which half is written, in place": ("refused", half),
    "a copy that stopped half-way": ("unreadable", interrupted),
    "an empty folder": ("unreadable", lambda folder: other(folder, lambda made: [file.unlink() for file in made.iterdir() if file.is_file()])),
    "a link to nothing": ("unreadable", lambda folder: link(folder, "nowhere")),
    "no folder": ("unreadable", lambda folder: folder.unlink()),
    "a shell": ("refused", lambda folder: other(folder, CODE["CWE-94: a shell through an attribute"][0])),
    "a pipe into which nobody writes, for an approval": ("unapproved", lambda folder: other(folder, lambda made: [open_to_all(made), (made / "approved.json").unlink(), os.mkfifo(made / "approved.json")])),
    "no approval, and a folder that opens more": ("unapproved", lambda folder: other(folder, lambda made: [open_to_all(made), (made / "approved.json").unlink()])),
}  # fmt: skip
"""What may not come into force, and of what kind the reason is."""
BEARING = {"Authorization": f"Bearer {'s' * 40}"}
"""Whoever is told the reason in sentences."""


def stale(gateway: Gateway) -> str:
    """Of what kind the reason is why the folder is not in force; empty where it is."""
    with closing(Client(gateway.url)) as client:
        return str(client.ask("/-/health/ready").json().get("stale", ""))


@pytest.mark.attack(22)
@pytest.mark.parametrize(("reason", "replace"), BAD.values(), ids=BAD)
def test_what_may_not_come_into_force_does_not_and_that_is_shouted_about(swapped, reason, replace):
    """CWE-367: under load, answer by answer: the policies of before, and the same bytes. Ready says of what kind the
    reason is, the log and the bearer of the scrape token are told it in sentences, once; and it ends by itself."""
    gateway = swapped.gateway
    with Load(gateway, swapped.session, swapped.fingerprint) as load:
        before, said = len(gateway.record_rows()), gateway.log().count("POLICIES NOT IN FORCE")
        replace(swapped.folder)
        until(lambda: stale(gateway) == reason, f"it is told to be {reason}", seconds=4 * PATIENCE)
        load.goes_on()
        told = gateway.ask("/-/health/ready", BEARING).json()
        assert (told["status"], told.get("failing"), told["policy"]) == ("ready", None, swapped.fingerprint)
        assert told["because"]
        assert "cafpro_policy_stale 1.0" in gateway.ask("/-/metrics", BEARING).text()
        link(swapped.folder, fresh(swapped.folder))
        until(lambda: not stale(gateway), "it is as in force again", seconds=4 * PATIENCE)
        load.goes_on()
    assert {row["policy"] for row in gateway.record_rows(route="dossier")[before:]} <= {swapped.fingerprint}
    assert "cafpro_policy_stale 0.0" in gateway.ask("/-/metrics", BEARING).text()
    assert gateway.log().count("POLICIES NOT IN FORCE") == said + 1
    assert not list(gateway.folder.rglob(f"*{NOT_OURS}*"))


def kill_one(gateway: Gateway, victim: psutil.Process) -> psutil.Process:
    """Its replacement, once there is one."""
    others = {*gateway.workers()} - {victim}
    victim.kill()
    [made] = until(lambda: {*gateway.workers()} - others - {victim}, "a worker is replaced")
    return made


def is_ready(gateway: Gateway) -> bool:
    """On a connection of its own: one that was kept may have been a dead worker's."""
    with closing(Client(gateway.url)) as client, suppress(OSError, HTTPException):
        return client.ask("/-/health/ready").status == 200
    return False


@pytest.mark.attack(22)
@pytest.mark.parametrize("name", ["a folder that opens more", "a shell", "a copy that stopped half-way", "no folder"])
def test_a_worker_that_replaces_another_decides_by_the_policies_of_the_others(swapped, name):
    """CWE-367: a worker is killed after the folder has changed. Two workers with two policies would answer one agent
    sometimes so and sometimes otherwise; and one that cannot start at all would leave the gateway without workers."""
    _, replace = BAD[name]
    replace(swapped.folder)
    first, second = swapped.gateway.workers()
    made = {kill_one(swapped.gateway, first), kill_one(swapped.gateway, second)}
    until(lambda: is_ready(swapped.gateway), "the gateway is ready")
    with Load(swapped.gateway, swapped.session, swapped.fingerprint) as load:
        load.goes_on()
    assert {*swapped.gateway.workers()} == made, "none of them ended again"


@pytest.mark.attack(22)
def test_a_tightening_that_cannot_be_loaded_is_shouted_about_and_one_that_can_acts_without_a_restart(
    start_gateway, stub_url, tmp_path
):
    """What is in force is told by each answer; what is wrong with what is not, by `cafpro policy check`."""
    path = tmp_path / "policies"
    shutil.copytree(shipped(), path)
    gateway = start_gateway(stub_url, policies__path=path)
    running = Running(gateway)
    part(M, ENFANTS, '"Enfants",     ["T3"]')(path)
    more(M, "rubric(")(path)
    until(lambda: stale(gateway) == "refused", "it is shouted about", seconds=4 * PATIENCE)
    until(lambda: "matrix.polar" in gateway.log(), "and written down, a moment later")
    found = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "policy", "check", str(path), "--format", "json"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=4 * PATIENCE,
        check=False,
    )
    assert found.returncode == 1
    assert "matrix.polar" in found.stdout
    running.undisturbed()
    (path / M).write_text((path / M).read_text().removesuffix("rubric("))
    tighter = fingerprint(read(path))
    whole = dossier_text(DOSSIER)
    assert whole

    def tightened() -> bool:
        answer = gateway.ask(f"/dossiers/{DOSSIER}", running.session)
        if answer.one("X-Policy") == running.fingerprint:
            return False
        assert (answer.one("X-Policy"), answer.status) == (tighter, 200)
        assert answer.body == kept_dossier(whole, OPEN["T2"] - {"enfants"})
        return True

    until(tightened, "the tightening acts, though nobody approved it: it opens nothing", seconds=4 * PATIENCE)
    # A worker answers by it a moment before the keeper has seen that every worker does.
    until(lambda: not stale(gateway), "what is in force is what is there")
