"""The settings complain all together, in sentences, and never quote a value."""

import json
import re
from pathlib import Path

import pytest

from gateway.errors import Misconfigured
from gateway.settings import load

SECRET = "Secret-CANARI-26"
GOOD = """
[server]
bind = "127.0.0.1:8080"
[upstream]
url = "http://127.0.0.1:9000"
[record]
key_file = "record.key"
[identity]
caisse = "691"
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "record.key").write_text("00" * 32)
    return tmp_path


def settings_of(folder, text=GOOD, **environ):
    (folder / "gateway.toml").write_text(text)
    return load(folder / "gateway.toml", environ)


def problems_of(folder, text=GOOD, **environ) -> list[str]:
    with pytest.raises(Misconfigured) as caught:
        settings_of(folder, text, **environ)
    return list(caught.value.problems)


def with_line(section: str, line: str) -> str:
    """The good file with one more or one changed line in a section."""
    key = line.partition(" ")[0]
    text = re.sub(rf"(?m)^{key} = .*\n", "", GOOD) if key else GOOD
    if f"[{section}]" not in text:
        text += f"[{section}]\n"
    return text.replace(f"[{section}]\n", f"[{section}]\n{line}\n")


def test_a_good_file_is_read_and_its_relative_paths_start_from_its_folder(folder, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    (folder / "policies").mkdir()
    settings = settings_of(folder, GOOD + '[policies]\npath = "policies"\n')
    assert settings.folder == folder
    assert settings.record.key_file == folder / "record.key"
    assert settings.policies.path == folder / "policies"
    assert settings.store.url == f"sqlite:///{folder}/cafpro.db"
    assert settings.record.url == f"sqlite:///{folder}/record.db"
    assert settings.upstream.url == "http://127.0.0.1:9000"


def test_the_widest_networks_of_proxies(folder):
    written = '["10.0.0.0/8", "2001:db8::/32", "192.0.2.7", "::1"]'
    assert settings_of(folder, with_line("server", f"proxies = {written}")).server.proxies == json.loads(written)


def test_absolute_paths_stay_as_they_are(folder):
    (folder / "key").write_text("00")
    settings = settings_of(
        folder,
        GOOD.replace('"record.key"', f'"{folder}/key"') + '[store]\nurl = "sqlite:////var/cafpro.db"\n',
    )
    assert settings.record.key_file == folder / "key"
    assert settings.store.url == "sqlite:////var/cafpro.db"


ONE_PROBLEM = {
    "an unknown section": ("[serveur]\na = 1\n" + GOOD, "[serveur]"),
    "a section that is a value": ("policies = 3\n" + GOOD, "`policies` must be a section"),
    "an unknown key": (with_line("server", "worker = 2"), "Did you mean `workers`?"),
    "an unknown key like no other": (with_line("identity", "zzzz = 2"), "Known: "),
    "text for a number": (with_line("server", f'workers = "{SECRET}"'), "[server] workers"),
    "a number for text": (with_line("upstream", "url = 3"), "[upstream] url"),
    "too many workers": (with_line("server", "workers = 65"), "[server] workers"),
    "no worker": (with_line("server", "workers = 0"), "[server] workers"),
    "no request at once": (with_line("server", "concurrency = 0"), "[server] concurrency"),
    "a deadline of nothing": (with_line("upstream", "deadline_seconds = 0"), "[upstream] deadline_seconds"),
    "a deadline that is no number": (with_line("upstream", "deadline_seconds = nan"), "[upstream] deadline_seconds"),
    "an endless deadline": (with_line("upstream", "deadline_seconds = inf"), "[upstream] deadline_seconds"),
    "a bind without a port": (with_line("server", f'bind = "{SECRET}"'), "[server] bind"),
    "no session at once": (with_line("identity", "sessions_at_once = 0"), "[identity] sessions_at_once"),
    "another way with one more": (
        with_line("identity", f'sessions_full = "{SECRET}"'),
        "[identity] sessions_full: Expected one of end_oldest, refuse_newcomer.",
    ),
    "a kind of partner that there is not": (
        with_line("identity", f'second_factor_required = ["caf", "{SECRET}"]'),
        "[identity] second_factor_required: Expected one of caf, external.",
    ),
    "a caisse of four digits": (with_line("identity", 'caisse = "6910"'), "[identity] caisse"),
    "a caisse of other digits": (with_line("identity", 'caisse = "٦٩١"'), "[identity] caisse"),
    "a host without a name": (with_line("server", 'hosts = [""]'), "[server] hosts"),
    "a proxy that is a name": (with_line("server", f'proxies = ["10.0.0.1", "{SECRET}"]'), "server.proxies: each must"),
    "a proxy with a port": (with_line("server", 'proxies = ["10.0.0.1:80"]'), "server.proxies: each must"),
    "a network with a host in it": (with_line("server", 'proxies = ["10.0.0.1/8"]'), "server.proxies: each must"),
    "everyone a proxy": (with_line("server", 'proxies = ["10.0.0.1", "0.0.0.0/0"]'), "server.proxies: a network wider"),
    "half of everyone": (with_line("server", 'proxies = ["128.0.0.0/1"]'), "server.proxies: a network wider"),
    "more than a /8": (with_line("server", 'proxies = ["10.0.0.0/7"]'), "server.proxies: a network wider"),
    "everyone on IPv6": (with_line("server", 'proxies = ["::/0"]'), "server.proxies: a network wider"),
    "more than a provider": (with_line("server", 'proxies = ["2001:db8::/31"]'), "server.proxies: a network wider"),
    "a proxy in a zone": (with_line("server", 'proxies = ["fe80::1%eth0"]'), "server.proxies: each must"),
    "a proxy that is blank": (with_line("server", 'proxies = [" "]'), "server.proxies: each must"),
    "hosts that are no list": (with_line("server", f'hosts = "{SECRET}"'), "[server] hosts"),
    "a path that is a number": (with_line("record", "key_file = 3"), "[record] key_file"),
    "an empty path": (with_line("record", 'key_file = ""'), "[record] key_file"),
    "no upstream": (GOOD.replace('url = "http://127.0.0.1:9000"\n', ""), "[upstream] url is missing"),
    "no key": (GOOD.replace('key_file = "record.key"\n', ""), "[record] key_file is missing"),
    "no caisse": (GOOD.replace('caisse = "691"\n', ""), "[identity] caisse is missing"),
    "an upstream of another scheme": (with_line("upstream", f'url = "ftp://{SECRET}"'), "upstream.url"),
    "an upstream without a host": (with_line("upstream", 'url = "http://"'), "upstream.url"),
    "an upstream with a password": (with_line("upstream", f'url = "http://u:{SECRET}@h"'), "upstream.url"),
    "an upstream with a query": (with_line("upstream", f'url = "http://h/?{SECRET}"'), "upstream.url"),
    "an upstream with a bad port": (with_line("upstream", 'url = "http://h:99999"'), "upstream.url"),
    "an upstream with port zero": (with_line("upstream", 'url = "http://h:0"'), "upstream.url"),
    "an upstream with half an address": (with_line("upstream", 'url = "http://[::1"'), "upstream.url"),
    "a public address with a path": (with_line("server", 'public_url = "http://h/a"'), "server.public_url"),
    "a certificate without its key": (with_line("server", 'tls_certificate = "record.key"'), "go together"),
    "a client key without its certificate": (with_line("upstream", 'client_key = "record.key"'), "go together"),
    "an authority that is not there": (with_line("upstream", 'ca = "none.pem"'), "upstream.ca: there is no file"),
    "a key file that is not there": (with_line("record", 'key_file = "none.key"'), "record.key_file"),
    "a third approver": (with_line("policies", "approvers = 3"), "[policies] approvers"),
    "two approvers without keys": (with_line("policies", "approvers = 2"), "Set policies.approver_keys too"),
    "keys that are not there": (with_line("policies", 'approver_keys = "none"'), "policies.approver_keys: there is no"),
    "keys in the policies": (with_line("policies", 'approver_keys = "a/../in/keys"\npath = "in"'), "must lie outside"),
    "keys through a link": (with_line("policies", 'approver_keys = "link"\npath = "in"'), "must lie outside"),
    "an unknown time zone": (with_line("identity", 'timezone = "Europe/Lutece"'), "identity.timezone"),
    "a time zone that climbs": (with_line("identity", 'timezone = "../../etc/passwd"'), "identity.timezone"),
}


@pytest.mark.parametrize(("text", "expected"), ONE_PROBLEM.values(), ids=ONE_PROBLEM)
def test_a_mistake_is_told_in_one_sentence_that_quotes_no_value(folder, text, expected):
    (folder / "in" / "keys").mkdir(parents=True)
    (folder / "a").mkdir()
    (folder / "link").symlink_to("in/keys")
    problems = problems_of(folder, text)
    (problem,) = problems
    assert expected in problem
    assert problem.endswith((".", "?"))
    assert "CANARI" not in problem
    assert "Traceback" not in problem


def test_all_mistakes_are_told_together(folder):
    text = f"""
    [serveur]
    [server]
    workers = "{SECRET}"
    concurrency = 2000
    color = "{SECRET}"
    [upstream]
    deadline_seconds = 0
    [identity]
    caisse = 691
    """
    problems = "\n".join(problems_of(folder, text, CAFPRO_STORES__URL=SECRET, CAFPRO_SERVER__WORKER=SECRET))
    for expected in (
        *("[serveur]", "[server] workers", "[server] concurrency", "`color`", "[upstream] deadline_seconds"),
        *("[upstream] url is missing", "[identity] caisse", "[record] key_file is missing"),
        *("CAFPRO_STORES__URL", "`worker`"),
    ):
        assert expected in problems
    assert "CANARI" not in problems


def test_mistakes_of_several_values_are_told_together(folder):
    text = GOOD.replace('"http://127.0.0.1:9000"', '"ftp://h"').replace('"record.key"', '"none.key"')
    problems = "\n".join(problems_of(folder, text.replace('bind = "127.0.0.1:8080"', 'tls_key = "none"')))
    for expected in ("upstream.url", "record.key_file", "go together", "server.tls_key: there is no file"):
        assert expected in problems


def test_mistakes_of_form_and_of_sense_are_told_together(folder):
    text = GOOD.replace('"http://127.0.0.1:9000"', '"ftp://h"').replace('caisse = "691"', 'caisse = "x"')
    problems = "\n".join(problems_of(folder, text))
    assert "upstream.url" in problems
    assert "[identity] caisse" in problems


@pytest.mark.parametrize(
    ("name", "value", "read", "expected"),
    [
        ("CAFPRO_SERVER__WORKERS", "4", lambda s: s.server.workers, 4),
        ("CAFPRO_SERVER__HOSTS", "a.example,b.example", lambda s: s.server.hosts, ["a.example", "b.example"]),
        ("CAFPRO_UPSTREAM__URL", "https://h", lambda s: s.upstream.url, "https://h"),
        ("CAFPRO_UPSTREAM__DEADLINE_SECONDS", "0.5", lambda s: s.upstream.deadline_seconds, 0.5),
        ("CAFPRO_IDENTITY__CAISSE", "751", lambda s: s.identity.caisse, "751"),
        ("CAFPRO_IDENTITY__SESSIONS_FULL", "refuse_newcomer", lambda s: s.identity.sessions_full, "refuse_newcomer"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("CAFPRO") else "",
)
def test_the_environment_overrides_the_file(folder, name, value, read, expected):
    assert read(settings_of(folder, **{name: value})) == expected


def test_a_path_from_the_environment_starts_from_the_files_folder_too(folder):
    (folder / "other.key").write_text("00")
    assert settings_of(folder, CAFPRO_RECORD__KEY_FILE="other.key").record.key_file == folder / "other.key"
    assert settings_of(folder, CAFPRO_STORE__URL="sqlite:///a/b.db").store.url == f"sqlite:///{folder}/a/b.db"


def test_the_environment_can_give_what_the_file_lacks(folder):
    text = GOOD.replace('caisse = "691"\n', "")
    assert settings_of(folder, text, CAFPRO_IDENTITY__CAISSE="691").identity.caisse == "691"


@pytest.mark.parametrize("name", ["PATH", "CAFPRO", "CAFPRO_HOME", "XCAFPRO_SERVER__WORKERS"])
def test_what_is_not_an_override_is_left_alone(folder, name):
    settings_of(folder, **{name: SECRET})


def test_a_bad_override_is_told_without_its_value(folder):
    (problem,) = problems_of(folder, CAFPRO_SERVER__WORKERS=SECRET)
    assert "[server] workers" in problem
    assert "CANARI" not in problem


@pytest.mark.parametrize(
    "content",
    [
        b"[server",
        b"a = \xff",
        f'[server]\nbind = "{SECRET}'.encode(),
        b"[server]\n[server]\n",
        f"{SECRET}".encode(),
        b"a = " + b"[" * 5000,
        b"a = " + b"1" * 5000,
    ],
    ids=[
        "half a section",
        "not UTF-8",
        "half a text",
        "a section twice",
        "not TOML",
        "brackets without end",
        "an endless number",
    ],
)
def test_a_file_that_is_not_toml_is_told_without_quoting_it(folder, content):
    (folder / "gateway.toml").write_bytes(content)
    with pytest.raises(Misconfigured) as caught:
        load(folder / "gateway.toml", {})
    (problem,) = caught.value.problems
    assert "is not TOML" in problem
    assert "CANARI" not in problem


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("SERVER__WORKERS", "two", "[server] workers: Expected `int`, got `str`."),
        ("SERVER__WORKER", "2", "[server] unknown key `worker`. Did you mean `workers`?"),
        ("SERVER__PUBLIC_URL", "x", "server.public_url: must look like http://host:port or https://host."),
        (
            "SERVER__BIND",
            "8080",
            "[server] bind: Expected an address and a port, such as 127.0.0.1:8080 or [::1]:8080.",
        ),
        ("IDENTITY__CAISSE", "85", "[identity] caisse: Expected three digits, such as 851."),
    ],
)
def test_a_mistake_of_the_environment_is_told_with_its_variable(folder, key, value, said):
    problems = problems_of(folder, **{f"CAFPRO_{key}": value})
    assert problems == [f"{said} (The environment says so, as CAFPRO_{key}.)"]


def test_how_several_values_are_written_in_the_environment_is_told(folder):
    [problem] = problems_of(folder, CAFPRO_SERVER__PROXIES='["10.0.0.5"]')
    assert problem.startswith("server.proxies: ")
    assert problem.endswith("(The environment says so, as CAFPRO_SERVER__PROXIES. Several are separated by commas.)")


def test_a_file_that_may_not_be_read_is_not_to_be_made(folder):
    with pytest.raises(Misconfigured) as caught:
        load(folder, {})
    assert list(caught.value.problems) == [f"{folder}: cannot be read (Is a directory)."]


def test_a_file_that_is_not_there_says_how_one_is_made(folder):
    with pytest.raises(Misconfigured, match="cafpro init"):
        load(folder / "none.toml", {})
    with pytest.raises(Misconfigured, match="cannot be read"):
        load(folder, {})


def test_settings_are_frozen(folder):
    settings = settings_of(folder)
    with pytest.raises(AttributeError):
        settings.server.workers = 3
