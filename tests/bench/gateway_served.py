"""The whole gateway as it is measured: `cafpro serve` on its own core, with accounts, conventions and mandates."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import requests

from gateway.cli.init import furnish
from gateway.identity import directory
from gateway.identity.store import Store, open_store
from gateway.policy_files.folder import shipped
from gateway.policy_files.history import take_as_approved
from gateway.settings import Limits
from tests.bench.processes import MEASURED_CORE, running, wait_for
from tests.ports import free_port

PASSWORD = "Bench-Mouette-2026-Vendee"  # of accounts that exist for seconds
CAISSE = "851"
OUT_OF_REACH = {
    **{f"limits.{name}": "1000000000" for name in Limits.__struct_fields__},
    # A thousand clients at once are all answered: what is measured is their answers, not refusals.
    "server.waiting": "1024",
}


class Served(NamedTuple):
    """A gateway that answers at `url`."""

    url: str
    pid: int
    folder: Path


def furnished(folder: Path, upstream: str, *, policies: Path | None = None) -> tuple[Path, int]:
    """A ready folder for a gateway on a free port: its configuration file, and the port."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    configuration = furnish(
        folder,
        bind=address,
        public_url=f"http://{address}",
        upstream=upstream,
        caisse=CAISSE,
        policies=policies or shipped(),
    )
    take_as_approved(folder / "policies")
    return configuration, port


def enter(store: Store, identifier: str, profile: str) -> None:
    """An account with a partner and a convention in force of its own, its engagement signed."""
    now = datetime.now(UTC)
    directory.add_partner(store, name=f"Partenaire {identifier}", kind="external")
    directory.add_convention(
        store,
        partner_name=f"Partenaire {identifier}",
        number=f"C-{identifier}",
        caisse=CAISSE,
        starts_on=now.date() - timedelta(days=9),
        ends_on=now.date() + timedelta(days=9),
        profiles=[profile],
    )
    directory.add_account(
        store, identifier=identifier, password=PASSWORD, partner_name=f"Partenaire {identifier}", profiles=[profile]
    )
    directory.sign_engagement(store, identifier=identifier, version="2012-07", now=now)


def entrust(store: Store, identifier: str, dossier: str, kind: str) -> None:
    """A mandate of that kind for the account's partner on this dossier."""
    directory.add_mandate(
        store,
        dossier=dossier,
        kind=kind,
        partner_name=f"Partenaire {identifier}",
        starts_on=datetime.now(UTC).date() - timedelta(days=9),
        ends_on=None,
        reference="Bench",
    )


@contextlib.contextmanager
def serving(
    configuration: Path, port: int, *, settings: Mapping[str, str] | None = None, core: str | None = MEASURED_CORE
) -> Iterator[Served]:
    """The gateway of a furnished folder, running. `settings` override, written such as `server.workers`.

    Its limits are asked on each request and never met.
    """
    overrides = {**OUT_OF_REACH, **(settings or {})}
    environment = {f"CAFPRO_{name.replace('.', '__').upper()}": value for name, value in overrides.items()}
    command = (sys.executable, "-P", "-m", "gateway.cli", "serve", "--config", str(configuration))
    log = configuration.parent / "gateway.log"
    with running(*command, core=core, environment=environment, output=log) as process:
        wait_for(port, process, log)
        yield Served(f"http://127.0.0.1:{port}", process.pid, configuration.parent)


def sqlite_store(configuration: Path) -> Store:
    """The directory of a furnished folder, as another process opens it."""
    return open_store(f"sqlite:///{configuration.parent / 'cafpro.db'}")


def log_in(url: str, identifier: str) -> str:
    """The token of a fresh session."""
    opened = requests.post(f"{url}/-/session", json={"identifier": identifier, "password": PASSWORD}, timeout=30)
    opened.raise_for_status()
    token: str = opened.json()["token"]
    return token
