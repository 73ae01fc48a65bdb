"""The wheel that is deployed: the way of a request compiled to machine code by mypyc, everything else as it is written.

    pip wheel . --no-deps --no-build-isolation --config-settings=--build-option=--compiled

(`make wheel` does it.) What is compiled is the same text, and no word of it is written for the compiler. Nobody reaches
inside any more: nothing that a compiled module calls of another can be replaced at run time. Tests that do so say it
(`looks_inside`); all the others run on what is compiled, too. Nothing of this folder is installed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from setuptools.command.bdist_wheel import bdist_wheel

COMPILED: Final = (
    "gateway/database/connections.py",
    "gateway/identity/facts.py",
    "gateway/identity/opaque.py",
    "gateway/identity/sessions.py",
    "gateway/limits/buckets.py",
    "gateway/limits/limits.py",
    "gateway/loop/loop.py",
    "gateway/loop/waiting.py",
    "gateway/loop/waking.py",
    "gateway/metrics/counts.py",
    "gateway/proxy/answers.py",
    "gateway/proxy/authorise.py",
    "gateway/proxy/breaker.py",
    "gateway/proxy/credentials.py",
    "gateway/proxy/exchange.py",
    "gateway/proxy/fetch.py",
    "gateway/proxy/forwarded.py",
    "gateway/proxy/identify.py",
    "gateway/proxy/kept.py",
    "gateway/proxy/lines.py",
    "gateway/proxy/parse.py",
    "gateway/proxy/reader.py",
    "gateway/proxy/story.py",
    "gateway/record/entry.py",
    "gateway/record/journal.py",
    "gateway/record/recorder.py",
    "gateway/redaction/answers.py",
    "gateway/redaction/levels.py",
    "gateway/redaction/plans.py",
    "gateway/redaction/table.py",
    "gateway/server/connection.py",
    "gateway/server/lanes.py",
    "gateway/server/shares.py",
    "gateway/server/worker.py",
)
"""Whose time counts. Not the policies: what was decided before they say in half a microsecond."""


class CompiledWheel(bdist_wheel):
    """`bdist_wheel`, with `--compiled`: for this Python and this kind of machine only."""

    user_options: ClassVar = [*bdist_wheel.user_options, ("compiled", None, "compile the way of a request with mypyc")]
    boolean_options: ClassVar = [*bdist_wheel.boolean_options, "compiled"]

    def initialize_options(self) -> None:
        super().initialize_options()
        self.compiled = False

    def finalize_options(self) -> None:
        # Before the wheel is named: with extensions it has the name of a machine.
        if self.compiled:
            self.distribution.ext_modules = extensions()
        super().finalize_options()


def extensions() -> list[Any]:
    """`COMPILED`, translated to C, as extensions of setuptools. Ends the build where a module says what is known to be
    translated wrongly."""
    from mypyc.build import mypycify

    wrong = list(mistranslated({file: Path(file).read_text("utf-8") for file in COMPILED}))
    if wrong:
        raise SystemExit("not compiled:\n" + "\n".join(wrong))
    return mypycify(list(COMPILED), opt_level="3", debug_level="0", group_name="gateway")


def mistranslated(sources: Mapping[str, str]) -> Iterator[str]:
    """What of modules that are compiled together (their texts, by file) mypyc 2.4 translates into something else, and
    does not say.

    * A call within the bounds of a slice: of anything but a list, a tuple, a text or bytes, such as a memoryview, it
      is evaluated twice. `view[send(view):]` sends twice.
    * A `cached_property`: it is worked out each time that it is asked for.
    * A class whose base is not compiled, but for those that mypyc knows: its objects leave their weak references
      behind when they go, and the collector walks into them: the process ends with a signal.
    """
    found = [(file, node) for file, source in sources.items() for node in ast.walk(ast.parse(source))]
    bases = _KNOWN_BASES | {node.name for _, node in found if isinstance(node, ast.ClassDef)}
    for file, node in found:
        if isinstance(node, ast.Slice) and any(isinstance(part, ast.Call) for part in ast.walk(node)):
            yield f"{file}, line {node.lineno}: a call within the bounds of a slice may be made twice. Name it first."
        elif isinstance(node, ast.FunctionDef):
            if any("cached_property" in ast.unparse(decorator) for decorator in node.decorator_list):
                yield f"{file}, line {node.lineno}: {node.name} would be worked out each time. Set it with the rest."
        elif isinstance(node, ast.ClassDef):
            for base in map(ast.unparse, node.bases):
                if base.partition("[")[0] not in bases:
                    yield f"{file}, line {node.lineno}: {node.name} inherits from {base}, which is not compiled."


_KNOWN_BASES: Final = frozenset({"Exception", "NamedTuple", "Enum", "Protocol", "Generic"})
