"""The commands as people type them: what they print, what they refuse, how they end."""

import csv
import io
import json
import shutil
import stat
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.identity import directory
from gateway.identity.sealing import load_seal, new_seal_key
from gateway.identity.second_factor import begin
from gateway.identity.store import open_store
from gateway.policy_files.folder import shipped

PROFILES = ["T1", "T2", "T3", "T4", "T5", "T6", "T8", "T9", "T10", "T11", "T12", "T13", "T14", "T16"]


@pytest.fixture(scope="module")
def cafpro():
    runner = CliRunner()
    return lambda *words, **options: runner.invoke(main, [str(word) for word in words], **options)


@pytest.fixture
def policies(tmp_path) -> Path:
    """A copy of the shipped policies, to be spoilt."""
    return Path(shutil.copytree(shipped(), tmp_path / "policies"))


@pytest.fixture
def furnished(cafpro, tmp_path) -> Path:
    assert cafpro("init", tmp_path / "caf").exit_code == 0
    return tmp_path / "caf"


def test_the_matrix_as_csv_has_one_row_for_each_rubric(cafpro):
    said = cafpro("policy", "matrix", "--format", "csv")
    assert said.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(said.output)))
    assert list(rows[0]) == ["rubric", "label", *PROFILES]
    assert len(rows) == 20
    assert sum(row[profile] == "1" for row in rows for profile in PROFILES) == 89
    assert {row[profile] for row in rows for profile in PROFILES} == {"0", "1"}


def test_the_matrix_is_decided_and_not_copied(cafpro, policies):
    refusals = policies / "refusals.polar"
    text = refusals.read_text()
    refusals.write_text(text + '\nrefusal(agent: Agent, _dossier: Dossier, "closed") if agent.profile = "T9";\n')
    said = cafpro("policy", "matrix", "--policies", policies, "--format", "csv")
    assert said.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(said.output)))
    assert sum(row["T9"] == "1" for row in rows) == 0
    assert sum(row[profile] == "1" for row in rows for profile in PROFILES) == 89 - 13


def test_a_good_folder_is_said_to_be_good_with_its_fingerprint(cafpro):
    said = cafpro("policy", "check")
    assert said.exit_code == 0
    assert "20 rubrics, 14 profiles, 89 open cells of 280" in said.output
    assert json.loads(cafpro("policy", "check", "--format", "json").output)["policy"] in said.output


def test_every_mistake_of_a_folder_is_said_at_once(cafpro, policies):
    for name, old, new in (
        ("matrix.polar", '"creances"', '"creance"'),
        ("conditions.polar", "agent.engagement", "agent.engagment"),
        ("routes.toml", 'action = "consult"', 'action = "consulter"'),
    ):
        text = (policies / name).read_text()
        assert old in text
        (policies / name).write_text(text.replace(old, new, 1))
    said = cafpro("policy", "check", policies)
    assert said.exit_code == 1
    assert "Did you mean `creances`?" in said.stderr
    assert "Did you mean `engagement`?" in said.stderr
    assert "routes.toml:" in said.stderr
    assert "Traceback" not in said.output


def test_a_folder_that_is_not_there_is_one_sentence(cafpro, tmp_path):
    said = cafpro("policy", "check", tmp_path / "nowhere")
    assert (said.exit_code, said.stdout) == (1, "")
    assert "there is no such folder of policies" in said.stderr


def test_init_makes_a_folder_whose_secrets_are_the_owners_alone(furnished):
    assert {path.name for path in furnished.iterdir()} >= {
        *("gateway.toml", "record.key", "policies", "cafpro.db", "record.db"),
    }
    for name in ("record.key", "cafpro.db", "record.db"):
        assert stat.S_IMODE((furnished / name).stat().st_mode) == 0o600
    assert len(bytes.fromhex((furnished / "record.key").read_text().strip())) == 32


def test_init_changes_nothing_where_there_is_a_gateway_already(cafpro, furnished):
    before = {path.name: path.read_bytes() for path in furnished.iterdir() if path.is_file()}
    said = cafpro("init", furnished)
    assert said.exit_code == 2
    assert "exists already" in said.stderr
    assert {path.name: path.read_bytes() for path in furnished.iterdir() if path.is_file()} == before


def test_check_lists_everything_that_would_stop_a_start(cafpro, furnished):
    (furnished / "record.key").write_text("short\n")
    (furnished / "policies" / "matrix.polar").unlink()
    said = cafpro("check", "--config", furnished / "gateway.toml", "--format", "json")
    assert said.exit_code == 1
    problems = json.loads(said.output)["problems"]
    assert any("record.key_file" in problem for problem in problems)
    assert any("matrix.polar" in problem for problem in problems)
    assert any("upstream.url: nothing answers" in problem for problem in problems)


@pytest.mark.parametrize("name", ["record.db", "cafpro.db"])
def test_check_makes_no_database_where_one_is_gone_and_says_so(cafpro, furnished, name):
    """A gateway at work would go on in it; but a start would not be stopped."""
    (furnished / name).unlink()
    said = cafpro("check", "--config", furnished / "gateway.toml", "--format", "json")
    told = json.loads(said.stdout)
    [warning] = told["warnings"]
    assert f"{furnished / name} is not there. Put it back, if there was one" in warning
    assert [problem for problem in told["problems"] if not problem.startswith("upstream.url")] == []
    assert not (furnished / name).exists()


def warnings_of(said) -> list[str]:
    return json.loads(said.stdout)["warnings"]


def test_check_warns_where_second_factors_were_sealed_with_another_key(cafpro, furnished):
    """As where each machine was made for itself."""
    config = furnished / "gateway.toml"
    key = furnished / "second-factor.key"
    with closing(open_store(f"sqlite:///{furnished / 'cafpro.db'}")) as store:
        directory.add_partner(store, name="Udaf", kind="external")
        directory.add_account(store, identifier="a.un", password="Une-phrase-de-passe-2012", partner_name="Udaf")
        with store.change() as connection:
            begin(connection, load_seal(key), 1, identifier="a.un", now=datetime.now(UTC))
    assert warnings_of(cafpro("check", "--config", config, "--format", "json")) == []
    old = key.read_text()
    key.write_text(new_seal_key() + "\n")
    [warning] = warnings_of(cafpro("check", "--config", config, "--format", "json"))
    assert warning.startswith(
        "identity.second_factor_key_file: 1 of the latest second factors in the store were sealed"
    )
    key.write_text(new_seal_key() + "\n" + old)
    assert warnings_of(cafpro("check", "--config", config, "--format", "json")) == []


def test_check_warns_of_a_draft_that_is_not_there(cafpro, furnished):
    environ = {"CAFPRO_POLICIES__DRAFT": "policies/drafts/nowhere"}
    [warning] = warnings_of(cafpro("check", "--config", furnished / "gateway.toml", "--format", "json", env=environ))
    assert warning == f"policies.draft: there is no folder {furnished}/policies/drafts/nowhere: nothing is compared."
    said = cafpro("policy", "shadow", "--config", furnished / "gateway.toml", env=environ)
    assert (said.exit_code, "there is no folder" in said.stderr) == (1, True)
    (furnished / "policies" / "drafts" / "nowhere").mkdir()
    said = cafpro("policy", "shadow", "--config", furnished / "gateway.toml", env=environ)
    assert (said.exit_code, "restart the gateway with this draft" in said.stderr) == (1, True)


def test_a_table_of_functions_that_would_stop_the_next_start_is_found_by_policy_check(cafpro, policies):
    (policies / "functions.toml").write_text('[[function]]\nname = "tuteur"\nprofiles = ["T99"]\nsource = "row 9"\n')
    said = cafpro("policy", "check", policies)
    assert said.exit_code == 1
    assert "functions.toml:1:1: 'tuteur' needs profiles, written T1 to T16." in said.stderr
    (policies / "functions.toml").write_text("[[function")
    said = cafpro("policy", "check", policies, "--format", "json")
    [problem] = json.loads(said.stdout)["problems"]
    assert (problem["file"], problem["stage"]) == (str(policies / "functions.toml"), "files")
    (policies / "functions.toml").unlink()
    assert cafpro("policy", "check", policies).exit_code == 0, "the one of the package is read then"


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_bad_configuration_is_said_whole_and_starts_nothing(cafpro, tmp_path, command):
    config = tmp_path / "gateway.toml"
    config.write_text(
        '[server]\nbinds = "x"\nworkers = 0\n'
        '[upstream]\nurl = "http://127.0.0.1:9000"\n[record]\n[identity]\ncaisse = "85"\n'
    )
    said = cafpro(command, "--config", config)
    assert said.exit_code == 1
    for fragment in (
        "[server] unknown key `binds`. Did you mean `bind`?",
        "[server] workers:",
        "[record] key_file is missing",
        "[identity] caisse:",
    ):
        assert fragment in said.stderr
    assert "Traceback" not in said.output


def test_the_folder_that_is_checked_is_the_one_that_is_meant(cafpro, policies, furnished, monkeypatch):
    (policies / "matrix.polar").write_text("")
    for words in ([policies], ["--policies", policies]):
        assert cafpro("policy", "check", *words).exit_code == 1
    assert cafpro("policy", "check", policies, "--policies", policies).exit_code == 2
    monkeypatch.chdir(furnished)
    (furnished / "policies" / "matrix.polar").write_text("")
    assert cafpro("policy", "check").exit_code == 1, "the configuration where one stands names its folder"
    monkeypatch.chdir(policies.parent)
    assert cafpro("policy", "check").exit_code == 0


@pytest.mark.parametrize(
    "option",
    [("--caisse", "85"), ("--upstream", "nope"), ("--public-url", 'http://"x'), ("--bind", "127.0.0.1:99999")],
    ids=lambda option: option[0],
)
def test_init_makes_nothing_that_could_not_be_served(cafpro, tmp_path, option):
    said = cafpro("init", tmp_path / "caf", *option)
    assert said.exit_code == 1
    assert said.stderr.strip()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "status"),
    [
        pytest.param(["nonsense"], 2, id="an unknown command"),
        pytest.param(["policy", "matrix", "--format", "pdf"], 2, id="an unknown format"),
        pytest.param(["demo", "--port", "0"], 2, id="no port"),
        pytest.param(["demo", "--password", "weak"], 2, id="a weak password"),
        pytest.param(["serve", "--config", "nowhere.toml"], 1, id="no configuration"),
    ],
)
def test_misuse_and_findings_end_with_their_own_code(cafpro, words, status):
    assert cafpro(*words).exit_code == status


def test_rights_are_given_on_no_file_and_none_is_made_to_be_refused(cafpro, furnished):
    for name in ("record.db", "cafpro.db"):
        (furnished / name).unlink()
    said = cafpro("store", "grant", "--config", furnished / "gateway.toml", "gateway")
    assert said.exit_code != 0
    assert not (furnished / "record.db").exists() and not (furnished / "cafpro.db").exists()
