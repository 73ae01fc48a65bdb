"""The house keeps its shape: arrows point one way, the core is pure, what exists is documented."""

import ast
import configparser
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import click
import msgspec
import pytest

from gateway import errors, settings
from gateway.cli.init import TEMPLATE
from gateway.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
GATEWAY = ROOT / "gateway"

MAY_IMPORT = {
    "errors": set(),
    "model": set(),
    "networks": set(),
    "structs": set(),
    "logs": set(),
    "settings": {"errors", "networks"},
    "policy": {"errors", "model"},
    "redaction": {"errors", "model"},
    "loop": {"logs"},
    "database": {"errors", "loop"},
    "metrics": {"errors"},
    "limits": {"errors"},
    "policy_files": {"errors", "logs", "loop", "model", "structs", "policy", "redaction"},
    "identity": {"errors", "limits", "logs", "model", "networks", "settings", "structs", "database"},
    "record": {"errors", "logs", "loop", "model", "structs", "database"},
    "proxy": {
        *("errors", "loop", "metrics", "model", "settings", "database", "policy", "policy_files", "redaction"),
        *("identity", "record", "limits", "networks", "logs"),
    },
    "api": {
        *("errors", "limits", "metrics", "model", "settings", "policy", "policy_files", "identity", "record"),
        *("proxy", "structs"),
    },
    "server": {"logs", "loop"},
    "deploy": set(),
    "selftest": set(),
    "app": {
        *("errors", "loop", "metrics", "limits", "model", "settings", "policy_files", "identity", "record", "proxy"),
        "api",
    },
    "cli": {
        *("errors", "model", "settings", "policy", "policy_files", "redaction", "database", "identity", "record"),
        *("proxy", "server", "app", "metrics", "limits", "logs", "loop", "api", "selftest"),
    },
}
PURE = {"policy", "redaction"}
IMPURE_MODULES = {
    *("flask", "werkzeug", "requests", "pycurl", "sqlalchemy", "structlog", "httptools", "click", "rich"),
    *("os", "io", "pathlib", "socket", "subprocess", "time", "datetime", "random", "secrets", "sqlite3", "logging"),
}
EXCEPTIONS = {("policy/sandbox.py", "os")}
"""oso reads its time limit from the environment at each query."""


def imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(file: Path) -> str:
    return file.relative_to(GATEWAY).parts[0].removesuffix(".py")


def files() -> list[Path]:
    return sorted(file for file in GATEWAY.rglob("*.py") if file.name != "__init__.py" or file.parent != GATEWAY)


def test_every_room_of_the_house_is_known():
    assert {room(file) for file in files()} == set(MAY_IMPORT)


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(GATEWAY)))
def test_no_arrow_points_up(file):
    reached = {name.split(".")[1] for name in imports(file) if name.startswith("gateway.")}
    allowed = MAY_IMPORT[room(file)] | {room(file), "__version__"}
    assert reached <= allowed, f"{file.relative_to(ROOT)} reaches {sorted(reached - allowed)}"


def test_the_permitted_arrows_make_no_circle():
    above = dict(MAY_IMPORT)
    while above:
        free = [name for name, needs in above.items() if not needs & set(above)]
        assert free, f"these reach each other: {sorted(above)}"
        for name in free:
            del above[name]


@pytest.mark.parametrize("file", [f for f in files() if room(f) in PURE], ids=lambda f: str(f.relative_to(GATEWAY)))
def test_the_core_does_no_input_or_output_and_has_no_clock(file):
    reached = {name.split(".")[0] for name in imports(file)} & IMPURE_MODULES
    assert {module for module in reached if (str(file.relative_to(GATEWAY)), module) not in EXCEPTIONS} == set()


@pytest.mark.parametrize("file", sorted((ROOT / "upstream_stub").rglob("*.py")), ids=lambda file: file.name)
def test_the_stub_imports_nothing_of_the_gateway(file):
    assert not [name for name in imports(file) if name.split(".")[0] == "gateway"]


def test_the_top_level_is_as_it_was_asked_for():
    asked = {"gateway", "policies", "upstream_stub", "tests", "setup.cfg", "README.md"}
    insisted = {"pyproject.toml", "Makefile", "requirements.lock"}
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    top = {name.split("/")[0] for name in listed}
    assert {name for name in top if not name.startswith(".")} == asked | insisted


def every_command(command: click.Command = main, name: str = "cafpro"):
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for word in command.list_commands(ctx):
            yield from every_command(command.get_command(ctx, word), f"{name} {word}")
    else:
        yield pytest.param(command, name, id=name)


@pytest.mark.parametrize(("command", "name"), list(every_command()))
def test_every_command_explains_itself_with_an_example(command, name):
    assert command.help, f"{name} has no help"
    epilog = command.epilog or ""
    assert "Example:" in epilog
    assert name in epilog


@pytest.mark.parametrize("section", settings.SECTIONS)
def test_every_setting_is_explained_in_the_file_that_init_writes(section):
    text = TEMPLATE[TEMPLATE.index(f"[{section}]") :]
    for field in msgspec.structs.fields(settings.SECTIONS[section]):
        assert re.search(rf"^(# )?{field.name} = ", text, re.MULTILINE), f"[{section}] {field.name}"


def every_refusal(kind=errors.Refusal):
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__:
            if "code" in inner.__dict__:
                yield inner
            yield from every_refusal(inner)


def test_every_refusal_has_a_code_of_its_own_and_french_sentences():
    kinds = list(every_refusal())
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
    for kind in kinds:
        assert re.fullmatch(r"GW[1-5][0-9]{2}", kind.code)
        assert kind.title
        assert kind.said.endswith(".")
        assert kind.shown in codes


def test_the_lock_file_satisfies_what_setup_cfg_asks():
    lock = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            assert version, f"{line} is not an exact version"
            lock[name.lower().replace("_", "-")] = version
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    asked = config["options"]["install_requires"] + config["options.extras_require"]["test"]
    for line in asked.splitlines():
        name = re.match(r"[a-z0-9-]*", line.strip())[0]
        if name:
            assert name in lock, f"{name} is not locked: run make lock"


def test_nothing_of_the_gateway_prints():
    """Output belongs to the commands; elsewhere it could hold personal data."""
    for file in files():
        if room(file) != "cli":
            calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
            assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], file


def test_the_package_runs_on_the_pythons_it_declares():
    assert (3, 11) <= sys.version_info[:2] <= (3, 12)


def test_no_two_tests_are_called_alike(request):
    """Side by side, of tests that have one name one is run, and the others are taken for done."""
    names = Counter(item.nodeid for item in request.session.items)
    assert [name for name, times in names.items() if times > 1] == []


def test_a_gateway_loads_nothing_that_it_never_uses():
    """Each of these would be megabytes in every worker."""
    loaded = "import sys, gateway.cli.serve; print(*sorted({'alembic', 'cryptography', 'rich'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
