"""The file of issuers decides who anyone is: not for everyone to change, and what is wrong with it stops a start."""

import json
import os
import subprocess

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from tests.story.providers import MAKE, public
from tests.story.running import certify


@pytest.fixture(scope="module")
def cafpro():
    runner = CliRunner(env={name: None for name in os.environ if name.startswith("CAFPRO_")})
    return lambda *words: runner.invoke(main, [str(word) for word in words])


@pytest.fixture
def caf(cafpro, tmp_path):
    """A folder as `cafpro init` makes it, with two issuers: keys in a file, and keys behind a certificate."""
    folder = tmp_path / "caf"
    assert cafpro("init", folder).exit_code == 0
    config = folder / "gateway.toml"
    config.write_text(config.read_text().replace("# issuers = ", "issuers = "))
    (folder / "idp").mkdir()
    (folder / "idp" / "jwks.json").write_text(json.dumps({"keys": [public(MAKE["ES256"](), "a")]}))
    certify(folder / "idp", "ca")
    common = 'audience = "https://cafpro.example"\nalgorithms = ["ES256"]\npartner = "Udaf"\n'
    (folder / "issuers.toml").write_text(
        f'[[issuer]]\nissuer = "https://a.example"\njwks_file = "idp/jwks.json"\n{common}'
        f'[[issuer]]\nissuer = "https://b.example"\njwks_url = "https://127.0.0.1:1/jwks"\nca = "idp/ca.pem"\n{common}'
    )
    return folder


def check(cafpro, folder):
    return cafpro("check", "--config", folder / "gateway.toml").stderr.splitlines()


@pytest.mark.parametrize("name", ["issuers.toml", "idp", "idp/jwks.json", "idp/ca.pem"])
def test_what_decides_whom_we_believe_may_not_be_changed_by_everyone(cafpro, caf, name):
    def about() -> list[str]:
        return [problem for problem in check(cafpro, caf) if str(caf / name) in problem]

    path = caf / name
    assert about() == []
    path.chmod(path.stat().st_mode | 0o022)
    [problem] = about()
    assert problem.startswith(f"identity.issuers: {path} may be changed by everyone on this machine. Write: ")
    assert problem in cafpro("serve", "--config", caf / "gateway.toml").stderr
    subprocess.run(problem.partition("Write: ")[2].split(), check=True)
    assert about() == []


def test_a_start_is_stopped_by_the_file_and_not_by_a_provider_that_is_away(cafpro, caf):
    away = "identity.issuers: no keys of https://b.example at https://127.0.0.1:1/jwks (it cannot be reached"
    assert [problem for problem in check(cafpro, caf) if problem.startswith(away)]
    file = caf / "issuers.toml"
    file.write_text(file.read_text().replace("jwks.json", "none.json").replace("https://127", "http://127"))
    wrong = [
        f"{file}, issuer 1: jwks_file: {caf / 'idp' / 'none.json'} cannot be read (No such file or directory).",
        f"{file}, issuer 2: ca: goes with a jwks_url that begins with https.",
    ]
    said = cafpro("serve", "--config", caf / "gateway.toml")
    assert (said.exit_code, said.stderr.splitlines()) == (1, wrong)
    assert [problem for problem in check(cafpro, caf) if "upstream.url" not in problem] == wrong


def test_a_file_that_names_nobody_is_no_file_to_start_with(cafpro, tmp_path):
    folder = tmp_path / "caf"
    assert cafpro("init", folder).exit_code == 0
    config = folder / "gateway.toml"
    config.write_text(config.read_text().replace("# issuers = ", "issuers = "))
    assert f"{folder / 'issuers.toml'}: names no issuer. Write [[issuer]], [[provider]] or [[authority]]." in check(
        cafpro, folder
    )
