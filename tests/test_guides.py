"""Every command in the guides works as it is written."""

import contextlib
import csv
import io
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from tests.debian import found_or_installed
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
GUIDES = [
    ROOT / "README.md",
    ROOT / ".github" / "SECURITY.md",
    ROOT / "gateway" / "OPERATING.md",
    *(ROOT / name / "README.md" for name in ("policies", "gateway", "tests")),
]


def blocks(guide: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", guide.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def shell(tmp_path):
    """Runs a block in bash, in an empty folder, with a stub backend where the default settings look for one."""
    backend, bind = free_port(), f"127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CAFPRO_UPSTREAM__URL": f"http://127.0.0.1:{backend}",
        "CAFPRO_SERVER__BIND": bind,
        "CAFPRO_SERVER__PUBLIC_URL": f"http://{bind}",
    }
    stub = subprocess.Popen(
        [sys.executable, "-m", "upstream_stub", "--port", str(backend)], stdout=subprocess.PIPE, text=True
    )
    assert stub.stdout.readline().startswith("upstream stub on")

    def run(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    run.environment, run.url, run.folder = environment, f"http://{bind}", tmp_path
    yield run
    stub.terminate()
    stub.wait(10)
    stub.stdout.close()


def test_the_first_two_commands_of_the_readme_are_targets_of_the_makefile():
    first = blocks(ROOT / "README.md")[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]
    for target in ("demo", "test"):
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_the_readmes_gateway_is_made_checked_served_and_filled(shell):
    making, filling, upgrading = blocks(ROOT / "README.md")[1:4]
    ready = [line for line in making.splitlines() if "serve" not in line]
    serve = next(line.split("#")[0].strip() for line in making.splitlines() if "serve" in line)
    made = shell("\n".join(ready))
    assert made.returncode == 0, made.stderr
    gateway = subprocess.Popen(serve.split(), cwd=shell.folder, env=shell.environment, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{shell.url}/-/health/ready", timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < until
                assert gateway.poll() is None
                time.sleep(0.1)
        for text in (filling, upgrading):
            done = shell(text)
            assert done.returncode == 0, done.stderr
    finally:
        gateway.send_signal(signal.SIGINT)
        assert gateway.wait(30) == 0


def test_the_security_teams_commands_work_in_their_folder(shell):
    shutil.copytree(ROOT / "policies", shell.folder, dirs_exist_ok=True)
    for text in blocks(ROOT / "policies" / "README.md"):
        done = shell(text)
        assert done.returncode == 0, done.stderr


def test_a_database_is_saved_and_the_record_is_read_as_the_guide_has_it(gateway, sessions, shell):
    """On the databases of a gateway that answers meanwhile."""
    assert found_or_installed(partial(shutil.which, "sqlite3"), "sqlite3")
    (shell.folder / "caf").symlink_to(gateway.folder)
    answer = gateway.ask("/dossiers/9990001", sessions["T2"])
    assert answer.status == 200
    saving, reading = blocks(ROOT / "gateway" / "OPERATING.md")
    done = shell(saving)
    assert done.returncode == 0, done.stderr
    with contextlib.closing(sqlite3.connect(shell.folder / "record.db.copy")) as copy:
        rows = copy.execute("SELECT request_id FROM record").fetchall()
    assert (answer.one("X-Request-Id"),) in rows
    done = shell(reading)
    assert done.returncode == 0, done.stderr
    found = list(csv.DictReader(io.StringIO(done.stdout)))
    assert answer.one("X-Request-Id") in {row["request_id"] for row in found}
    assert {row["profile"] for row in found if row["request_id"] == answer.one("X-Request-Id")} == {"T2"}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: str(guide.relative_to(ROOT)))
def test_links_between_the_guides_lead_somewhere(guide):
    for target in re.findall(r"\]\(([^)#]+)\)", guide.read_text()):
        assert target.startswith("http") or (guide.parent / target).exists(), target


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: str(guide.relative_to(ROOT)))
def test_files_that_a_guide_names_exist(guide):
    for name in re.findall(r"`((?:gateway|tests|policies|upstream_stub)/[A-Za-z0-9_./-]+)`", guide.read_text()):
        assert (ROOT / name).exists(), name
