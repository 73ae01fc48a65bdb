"""`cafpro demo`: the whole system on synthetic data, on this machine, until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click
import requests
from rich import box
from rich.console import Console
from rich.table import Table

from gateway.cli.init import furnish
from gateway.cli.speaking import MISUSE, leave
from gateway.errors import Misconfigured
from gateway.identity import directory, passwords
from gateway.identity.store import Store, open_store
from gateway.policy_files.folder import InForce, load_folder, shipped
from gateway.policy_files.history import take_as_approved
from gateway.server.supervisor import listen
from gateway.settings import Identity

DOSSIER: Final = "9990001"
OBJECTED: Final = "9990008"
CAISSE: Final = "851"
STAFF: Final = "admin"
SHOWN: Final = ("T2", "T10")
"""The two profiles whose views of one dossier are shown side by side."""
READY_SECONDS: Final = 30
GLIMPSE: Final = 36
POLL_SECONDS: Final = 0.2

PARTNERS: Final[Mapping[str, str]] = {
    "T1": "Département de la Vendée, service social",
    "T2": "Crèche Les Mouettes",
    "T3": "Vacances Familles Océan",
    "T4": "Ccas de La Roche-sur-Yon",
    "T5": "Département de la Vendée, mission Rsa",
    "T6": "Cpam de la Vendée",
    "T8": "Msa Loire-Atlantique - Vendée",
    "T9": "Udaf de la Vendée",
    "T10": "Vendée Logement",
    "T11": "Commission de surendettement de la Vendée",
    "T12": "Bureau d'aide juridictionnelle de La Roche-sur-Yon",
    "T13": "Fsl de la Vendée",
    "T14": "Caisse des dépôts et consignations",
    "T16": "Commission de médiation de la Vendée",
}
MANDATES: Final[Mapping[str, str]] = {"T9": "judgment", "T10": "direct_payment"}


@click.command(epilog="\b\nExample:\n  cafpro demo\n  cafpro demo --upstream http://127.0.0.1:9000 --policies ./mine")
@click.option("--port", type=click.IntRange(1, 65535), help="The gateway's port; otherwise a free one.")
@click.option("--upstream-port", type=click.IntRange(1, 65535), help="The stub backend's port; otherwise a free one.")
@click.option("--password", help="Every account's password; otherwise one is made up and shown.")
@click.option("--upstream", metavar="URL", help="Stand before this backend instead of the stub.")
@click.option("--policies", type=click.Path(path_type=Path), help="A policies folder instead of the shipped one.")
def demo(
    port: int | None, upstream_port: int | None, password: str | None, upstream: str | None, policies: Path | None
) -> None:
    """Start a backend with synthetic families and the gateway before it, with one account for each profile."""
    weak = passwords.password_problem(password) if password is not None else None
    if weak:
        leave([f"--password: {weak}"], status=MISUSE)
    password = password or passwords.new_password()
    port, stub_port = port or _free_port(), upstream_port or _free_port()
    own_upstream = upstream or f"http://127.0.0.1:{stub_port}"
    wanted = {"--port": port} if upstream else {"--port": port, "--upstream-port": stub_port}
    taken = [problem for option, number in wanted.items() if (problem := _taken(option, number))]
    if taken:
        leave(taken)
    url = f"http://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        # Said explicitly: what a shell starts in the background inherits a SIGINT that is ignored.
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGTERM, _interrupt)
        # A terminal that is closed ends the demo; the gateway takes it for "look at your policies".
        signal.signal(signal.SIGHUP, _interrupt)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cafpro-demo-")))
        try:
            loaded = load_folder((policies or shipped()).absolute())
            configuration = furnish(
                folder,
                bind=f"127.0.0.1:{port}",
                public_url=url,
                upstream=own_upstream,
                caisse=CAISSE,
                policies=(policies or shipped()).absolute(),
            )
            take_as_approved(folder / "policies")
            _people(folder, password)
        except Misconfigured as error:
            leave(error.problems)
        if upstream is None:
            # The first address that is shown is the gateway's: whoever asks the stub's reads whole dossiers.
            stub = stack.enter_context(_running("upstream_stub", "--port", str(stub_port), silent=True))
            _wait_for(f"{own_upstream}/etat", stub)
        gateway = stack.enter_context(
            _running("gateway.cli", "serve", "--config", str(configuration), hosts=f"localhost:{port}")
        )
        with contextlib.suppress(KeyboardInterrupt):
            _wait_for(f"{url}/-/health/ready", gateway)
            _say(url, own_upstream, configuration, password, loaded)
            # Not `wait()`: a signal that comes just before it blocks would be noticed only when it returns.
            while gateway.poll() is None:
                time.sleep(POLL_SECONDS)
            sys.exit(gateway.returncode)


def _people(folder: Path, password: str) -> None:
    """One partner, convention and account for each profile, a mandate for those who need one, and Caf staff."""
    now, today = datetime.now(UTC), datetime.now(UTC).date()
    store = open_store(f"sqlite:///{folder / 'cafpro.db'}")
    try:
        for profile, partner in PARTNERS.items():
            directory.add_partner(store, name=partner, kind="external")
            directory.add_convention(
                store,
                partner_name=partner,
                number=f"DEMO-{profile}",
                caisse=CAISSE,
                starts_on=today - timedelta(days=30),
                ends_on=today + timedelta(days=365),
                profiles=[profile],
            )
            _account(store, identifier=profile.lower(), password=password, partner=partner, profiles=[profile], now=now)
        for profile, kind in MANDATES.items():
            _entrust(store, partner=PARTNERS[profile], kind=kind, starts_on=today - timedelta(days=7))
        directory.add_partner(store, name="Caf de la Vendée", kind="caf")
        _account(store, identifier=STAFF, password=password, partner="Caf de la Vendée", profiles=[], now=now)
        directory.raise_objection(store, dossier=OBJECTED, reference="DEMO-OPPOSITION", now=now)
    finally:
        store.close()


def _account(store: Store, *, identifier: str, password: str, partner: str, profiles: list[str], now: datetime) -> None:
    directory.add_account(store, identifier=identifier, password=password, partner_name=partner, profiles=profiles)
    version = Identity(caisse=CAISSE).engagement_version
    directory.sign_engagement(store, identifier=identifier, version=version, now=now)


def _entrust(store: Store, *, partner: str, kind: str, starts_on: date) -> None:
    directory.add_mandate(
        store, dossier=DOSSIER, kind=kind, partner_name=partner, starts_on=starts_on, reference=f"DEMO-{kind}"
    )


@contextlib.contextmanager
def _running(module: str, *arguments: str, hosts: str = "", silent: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours, ended by its id when the block ends. `silent`: only its errors are shown."""
    environment = {**_environment(), **({"CAFPRO_SERVER__HOSTS": hosts} if hosts else {})}
    process = subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-m", module, *arguments], env=environment, stdout=subprocess.DEVNULL if silent else None
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    """The environment, without the settings of another gateway."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CAFPRO_")}


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Returns when `url` answers 200. Ends the command where it does not in time, or the process ended."""
    until = time.monotonic() + READY_SECONDS
    with _session() as session:
        while time.monotonic() < until:
            if process.poll() is not None:
                leave(["It ended before it was ready; its reasons stand above."])
            with contextlib.suppress(requests.RequestException):
                if session.get(url, timeout=2).status_code == 200:
                    return
            time.sleep(0.05)
    leave([f"{url} did not answer within {READY_SECONDS} seconds. Is the port taken?"])


def _say(url: str, upstream: str, configuration: Path, password: str, loaded: InForce) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, 110)
    console.print(f"\n[bold]Cafpro[/bold] answers at [bold]{url}[/bold], before {upstream}. Ctrl-C ends it.\n")
    accounts = Table(box=box.SIMPLE_HEAD, title=f"Accounts, all with the password {password}", title_justify="left")
    for column in ("account", "partner", "sees"):
        accounts.add_column(column)
    for profile, partner in PARTNERS.items():
        kind = MANDATES.get(profile)
        accounts.add_row(profile.lower(), partner, f"dossier {DOSSIER} only ({kind})" if kind else "any dossier")
    accounts.add_row(STAFF, "Caf de la Vendée", "no dossier: Caf staff")
    console.print(accounts)
    _show_two_views(console, url, password, loaded)
    log_in = json.dumps({"identifier": "t1", "password": password})
    console.print("Paste this to log in as t1 and open a dossier:\n", style="bold")
    click.echo(f"TOKEN=$(curl -s {url}/-/session -H 'Content-Type: application/json' -d {shlex.quote(log_in)} \\")
    click.echo('  | sed \'s/.*"token":"\\([^"]*\\)".*/\\1/\')')
    click.echo(f'curl -s {url}/dossiers/{DOSSIER} -H "Authorization: Bearer $TOKEN"\n')
    console.print("Change a fact while it runs, and ask again:\n", style="bold")
    click.echo(f"{_cafpro()} convention suspend DEMO-T1 --config {configuration}")
    click.echo(f"{_cafpro()} mandate list --config {configuration}\n")
    sys.stdout.flush()


def _cafpro() -> str:
    """The command as the reader must type it: `cafpro` where the shell finds it, else with its folder."""
    found, own = shutil.which("cafpro"), Path(sys.executable).with_name("cafpro")
    return "cafpro" if found and Path(found) == own else str(own)


def _show_two_views(console: Console, url: str, password: str, loaded: InForce) -> None:
    """The same dossier as two profiles receive it, where the backend has it."""
    views: dict[str, Any] = {}
    with _session() as session:
        for profile in SHOWN:
            opened = session.post(
                f"{url}/-/session", json={"identifier": profile.lower(), "password": password}, timeout=10
            )
            if opened.status_code != 201:
                return
            bearer = {"Authorization": f"Bearer {opened.json()['token']}"}
            answer = session.get(f"{url}/dossiers/{DOSSIER}", headers=bearer, timeout=15)
            if answer.status_code != 200 or "rubriques" not in answer.json():
                return
            views[profile] = answer.json()["rubriques"]
            session.delete(f"{url}/-/session", headers=bearer, timeout=10)
            session.cookies.clear()
    table = Table(
        box=box.SIMPLE_HEAD, title=f"Dossier {DOSSIER}, as {' and '.join(SHOWN)} receive it", title_justify="left"
    )
    table.add_column("rubric", no_wrap=True)
    for profile in SHOWN:
        table.add_column(profile, no_wrap=True)
    for row in loaded.policy.rows:
        if any(row.slug in view for view in views.values()):
            table.add_row(row.label, *(_glimpse(view.get(row.slug)) for view in views.values()))
    console.print(table)


def _glimpse(part: Any) -> str:
    text = "" if part is None else json.dumps(part, ensure_ascii=False)
    return text if len(text) <= GLIMPSE else text[: GLIMPSE - 1] + "…"


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def _taken(option: str, port: int) -> str | None:
    """Why this port cannot be had, in a sentence."""
    try:
        listen("127.0.0.1", port).close()
    except OSError as error:
        return f"{option}: 127.0.0.1:{port} cannot be had ({error.strerror}). Choose another."
    return None


def _free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
    return port


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
