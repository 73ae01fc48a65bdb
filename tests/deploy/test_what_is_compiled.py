"""What the wheel compiles, and what ends its build: that mypyc would compile into something else."""

import os
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

import gateway
from gateway.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
"""Of the sources; what is tested may be installed elsewhere."""
WHEEL = runpy.run_path(str(ROOT / "gateway" / "deploy" / "wheel.py"))
COMPILED, mistranslated = WHEEL["COMPILED"], WHEEL["mistranslated"]
IS_WHEEL = Path(gateway.__file__).resolve().parents[1] != ROOT


READ = sorted(
    file
    for file in (str(path.relative_to(ROOT)) for path in (ROOT / "gateway").rglob("*.py"))
    if file not in COMPILED and not file.startswith("gateway/deploy/")
)


def refused(source):
    return list(mistranslated({"ours.py": "class Ours: ...", "one.py": source}))


@pytest.mark.parametrize("file", COMPILED)
def test_what_is_compiled_in_the_wheel_is_read_anywhere_else(file):
    origin = find_spec(file.removesuffix(".py").replace("/", ".")).origin
    assert origin.endswith(".so" if IS_WHEEL else f"/{file}")


@pytest.mark.parametrize("file", READ)
def test_nothing_else_is_compiled(file):
    origin = find_spec(file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")).origin
    assert origin.endswith(".py")


def test_the_tests_are_run_on_what_they_are_said_to_be_run_on():
    """`make test-compiled` would prove nothing if the sources came first."""
    assert bool(os.environ.get("PYTHONSAFEPATH")) == IS_WHEEL


def test_each_module_of_the_list_is_there_once():
    assert sorted(set(COMPILED)) == list(COMPILED)
    assert all((ROOT / file).is_file() for file in COMPILED)


def test_the_command_says_which_one_it_is():
    said = CliRunner().invoke(main, ["--version"]).output
    assert said == f"cafpro, version {gateway.__version__}, {'' if IS_WHEEL else 'not '}compiled\n"


@pytest.mark.parametrize("line", ["x = x[send(x):]", "x = x[:size()]", "x[a:b + f(c)] = y", "f(x[1:g()])", "x[::f()]"])
def test_a_call_within_the_bounds_of_a_slice_ends_the_build(line):
    assert refused(f"y = 1\n{line}") == [
        "one.py, line 2: a call within the bounds of a slice may be made twice. Name it first."
    ]


@pytest.mark.parametrize("line", ["x = x[sent:]", "x = f(x)[a:b]", "x = x[f(a)]", "x = x[:-1]", "f(x[a + b:])"])
def test_other_bounds_do_not(line):
    assert refused(line) == []


@pytest.mark.parametrize("decorator", ["cached_property", "functools.cached_property"])
def test_what_would_be_worked_out_each_time_ends_it(decorator):
    assert refused(f"class One:\n    @{decorator}\n    def two(self): ...") == [
        "one.py, line 3: two would be worked out each time. Set it with the rest."
    ]
    assert refused("class One:\n    @property\n    def two(self): ...") == []


@pytest.mark.parametrize(
    "base", ["greenlet", "requests.Response", "io.RawIOBase", "threading.local", "Unknown[T]", "dict"]
)
def test_neither_does_a_class_inherit_from_what_is_not_compiled(base):
    assert refused(f"class One({base}): ...") == [f"one.py, line 1: One inherits from {base}, which is not compiled."]


@pytest.mark.parametrize("base", ["Exception", "NamedTuple", "Protocol", "Enum", "Generic[T]", "Ours", "Ours[T]"])
def test_it_may_from_what_mypyc_knows_and_from_ours(base):
    assert refused(f"class One({base}): ...") == []


def test_the_modules_as_they_are_may_be_compiled():
    assert list(mistranslated({file: (ROOT / file).read_text() for file in COMPILED})) == []
