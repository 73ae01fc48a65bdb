"""oso 0.27.3, made strict: a policy reads the facts of two nouns and reaches nothing else.

Stock oso lets a policy call any method of any object it is given, and grants where a misspelt attribute stands under
`not`. Here an attribute that is not declared, a call, `new`, `debug`, a message of the engine (a warning, a `print`)
or an iteration over a Python object ends the query with `PolicyDefect`, which the decision turns into a refusal.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from msgspec import json
from oso import Oso
from polar import ffi
from polar.ffi import PolarSource
from polar.predicate import Predicate
from polar.query import Query

QUERY_MILLISECONDS: Final = 30_000
"""Of the wall clock, for one question: the last resort. No rule that passed the lint rests on itself, so that each
question ends, and `policy_files.child` counts the processor's time of all of them before a policy is put in force. A
decision takes two or three milliseconds; where it takes seconds, its process stands in line, and a good policy must not
be taken for one that never ends."""

os.environ["POLAR_TIMEOUT_MS"] = str(QUERY_MILLISECONDS)


class PolicyDefect(Exception):
    """The policy did something it may not do, or oso failed on it. Says nothing of the facts."""


@dataclass(frozen=True, slots=True, eq=False)
class PolarAgent:
    """What a policy sees of an agent. `seen` is ours, not the policy's: the facts that it read, as often as it did."""

    profile: str
    partner_kind: str
    convention: str
    engagement: str
    assurance: str
    seen: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class PolarDossier:
    """What a policy sees of a dossier, and what it read of it (`seen`)."""

    mandates: list[str]
    objection: str
    seen: list[str]


NOUNS: Final[Mapping[str, type]] = {"Agent": PolarAgent, "Dossier": PolarDossier}
_READABLE: Final = {noun: frozenset(each.name for each in fields(noun)) - {"seen"} for noun in NOUNS.values()}


def _is_plain(value: Any, kind: type) -> bool:
    return type(value) is kind and (type(value) is not list or all(type(part) is str for part in value))


_PRINT: Final = "print something, or oso warned about it"
_oso: Final[Any] = ffi
_core: Final = _oso.lib
_cast, _string = _oso.ffi.cast, _oso.ffi.string
_ANY: Final = _oso.ffi.typeof("polar_CResult_c_void *")
_OTHERS: Final[Mapping[str, str]] = {
    "MakeExternal": "handle_make_external",
    "ExternalOp": "handle_external_op",
    "ExternalIsaWithPath": "handle_external_isa_with_path",
    "ExternalIsSubSpecializer": "handle_external_is_subspecializer",
    "ExternalIsSubclass": "handle_external_is_subclass",
    "NextExternal": "handle_next_external",
    "Debug": "handle_debug",
}
"""What else the engine may ask, and which of a query's ways out that is."""


def _refuse(what: str) -> Any:
    raise PolicyDefect(f"the policy tried to {what}")


class StrictQuery(Query):
    """A query whose every way out of Polar is shut but the reading of a declared fact."""

    def __init__(self, ffi_query: Any, *, host: Any, bindings: Any = None) -> None:
        super().__init__(ffi_query, host=host, bindings=bindings)  # type: ignore[no-untyped-call]  # oso's
        ffi_query.process_messages = lambda: _silence(ffi_query)

    def run(self) -> Generator[dict[str, Any], None, None]:
        """The results, as oso's own `run` gives them: `bindings` and `trace`.

        A decision asks some forty times back, most often whether a noun is one, and oso's Python takes longer over each
        than its engine: here nothing is made, called or decoded twice for one.
        """
        pointer, host = self.ffi_query.ptr, self.host
        while True:
            event = _core.polar_next_query_event(pointer)
            message = _core.polar_next_query_message(pointer)
            if message.result or message.error:
                _refuse(_PRINT)
            _core.result_free(_cast(_ANY, message))
            [(kind, data)] = json.decode(_taken(event)).items()
            if kind == "ExternalIsa":
                answer = host.isa(data["instance"], data["class_tag"])
                self.ffi_query.question_result(data["call_id"], answer)
            elif kind == "ExternalCall":
                self.handle_external_call(data)
            elif kind == "Result":
                bindings = {name: host.to_python(value) for name, value in data["bindings"].items()}
                yield {"bindings": bindings, "trace": data["trace"]}
            elif kind == "Done":
                return
            elif kind in _OTHERS:
                getattr(self, _OTHERS[kind])(data)
            else:
                _refuse("do something that oso has no word for")

    def handle_external_call(self, data: dict[str, Any]) -> None:
        noun, name = self.host.to_python(data["instance"]), data["attribute"]
        if data["args"] is not None or data.get("kwargs"):
            _refuse("call a method")
        if name not in _READABLE.get(type(noun), ()):
            _refuse("read something that is not a declared fact")
        value = getattr(noun, name)
        if not _is_plain(value, list if name == "mandates" else str):
            _refuse("read a fact of a wrong type")
        noun.seen.append(name)
        self.ffi_query.call_result(data["call_id"], self.host.to_polar(value))

    def handle_make_external(self, data: dict[str, Any]) -> None:
        _refuse("make an object")

    def handle_external_isa_with_path(self, data: dict[str, Any]) -> None:
        _refuse("ask the type of a fact")

    def handle_external_op(self, data: dict[str, Any]) -> None:
        _refuse("compare objects")

    def handle_next_external(self, data: dict[str, Any]) -> None:
        _refuse("iterate over an object")

    def handle_relation(self, instance: Any, rel: Any) -> None:
        _refuse("follow a relation")

    def handle_debug(self, data: dict[str, Any]) -> None:
        _refuse("stop in the debugger")


def _silence(source: Any) -> None:
    if list(ffi.process_messages(source.next_message)):
        _refuse(_PRINT)


def _taken(outcome: Any) -> bytes:
    """The text that a call into the engine gave, in our memory. Raises what oso raises where it gave an error."""
    if outcome.error:
        ffi.check_result(outcome)
    given = outcome.result
    _core.result_free(_cast(_ANY, outcome))
    text: bytes = _string(given)
    _core.string_free(given)
    return text


class StrictOso(Oso):
    """An engine loaded once, from texts, that knows two nouns. Warnings of oso are errors."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Loads all `texts` (file name → text) in one go. Raises `PolicyDefect` or what oso raises."""
        super().__init__()
        engine: Any = self.ffi_polar
        engine.process_messages = lambda: _silence(engine)
        for name, noun in NOUNS.items():
            self.register_class(noun, name=name)  # type: ignore[no-untyped-call]  # oso's
        self._load_sources([PolarSource(text, name) for name, text in texts.items()])

    def check_inline_queries(self) -> None:
        """Inline queries (`?=`) run at load; none is allowed in a folder that is put in force."""
        if self.ffi_polar.next_inline_query() is not None:
            _refuse("ask a question (`?=`) while it is loaded")

    def query(self, query: Any, *, bindings: Any = None, accept_expression: bool = False) -> Iterator[Any]:
        """The results of a predicate. Text queries are refused: they would be parsed."""
        if not isinstance(query, Predicate) or accept_expression:
            _refuse("be asked in text")
        host = self.host.copy()
        term = self.ffi_polar.new_query_from_term(host.to_polar(query))
        yield from StrictQuery(term, host=host, bindings=bindings).run()

    def found(self, rule: str, *arguments: Any) -> Iterator[dict[str, Any]]:
        """The bindings of each way in which `rule` holds."""
        for result in self.query(Predicate(name=rule, args=arguments)):
            yield result["bindings"]

    def holds(self, rule: str, *arguments: Any) -> bool:
        """Whether `rule` holds in at least one way."""
        return next(self.found(rule, *arguments), None) is not None

    def proved(self, rule: str, *arguments: Any) -> Iterator[dict[str, Any]]:
        """As `found`, each way in which `rule` holds with oso's own account of it: `bindings`, and the tree `trace`.

        Three times as dear. oso's Python never asks for that account, hence the call beneath it.
        """
        host, engine = self.host.copy(), self.ffi_polar
        term = ffi.ffi_serialize(host.to_polar(Predicate(name=rule, args=arguments)))
        pointer = _core.polar_new_query_from_term(engine.ptr, term, 1)
        engine.process_messages()
        asked = ffi.Query(engine.check_result(pointer))
        yield from StrictQuery(asked, host=host).run()
