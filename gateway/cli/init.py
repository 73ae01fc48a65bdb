"""`cafpro init`: a folder that is ready to serve."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Final

import click

from gateway import settings
from gateway.cli.speaking import MISUSE, leave
from gateway.errors import Misconfigured
from gateway.identity import engagement, issuers
from gateway.identity.functions import NAME as FUNCTIONS
from gateway.identity.sealing import new_seal_key
from gateway.identity.store import open_store
from gateway.policy.lint import FILES
from gateway.policy_files.approved import APPROVED
from gateway.policy_files.folder import ROUTES, shipped
from gateway.proxy.assertion import new_key
from gateway.record.journal import open_journal

CONFIGURATION: Final = "gateway.toml"
KEY: Final = "record.key"
ASSERTION_KEY: Final = "assertion.key"
PUBLIC_KEY: Final = "assertion.pub"
ISSUERS: Final = "issuers.toml"
ENGAGEMENT: Final = "engagement.txt"
SECOND_FACTOR_KEY: Final = "second-factor.key"

TEMPLATE: Final = """\
# The gateway's settings. Every key can be overridden by the environment: CAFPRO_SERVER__BIND for [server] bind.
# Relative paths start from this folder. What stands behind # is the value in force when the line is left out.

[server]
bind = "{bind}"
public_url = "{public_url}"   # what agents type; decides the cookie's name and flags, HSTS, origin and host checks
# hosts = []                  # other names that requests may give in Host, such as ["cafpro.example"]
# workers = 1                 # processes
# concurrency = 64            # requests at once in each process; at least the backend's latency x requests per second
# waiting = 256               # whole requests that wait for one of those places; the others are told to come back (503)
# head_seconds = 10.0         # how long the head of a request may take to arrive
# body_seconds = 5.0          # how long a log-in may take to arrive
# idle_seconds = 60.0         # how long a connection may stay open between two requests
# answer_seconds = 60.0       # how long an answer may take to be read
# proxies = []                # addresses of proxies of yours in front, whose last X-Forwarded-For entry is believed:
                              # the proxies' own, never the network of clients, who could write any address there
# tls_certificate = "server.pem"
# tls_key = "server.key"

[upstream]
url = "{upstream}"            # the existing backend
# deadline_seconds = 10.0     # for one whole exchange
# connect_seconds = 2.0
# size_limit = 33554432       # bytes of one answer
# breaker_failures = 10       # failures in a row, of 3 dossiers at least: a process leaves the backend alone...
# breaker_seconds = 5.0       # ...for so long (503); then one request tries it again
# ca = "backend-ca.pem"       # otherwise the public authorities
# client_certificate = "gateway.pem"
# client_key = "gateway.key"
# assertion_key_file = "assertion.key"   # tells the backend who asks, signed, in X-Cafpro-Assertion; the backend
                              # checks it with assertion.pub

[limits]                      # in all processes together; more is refused with 429 and Retry-After
# agent_per_minute = 600      # requests of one agent, once the burst is used up
# agent_burst = 200
# address_per_minute = 6000   # requests from one address
# address_burst = 1000
# failures_per_minute = 10    # log-ins from one address that fail
# failures_burst = 30
# log_ins_per_minute = 10     # log-ins with one identifier, whether they succeed or not
# log_ins_burst = 10

[policies]
path = "policies"
# approvers = 1               # how many must sign what opens anything (`cafpro policy approve`): 1, or 2 people
# approver_keys = "approvers" # a folder of their public keys, NAME.pem, outside path; without it nobody need sign
# reload_seconds = 1.0        # how often the folder is looked at: a change is checked, then in force without a restart
# draft = "policies/drafts/next"   # policies that decide nothing: `cafpro policy shadow` says what they would change

[store]
url = "sqlite:///cafpro.db"   # accounts, conventions, mandates, objections, sessions

[record]
key_file = "record.key"       # hides dossier numbers in the record; losing it makes old lines unsearchable
# url = "sqlite:///record.db"

[metrics]
# token_file = "scrape.token"   # one line: who sends it as bearer token reads /-/metrics; without it, nobody does

[identity]
caisse = "{caisse}"                # three digits; a convention with another caisse opens nothing
# engagement_version = "2012-07"   # the wording agents must have accepted: another text needs another version
engagement_text = "{engagement}"  # that wording, which they read and accept at /-/engagement
# timezone = "Europe/Paris"        # decides on which day conventions and mandates begin and end
# idle_minutes = 30
# session_hours = 10
# sessions_at_once = 20            # of one account
# sessions_full = "end_oldest"     # at one more, the one that was used longest ago ends; or "refuse_newcomer": nobody
                                   # logs in with the account until one of them is ended or over
# activation_hours = 72            # how long the link works with which an agent chooses a password
# contact_days = 180               # after a request to join was decided, the contact that it gave is erased; 1 to 1826
# issuers = "issuers.toml"         # organisations whose identity provider says who their agents are, by bearer token
second_factor_key_file = "second-factor.key"   # seals the secrets of second factors in the store: the same file on all
                                   # machines; without it, nobody can take one up and codes of applications are wrong
# second_factor_required = []      # ["caf"], ["external"] or both: whose agents do nothing with a password alone
"""


def furnish(
    folder: Path,
    *,
    bind: str,
    public_url: str,
    upstream: str,
    caisse: str,
    policies: Path,
) -> Path:
    """Make `folder`: settings, fresh keys (0600), the engagement's text, a copy of the policies with their tests,
    approval, drafts and kit, and empty databases; or nothing at all.

    Returns the settings' file. Raises `FileExistsError` where the folder has anything in it, `Misconfigured` where the
    values could not be served, or `OSError`.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(errno.EEXIST, "is not empty", str(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as making:
        made = Path(making) / folder.name
        (made / "policies").mkdir(mode=0o700, parents=True)
        text = TEMPLATE.format(
            bind=bind, public_url=public_url, upstream=upstream, caisse=caisse, engagement=ENGAGEMENT
        )
        _write_secret(made / CONFIGURATION, text)
        _write_secret(made / KEY, secrets.token_hex(32) + "\n")
        private, public = new_key()
        _write_secret(made / ASSERTION_KEY, private)
        _write_secret(made / SECOND_FACTOR_KEY, new_seal_key() + "\n")
        (made / PUBLIC_KEY).write_text(public)
        _write_secret(made / ISSUERS, issuers.TEMPLATE)
        shutil.copyfile(engagement.SHIPPED, made / ENGAGEMENT)
        names = (*FILES, ROUTES, APPROVED, FUNCTIONS, "README.md")
        others = (file for pattern in ("tests/*.toml", "kit/*", "drafts/*/*") for file in policies.glob(pattern))
        for file in (*(policies / name for name in names), *others):
            if file.is_file():
                place = made / "policies" / file.relative_to(policies)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
        settings.load(made / CONFIGURATION, {})
        open_store(f"sqlite:///{made / 'cafpro.db'}").close()
        open_journal(f"sqlite:///{made / 'record.db'}").close()
        if folder.is_dir():
            folder.rmdir()
        made.rename(folder)
    return folder / CONFIGURATION


def _write_secret(file: Path, text: str) -> None:
    """A file that is its owner's alone: a key, settings that may hold a database's password, whom we believe."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)


@click.command(epilog="\b\nExample:\n  cafpro init /etc/cafpro --upstream http://10.0.0.5:9000 --caisse 851")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--bind", default="127.0.0.1:8080", show_default=True, help="Address and port to listen on.")
@click.option("--public-url", default="http://127.0.0.1:8080", show_default=True, help="What agents type.")
@click.option("--upstream", default="http://127.0.0.1:9000", show_default=True, help="The existing backend.")
@click.option("--caisse", default="851", show_default=True, help="Three digits: the caisse that is served.")
def init(folder: Path, bind: str, public_url: str, upstream: str, caisse: str) -> None:
    """Make FOLDER ready: settings explained, fresh keys, the policies, an empty directory and record."""
    try:
        configuration = furnish(
            folder.absolute(),
            bind=bind,
            public_url=public_url,
            upstream=upstream,
            caisse=caisse,
            policies=shipped(),
        )
    except FileExistsError as error:
        leave(
            [f"{error.filename} exists already and is not empty: nothing was changed. Choose another."], status=MISUSE
        )
    except OSError as error:
        leave([f"{folder} cannot be filled ({error.strerror})."])
    except Misconfigured as error:
        leave(error.problems)
    click.echo(f"{folder} is ready. Next:")
    click.echo(f"  cafpro check --config {configuration}")
    click.echo(f"  cafpro serve --config {configuration}")
