"""On a server, the gateway's own user may append to the record and to the changes, and may not alter them."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.errors import InsufficientPrivilege

from gateway.cli.main import main
from gateway.cli.rights import _RECORD, _directory
from gateway.database.rights import rights

GATEWAY = Path(__file__).parents[2] / "gateway"
ROLE = "cafpro_gateway"


class Place:
    """A configuration whose store and record are one database on the server, for its owner and for others."""

    def __init__(self, config: Path, url: str) -> None:
        self.config, self.url = config, url

    def cafpro(self, *words: str, user: str = "postgres", status: int = 0) -> str:
        """What a command says when it is run with this user's configuration."""
        url = self.url.replace("postgres@", f"{user}@")
        settings = {"CAFPRO_STORE__URL": url, "CAFPRO_RECORD__URL": url}
        done = CliRunner(env=settings).invoke(main, [*words, "--config", str(self.config)], catch_exceptions=False)
        assert done.exit_code == status, done.output
        return done.output

    def check(self, *, user: str) -> dict[str, list[str]]:
        """What `check` finds. Nothing answers as the backend, so it finds that."""
        found = json.loads(self.cafpro("check", "--format", "json", user=user, status=1))
        found["problems"] = [each for each in found["problems"] if not each.startswith("upstream.url")]
        return found

    def connect(self, *, user: str) -> psycopg.Connection:
        url = self.url.replace("postgres@", f"{user}@").replace("+psycopg", "")
        return psycopg.connect(url, autocommit=True)


@pytest.fixture
def place(tmp_path, url) -> Place:
    assert CliRunner().invoke(main, ["init", str(tmp_path / "caf")]).exit_code == 0
    return Place(tmp_path / "caf" / "gateway.toml", url)


@pytest.fixture
def role(server, place):
    """A role that may come in. What it was given goes with the database."""
    with server.role(ROLE) as name:
        yield name
        with place.connect(user="postgres") as connection:
            connection.execute(f"DROP OWNED BY {name}")


ALTERING = {
    "updated": "UPDATE {table} SET id = id",
    "one column updated": "UPDATE {table} SET {column} = ''",
    "deleted": "DELETE FROM {table}",
    "emptied": "TRUNCATE {table}",
    "altered": "ALTER TABLE {table} ADD COLUMN more integer",
    "dropped": "DROP TABLE {table}",
    "given a trigger": "CREATE TRIGGER mine BEFORE INSERT ON {table} EXECUTE FUNCTION tsvector_update_trigger()",
    "given a rule": "CREATE RULE mine AS ON INSERT TO {table} DO INSTEAD NOTHING",
    "renumbered": "ALTER SEQUENCE {table}_id_seq RESTART",
    "renumbered by setval": "SELECT setval('{table}_id_seq', 1)",
    "given away": "ALTER TABLE {table} OWNER TO {role}",
    "opened": "GRANT ALL ON {table} TO {role}",
}  # fmt: skip


def test_the_gateways_user_appends_to_the_record_and_the_changes_and_alters_neither(place, role):
    place.cafpro("store", "grant", role)
    place.cafpro("partner", "add", "Udaf", user=role)
    refused = []
    with place.connect(user=role) as connection:
        columns = [name for (name,) in connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'record' AND column_name <> 'id'"
        )]  # fmt: skip
        values = ", ".join("'0'" for _ in columns)
        connection.execute(f"INSERT INTO record ({', '.join(columns)}) VALUES ({values})")
        assert connection.execute("SELECT count(*) FROM record").fetchone() == (1,)
        for table, column in (("record", "agent"), ("change", "why")):
            for name, statement in ALTERING.items():
                try:
                    connection.execute(statement.format(table=table, column=column, role=role))
                except InsufficientPrivilege:
                    refused.append((table, name))
        # A grant of what one does not have is refused with a warning, and gives nothing.
        for table in ("record", "change"):
            refused.append((table, "opened"))
            with pytest.raises(InsufficientPrivilege):
                connection.execute(f"DELETE FROM {table}")
    assert sorted(set(refused)) == sorted((table, name) for table in ("record", "change") for name in ALTERING)
    with place.connect(user="postgres") as connection:
        assert connection.execute("SELECT count(*) FROM change").fetchone() == (1,)


def test_a_user_with_just_these_rights_is_all_a_start_wants(place, role):
    place.cafpro("store", "grant", role)
    assert place.check(user=role) == {"problems": [], "warnings": []}


def test_a_user_who_could_alter_the_record_is_warned_of(place, role):
    place.cafpro("store", "grant", role)
    for warning, table in zip(place.check(user="postgres")["warnings"], ("change, wording", "record"), strict=True):
        assert f"the database user postgres could alter what is only appended to ({table})" in warning
    with place.connect(user="postgres") as connection:
        for more, taken in (
            ("GRANT UPDATE (agent) ON record TO {}", "REVOKE UPDATE (agent) ON record FROM {}"),
            ("GRANT DELETE ON record TO {}", "REVOKE DELETE ON record FROM {}"),
            ("GRANT TRUNCATE ON record TO PUBLIC", "REVOKE TRUNCATE ON record FROM PUBLIC"),
            ("GRANT postgres TO {}", "REVOKE postgres FROM {}"),
        ):
            connection.execute(more.format(role))
            assert "(record)" in place.check(user=role)["warnings"][-1], more
            connection.execute(taken.format(role))
    assert place.check(user=role)["warnings"] == []


def test_what_a_user_lacks_is_named_before_a_start_and_granting_again_gives_it(place, role):
    place.cafpro("store", "grant", role)
    with place.connect(user="postgres") as connection:
        connection.execute(f"REVOKE INSERT ON record FROM {role}")
        connection.execute(f"REVOKE USAGE ON SEQUENCE change_id_seq FROM {role}")
        connection.execute(f"GRANT DELETE ON change TO {role}")
    first, second = place.check(user=role)["problems"]
    assert "store.url: the database user cafpro_gateway lacks USAGE on public.change_id_seq." in first
    assert "record.url: the database user cafpro_gateway lacks INSERT on record." in second
    assert second.endswith("cafpro store grant cafpro_gateway")
    place.cafpro("store", "grant", role)
    assert place.check(user=role) == {"problems": [], "warnings": []}


def test_a_user_without_any_right_is_told_so_in_a_sentence(place, role):
    place.cafpro("store", "grant", "--dry-run", role)
    problems = place.check(user=role)["problems"]
    assert [problem.partition(":")[0] for problem in problems] == ["store.url", "record.url"]
    assert all("its user is not allowed to make tables" in problem for problem in problems)
    assert all("`cafpro store grant USER`" in problem for problem in problems)


def test_looking_at_an_empty_server_makes_nothing_and_says_who_should(place):
    found = place.check(user="postgres")
    assert found["problems"] == []
    empty = [warning for warning in found["warnings"] if "is empty: a start makes what it needs" in warning]
    assert [warning.partition(":")[0] for warning in empty] == ["store.url", "record.url"]
    with place.connect(user="postgres") as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_a_dry_run_says_the_same_and_changes_nothing(place, role):
    place.cafpro("store", "grant", role)
    with place.connect(user="postgres") as connection:
        connection.execute(f"REVOKE ALL ON record FROM {role}")
    said = place.cafpro("store", "grant", "--dry-run", role)
    assert f'GRANT SELECT, INSERT ON "record" TO "{role}";' in said.splitlines()
    assert len(place.check(user=role)["problems"]) == 1
    assert place.cafpro("store", "grant", role) == said


@pytest.mark.parametrize("options", ["SUPERUSER", "LOGIN IN ROLE postgres"])
def test_a_role_that_could_alter_the_record_all_the_same_is_refused(place, server, options):
    with server.role("mighty", options=options) as name:
        said = place.cafpro("store", "grant", name, status=2)
        assert "Choose a role that owns nothing." in said
        with place.connect(user="postgres") as connection:
            connection.execute(f"DROP OWNED BY {name}")


def test_a_role_that_the_server_does_not_know_is_refused_whatever_its_name(place):
    for name in ("nobody", 'no"body', "no'body; DROP TABLE record", "no:body"):
        assert "the server knows no role" in place.cafpro("store", "grant", name, status=2)


def test_a_role_may_have_any_name(place, server):
    with server.role("\"Cafpro: the 'gateway'%\"") as quoted:
        name = quoted.strip('"')
        place.cafpro("store", "grant", name)
        with place.connect(user="postgres") as connection:
            connection.execute(f"DROP OWNED BY {quoted}")


def test_whoever_owns_nothing_can_grant_nothing(place, role):
    place.cafpro("store", "grant", role)
    assert "only whoever owns change, " in place.cafpro("store", "grant", role, user=role, status=2)


def test_files_have_no_roles(place):
    done = CliRunner().invoke(main, ["store", "grant", ROLE, "--config", str(place.config)])
    assert (done.exit_code, done.output) == (
        2,
        "store.url and record.url: neither is a PostgreSQL server; files have no roles.\n",
    )


def test_every_table_whose_rows_the_gateway_deletes_says_so():
    """A gateway that may delete only there would otherwise find out when an agent asks."""
    deleted = set()
    for file in GATEWAY.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "delete":
                deleted |= {argument.id for argument in node.args if isinstance(argument, ast.Name)}
    passing = {table.name for table in (*_directory(), *_RECORD) if "DELETE" in rights(table)}
    assert deleted - {"table"} <= passing
    assert "session" in deleted
