"""`cafpro serve`: the gateway on its production server."""

from __future__ import annotations

import os
import ssl
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import click

from gateway import settings as settings_module
from gateway.api.metrics import scrape_token
from gateway.app import OWN, asserting_of, create_app, functions_file, limits_of, load_approved, record_key, seal_of
from gateway.cli.guarding import exposed, unusable, why
from gateway.cli.keeping import Teller, keep, put_up
from gateway.cli.log import SINK, Stream, write_log
from gateway.cli.options import configuration
from gateway.cli.rights import rights_problems, rights_warnings
from gateway.cli.speaking import leave
from gateway.errors import Absent, Busy, Misconfigured, StoreUnavailable
from gateway.identity.engagement import load_wording, wording_problem
from gateway.identity.functions import load_functions
from gateway.identity.issuers import load_vouchers
from gateway.identity.store import open_store
from gateway.limits.limits import Limits
from gateway.loop.waiting import Bell
from gateway.metrics.counts import Counts, Row
from gateway.policy_files.board import Board
from gateway.policy_files.following import Follower
from gateway.policy_files.shadow import Seen
from gateway.proxy.answers import STATUS_LINES, always_sent, fresh_id, problem
from gateway.proxy.credentials import Door
from gateway.record.journal import open_journal
from gateway.record.shadow import open_shadow_book
from gateway.server.connection import Patience
from gateway.server.lanes import Lanes, Places, Refuse
from gateway.server.memory import Heap
from gateway.server.supervisor import GRACE_SECONDS, listen, supervise, tls_context
from gateway.server.worker import Served
from gateway.settings import Settings

OWN_AT_WORK: Final = 256
"""Requests to our own addresses that are begun in each process. What blocks waits for a thread, milliseconds for most;
a log-in that is refused is held back, and has none meanwhile."""
OWN_WAITING: Final = 64
"""Whole ones beyond them that wait."""


def own_tls(settings: Settings) -> ssl.SSLContext | None:
    """The TLS that the settings ask for, or None. Raises `Misconfigured`."""
    certificate, key = settings.server.tls_certificate, settings.server.tls_key
    if certificate is None or key is None:
        return None
    try:
        return tls_context(certificate, key)
    except OSError as error:
        problem = f"server.tls_certificate and server.tls_key: cannot be used together ({why(error)})."
        raise Misconfigured([problem]) from None


def problems_at_start(settings: Settings, config: Path, *, absent: list[str] | None = None) -> list[str]:
    """Everything that would stop a start: policies, keys, store, record, secrets that are none. A start makes the
    databases that are not there. With `absent` nothing is made, neither a file nor a table: a sentence for each that is
    not there is put into it.
    """
    problems = [*exposed(settings, config, os.environ), *unusable(settings)]
    for part in (
        lambda: load_approved(settings),
        lambda: record_key(settings.record.key_file),
        lambda: asserting_of(settings),
        lambda: seal_of(settings),
        lambda: settings.identity.issuers and load_vouchers(settings.identity.issuers),
        lambda: check_store(settings, make=absent is None),
        lambda: load_functions(functions_file(settings)),
        lambda: open_journal(settings.record.url, make=absent is None).close(),
        # The process beside the workers needs it, and must not make it (`cli/keeping.py`).
        lambda: open_shadow_book(settings.record.url).close() if settings.policies.draft and absent is None else None,
        lambda: own_tls(settings),
        lambda: settings.metrics.token_file and scrape_token(settings.metrics.token_file),
    ):
        try:
            part()
        except Misconfigured as error:
            (problems if absent is None or not isinstance(error, Absent) else absent).extend(error.problems)
    return [*problems, *rights_problems(settings)]


def check_store(settings: Settings, *, make: bool) -> None:
    """Raises `Misconfigured` where the directory cannot be opened, or its agents accepted another engagement; `Absent`
    where there is none, and `make` forbids to make it."""
    wording = load_wording(settings.identity)
    with closing(open_store(settings.store.url, make=make)) as store:
        try:
            problem = wording_problem(store, wording)
        except StoreUnavailable:
            return  # said by whoever asks whether it can be written
    if problem:
        raise Misconfigured([problem])


def application(
    settings: Settings, board: Board, teller: Teller | None, counts: Counts, limits: Limits, bell: Bell, slot: int
) -> Served:
    """The application of one worker, made in the worker, and what its server tells of it. Ends the process where it
    cannot be made."""
    # Whatever else writes there, a warning or a traceback: a loop must not wait for it either.
    sys.stderr = Stream(SINK)
    write_log()
    row = counts.take(slot)
    seen = Seen(teller.worker) if teller else None
    try:
        follower = Follower(board, slot)
        app = create_app(
            settings,
            counts,
            row,
            limits,
            policies=follower.current,
            standing=board.standing,
            seen=seen,
            bell=bell,
        )
    except Misconfigured as error:
        leave(error.problems)

    heap = Heap()

    def report(*, connections: int, in_flight: int, waiting: int) -> None:
        row.looked(connections=connections, in_flight=in_flight, waiting=waiting)
        heap.look(idle=not in_flight)
        follower.look()
        if seen is not None:
            seen.tell()

    door = Door(settings.server.public_url, settings.server.hosts)
    return Served(app.wsgi_app, report, turning_away(row, secure=door.secure))


def turning_away(row: Row, *, secure: bool) -> Refuse:
    """How the server answers a request that never reaches the application: as the application would, and counted."""
    headers = always_sent(secure=secure)

    def refuse() -> tuple[str, list[tuple[str, str]], bytes]:
        row.turned_away()
        request_id = fresh_id()
        answer = problem(Busy(), request_id)
        own = (("X-Request-Id", request_id), ("Content-Length", str(len(answer.body))))
        return STATUS_LINES[answer.status], [*answer.headers, *own, *headers], answer.body

    return refuse


def is_own(path: str) -> bool:
    """Our own addresses have their places apart, and bodies are read there only: no route to the backend declares
    one."""
    return path.startswith(OWN)


def run(settings: Settings, config: Path) -> int:
    """Serves what this configuration says until SIGINT or SIGTERM; the exit code. Raises `OSError` where the address
    cannot be had, `Misconfigured` where the policies cannot be read."""
    server = settings.server
    # Before the fork: the workers and whoever replaces one take what is put up, and never decide by different policies.
    board = put_up(settings)
    teller = Teller() if settings.policies.draft else None
    counts = Counts(server.workers)

    def ended(slot: int) -> None:
        counts.release(slot)
        board.release(slot)

    host, _, port = server.bind.rpartition(":")
    return supervise(
        partial(application, settings, board, teller, counts, limits_of(settings), Bell()),
        listen(host.strip("[]"), int(port)),
        workers=server.workers,
        lanes=Lanes(
            is_own,
            own=Places(at_work=OWN_AT_WORK, waiting=OWN_WAITING),
            others=Places(at_work=server.concurrency, waiting=server.waiting),
        ),
        patience=Patience(
            head=server.head_seconds,
            body=server.body_seconds,
            idle=server.idle_seconds,
            answer=server.answer_seconds,
        ),
        tls=own_tls(settings),
        ended=ended,
        leaving=SINK.drain,
        beside=partial(keep, settings, config, board, teller, counts.beside),
        # Whatever was asked of the backend has its whole deadline, and time to be recorded.
        grace_seconds=max(GRACE_SECONDS, settings.upstream.deadline_seconds + 2),
    )


@click.command(epilog="\b\nExample:\n  cafpro serve --config /etc/cafpro/gateway.toml")
@configuration
def serve(config: Path) -> None:
    """Start the gateway that the configuration describes, and run until Ctrl-C."""
    try:
        settings = settings_module.load(config, os.environ)
    except Misconfigured as error:
        leave(error.problems)
    problems = problems_at_start(settings, config)
    if problems:
        leave(problems)
    for warning in rights_warnings(settings):
        click.echo(f"cafpro: {warning}", err=True)
    write_log()
    click.echo(f"cafpro: {settings.server.public_url} before {settings.upstream.url}", err=True)
    try:
        code = run(settings, config)
    except Misconfigured as error:
        leave(error.problems)
    except OSError as error:
        leave([f"server.bind: {settings.server.bind} cannot be served ({error.strerror})."])
    SINK.drain()
    sys.exit(code)
