"""The mutants that mutmut makes of a file, and their code in the place of a function's."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from mutmut.mutation.file_mutation import mutate_file_contents

ROOT = Path(__file__).resolve().parents[2]
FILES = ("gateway/policy/*.py", "gateway/redaction/*.py", "gateway/proxy/parse.py")
"""What is mutated: the rooms that decide and redact, and the reading of requests."""
TESTS = (
    "tests/policy",
    "tests/redaction",
    "tests/proxy/test_proxy_parse.py",
    "tests/approval/test_approved_matrix.py",
    "tests/cli/test_policy_matrix.py",
)
"""What must notice."""
Node = ast.Module | ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class Mutant:
    name: str
    """As in mutmut: `gateway.policy.engine.xǁPolicyǁdecide__mutmut_7`."""
    file: str
    function: str
    """`Policy.decide`."""
    line: int
    """Where the source was changed."""
    source: str
    """The whole file with this mutant in the place of its function."""

    digest: str
    """Of the mutant's own function: the same mistake in the same function has the same."""

    @property
    def short(self) -> str:
        return f"{self.name.removeprefix('gateway.').partition('.x')[0]}: {self.function} {self.number}"

    @property
    def number(self) -> int:
        return int(self.name.rpartition("__mutmut_")[2])


def files(fragments: Sequence[str]) -> list[str]:
    every = [str(path.relative_to(ROOT)) for pattern in FILES for path in sorted(ROOT.glob(pattern))]
    return [file for file in every if not fragments or any(one in dotted(file) for one in fragments)]


def dotted(file: str) -> str:
    return file.removesuffix(".py").replace("/", ".")


def mutants(file: str) -> Iterator[Mutant]:
    """Every mutant of that file, in mutmut's order. It leaves out decorated functions, so that properties, and
    functions that remember, have none."""
    source = (ROOT / file).read_text("utf-8")
    lines, tree = source.splitlines(), ast.parse(source)
    made = mutate_file_contents(file, source)
    made_lines = made.code.splitlines()
    functions = {each.name: each for each in ast.walk(ast.parse(made.code)) if isinstance(each, ast.FunctionDef)}
    for name in made.mutant_names:
        called = name.rpartition(".")[2]
        mangled = called.rpartition("__mutmut_")[0]
        function = mangled.removeprefix("xǁ").removeprefix("x_").replace("ǁ", ".")
        here, new = functions_of(tree)[function], functions[called]
        text = made_lines[new.lineno - 1 : new.end_lineno]
        text[0] = text[0].replace(called, here.name)
        old = lines[here.lineno - 1 : here.end_lineno]
        changed = next((at for at, (one, other) in enumerate(zip(old, text, strict=False)) if one != other), 0)
        whole = "\n".join([*lines[: here.lineno - 1], *text, *lines[here.end_lineno :]]) + "\n"
        digest = hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]
        yield Mutant(f"{dotted(file)}.{called}", file, function, here.lineno + changed, whole, digest)


def functions_of(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """The functions and methods that may be mutated."""
    found = {}
    for node in tree.body:
        for each in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(each, ast.FunctionDef) and all(
                isinstance(one, ast.Name) and one.id in ("classmethod", "staticmethod") for one in each.decorator_list
            ):
                found[f"{node.name}.{each.name}" if isinstance(node, ast.ClassDef) else each.name] = each
    return found


def blocks(function: ast.FunctionDef) -> list[list[ast.stmt]]:
    """What is executed together: the body first, then what an `if`, a loop, a `try` or an inner function holds."""
    found = [function.body]
    for node in ast.walk(function):
        if node is function:
            continue
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(node, name, None)
            if isinstance(inner, list) and inner and not isinstance(node, ast.ClassDef):
                found.append(inner)
    return found


def block_at(function: ast.FunctionDef, line: int) -> int:
    """The number of the innermost block with that line; the body's, 0, where it is the head's."""
    spans = [(block[0].lineno, block[-1].end_lineno or 0) for block in blocks(function)]
    holding = [(end - start, number) for number, (start, end) in enumerate(spans) if start <= line <= end]
    return min(holding)[1] if holding else 0


def put(file: str, code: CodeType, functions: Mapping[str, ast.FunctionDef]) -> None:
    """The code of these functions, of a compiled file, in the place of what the loaded module has."""
    module = sys.modules[dotted(file)]
    compiled = {each.co_qualname: each for each in _codes(code)}
    for name, node in functions.items():
        live: Any = module
        for part in name.split("."):
            live = vars(live)[part]
        live = getattr(live, "__func__", live)
        assert isinstance(live, FunctionType)
        live.__code__ = compiled[name]
        if node.args.defaults or any(node.args.kw_defaults):
            bare = ast.FunctionDef(**{**dict(ast.iter_fields(node)), "decorator_list": []})
            names = dict(vars(module))
            imports = ast.parse("from __future__ import annotations").body
            exec(compile(ast.fix_missing_locations(ast.Module([*imports, bare], [])), file, "exec"), names)
            live.__defaults__, live.__kwdefaults__ = names[node.name].__defaults__, names[node.name].__kwdefaults__


def _codes(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _codes(each)
