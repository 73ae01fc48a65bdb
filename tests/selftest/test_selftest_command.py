"""`cafpro selftest` as an operator types it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.cli.selftest import selftest as command
from gateway.selftest.catalogue import LINES
from gateway.selftest.kit import CHECKS
from tests.ports import free_port
from tests.selftest.conftest import READ, Behind
from tests.selftest.fronts import answer, body_of, status_of, with_body, with_header
from tests.story.running import PASSWORD


class Found(msgspec.Struct, forbid_unknown_fields=True):
    sent: str
    came: str


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of the report: a contract with who reads it."""

    line: int
    family: str
    check: str
    verdict: str
    sent: str
    came: str
    reason: str
    unfinished: bool
    findings: list[Found]
    hint: str
    references: list[str]


class Report(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    at: str
    identifier: str
    profile: str | None
    dossiers: int
    counts: dict[str, int]
    results: list[Entry]


@pytest.fixture
def selftest():
    """Runs the command, the password in the environment unless it is told otherwise."""

    def run(*words: str, password: str | None = PASSWORD, typed: str = ""):
        environment = {name: None for name in os.environ if name.startswith("CAFPRO_")}
        if password is not None:
            environment["CAFPRO_PASSWORD"] = password
        return CliRunner(env=environment).invoke(main, ["selftest", *words], input=typed)

    return run


@pytest.fixture
def truthful(lying: Behind) -> Behind:
    lying.front.tell()
    return lying


def test_the_report_as_json_is_whole(selftest, truthful: Behind):
    done = selftest("--url", truthful.url, "--as", "t9", "--only", "2,14,19", "--dossier", READ, "--format", "json")
    assert done.exit_code == 0, done.output
    report = msgspec.json.decode(done.stdout, type=Report)
    assert (report.url, report.identifier, report.profile, report.dossiers) == (truthful.url, "t9", "T9", 1)
    assert [(entry.line, entry.check, entry.verdict) for entry in report.results] == [
        (2, "doubled-slashes", "passed"),
        (14, "json-web-tokens", "passed"),
        (14, "odd-tokens", "passed"),
        (19, "inside", "not applicable"),
    ]
    assert report.counts == {"passed": 3, "failed": 0, "not applicable": 1}
    assert all(entry.sent and entry.references and not entry.hint for entry in report.results)


def test_what_was_found_is_said_with_its_line_hint_and_references(selftest, lying: Behind):
    lying.front.tell(lambda exchange: with_header(exchange.forward(), 'ETag: "x"'))
    words = ("--url", lying.url, "--as", "t9", "--only", "25", "--dossier", READ)
    done = selftest(*words)
    assert done.exit_code == 1
    assert "Line 25 (Bodies), validators: FAILED" in done.output
    assert "came: the answer has ETag" in done.output
    assert "look: what is in front adds ETag" in done.output
    assert "see:  RFC 9110, 13, RFC 9112, 8" in done.output
    assert "1 failed, 0 not applicable." in done.output
    done = selftest(*words, "--format", "json")
    assert done.exit_code == 1
    [entry] = [entry for entry in msgspec.json.decode(done.stdout, type=Report).results if entry.verdict == "failed"]
    assert (entry.line, entry.check, bool(entry.hint)) == (25, "validators", True)
    assert entry.findings == [Found("a request", "the answer has ETag")]


def test_a_check_that_could_not_be_finished_is_not_a_success(selftest, lying: Behind):
    def limiting(exchange):
        if exchange.target == "//-/session":
            return answer("429 Too Many Requests", b"", "Retry-After: 3600")
        return exchange.forward()

    lying.front.tell(limiting)
    done = selftest("--url", lying.url, "--as", "t9", "--only", "2")
    assert done.exit_code == 1
    assert "limited: 429, Retry-After: 3600" in done.output
    assert "1 not applicable (1 unfinished)." in done.output


def test_the_password_comes_from_a_file_the_environment_or_the_keyboard_and_is_never_shown(
    selftest, truthful: Behind, tmp_path: Path
):
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    words = ("--url", truthful.url, "--as", "t9", "--only", "2")
    for done in (
        selftest(*words, "--password-file", str(file), password="wrong"),
        selftest(*words),
        selftest(*words, password=None, typed=f"{PASSWORD}\n"),
    ):
        assert done.exit_code == 0, done.output
        assert PASSWORD not in done.output


def test_no_secret_is_in_a_report_of_findings(selftest, lying: Behind):
    """Not even where everything that is sent comes back."""
    tokens: list[str] = []

    def echoing(exchange):
        token = exchange.header("Authorization").removeprefix("Bearer ")
        if len(token) > 20:
            tokens.append(token)
        found = exchange.forward()
        return with_header(found, f"X-Was: {exchange.header('Authorization')} {exchange.target.encode()!r}")

    lying.front.tell(echoing)
    done = selftest("--url", lying.url, "--as", "t9", "--dossier", READ, "--format", "json", "--only", "7,9,12,25,31")
    assert done.exit_code == 1
    assert tokens
    for secret in (PASSWORD, READ, *tokens):
        assert secret not in done.output


def test_nothing_that_a_deployment_writes_reaches_the_terminal_as_it_is(selftest, lying: Behind):
    written = "\x9b2J\x1b[31m\u202eT9\x7f" + "A" * 1000

    def colouring(exchange):
        found = exchange.forward()
        if exchange.target != "/-/session" or status_of(found) != 200:
            return with_header(found, "Access-Control-Allow-Origin: \x9b31m\xe9")
        shown = json.loads(body_of(found))
        return with_body(found, json.dumps({**shown, "profile": written}, ensure_ascii=False).encode())

    lying.front.tell(colouring)
    done = selftest("--url", lying.url, "--as", "t9", "--only", "16", "--format", "json")
    assert done.exit_code == 1, done.output
    assert done.stdout.replace("\n", "").isascii() and done.stdout.replace("\n", "").isprintable()
    assert msgspec.json.decode(done.stdout, type=Report).profile == ("2J[31mT9" + "A" * 1000)[:60]


@pytest.mark.parametrize("asked", ["9" * 5000, "\xb2", "\x9b2J", "-1"])
def test_a_wait_that_is_no_number_of_seconds_is_not_repeated(selftest, lying: Behind, asked: str):
    def limiting(exchange):
        if exchange.target == "//-/session":
            return answer("429 Too Many Requests", b"", f"Retry-After: {asked}")
        return exchange.forward()

    lying.front.tell(limiting)
    done = selftest("--url", lying.url, "--as", "t9", "--only", "2")
    assert "limited: 429, Retry-After: not a number of seconds" in done.output


MISUSES = {
    "no url": (("--as", "t9"), "--url and --as are needed, or --list."),
    "no account": (("--url", "http://127.0.0.1:1"), "--url and --as are needed, or --list."),
    "a path in the url": (("--url", "https://x/y", "--as", "t9"), "must name a host and a port, nothing else."),
    "a password in the url": (("--url", "https://a:b@x", "--as", "t9"), "must name a host and a port, nothing else."),
    "in clear to another machine": (
        ("--url", "http://cafpro.example", "--as", "t9"),
        "http://cafpro.example would be told the password in clear: give the https address.",
    ),
    "a line that is none": (("--only", "34"), "lines are numbers from 1 to 33, separated by commas."),
    "a dossier that is none": (("--dossier", "12"), "a dossier number has 7 digits."),
    "no file": (("--url", "http://127.0.0.1:1", "--as", "t9", "--password-file", "/none"), "cannot be read as text."),
    "no authority": (
        ("--url", "https://127.0.0.1:1", "--as", "t9", "--ca", "/none"),
        "cannot be read as a certificate",
    ),
    "the password on the command line": (("--password", "x"), "No such option"),
}


@pytest.mark.parametrize(("words", "said"), MISUSES.values(), ids=MISUSES)
def test_misuse_is_one_sentence_and_exit_2(selftest, words, said):
    done = selftest(*words)
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


def test_nobody_there_is_one_sentence_and_exit_2(selftest):
    port = free_port()
    done = selftest("--url", f"http://127.0.0.1:{port}", "--as", "t9")
    assert (done.exit_code, done.output) == (2, f"Nothing answers at http://127.0.0.1:{port} (Connection refused).\n")


def test_a_certificate_that_is_not_trusted_is_one_sentence_and_exit_2(selftest, lying_over_tls: Behind, certificate):
    lying_over_tls.front.tell()
    words = ("--url", lying_over_tls.url, "--as", "t9", "--only", "17")
    done = selftest(*words)
    assert done.exit_code == 2
    assert "is not trusted" in done.output and "see --ca." in done.output
    assert selftest(*words, "--ca", str(certificate[0])).exit_code == 0


def test_a_wrong_password_is_one_sentence_and_exit_2(selftest, truthful: Behind):
    done = selftest("--url", truthful.url, "--as", "t9", password="Une-autre-phrase-de-2012")
    assert (done.exit_code, done.output) == (2, "The identifier or the password is wrong.\n")


def test_an_account_with_several_profiles_is_asked_for_one(selftest, truthful: Behind):
    truthful.gateway.enter("both", "T1", "T2")
    words = ("--url", truthful.url, "--as", "both", "--only", "2", "--format", "json")
    done = selftest(*words)
    assert done.exit_code == 2
    assert "--profile" in done.output
    done = selftest(*words, "--profile", "T2")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["profile"] == "T2"


def test_what_is_not_the_gateway_is_one_sentence_and_exit_2(selftest, stub_url: str):
    done = selftest("--url", stub_url, "--as", "t9")
    assert done.exit_code == 2
    assert done.output.startswith("The log-in is not answered as the gateway answers it (")
    assert done.output.count("\n") == 1


def test_the_list_names_every_line_and_check_and_sends_nothing(selftest):
    done = selftest("--list")
    assert done.exit_code == 0
    for check in CHECKS:
        assert f"{check.name}: {check.sent}" in done.output
    shown = json.loads(selftest("--list", "--format", "json").stdout)
    assert [entry["line"] for entry in shown] == [line.number for line in LINES]
    assert sum(len(entry["checks"]) for entry in shown) == len(CHECKS)


def test_the_account_is_logged_out_again_and_not_locked(selftest, truthful: Behind):
    truthful.gateway.enter("alone", "T1")
    assert selftest("--url", truthful.url, "--as", "alone", "--only", "16,17").exit_code == 0
    rows = truthful.gateway.record_rows(agent="alone")
    assert rows[-1]["act"] == "log_out" and rows[-1]["status"] == 204
    opened = [row["status"] for row in rows if row["act"] == "log_in"]
    assert len(opened) > 1 and set(opened) == {201}
    assert selftest("--url", truthful.url, "--as", "alone", "--only", "2").exit_code == 0


def test_the_command_of_the_readme_is_one():
    readme = Path(__file__).parents[2] / "README.md"
    [written] = re.findall(r"`cafpro (selftest [^`]*)`", readme.read_text())
    context = command.make_context("selftest", shlex.split(written.replace("https://…", "https://x"))[1:])
    assert context.params["dossiers"] == (READ,)


def run_in_terminal(arguments: list[str], environment: dict[str, str]) -> str:
    """What a process writes on standard error where that is a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        # The end of a terminal is an error.
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 4096):
                said += piece
        os.close(ours)
        assert process.wait(60) == 0
    return said.decode()


def test_progress_is_shown_on_a_terminal_only(truthful: Behind):
    arguments = [sys.executable, "-m", "gateway.cli", "selftest", "--url", truthful.url, "--as", "t9", "--only", "2"]
    environment = {**os.environ, "CAFPRO_PASSWORD": PASSWORD, "TERM": "xterm"}
    assert "line 2, doubled-slashes" in run_in_terminal(arguments, environment)
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 passed, 0 failed, 0 not applicable." in done.stdout
