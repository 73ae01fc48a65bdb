"""`cafpro policy verify`: does what runs there decide by what is approved here?"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import requests

from gateway import settings as settings_module
from gateway.api.metrics import scrape_token
from gateway.cli.policy.folder import folder as folder_of
from gateway.cli.policy.folder import rules as rules_of
from gateway.cli.selftest import LOOPBACK, PASSWORD, Number, address, password_in
from gateway.cli.speaking import MISUSE, leave
from gateway.errors import Misconfigured
from gateway.policy_files.approval_text import Approval
from gateway.policy_files.approved import approval_in
from gateway.policy_files.folder import readable
from gateway.policy_files.history import kept, numbered
from gateway.selftest.wire import Place

ASKED: Final = 8
"""Times, each on a connection of its own: behind one address there may be several machines and processes."""
SECONDS: Final = 15
LARGEST: Final = 1_048_576
_TERMS: Final[Mapping[str, Any]] = {"timeout": SECONDS, "allow_redirects": False, "stream": True}
_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_DONE: Final = 200
_CREATED: Final = 201
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@click.command(
    "verify",
    epilog="\b\nExample:\n"
    "  cafpro policy verify --url https://cafpro.example --policies policies --token-file scrape.token\n"
    "  cafpro policy verify --url https://cafpro.example --as m.durand --dossier 9990001",
)
@click.option(
    "--url", "place", callback=address, required=True, metavar="URL", help="What agents type: scheme, host and port."
)
@click.option("--policies", type=click.Path(path_type=Path), help="The folder; otherwise the configuration's.")
@click.option("--config", "-c", type=click.Path(path_type=Path), help="The configuration that names the folder.")
@click.option("--token-file", type=click.Path(path_type=Path), help="The gateway's `metrics.token_file`.")
@click.option("--as", "identifier", metavar="IDENTIFIER", help="Consult a dossier too, and look at X-Policy.")
@click.option(
    "--password-file", type=click.Path(path_type=Path, dir_okay=False), help=f"Otherwise {PASSWORD}, or asked."
)
@click.option("--dossier", type=Number(), help="One that the account may read; it is recorded as consulted.")
@click.option(
    "--ca", type=click.Path(path_type=Path, dir_okay=False), help="The authority that signed the certificate."
)
def verify(
    place: Place,
    policies: Path | None,
    config: Path | None,
    token_file: Path | None,
    identifier: str | None,
    password_file: Path | None,
    dossier: str | None,
    ca: Path | None,
) -> None:
    """Prove that the gateway at URL decides by exactly the policies that are approved in the folder.

    It is asked several times: /-/health/ready with the scrape token, and, for an account, one dossier.
    Exit 0: every answer names the approved fingerprint. Exit 1: one does not, or does not tell.
    """
    url = place.origin
    if identifier and not place.secure and place.host not in LOOPBACK:
        leave([f"{url} would be told the password in clear: give the https address."], status=MISUSE)
    if (identifier is None) != (dossier is None):
        raise click.UsageError("--as and --dossier go together.")
    try:
        folder = folder_of(policies, config)
        approval = approval_in(folder, rules_of(folder, config))
        token_file = token_file or _token_file(config)
        token = scrape_token(token_file) if token_file else None
    except Misconfigured as error:
        leave(error.problems)
    if token is None and identifier is None:
        raise click.UsageError("--token-file, or --as and --dossier: a stranger is not told which policies decide.")
    told: dict[str, str] = {}
    try:
        if token:
            for count in range(1, ASKED + 1):
                told[f"/-/health/ready ({count})"] = _ready(url, token, ca)
        if identifier and dossier:
            told["X-Policy"] = _decided(url, identifier, password_in(password_file), dossier, ca)
    except (requests.RequestException, OSError) as error:
        leave([f"{url}: cannot be asked ({type(error).__name__})."])
    except _Untold as error:
        leave([f"{url}: {error}"])
    _compare(url, folder, approval, told)


class _Untold(Exception):
    """The gateway does not tell by which policies it decides. Its text is a whole sentence."""


def _token_file(config: Path | None) -> Path | None:
    if config is None and not Path("gateway.toml").is_file():
        return None
    return settings_module.load(config or Path("gateway.toml"), os.environ).metrics.token_file


def _ready(url: str, token: str, ca: Path | None) -> str:
    """The fingerprint that the health address tells who bears the scrape token, ready or not."""
    with _client(ca) as client:
        said = _json(client.get(f"{url}/-/health/ready", headers=_bearer(token), **_TERMS))
    if "policy" not in said:
        raise _Untold("/-/health/ready does not tell the policies. Is this its scrape token?")
    return _fingerprint(said["policy"])


def _decided(url: str, identifier: str, password: str, dossier: str, ca: Path | None) -> str:
    """The fingerprint with which an answer about the dossier comes. The session is ended again."""
    with _client(ca) as client:
        asked = {"identifier": identifier, "password": password}
        with client.post(f"{url}/-/session", json=asked, **_TERMS) as opened:
            if opened.status_code != _CREATED:
                raise _Untold(f"the log-in of {identifier} is refused ({opened.status_code}).")
            bearer = _bearer(str(_json(opened).get("token")))
        client.cookies.clear()
        try:
            with client.get(f"{url}/dossiers/{dossier}", headers=bearer, **_TERMS) as answer:
                status, named = answer.status_code, answer.headers.get("X-Policy")
        finally:
            client.delete(f"{url}/-/session", headers=bearer, **_TERMS).close()
    if status != _DONE:
        raise _Untold(f"{identifier} is not given the dossier ({status}), so no policy is named.")
    return _fingerprint(named)


def _client(ca: Path | None) -> requests.Session:
    client = requests.Session()
    # Neither a proxy nor a .netrc of this machine: who is asked is who is named.
    client.trust_env = False
    client.verify = str(ca) if ca else True
    return client


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _json(answer: requests.Response) -> Mapping[str, Any]:
    with answer:
        body = answer.raw.read(LARGEST, decode_content=True)
    try:
        said = msgspec.json.decode(body)
    except msgspec.DecodeError:
        said = None
    if not isinstance(said, dict):
        raise _Untold(f"this is not the gateway: {answer.url} answers {answer.status_code} and no JSON.")
    return said


def _fingerprint(said: object) -> str:
    if not isinstance(said, str) or not _FINGERPRINT.fullmatch(said):
        raise _Untold("this is not the gateway: what it calls its policies is no fingerprint.")
    return said


def _compare(url: str, folder: Path, approval: Approval, told: Mapping[str, str]) -> None:
    others = {fingerprint for fingerprint in told.values() if fingerprint != approval.fingerprint}
    click.echo(f"approved  {approval.fingerprint}  {folder}: {approval}")
    for fingerprint in dict.fromkeys(told.values()):
        by = sum(1 for one in told.values() if one == fingerprint)
        which = _known(folder, fingerprint) if fingerprint in others else ""
        click.echo(f"running   {fingerprint}  {url}: {by} of {len(told)} answers{which}")
    if others:
        leave(["What runs there is not what is approved here."])
    click.echo("The same: what runs there is what is approved here.")
    if readable(folder)[0] != approval.files():
        click.echo(f"The files in {folder} are others: they have been changed since, and do not decide there.")


def _known(folder: Path, fingerprint: str) -> str:
    """Which earlier approval that is, as far as the history tells."""
    try:
        found = [one for number in numbered(folder) if (one := kept(folder, number)).fingerprint == fingerprint]
    except Misconfigured:
        return ""
    return f" (approval {found[-1].number} of its history)" if found else ""
