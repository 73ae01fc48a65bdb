"""The settings: one TOML file, overridden by the environment, read once, frozen, complaining all together.

A key `size_limit` of the section `[upstream]` is overridden by `CAFPRO_UPSTREAM__SIZE_LIMIT`. Relative paths start
from the configuration file's folder. No secret has a default, and none is ever printed.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from gateway import networks
from gateway.errors import Misconfigured

ENVIRONMENT_PREFIX: Final = "CAFPRO_"
LAST_PORT: Final = 65_535
LISTS: Final = ("hosts", "proxies", "second_factor_required")
"""Keys that hold several values: separated by commas in the environment."""

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=600)]
Text = Annotated[str, Meta(min_length=1)]
_ADDRESS: Final = Meta(
    pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$",
    description="an address and a port, such as 127.0.0.1:8080 or [::1]:8080",
)


class Server(Struct, frozen=True, kw_only=True):
    """`[server]`: where the gateway listens and how many hands it has."""

    bind: Annotated[str, _ADDRESS] = "127.0.0.1:8080"
    public_url: Text = "http://127.0.0.1:8080"
    hosts: list[Text] = []
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    concurrency: Annotated[int, Meta(ge=1, le=1024)] = 64
    waiting: Annotated[int, Meta(ge=0, le=16_384)] = 256
    head_seconds: Seconds = 10.0
    body_seconds: Seconds = 5.0
    idle_seconds: Seconds = 60.0
    answer_seconds: Seconds = 60.0
    proxies: list[Text] = []
    tls_certificate: Path | None = None
    tls_key: Path | None = None


class Upstream(Struct, frozen=True, kw_only=True):
    """`[upstream]`: the existing backend."""

    url: Text
    deadline_seconds: Seconds = 10.0
    connect_seconds: Seconds = 2.0
    size_limit: Positive = 32 * 1024 * 1024
    breaker_failures: Positive = 10
    breaker_seconds: Seconds = 5.0
    ca: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    assertion_key_file: Path | None = None


class Limits(Struct, frozen=True, kw_only=True):
    """`[limits]`: how much one agent and one address may ask for, in all workers together."""

    agent_per_minute: Positive = 600
    agent_burst: Positive = 200
    address_per_minute: Positive = 6_000
    address_burst: Positive = 1_000
    failures_per_minute: Positive = 10
    failures_burst: Positive = 30
    log_ins_per_minute: Positive = 10
    log_ins_burst: Positive = 10


class Policies(Struct, frozen=True, kw_only=True):
    """`[policies]`: the folder in force, who approves it, how often it is looked at, and a draft that is compared with
    it. Without `path`, the policies that travel with the package."""

    path: Path | None = None
    approvers: Annotated[int, Meta(ge=1, le=2)] = 1
    approver_keys: Path | None = None
    reload_seconds: Seconds = 1.0
    draft: Path | None = None


class Store(Struct, frozen=True, kw_only=True):
    """`[store]`: accounts, conventions, mandates, objections and sessions."""

    url: Text = "sqlite:///cafpro.db"

    def __repr__(self) -> str:
        """Without the URL, in which there may be a password."""
        return "Store(...)"


class Record(Struct, frozen=True, kw_only=True):
    """`[record]`: the log of consultations, in a database of its own, and the key that hides dossier numbers."""

    key_file: Path
    url: Text = "sqlite:///record.db"

    def __repr__(self) -> str:
        """Without the URL, in which there may be a password."""
        return f"Record(key_file={self.key_file!r}, ...)"


class Metrics(Struct, frozen=True, kw_only=True):
    """`[metrics]`: `/-/metrics` for Prometheus, which exists where there is a token to read it with."""

    token_file: Path | None = None


class Identity(Struct, frozen=True, kw_only=True):
    """`[identity]`: whose agents these are, how long their sessions last, how many an agent has and what becomes of one
    more, how long their activation links work and the contacts of those who joined are kept, who else vouches for
    agents, and who must log in with more than a password."""

    caisse: Annotated[str, Meta(pattern=r"^[0-9]{3}$", description="three digits, such as 851")]
    engagement_version: Text = "2012-07"
    engagement_text: Path | None = None
    timezone: Text = "Europe/Paris"
    idle_minutes: Annotated[int, Meta(ge=1, le=720)] = 30
    session_hours: Annotated[int, Meta(ge=1, le=24)] = 10
    sessions_at_once: Positive = 20
    sessions_full: Literal["end_oldest", "refuse_newcomer"] = "end_oldest"
    activation_hours: Annotated[int, Meta(ge=1, le=720)] = 72
    contact_days: Annotated[int, Meta(ge=1, le=1826)] = 180
    issuers: Path | None = None
    second_factor_key_file: Path | None = None
    second_factor_required: list[Literal["caf", "external"]] = []


class Settings(Struct, frozen=True, kw_only=True):
    """Everything the gateway was told. `folder` is the configuration file's."""

    folder: Path
    server: Server
    upstream: Upstream
    limits: Limits
    policies: Policies
    store: Store
    record: Record
    identity: Identity
    metrics: Metrics


SECTIONS: Final[Mapping[str, type[Struct]]] = {
    "server": Server,
    "upstream": Upstream,
    "limits": Limits,
    "policies": Policies,
    "store": Store,
    "record": Record,
    "identity": Identity,
    "metrics": Metrics,
}


def load(file: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of `file`, with the overrides of `environ`.

    Raises `Misconfigured` with every problem found: a file that cannot be read, an unknown section or key, a missing
    or unusable value. A value is never quoted in a problem, since it may be a secret.
    """
    try:
        written: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise Misconfigured(
            [f"{file}: cannot be read ({error.strerror}). `cafpro init DIR` makes one; `--config FILE` names another."]
        ) from None
    except OSError as error:
        raise Misconfigured([f"{file}: cannot be read ({error.strerror})."]) from None
    except (ValueError, RecursionError) as error:
        raise Misconfigured([f"{file}: is not TOML: {error}"]) from None
    problems: list[str] = []
    tables: dict[str, dict[str, Any]] = {}
    for name, table in written.items():
        if name not in SECTIONS:
            problems.append(f"{file}: unknown section [{name}]. {_known(name, list(SECTIONS))}")
        elif not isinstance(table, dict):
            problems.append(f"{file}: `{name}` must be a section, written [{name}].")
        else:
            tables[name] = dict(table)
    overridden = _override(tables, environ, problems)
    folder = file.resolve().parent
    sections = {name: _section(name, kind, tables.get(name, {}), folder, problems) for name, kind in SECTIONS.items()}
    problems += _inconsistencies(sections)
    if problems:
        raise Misconfigured([_with_origin(problem, overridden) for problem in problems])
    return Settings(folder=folder, **sections)


def _override(
    tables: dict[str, dict[str, Any]], environ: Mapping[str, str], problems: list[str]
) -> dict[tuple[str, str], str]:
    """Puts in the place of what is written what the environment says; the variable of each section and key that it
    names."""
    overridden = {}
    for variable, value in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or "__" not in variable:
            continue
        section, _, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if section not in SECTIONS:
            problems.append(f"environment: {variable} names no section. {_known(section, list(SECTIONS))}")
        else:
            tables.setdefault(section, {})[key] = value.split(",") if key in LISTS else value
            overridden[section, key] = variable
    return overridden


def _with_origin(problem: str, overridden: Mapping[tuple[str, str], str]) -> str:
    """The same, with the variable that it is about: whoever looks for it in the file would not find it."""
    for (section, key), variable in overridden.items():
        about = f"[{section}] {key}:", f"[{section}] unknown key `{key}`.", f"{section}.{key}:", f"{section}.{key} "
        if problem.startswith(about):
            commas = " Several are separated by commas." if key in LISTS else ""
            return f"{problem} (The environment says so, as {variable}.{commas})"
    return problem


def read_table(
    kind: type[Struct],
    table: Mapping[str, Any],
    folder: Path,
    problems: list[str],
    *,
    place: str = "",
    strict: bool = True,
) -> dict[str, Any]:
    """The values of a TOML table for the fields of `kind`, as far as they can be read; relative paths start from
    `folder`.

    Adds to `problems`, each with its `place` before it: an unknown key, a wrong value, a missing one. Unless `strict`,
    a text may stand for a number, as it does in the environment.
    """
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in fields:
            problems.append(f"{place}unknown key `{key}`. {_known(key, list(fields))}")
            continue
        try:
            converted = msgspec.convert(value, fields[key].type, strict=strict, dec_hook=_path)
        except msgspec.ValidationError as error:
            problems.append(f"{place}{key}: {_without_value(error, fields[key].type)}.")
            continue
        values[key] = folder / converted if isinstance(converted, Path) else converted
    problems += [f"{place}{key} is missing." for key, field in fields.items() if field.required and key not in table]
    return values


def _without_value(error: msgspec.ValidationError, kind: Any) -> str:
    """What is wrong, as msgspec says it, but where it quotes the value: in the place of one of a few words."""
    said = str(error)
    if "matching regex" in said:
        return f"Expected {_described(kind)}"
    return f"Expected one of {', '.join(_words(kind))}" if said.startswith("Invalid enum value") else said


def _described(kind: Any) -> str:
    """What a text must look like, where a pattern says so."""
    return next((each.description for each in getattr(kind, "__metadata__", ()) if each.description), "another text")


def _words(kind: Any) -> list[str]:
    return [word for inner in get_args(kind) for word in ([inner] if isinstance(inner, str) else _words(inner))]


def _section(name: str, kind: type[Struct], table: dict[str, Any], folder: Path, problems: list[str]) -> Any:
    """The section as far as it can be read: a wrong value is a problem, and its default stands in for the checks that
    follow. None where a value without a default is missing or wrong."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    values = read_table(kind, table, folder, problems, place=f"[{name}] ", strict=False)
    if any(field.required and key not in values for key, field in fields.items()):
        return None
    for key, value in {field: getattr(kind(**values), field) for field in fields}.items():
        scheme, found, path = value.partition(":///") if key == "url" else ("", "", "")
        if found and scheme in ("sqlite", "sqlite+pysqlite"):
            values[key] = f"sqlite:///{folder / path}"
    return kind(**values)


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError("Expected a path")


def _inconsistencies(sections: Mapping[str, Any]) -> list[str]:
    """What is wrong between values that are each right. A section that could not be read is None, and not asked."""
    problems: list[str] = []
    if server := sections["server"]:
        problem = _url_problem(server.public_url)
        if problem:
            problems.append(f"server.public_url: {problem}")
        elif urlsplit(server.public_url).path not in ("", "/"):
            problems.append("server.public_url: must be an origin such as https://cafpro.example, without a path.")
        if int(server.bind.rpartition(":")[2]) > LAST_PORT:
            problems.append(f"server.bind: a port is at most {LAST_PORT}.")
        wrong = networks.problem(server.proxies, fear="would be believed whatever address they write")
        if wrong:
            problems.append(f"server.proxies: {wrong}")
    if policies := sections["policies"]:
        problems += _who_approves(policies)
    if upstream := sections["upstream"]:
        problem = _url_problem(upstream.url)
        if problem:
            problems.append(f"upstream.url: {problem}")
    for section, first, second in (
        ("server", "tls_certificate", "tls_key"),
        ("upstream", "client_certificate", "client_key"),
    ):
        settings = sections[section]
        if settings and (getattr(settings, first) is None) != (getattr(settings, second) is None):
            problems.append(f"{section}.{first} and {section}.{second} go together: give both or neither.")
    for section, settings in sections.items():
        for field in msgspec.structs.fields(SECTIONS[section]) if settings else ():
            value = getattr(settings, field.name)
            # A draft decides nothing: without it, there is nothing to compare.
            if isinstance(value, Path) and field.name != "draft":
                what, there = ("folder", value.is_dir()) if section == "policies" else ("file", value.is_file())
                if not there:
                    problems.append(f"{section}.{field.name}: there is no {what} {value}.")
    if identity := sections["identity"]:
        try:
            ZoneInfo(identity.timezone)
        except (KeyError, ValueError, OSError):
            problems.append("identity.timezone: unknown time zone. Write it like Europe/Paris.")
        if identity.second_factor_required and identity.second_factor_key_file is None:
            problems.append("identity.second_factor_required: nobody can. Set identity.second_factor_key_file too.")
    return problems


def _who_approves(policies: Policies) -> list[str]:
    keys = policies.approver_keys
    if keys is None:
        if policies.approvers > 1:
            return ["policies.approvers: two people are told apart by their keys. Set policies.approver_keys too."]
        return []
    if policies.path and Path(os.path.realpath(keys)).is_relative_to(os.path.realpath(policies.path)):
        return ["policies.approver_keys: must lie outside policies.path, whose authors could add a key of their own."]
    return []


def _url_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port_is_a_number = parts.port is None or parts.port > 0
    except ValueError:
        return "is not a URL."
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_a_number:
        return "must look like http://host:port or https://host."
    if parts.username is not None or parts.password is not None:
        return "must not contain a user or a password."
    if parts.query or parts.fragment:
        return "must not contain a query or a fragment."
    return None


def _known(word: str, words: list[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1)
    return f"Did you mean `{close[0]}`?" if close else f"Known: {', '.join(sorted(words))}."
