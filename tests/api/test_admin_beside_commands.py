"""What `cafpro partner list` and its like may be told, `/-/admin/` may be told too: compared option by option, so that
neither side is forgotten when the other grows."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

import click
import msgspec
import pytest

from gateway.api.admin_operations import OPERATIONS
from gateway.cli.main import main
from gateway.identity.imports_kinds import KINDS

GROUPS = ("partner", "convention", "account", "mandate", "objection", "request", "session", "change")
BESIDE = {operation.name: operation for operation in OPERATIONS}

ELSEWHERE = {
    "request add": "`POST /-/requests`, which anyone may ask",
    "account second-factor": "`account reset-second-factor`: a path has no flag that must be given",
}
"""Commands that no address of `/-/admin/` is called after."""
EVERYWHERE = {
    "--config": "an address is of one gateway",
    "--format": "the answer is JSON",
    "--by": "whoever has the session signs",
    "--as": "whoever has the session signs",
    "--password-stdin": "the session proves who signs; a password that is given stands in the body",
}
OF_ONE = {
    ("account add", "--generate"): "an agent alone knows the password: the answer is always a link",
    ("account add", "--invite"): "as above",
    ("account password", "--generate"): "whoever asks makes it",
    **{(f"{noun} import", "file"): "the body" for noun in KINDS},
}
"""Options without a parameter, and why."""
CALLED = {"--profile": "profiles"}
"""What may be given several times is a list."""


def commands():
    for group in GROUPS:
        found = main.get_command(click.Context(main), group)
        for act, command in found.commands.items():
            yield pytest.param(f"{group} {act}", command, id=f"{group} {act}")


EVERY = pytest.mark.parametrize(("name", "command"), list(commands()))


def written(parameter: click.Parameter) -> str:
    """As it is typed, or, an argument, as the help calls it."""
    if isinstance(parameter, click.Argument):
        return (parameter.metavar or parameter.name).lower()
    return parameter.opts[0]


def compared(name: str, command: click.Command) -> list[click.Parameter]:
    return [
        parameter
        for parameter in command.params
        if written(parameter) not in EVERYWHERE and (name, written(parameter)) not in OF_ONE
    ]


def words(takes) -> set[str]:
    """Those of a closed vocabulary, wherever it stands in a type."""
    if get_origin(takes) is Literal:
        return set(get_args(takes))
    return set().union(*(words(inner) for inner in get_args(takes)))


@EVERY
def test_every_command_has_its_address_with_all_that_it_may_be_told(name, command):
    if name in ELSEWHERE:
        assert name not in BESIDE
        return
    operation = BESIDE[name]
    taken = {field.encode_name: field for field in msgspec.structs.fields(operation.body or operation.asked)}
    for parameter in compared(name, command):
        option = written(parameter)
        called = CALLED.get(option, option.removeprefix("--").replace("-", "_"))
        assert called in taken, f"{name} {option}"
        assert taken[called].name == parameter.name, f"{name} {option}"
        if isinstance(parameter.type, click.Choice):
            assert words(taken[called].type) == set(parameter.type.choices), f"{name} {option}"


def test_no_exception_is_left_over():
    there = {case.id: {written(parameter) for parameter in case.values[1].params} for case in commands()}
    assert set(ELSEWHERE) <= set(there)
    assert [(name, option) for name, option in OF_ONE if option not in there[name]] == []
    assert set(EVERYWHERE) <= set().union(*there.values())
