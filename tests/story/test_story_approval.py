"""A gateway puts in force what is approved, and whoever approves can prove from outside that it did."""

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.policy_files.approved import APPROVED
from gateway.policy_files.folder import load_folder
from gateway.policy_files.history import take_as_approved
from tests.approval.conftest import close_enfants, open_enfants
from tests.story import warm
from tests.story.fixtures import StartGateway
from tests.story.running import PASSWORD, Gateway, environment

DOSSIER = "9990001"
SECONDS = 180


@pytest.fixture(scope="module")
def told(start_gateway: StartGateway, stub_url: str, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    """A gateway that tells its policies to whoever bears the token."""
    token = tmp_path_factory.mktemp("scrape") / "scrape.token"
    token.write_text("t" * 40 + "\n")
    token.chmod(0o600)
    gateway = start_gateway(stub_url, server__workers=2, metrics__token_file=token)
    gateway.token = token
    gateway.enter("t2", "T2")
    return gateway


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return warm.run(["gateway.cli", *map(str, words)], environment(), seconds=SECONDS)


def made(tmp_path: Path) -> Path:
    assert command("init", tmp_path / "caf", "--bind", "127.0.0.1:0").returncode == 0
    return tmp_path / "caf"


@pytest.mark.parametrize("word", ["serve", "check"])
def test_neither_begins_with_a_cell_that_nobody_approved(tmp_path, word):
    caf = made(tmp_path)
    open_enfants(caf / "policies")
    said = command(word, "--config", caf / "gateway.toml")
    assert said.returncode == 1
    lines = said.stderr.splitlines()
    assert lines[0].startswith(f"{caf / 'policies'}: opens what approval 1 (fe769fa3cb6c, by brochure 2012")
    assert lines[1].startswith("not approved: T4 sees enfants: convention in force; engagement signed;")
    assert lines[2] == f"Look at it and approve it: cafpro policy approve {caf / 'policies'}"


def test_neither_begins_without_an_approval_or_with_one_that_was_changed(tmp_path):
    caf = made(tmp_path)
    file = caf / "policies" / APPROVED
    file.write_bytes(file.read_bytes().replace(b'"by": "brochure 2012"', b'"by": "nobody at all"'))
    said = command("serve", "--config", caf / "gateway.toml")
    assert (said.returncode, "was changed by hand" in said.stderr) == (1, True)
    file.unlink()
    said = command("serve", "--config", caf / "gateway.toml")
    assert (said.returncode, "nothing is approved" in said.stderr) == (1, True)


def verify(gateway: Gateway, policies: Path, *words: object, **variables: str):
    line = ["policy", "verify", "--url", gateway.url, "--policies", str(policies), *map(str, words)]
    return CliRunner().invoke(main, line, env=variables)


def test_what_runs_is_proven_to_be_what_is_approved(told, tmp_path):
    here = tmp_path / "policies"
    shutil.copytree(told.folder / "policies", here)
    said = verify(told, here, "--token-file", told.token)
    assert said.exit_code == 0, said.output
    assert "8 of 8 answers" in said.stdout
    both = ("--token-file", told.token, "--as", "t2", "--dossier", DOSSIER)
    said = verify(told, here, *both, CAFPRO_PASSWORD=PASSWORD)
    assert said.exit_code == 0, said.output
    assert "9 of 9 answers" in said.stdout
    close_enfants(here)
    take_as_approved(here)
    said = verify(told, here, *both, CAFPRO_PASSWORD=PASSWORD)
    assert said.exit_code == 1
    assert load_folder(here).fingerprint in said.stdout
    assert told.policy() in said.stdout
    assert "not what is approved here" in said.stderr


def test_what_does_not_tell_is_not_taken_for_the_same(told, tmp_path):
    policies = told.folder / "policies"
    (tmp_path / "wrong.token").write_text("w" * 40 + "\n")
    said = verify(told, policies, "--token-file", tmp_path / "wrong.token")
    assert (said.exit_code, "does not tell the policies" in said.stderr) == (1, True)
    said = verify(told, policies, "--as", "t2", "--dossier", DOSSIER, CAFPRO_PASSWORD="wrong-CANARI-0000")
    assert (said.exit_code, "the log-in of t2 is refused (401)" in said.stderr) == (1, True)
    said = verify(told, policies, "--as", "t2", "--dossier", "0000000", CAFPRO_PASSWORD=PASSWORD)
    assert (said.exit_code, "is not given the dossier" in said.stderr) == (1, True)
    assert verify(told, policies).exit_code == 2, "a stranger is told nothing"
    assert verify(told, policies, "--as", "t2").exit_code == 2
    told_by_others = CliRunner().invoke(
        main,
        [
            *("policy", "verify", "--url", "http://127.0.0.1:9", "--policies", str(policies)),
            *("--token-file", str(told.token)),
        ],
    )
    assert (told_by_others.exit_code, "cannot be asked" in told_by_others.stderr) == (1, True)


def test_a_backend_that_answers_in_the_place_of_the_gateway_is_no_proof(start_backend, told):
    for body in (b"{}", b"[]", b"no", b'{"policy": 1}', b'{"policy": "x"}'):
        backend = start_backend(lambda _, body=body: (200, {"Content-Type": "application/json"}, body))
        said = verify(backend, told.folder / "policies", "--token-file", told.token)
        assert said.exit_code == 1, said.output
