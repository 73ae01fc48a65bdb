"""Structs that many threads decode for the first time at once."""

import ast
import subprocess
import sys
from pathlib import Path
from signal import SIGSEGV

import pytest

from tests.test_house import files

ROUNDS = 2000

# One Struct within another: between the two, Python code runs that any thread may interrupt.
RACE = f"""
import resource, sys, threading
import msgspec
from gateway.structs import prepared
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.setswitchinterval(1e-6)
data = msgspec.json.encode({{"inner": {{"number": 1}}, "texts": ["a"]}})

def decode(kind, start):
    start.wait()
    read = msgspec.json.decode(data, type=ready(kind))
    told.append(read.inner.number)

def race():
    inner = msgspec.defstruct("Inner", [("number", int)])
    outer = msgspec.defstruct("Outer", [("inner", inner), ("texts", list[str])])
    start = threading.Barrier(4)
    threads = [threading.Thread(target=decode, args=(outer, start)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

ready = {{"as it is": lambda kind: kind, "prepared": prepared}}[sys.argv[1]]
told = []
for _ in range({ROUNDS}):
    race()
assert told == [1] * 4 * {ROUNDS}
"""


def raced(how):
    return subprocess.run([sys.executable, "-c", RACE, how], capture_output=True, text=True, timeout=300)


def test_threads_that_meet_a_struct_at_once_all_decode_it():
    done = raced("prepared")
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_guarded_against_would_be_seen():
    """Where this fails, msgspec may have mended it: then `prepared` can go."""
    assert raced("as it is").returncode == -SIGSEGV


def decoded(file: Path) -> list[ast.expr]:
    """What bytes or values are decoded into in `file`, as it is written there."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    given = [word.value for call in calls for word in call.keywords if word.arg == "type" and called(call) == "decode"]
    return given + [call.args[1] for call in calls if called(call) == "convert"]


def called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def is_ready(kind: ast.expr) -> bool:
    """Prepared; or generic and no Struct, such as `dict[str, str]`; or the type of a setting, of one thread's start."""
    text = ast.unparse(kind)
    return text.startswith("prepared(") or isinstance(kind, ast.Subscript) or text == "fields[key].type"


@pytest.mark.parametrize("file", files(), ids=lambda file: file.stem)
def test_the_gateway_decodes_nothing_else(file):
    assert [ast.unparse(kind) for kind in decoded(file) if not is_ready(kind)] == []


def test_the_structs_that_the_gateway_decodes_are_found():
    found = {ast.unparse(kind) for file in files() for kind in decoded(file)}
    assert {"prepared(kind)", "prepared(Facts)", "prepared(Told)", "prepared(_Table)"} <= found
