"""Secrets come from files and the environment, are not for everyone, and are printed nowhere."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from gateway.cli.guarding import exposed, unusable
from gateway.cli.main import main
from gateway.policy_files.signatures import make_pair
from gateway.settings import load
from tests.story.running import certify

PASSWORD = "CANARI-une-phrase-de-passe"
SERVER_PASSWORD = "CANARI-du-serveur"
TOKEN = "CANARI-moissonneuse-0123456789-0123456789"


@pytest.fixture(scope="module")
def cafpro():
    runner = CliRunner(env={name: None for name in os.environ if name.startswith("CAFPRO_")})
    return lambda *words, **options: runner.invoke(main, [str(word) for word in words], **options)


@pytest.fixture
def caf(cafpro, tmp_path) -> Path:
    """A folder as `cafpro init` makes it, with a key and a certificate of each kind and a scrape token."""
    assert cafpro("init", tmp_path / "caf").exit_code == 0
    folder = tmp_path / "caf"
    certify(folder, "server")
    certify(folder, "client")
    (folder / "scrape.token").write_text(TOKEN)
    (folder / "scrape.token").chmod(0o600)
    text = (folder / "gateway.toml").read_text()
    for name in ("tls_certificate", "tls_key"):
        text = text.replace(f"# {name}", name)
    for name, file in (("ca", "server.pem"), ("client_certificate", "client.pem"), ("client_key", "client.key")):
        text = re.sub(rf'# {name} = "[^"]*"', f'{name} = "{file}"', text)
    text = text.replace("# token_file", "token_file").replace("# assertion_key_file", "assertion_key_file")
    (folder / "gateway.toml").write_text(text)
    return folder


def problems(folder: Path, **environ: str) -> list[str]:
    config = folder / "gateway.toml"
    settings = load(config, environ)
    return [*exposed(settings, config, environ), *unusable(settings)]


SECRET_FILES = {
    "record.key": "record.key_file",
    "scrape.token": "metrics.token_file",
    "server.key": "server.tls_key",
    "client.key": "upstream.client_key",
    "assertion.key": "upstream.assertion_key_file",
    "second-factor.key": "identity.second_factor_key_file",
}


def test_secrets_that_are_their_owners_or_their_groups_are_in_order(caf):
    assert problems(caf) == []
    for name in (*SECRET_FILES, "gateway.toml"):
        (caf / name).chmod(0o440)
    assert problems(caf) == []


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666])
@pytest.mark.parametrize(("name", "setting"), SECRET_FILES.items())
def test_a_secret_that_everyone_may_read_or_change_is_a_problem_with_its_remedy(caf, name, setting, mode):
    (caf / name).chmod(mode)
    [problem] = problems(caf)
    assert problem.startswith(f"{setting}: {caf / name} may be read or changed by everyone")
    subprocess.run(problem.partition("Write: ")[2].split(), check=True)
    assert problems(caf) == []


@pytest.mark.parametrize("command", ["check", "serve"])
def test_it_stops_a_start_and_all_of_it_is_said_at_once(cafpro, caf, command):
    for name in SECRET_FILES:
        (caf / name).chmod(0o644)
    (caf / "gateway.toml").chmod(0o666)
    said = cafpro(command, "--config", caf / "gateway.toml")
    assert said.exit_code == 1
    for setting in (*SECRET_FILES.values(), str(caf / "gateway.toml")):
        assert f"\n{setting}: " in "\n" + said.stderr


def test_settings_that_everyone_may_change_are_a_problem_and_those_with_a_password_that_everyone_may_read(caf):
    config = caf / "gateway.toml"
    config.chmod(0o644)
    assert problems(caf) == [], "there is no secret in it"
    config.chmod(0o646)
    assert [problem.partition(":")[0] for problem in problems(caf)] == [str(config)]
    good = config.read_text()
    for url in (
        f"postgresql+psycopg://cafpro:{SERVER_PASSWORD}@127.0.0.1/cafpro",
        f"postgresql+psycopg://cafpro:{SERVER_PASSWORD}/#?@127.0.0.1/cafpro",
        f"postgresql+psycopg:///cafpro?user=cafpro&password={SERVER_PASSWORD}",
    ):
        config.write_text(good.replace("sqlite:///cafpro.db", url))
        config.chmod(0o644)
        assert problems(caf) == [
            f"store.url: {config} holds a password and may be read by everyone. Write: chmod o-rwx {config}"
        ]
        assert problems(caf, CAFPRO_STORE__URL=url) == [], "it comes from the environment"
        config.chmod(0o640)
        assert problems(caf) == []


def apart(folder: Path) -> None:
    """Everything in a folder of its own: the databases, the keys, what is believed, who approves."""
    text = (folder / "gateway.toml").read_text().replace('# url = "sqlite:///record.db"', 'url = "sqlite:///record.db"')
    text = text.replace("# approver_keys", "approver_keys")
    (folder / "approvers").mkdir(0o755)
    make_pair(folder / "m.durand.key", folder / "approvers" / "m.durand.pem")
    for name in (
        "record.key",
        "scrape.token",
        "server.key",
        "client.key",
        "assertion.key",
        "second-factor.key",
        "server.pem",
        "cafpro.db",
        "record.db",
    ):
        (folder / f"of-{name}").mkdir(0o755)
        (folder / name).rename(folder / f"of-{name}" / name)
        text = text.replace(f'"{name}"', f'"of-{name}/{name}"').replace(f":///{name}", f":///of-{name}/{name}")
    (folder / "gateway.toml").write_text(text)


DECIDING = {
    ".": ("the configuration, policies.approver_keys", 0o755),
    "of-record.key": ("record.key_file", 0o755),
    "of-scrape.token": ("metrics.token_file", 0o755),
    "of-server.key": ("server.tls_key", 0o755),
    "of-client.key": ("upstream.client_key", 0o755),
    "of-assertion.key": ("upstream.assertion_key_file", 0o755),
    "of-second-factor.key": ("identity.second_factor_key_file", 0o755),
    "of-server.pem": ("upstream.ca", 0o755),
    "of-cafpro.db": ("store.url", 0o755),
    "of-record.db": ("record.url", 0o755),
    "of-server.pem/server.pem": ("upstream.ca", 0o644),
    "policies": ("policies.path", 0o755),
    "policies/matrix.polar": ("policies.path", 0o644),
    "policies/routes.toml": ("policies.path", 0o644),
    "policies/approved.json": ("policies.path", 0o644),
    "approvers": ("policies.approver_keys", 0o755),
    "approvers/m.durand.pem": ("policies.approver_keys", 0o644),
}


@pytest.mark.parametrize(("name", "setting", "mode"), [(name, *what) for name, what in DECIDING.items()], ids=DECIDING)
def test_what_decides_and_where_it_stands_may_not_be_changed_by_everyone(cafpro, caf, name, setting, mode):
    apart(caf)
    path = (caf / name).resolve()
    path.chmod(mode)
    assert problems(caf) == []
    path.chmod(mode | 0o020)
    assert problems(caf) == [], "a group may"
    path.chmod(mode | 0o002)
    [problem] = problems(caf)
    assert problem.startswith(f"{setting}: {path} may be changed by everyone on this machine. Write: ")
    for command in ("check", "serve"):
        said = cafpro(command, "--config", caf / "gateway.toml")
        assert (said.exit_code, problem in said.stderr) == (1, True)
    subprocess.run(problem.partition("Write: ")[2].split(), check=True)
    assert problems(caf) == []


def test_a_folder_where_nobody_takes_away_what_is_anothers_may_hold_all_but_policies_and_keys(caf):
    apart(caf)
    for name in DECIDING:
        if (caf / name).is_dir():
            (caf / name).chmod(0o1777)
    policies, approvers = problems(caf)
    assert policies.startswith(f"policies.path: {caf / 'policies'} ")
    assert approvers.startswith(f"policies.approver_keys: {caf / 'approvers'} ")


def test_a_folder_that_holds_several_is_one_problem_and_so_is_the_folder_of_a_link(caf):
    caf.chmod(0o777)
    [problem] = problems(caf)
    assert problem.startswith(
        "the configuration, upstream.ca, upstream.client_key, upstream.assertion_key_file, server.tls_key, "
        "metrics.token_file, record.key_file, identity.second_factor_key_file, "
        f"store.url, record.url: {caf} may be changed by everyone on this machine."
    )
    caf.chmod(0o755)
    elsewhere = caf.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "gateway.toml").symlink_to(caf / "gateway.toml")
    assert problems(elsewhere) == []
    elsewhere.chmod(0o777)
    [problem] = problems(elsewhere)
    assert problem.startswith(f"the configuration: {elsewhere} ")


def test_what_is_mounted_to_be_read_is_changed_by_nobody_and_may_still_be_read_by_everyone(caf, monkeypatch):
    for name in (".", "policies", "policies/matrix.polar", "server.pem", "gateway.toml"):
        (caf / name).chmod(0o777)
    (caf / "record.key").chmod(0o602)
    assert len(problems(caf)) == 6
    seen = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=seen(path).f_flag | os.ST_RDONLY))
    assert problems(caf) == []
    (caf / "record.key").chmod(0o604)
    assert [problem.partition(":")[0] for problem in problems(caf)] == ["record.key_file"]


@pytest.mark.parametrize(
    ("spoilt", "begins"),
    [
        ("server.key", "server.tls_certificate and server.tls_key: cannot be used together ("),
        ("client.key", "upstream.client_certificate and upstream.client_key: cannot be used together ("),
    ],
)
@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_key_under_a_passphrase_is_a_sentence_and_nobody_is_asked(caf, spoilt, begins, command):
    """On a terminal, where OpenSSL would ask and wait."""
    plain = (caf / spoilt).rename(caf / "plain.key")
    arguments = ["-aes256", "-passout", f"pass:{PASSWORD}", "-out", str(caf / spoilt)]
    subprocess.run(["openssl", "pkey", "-in", str(plain), *arguments], check=True, capture_output=True)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", command, "--config", str(caf / "gateway.toml")],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        said = bytearray()
        try:
            while piece := os.read(ours, 4096):
                said += piece
                if b"PEM pass phrase" in said:
                    process.kill()
        except OSError:  # EIO: the other side is closed
            pass
        os.close(ours)
        assert process.wait(30) == 1
    [line] = [line for line in said.decode().splitlines() if not line.startswith("upstream.url")]
    assert line.startswith(begins)
    assert "passphrase" in line


def test_certificates_that_cannot_be_used_are_a_problem_before_an_agent_finds_out(caf):
    assert problems(caf) == []
    (caf / "client.pem").write_bytes((caf / "server.pem").read_bytes())
    [problem] = problems(caf)
    assert problem.startswith("upstream.client_certificate and upstream.client_key: cannot be used together (")
    (caf / "client.pem").write_text("not a certificate")
    (caf / "server.pem").write_text("not a certificate")
    assert [problem.partition(":")[0] for problem in problems(caf)] == [
        "upstream.ca",
        "upstream.client_certificate and upstream.client_key",
    ]


SECRETS = "CANARI"


def test_nothing_that_is_secret_is_printed_whatever_is_wrong(cafpro, caf):
    """Every secret holds a word that nothing printed may hold, and each is wrong in turn."""
    config = caf / "gateway.toml"
    good = config.read_text()
    urls = [
        f"postgresql+psycopg://cafpro:{SERVER_PASSWORD}@127.0.0.1:1/cafpro",
        f"postgresql+psycopg://cafpro:{SERVER_PASSWORD}@127.0.0.1:port/cafpro",
        f"postgresql+psycopg://cafpro:{SERVER_PASSWORD}@/cafpro?sslmode=never&password={SERVER_PASSWORD}",
        f"postgres://cafpro:{SERVER_PASSWORD}@127.0.0.1/cafpro",
        f"mysql://cafpro:{SERVER_PASSWORD}@127.0.0.1/cafpro",
        f"{SERVER_PASSWORD}",
        f"sqlite:///{caf}/cafpro.db?password={SERVER_PASSWORD}",
        f"postgresql+psycopg://cafpro:{SERVER_PASSWORD}@127.0.0.1:1/cafpro?password={SERVER_PASSWORD}",
    ]
    said = []
    for url in urls:
        config.write_text(good.replace("sqlite:///cafpro.db", url))
        said.append(cafpro("account", "list", "--config", config))
        assert said[-1].exit_code == 1
    for words in ("check", "serve"):
        said.append(cafpro(words, "--config", config))
        assert said[-1].exit_code == 1
    config.write_text(good)
    for variable in ("CAFPRO_STORE__URL", "CAFPRO_RECORD__URL", "CAFPRO_UPSTREAM__URL", "CAFPRO_STORE__PASSWORD"):
        said.append(cafpro("check", "--config", config, env={variable: f"http://user:{SERVER_PASSWORD}@h"}))
        assert said[-1].exit_code == 1
    for name, text in (("record.key", SERVER_PASSWORD), ("scrape.token", "CANARI too short"), ("server.key", TOKEN)):
        kept = (caf / name).read_text()
        (caf / name).write_text(text)
        said.append(cafpro("check", "--config", config))
        assert said[-1].exit_code == 1
        (caf / name).write_text(kept)
    config.write_text(good.replace('url = "sqlite:///cafpro.db"', f'url = "{SERVER_PASSWORD}'))
    said.append(cafpro("check", "--config", config))
    assert said[-1].exit_code == 1
    for one in said:
        assert SECRETS not in one.output, one.output
        assert one.exception is None or isinstance(one.exception, SystemExit)


def test_a_password_is_never_on_the_command_line_of_a_directory_and_never_printed(cafpro, caf):
    config = ("--config", caf / "gateway.toml")
    assert cafpro("partner", "add", "Udaf", "--kind", "external", *config).exit_code == 0
    typed = cafpro("account", "add", "m.a", "--partner", "Udaf", *config, input=f"{PASSWORD}\n{PASSWORD}\n")
    piped = cafpro("account", "add", "m.b", "--partner", "Udaf", "--password-stdin", *config, input=f"{PASSWORD}\n")
    weak = cafpro("account", "add", "m.c", "--partner", "Udaf", "--password-stdin", *config, input="CANARI\n")
    taken = cafpro("account", "add", "m.a", "--partner", "Udaf", "--password-stdin", *config, input=f"{PASSWORD}\n")
    assert (typed.exit_code, piped.exit_code, weak.exit_code, taken.exit_code) == (0, 0, 2, 2)
    for said in (typed, piped, weak, taken, cafpro("account", "list", "--format", "json", *config)):
        assert SECRETS not in said.output
    for words in (("account", "add"), ("account", "password")):
        shown = cafpro(*words, "--help")
        if shown.exit_code == 0:
            assert "--password " not in shown.output


def test_settings_do_not_show_their_secrets_when_they_are_printed(caf):
    url = f"postgresql+psycopg://cafpro:{SERVER_PASSWORD}@127.0.0.1:1/cafpro"
    settings = load(caf / "gateway.toml", {"CAFPRO_STORE__URL": url, "CAFPRO_RECORD__URL": url})
    assert settings.store.url == url
    assert SECRETS not in repr(settings) + str(settings) + repr(settings.store) + f"{settings.record}"
