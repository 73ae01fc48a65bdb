"""The description of `/-/admin/`, made from the table of its operations (OpenAPI 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway import errors
from gateway.api.admin_operations import OPERATIONS
from gateway.api.agents import AGENT_OPERATIONS
from gateway.api.operations import Operation

Json = dict[str, Any]

Refusals = tuple[type[errors.Refusal], ...]

_READING: Final = (
    *(errors.BadRequest, errors.UndeclaredParameter, errors.NotStaff, errors.EntryRefused, errors.NoSuchEntry),
)
_CHANGING: Final = (
    *(*_READING, errors.ForeignOrigin, errors.BodyLate, errors.BodyTooLarge, errors.UnsupportedBody),
    errors.EntryConflicts,
)


def _of_agents(refused: Refusals) -> Refusals:
    """The same where a delegation is what it takes."""
    return (errors.NotDelegated, *(kind for kind in refused if kind is not errors.NotStaff))


READS: Final[list[Json]] = [{"bearer": []}, {"cookie": []}]
"""What proves who reads."""
CHANGES: Final[list[Json]] = [{"bearer": []}, {"cookie": [], "change": []}]
"""What proves who changes something, and that it was meant."""
REFUSALS: Final[dict[str, Refusals]] = {
    "Reading": _READING,
    "Changing": _CHANGING,
    "ChangingAccounts": (*_CHANGING, errors.OwnAccount, errors.StaffAccount),
    "Importing": (
        *(errors.BadRequest, errors.UndeclaredParameter, errors.NotStaff, errors.ForeignOrigin, errors.BodyLate),
        *(errors.BodyTooLarge, errors.UnsupportedBody, errors.EntryRefused, errors.FileRefused),
    ),
    "ReadingAgents": _of_agents(_READING),
    "ChangingAgents": (*_of_agents(_CHANGING), errors.OwnAccount, errors.DelegatesAccount),
}
"""By the kind of operation: many have the same, which are described once."""
_ALL: Final = (*OPERATIONS, *AGENT_OPERATIONS)
_KINDS: Final = (
    *(operation.body for operation in _ALL if operation.body),
    *(operation.row for operation in _ALL if operation.row),
    *(operation.answer for operation in _ALL if operation.answer),
)


def admin_paths(identified: Refusals) -> Json:
    """The addresses; `identified` are the refusals of every request that must tell who asks."""
    paths: Json = {}
    for operation in _ALL:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, identified)
    return paths


def admin_responses(problems: Callable[[Refusals], Json], identified: Refusals) -> Json:
    """The responses that `problems` makes of refusals, by the names under which the addresses refer to them."""
    return {
        f"{kind}{status}": response
        for kind, refused in REFUSALS.items()
        for status, response in problems((*refused, *identified)).items()
    }


def admin_schemas() -> Json:
    """What is sent and answered, by the names of the structs."""
    _, components = msgspec.json.schema_components(_KINDS, ref_template="#/components/schemas/{name}")
    return {name: components[name] for name in sorted(components)}


def _described(operation: Operation, identified: Refusals) -> Json:
    changing = operation.method == "POST"
    described: Json = {
        "operationId": f"{operation.group}{operation.act.capitalize()}",
        "summary": operation.said,
        "description": operation.about,
        "security": CHANGES if changing else READS,
    }
    if operation.sent_type:
        schema = _referred(operation.body) if operation.body else {"type": "string"}
        described["requestBody"] = {"required": True, "content": {operation.sent_type: {"schema": schema}}}
    if not operation.body:
        described["parameters"] = _parameters(operation.asked)
    kind = operation.kind
    statuses = sorted({refused.status for refused in (*REFUSALS[kind], *identified)})
    refer = {str(status): {"$ref": f"#/components/responses/{kind}{status}"} for status in statuses}
    described["responses"] = {str(operation.status): _answered(operation), **refer}
    return described


def _parameters(kind: type[msgspec.Struct]) -> list[Json]:
    _, components = msgspec.json.schema_components([kind])
    properties: Json = components[kind.__name__]["properties"]
    needed = components[kind.__name__].get("required", ())
    return [
        {"name": name, "in": "query", "schema": _without_null(schema), **({"required": True} if name in needed else {})}
        for name, schema in properties.items()
    ]


def _without_null(schema: Json) -> Json:
    """A parameter is there or not: it is never null."""
    kept = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return kept[0] if kept else {name: value for name, value in schema.items() if name != "default"}


def _referred(kind: type[Any]) -> Json:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _answered(operation: Operation) -> Json:
    if operation.row:
        rows = {"type": "array", "items": _referred(operation.row)}
        after = {
            "type": ["string", "integer", "null"],
            "description": "The `after` of the next page; null on the last.",
        }
        page = {"rows": rows} if operation.entry is None else {"entry": _referred(operation.entry), "changes": rows}
        properties = {**page, "next": after}
        schema: Json = {"type": "object", "properties": properties, "required": list(properties)}
        return {"description": "A page.", "content": {"application/json": {"schema": schema}}}
    if operation.answer:
        schema = _referred(operation.answer)
        return {"description": "Done.", "content": {"application/json": {"schema": schema}}}
    return {"description": "Done."}
