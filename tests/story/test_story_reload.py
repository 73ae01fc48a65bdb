"""The policies change while the gateway runs: every answer is whole, by one policy, and the one its X-Policy names.

`RELOAD_SWAPS=100 python -m pytest tests/story/test_story_reload.py -k swaps` is the long form.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

import psutil
import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.policy.loading import fingerprint
from gateway.policy_files.folder import read, shipped
from gateway.policy_files.keeping import NAME
from tests.story.brochure import OPEN, kept_dossier
from tests.story.fixtures import StartGateway
from tests.story.running import OUT_OF_REACH, PATIENCE, Answer, Client, Gateway, Process, circle, until
from upstream_stub.dossiers import dossier_text

SWAPS = int(os.environ.get("RELOAD_SWAPS", "10"))
SEED = int(os.environ.get("RELOAD_SEED", str(random.randrange(10_000))))
CHECKED = 6 * PATIENCE
"""Seconds that a check may take on a machine that does much else."""
DOSSIER = "9990001"
CLOSED = {"T2": frozenset({"enfants"}), "T9": frozenset({"creances", "courrier"})}
"""What the second folder closes: it needs no approval."""
CLIENTS = ("T2", "T9", "T2", "T9")


class Town:
    """A gateway with two workers whose folder is a link; agents; and what each of them is to see by each policy."""

    def __init__(self, root: Path, start: StartGateway, stub_url: str, **settings: object) -> None:
        self.root, self.link = root, root / "policies"
        shutil.copytree(shipped(), root / "first")
        shutil.copytree(shipped(), root / "second")
        closing_folder(root / "second")
        self.link.symlink_to("first")
        self.prints = {name: fingerprint(read(root / name)) for name in ("first", "second")}
        self.gateway: Gateway = start(stub_url, server__workers=2, policies__path=self.link, **settings)
        for profile in ("T2", "T9"):
            self.gateway.enter(profile.lower(), profile)
        self.gateway.entrust("t9", DOSSIER, "judgment")
        self.sessions = {profile: self.gateway.log_in(profile.lower()) for profile in ("T2", "T9")}
        whole = dossier_text(DOSSIER)
        assert whole
        self.expected = {
            (self.prints[name], profile): kept_dossier(whole, OPEN[profile] - closed.get(profile, frozenset()))
            for name, closed in (("first", {}), ("second", CLOSED))
            for profile in ("T2", "T9")
        }

    def swap(self, name: str) -> None:
        """The link leads there, from one instant to the next."""
        (self.root / "next").symlink_to(name)
        (self.root / "next").rename(self.link)

    def reload(self, *, code: int = 0) -> str:
        """What `cafpro policy reload` says."""
        settings = {name: None for name in os.environ if name.startswith("CAFPRO_")}
        arguments = ["policy", "reload", "--config", str(self.gateway.configuration)]
        done = CliRunner(env=settings).invoke(main, arguments)
        assert done.exit_code == code, done.output
        return done.output

    def right(self, answer: Answer, profile: str) -> str:
        """The policy of an answer that is whole and what this policy gives."""
        assert answer.status == 200, answer
        policy = answer.one("X-Policy")
        assert answer.body == self.expected[policy, profile], (policy, profile)
        return policy

    def ask(self, profile: str = "T2") -> str:
        with closing(Client(self.gateway.url)) as client:
            return self.right(client.ask(f"/dossiers/{DOSSIER}", self.sessions[profile]), profile)

    def everywhere(self, name: str) -> bool:
        """On new connections, of which every worker has some."""
        with circle(self.gateway, f"/dossiers/{DOSSIER}", self.sessions["T2"]) as around:
            return {self.right(answer, "T2") for answer in around.ask()} == {self.prints[name]}

    def stale(self) -> str:
        with closing(Client(self.gateway.url)) as client:
            return str(client.ask("/-/health/ready").json().get("stale", ""))

    def keeper(self) -> psutil.Process:
        [keeper] = [child for child in psutil.Process(self.supervisor()).children() if child.name() == NAME]
        return keeper

    def supervisor(self) -> int:
        return self.gateway._process.popen.pid


def closing_folder(folder: Path) -> None:
    """Takes T2 off the row of `enfants`, and T9 off two others."""
    matrix = folder / "matrix.polar"
    lines = []
    for line in matrix.read_text().splitlines(keepends=True):
        for profile, slugs in CLOSED.items():
            if any(line.startswith(f'rubric("{slug}"') for slug in slugs):
                line = re.sub(rf'"{profile}"(, )?', "", line)
        lines.append(line.replace(", ]", "]"))
    matrix.write_text("".join(lines))


class Load:
    """Clients that ask without a pause, some on a new connection each time, and look at each answer whole."""

    def __init__(self, town: Town) -> None:
        self._town, self._over = town, Event()
        self.asked: list[tuple[float, str]] = []
        """When each request that was answered began, and by which policy it was."""

    def work(self, hand: int, profile: str) -> None:
        client = Client(self._town.gateway.url)
        with closing(client):
            while not self._over.is_set():
                if hand % 4 > 1:
                    client.close()
                begun = time.monotonic()
                answer = client.ask(f"/dossiers/{DOSSIER}", self._town.sessions[profile])
                self.asked.append((begun, self._town.right(answer, profile)))

    @contextmanager
    def going(self) -> Iterator[Load]:
        with ThreadPoolExecutor(len(CLIENTS)) as hands:
            working = [hands.submit(self.work, hand, profile) for hand, profile in enumerate(CLIENTS)]
            try:
                yield self
            finally:
                self._over.set()
            for work in working:
                work.result()


@pytest.fixture(scope="module")
def town(start_gateway, stub_url, tmp_path_factory) -> Town:
    return Town(tmp_path_factory.mktemp("town"), start_gateway, stub_url, policies__reload_seconds=600)


@pytest.fixture(scope="module")
def watched(start_gateway, stub_url, tmp_path_factory) -> Town:
    return Town(tmp_path_factory.mktemp("watched"), start_gateway, stub_url, policies__reload_seconds=0.1)


@pytest.fixture(autouse=True)
def _first_again(request):
    yield
    for name in {"town", "watched"} & {*request.fixturenames}:
        town = request.getfixturevalue(name)
        town.swap("first")
        until(lambda town=town: "n force" in town.reload(), "the first folder is in force", seconds=CHECKED)


@pytest.mark.attack(22)
def test_swaps_under_load_cost_no_answer_and_no_answer_is_by_half_a_policy(town):
    """When the command has come back, every request that begins from then on is decided by the new folder."""
    in_force: list[tuple[float, float, str]] = []
    with Load(town).going() as load:
        for number in range(SWAPS):
            name = ("second", "first")[number % 2]
            town.swap(name)
            asked = time.monotonic()
            said = town.reload()
            in_force.append((asked, time.monotonic(), town.prints[name]))
            assert town.prints[name] in said
            time.sleep(0.2)
    ends = [asked for asked, *_ in in_force[1:]] + [float("inf")]
    for (_, since, policy), until_then in zip(in_force, ends, strict=True):
        during = Counter(found for begun, found in load.asked if since <= begun < until_then)
        assert set(during) == {policy}
    assert {policy for _, policy in load.asked} == {*town.prints.values()}
    assert town.gateway.log().count('"event": "policies in force"') >= SWAPS


def test_the_record_names_the_policy_that_decided(town):
    town.swap("second")
    town.reload()
    answer = town.gateway.ask(f"/dossiers/{DOSSIER}", town.sessions["T2"])
    assert town.gateway.recorded(answer)["policy"] == answer.one("X-Policy") == town.prints["second"]
    shown = town.gateway.ask("/-/session", town.sessions["T2"]).json()
    assert "enfants" not in {rubric["slug"] for rubric in shown["rubrics"]}


@pytest.mark.attack(22)
def test_a_swapped_link_is_noticed_without_being_told(watched):
    watched.swap("second")
    until(lambda: watched.everywhere("second"), "the second folder decides everywhere", seconds=CHECKED)
    watched.swap("first")
    until(lambda: watched.everywhere("first"), "the first folder decides everywhere", seconds=CHECKED)


def test_sighup_to_the_supervisor_means_look_now(town):
    town.swap("second")
    time.sleep(0.5)
    assert town.everywhere("first")
    os.kill(town.supervisor(), signal.SIGHUP)
    until(lambda: town.everywhere("second"), "the second folder decides everywhere", seconds=CHECKED)
    assert town.gateway._process.popen.poll() is None


@pytest.mark.attack(22)
def test_a_worker_that_is_killed_comes_back_with_the_newest_policies(town):
    town.swap("second")
    town.reload()
    before = {*town.gateway.workers()}
    for worker in before:
        worker.kill()
        psutil.wait_procs([worker])
        until(lambda: len(town.gateway.workers()) == 2, "the worker is replaced")
    town.gateway._process.answers(f"{town.gateway.url}/-/health/ready")
    assert not before & {*town.gateway.workers()}
    until(lambda: "2 processes" in town.reload(), "both of them serve")
    assert town.everywhere("second")


def test_a_keeper_that_is_killed_comes_back_and_what_decides_goes_on(town):
    town.swap("second")
    town.reload()
    killed = town.keeper()
    killed.kill()
    psutil.wait_procs([killed])
    assert town.everywhere("second")
    until(lambda: len(psutil.Process(town.supervisor()).children()) == 3, "it is replaced")
    # A child has its name a moment after it began.
    until(lambda: killed not in named(town) != [], "it keeps")
    assert "In force already" in until(lambda: reached(town), "it is reached")
    town.swap("first")
    assert town.prints["first"] in town.reload()


def named(town: Town) -> list[psutil.Process]:
    return [child for child in psutil.Process(town.supervisor()).children() if child.name() == NAME]


def reached(town: Town) -> str:
    settings = {name: None for name in os.environ if name.startswith("CAFPRO_")}
    done = CliRunner(env=settings).invoke(main, ["policy", "reload", "--config", str(town.gateway.configuration)])
    return done.output if done.exit_code == 0 else ""


def test_what_is_refused_is_told_to_whoever_asks_for_it(town):
    shutil.copytree(town.root / "second", town.root / "wrong", dirs_exist_ok=True)
    (town.root / "wrong" / "matrix.polar").write_text("rubric(\n")
    town.swap("wrong")
    said = town.reload(code=1)
    assert "matrix.polar:1" in said
    assert f"Not put in force (refused). What was in force goes on deciding: {town.prints['first']}" in said
    assert town.stale() == "refused"
    assert town.everywhere("first")


def test_where_no_gateway_runs_there_is_nothing_to_reload(tmp_path, town):
    shutil.copytree(town.gateway.folder, tmp_path / "other", ignore=shutil.ignore_patterns("*.db*", "*.log"))
    done = CliRunner().invoke(main, ["policy", "reload", "--config", str(tmp_path / "other" / "gateway.toml")])
    assert done.exit_code == 1
    assert "No gateway that was started with" in done.output


OPENS_MORE = {
    "matrix.polar": lambda text: text.replace('["T1",', '["T1", "T7",', 1).replace("T7", "T2", 1),
    "conditions.polar": lambda text: re.sub(r'(dossiers\("T9", +)\[[^]]*\]', r'\1["any"]', text),
    "refusals.polar": lambda text: text.replace('= "raised"', '= "raise"'),
    "routes.toml": lambda text: re.sub(r'(personnes/\*/nir" *= )"never"', r'\1"famille"', text),
}
"""Files of a bad folder: each of them, beside whichever others, opens what is not approved, or is refused."""


@pytest.mark.attack(22)
def test_a_bad_folder_never_comes_into_force_in_whatever_order_and_at_whatever_moments_it_is_written(watched):
    """In pieces, some of them for long enough to be seen twice and checked. `RELOAD_SEED` repeats one such course."""
    chance = random.Random(SEED)
    folder = watched.root / "written"
    shutil.copytree(shipped(), folder, dirs_exist_ok=True)
    watched.swap("written")
    with Load(watched).going() as load:
        for name in chance.sample(sorted(OPENS_MORE), len(OPENS_MORE)):
            text = (shipped() / name).read_text()
            bad = OPENS_MORE[name](text)
            assert bad != text, name
            for end in (*unfinished(bad, chance), len(bad)):
                (folder / name).write_text(bad[:end])
                time.sleep(chance.choice((0.0, 0.05, 0.3, 1.0)))
        until(watched.stale, f"it is told to be stale (seed {SEED})", seconds=CHECKED)
        assert watched.everywhere("first"), SEED
    assert {policy for _, policy in load.asked} == {watched.prints["first"]}, SEED


def unfinished(text: str, chance: random.Random) -> list[int]:
    """Two places inside a text where nothing that is written ends."""
    inside = [at for at in range(1, len(text)) if text[at - 1].isalpha() and text[at].isalpha()]
    return sorted(chance.sample(inside, 2))


def test_a_draft_is_compared_on_what_is_asked_and_the_sums_survive_a_restart(start_gateway, stub_url, tmp_path):
    """Consultations before a restart and after it; the draft closes a cell and opens another, and answers stay."""
    shutil.copytree(shipped(), tmp_path / "draft")
    matrix = tmp_path / "draft" / "matrix.polar"
    matrix.write_text(matrix.read_text().replace('"Enfants",     ["T2", "T3"]', '"Enfants",     ["T3", "T4"]'))
    settings = {"policies__draft": tmp_path / "draft", "policies__reload_seconds": 0.1}
    gateway = start_gateway(stub_url, server__workers=2, **settings)
    for profile in ("T2", "T3", "T4"):
        gateway.enter(profile.lower(), profile)
    until(lambda: "a draft is compared" in gateway.log(), "the draft is checked", seconds=CHECKED)

    def consult(times: int) -> None:
        for profile in ("T2", "T3", "T4"):
            session = gateway.log_in(profile.lower())
            for _ in range(times):
                with closing(Client(gateway.url)) as client:
                    answer = client.ask(f"/dossiers/{DOSSIER}", session)
                    assert answer.body == kept_dossier(dossier_text(DOSSIER) or b"", OPEN[profile])

    def found() -> dict[str, object]:
        shown = shadow(gateway, tmp_path / "draft", "--format", "json")
        runs = json.loads(shown)
        return {"compared": sum(run["compared"] for run in runs)} | {
            f"{cell['change']} {cell['profile']} {cell['rubric']}": cell["times"]
            for run in runs
            for cell in run["cells"]
        }

    consult(5)
    wanted = {"compared": 15, "lost T2 enfants": 5, "gained T4 enfants": 5}
    until(lambda: found() == wanted, "they are written")
    assert gateway._process.end() == 0
    restart(gateway, settings)
    until(lambda: gateway.log().count("a draft is compared") == 2, "the draft is checked", seconds=CHECKED)
    consult(3)
    wanted = {"compared": 24, "lost T2 enfants": 8, "gained T4 enfants": 8}
    until(lambda: found() == wanted, "they are added")
    said = shadow(gateway, tmp_path / "draft")
    assert "- T2 enfants: closed 8 times, in 1 situation" in said
    assert "+ T4 enfants: opened 8 times, in 1 situation" in said
    assert DOSSIER not in said
    kept = list(gateway.folder.glob("record.db*"))
    assert kept
    assert not [file.name for file in kept if DOSSIER.encode() in file.read_bytes()]


def shadow(gateway: Gateway, draft: Path, *more: str) -> str:
    settings: dict[str, str | None] = {name: None for name in os.environ if name.startswith("CAFPRO_")}
    settings["CAFPRO_POLICIES__DRAFT"] = str(draft)
    arguments = ["policy", "shadow", "--config", str(gateway.configuration), *more]
    done = CliRunner(env=settings).invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def restart(gateway: Gateway, settings: dict[str, object]) -> None:
    named = {name.replace("__", "."): str(value) for name, value in settings.items()}
    gateway.close()
    gateway._process = Process(
        ["gateway.cli", "serve", "--config", str(gateway.configuration)],
        gateway.folder / "gateway.log",
        settings={**OUT_OF_REACH, "server.workers": "2", **named},
    )
    gateway._process.answers(f"{gateway.url}/-/health/ready")


def test_without_a_draft_there_is_nothing_to_report(town):
    settings = {name: None for name in os.environ if name.startswith("CAFPRO_")}
    done = CliRunner(env=settings).invoke(main, ["policy", "shadow", "--config", str(town.gateway.configuration)])
    assert done.exit_code == 1
    assert "there is no draft" in done.output
