"""`cafpro demo`: what it prints works when it is pasted, its accounts see what they should, and it ends whole."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port
from tests.story.brochure import OPEN, PROFILES, kept_dossier
from tests.story.running import PASSWORD, PATIENCE, Client, Process, environment, is_problem, until
from upstream_stub.dossiers import dossier_text


class Demo(Client):
    """A running demo, in a session of its own as a terminal gives it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port, self.upstream_port = free_port(), free_port()
        super().__init__(f"http://127.0.0.1:{self.port}")
        ports = ["--port", str(self.port), "--upstream-port", str(self.upstream_port)]
        self.process = Process(
            ["gateway.cli", "demo", *ports, *arguments], folder / "demo.log", cwd=folder, start_new_session=True
        )
        try:
            until(lambda: "mandate list" in self.said() or self.process.popen.poll() is not None, "the demo is ready")
            assert self.process.popen.poll() is None, self.said()
        except BaseException:
            self.process.end()
            raise

    def said(self) -> str:
        return self.process.said()

    def bash(self, text: str) -> str:
        """What bash prints for a text that somebody pasted."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment(),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log_in(self, identifier: str) -> dict[str, str]:
        body = json.dumps({"identifier": identifier, "password": PASSWORD}).encode()
        opened = self.ask("/-/session", {"Content-Type": "application/json"}, method="POST", body=body)
        assert opened.status == 201, opened
        return {"Authorization": f"Bearer {opened.json()['token']}"}

    def family(self) -> list[psutil.Process]:
        """The demo's process and all that it started."""
        demo = psutil.Process(self.process.popen.pid)
        return [demo, *demo.children(recursive=True)]

    def stop(self) -> None:
        self.close()
        self.process.end()


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    with ExitStack() as stack:

        def start(*arguments: str) -> Demo:
            demo = Demo(tmp_path, *arguments)
            stack.callback(demo.stop)
            return demo

        yield start


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("demo"), "--password", PASSWORD)
    try:
        yield demo
    finally:
        demo.stop()


@pytest.fixture(scope="module")
def sessions(demo: Demo) -> dict[str, dict[str, str]]:
    return {profile: demo.log_in(profile.lower()) for profile in PROFILES}


def pasted(demo: Demo) -> tuple[str, str]:
    """The two blocks to paste: the curl, and the change of a fact."""
    said = demo.said()
    curl = said[said.index("TOKEN=$(") : said.index("\n\n", said.index("TOKEN=$("))]
    [change] = re.findall(r"^\S*cafpro .*convention suspend DEMO-T1.*$", said, re.MULTILINE)
    return curl, change


def ordinary(numero: str, profile: str) -> bytes:
    return kept_dossier(dossier_text(numero) or b"", OPEN[profile])


def test_the_first_address_that_it_shows_is_the_gateways(demo):
    """The stub backend hands out whole dossiers: who took its address for the gateway's would think that it leaks."""
    assert re.findall(r"http://[^\s/,]+", demo.said())[0] == demo.url


def test_it_prints_its_address_its_accounts_and_one_dossier_as_two_profiles_see_it(demo):
    said = demo.said()
    assert f"answers at {demo.url}" in said
    for account in (*(profile.lower() for profile in PROFILES), "admin"):
        assert re.search(rf"^ *{account} ", said, re.MULTILINE), account
    assert PASSWORD in said
    assert "Dossier 9990001, as T2 and T10 receive it" in said
    seen = said[said.index("as T2 and T10 receive it") : said.index("Paste this")]
    for label in ("Paiement", "Dossier", "Enfants", "Droits", "Logement", "Ressources", "Qf Cnaf", "Adresse"):
        assert re.search(rf"^ *{label} .*", seen, re.MULTILINE), label
    for label in ("Famille", "Créances", "Rsa", "QF Caf"):
        assert not re.search(rf"^ *{label} ", seen, re.MULTILINE), label
    assert "Traceback" not in said


def test_what_it_says_to_paste_works_in_bash(demo):
    curl, change = pasted(demo)
    assert demo.bash(curl).encode() == ordinary("9990001", "T1")
    demo.bash(change)
    refused = json.loads(demo.bash(curl))
    assert (refused["status"], refused["code"]) == (403, "GW312")
    demo.bash(change.replace("suspend", "resume"))
    assert demo.bash(curl).encode() == ordinary("9990001", "T1")


def test_the_other_command_it_prints_lists_its_mandates(demo):
    [command] = re.findall(r"^\S*cafpro .*mandate list.*$", demo.said(), re.MULTILINE)
    listed = json.loads(demo.bash(f"{command} --format json"))
    assert [(entry["dossier"], entry["kind"]) for entry in listed] == [
        ("9990001", "judgment"),
        ("9990001", "direct_payment"),
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_account_opens_the_first_dossier_with_the_rubrics_of_its_profile(demo, sessions, profile):
    answer = demo.ask("/dossiers/9990001", sessions[profile])
    assert (answer.status, answer.body) == (200, ordinary("9990001", profile))


@pytest.mark.parametrize("profile", PROFILES)
def test_the_second_dossier_is_entrusted_to_nobody(demo, sessions, profile):
    answer = demo.ask("/dossiers/9990002", sessions[profile])
    if profile in ("T9", "T10"):
        is_problem(answer, 403, "GW320")
    else:
        assert (answer.status, answer.body) == (200, ordinary("9990002", profile))


@pytest.mark.parametrize("profile", PROFILES)
def test_the_dossier_under_objection_is_closed_to_everyone(demo, sessions, profile):
    is_problem(demo.ask("/dossiers/9990008", sessions[profile]), 403, "GW320")


def test_the_admin_is_caf_staff_without_a_profile_and_opens_no_dossier(demo):
    session = demo.log_in("admin")
    shown = demo.ask("/-/session", session).json()
    assert (shown["profile"], shown["profiles"], shown["rubrics"]) == (None, [], [])
    for numero in ("9990001", "9990002", "9990008"):
        is_problem(demo.ask(f"/dossiers/{numero}", session), 403, "GW301")


def test_localhost_names_it_too(demo, sessions):
    host = {"Host": f"localhost:{demo.port}"}
    assert demo.ask("/dossiers/9990001", {**sessions["T1"], **host}).status == 200


def test_a_second_demo_on_the_same_port_says_so_in_one_sentence(demo, tmp_path):
    """Also where what holds the port looks like a gateway that is ready."""
    said = refused(tmp_path, "--port", str(demo.port))
    assert f"127.0.0.1:{demo.port}" in said
    assert demo.ask("/-/health/ready").status == 200


def test_a_port_that_something_else_holds_is_said_in_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"127.0.0.1:{port}" in refused(tmp_path, "--port", str(port))


def test_a_backends_port_that_something_else_holds_is_said_in_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"127.0.0.1:{port}" in refused(tmp_path, "--upstream-port", str(port))


def refused(folder: Path, *arguments: str) -> str:
    """The one sentence with which a demo that cannot start ends, with exit code 1, soon."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    process = Process(["gateway.cli", "demo", *arguments], folder / "demo.log", cwd=folder)
    try:
        until(lambda: process.popen.poll() is not None, "the demo gives up", seconds=15)
    finally:
        process.end()
    said = process.said()
    assert process.popen.returncode == 1
    assert "Traceback" not in said
    assert "Paste this" not in said
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert len(said.strip().splitlines()) == 1, said
    return said


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(lambda pid: os.killpg(pid, signal.SIGINT), id="Ctrl-C, which reaches the whole group"),
        pytest.param(lambda pid: os.kill(pid, signal.SIGINT), id="SIGINT to it alone"),
        pytest.param(lambda pid: os.kill(pid, signal.SIGTERM), id="SIGTERM to it alone"),
    ],
)
def test_it_ends_with_all_that_it_started(start_demo, ending):
    demo = start_demo("--password", PASSWORD)
    demo.close()
    [configuration] = set(re.findall(r"(/\S+)/gateway\.toml", demo.said()))
    family = demo.family()
    assert len(family) >= 4, "the demo, the stub, the gateway and its worker"
    ending(demo.process.popen.pid)
    assert demo.process.popen.wait(PATIENCE) == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert not Path(configuration).exists()
    assert "Traceback" not in demo.said()
    for port in (demo.port, demo.upstream_port):
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) != 0


def test_without_a_password_it_makes_one_up_and_shows_it(start_demo):
    demo = start_demo()
    curl, _ = pasted(demo)
    assert demo.bash(curl).encode() == ordinary("9990001", "T1")


def test_a_password_that_is_too_easy_is_refused_in_one_sentence(tmp_path):
    process = Process(["gateway.cli", "demo", "--password", "azerty"], tmp_path / "demo.log")
    assert process.popen.wait(PATIENCE) == 2
    assert process.said().startswith("--password: The password is too easy to guess")
    assert len(process.said().splitlines()) == 1


def test_policies_that_cannot_be_loaded_are_said_before_anything_starts(tmp_path):
    process = Process(["gateway.cli", "demo", "--policies", str(tmp_path / "none")], tmp_path / "demo.log")
    assert process.popen.wait(PATIENCE) == 1
    assert process.said().splitlines() == [f"{tmp_path / 'none'}: there is no such folder of policies."]
