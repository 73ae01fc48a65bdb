"""`cafpro serve`: the gateway on its production server."""

from __future__ import annotations

import contextlib
import logging
import os
import ssl
import sys
from functools import partial
from pathlib import Path

import click
import structlog

from gateway import settings as settings_module
from gateway.api.metrics import scrape_token
from gateway.app import OWN, create_app, load_policies, record_key
from gateway.cli.speaking import leave
from gateway.errors import Misconfigured
from gateway.identity.store import open_store
from gateway.metrics.counts import Counts
from gateway.record.journal import open_journal
from gateway.server.connection import Application, Patience
from gateway.server.supervisor import listen, supervise, tls_context
from gateway.server.worker import Report
from gateway.settings import Settings


def own_tls(settings: Settings) -> ssl.SSLContext | None:
    """The TLS that the settings ask for, or None. Raises `Misconfigured`."""
    certificate, key = settings.server.tls_certificate, settings.server.tls_key
    if certificate is None or key is None:
        return None
    try:
        return tls_context(certificate, key)
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror or "not a pair of PEM files"
        raise Misconfigured([f"server.tls_certificate and server.tls_key: cannot be used together ({why})."]) from None


def problems_at_start(settings: Settings) -> list[str]:
    """Everything that would stop a start: policies, key, store, record."""
    problems: list[str] = []
    for part in (
        lambda: load_policies(settings),
        lambda: record_key(settings.record.key_file),
        lambda: open_store(settings.store.url).close(),
        lambda: open_journal(settings.record.url).close(),
        lambda: own_tls(settings),
        lambda: settings.metrics.token_file and scrape_token(settings.metrics.token_file),
    ):
        try:
            part()
        except Misconfigured as error:
            problems += error.problems
    return problems


class _Unfailing:
    """Standard error, of which a closed pipe or a full disk costs the line and nothing else: no answer waits for it."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def write_log() -> None:
    """Logs are JSON lines on standard error. Writing one never fails."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=_Unfailing()),  # type: ignore[arg-type]  # all it uses
        cache_logger_on_first_use=True,
    )


def application(settings: Settings, counts: Counts, slot: int) -> tuple[Application, Report]:
    """The application of one worker, made in the worker, and whom to report to. Ends the process where it cannot be
    made."""
    write_log()
    row = counts.take(slot)
    try:
        return create_app(settings, counts, row).wsgi_app, row.looked
    except Misconfigured as error:
        leave(error.problems)


def reads_bodies(path: str) -> bool:
    """Bodies are read at our own addresses only: no route to the backend declares one."""
    return path.startswith(OWN)


def run(settings: Settings) -> int:
    """Serves until SIGINT or SIGTERM; the exit code. Raises `OSError` where the address cannot be had."""
    server = settings.server
    counts = Counts(server.workers)
    host, _, port = server.bind.rpartition(":")
    return supervise(
        partial(application, settings, counts),
        listen(host.strip("[]"), int(port)),
        workers=server.workers,
        concurrency=server.concurrency,
        wants_body=reads_bodies,
        patience=Patience(body=server.body_seconds),
        tls=own_tls(settings),
        ended=counts.release,
    )


@click.command(epilog="\b\nExample:\n  cafpro serve --config /etc/cafpro/gateway.toml")
@click.option("--config", "-c", type=click.Path(path_type=Path), default=Path("gateway.toml"), show_default=True)
def serve(config: Path) -> None:
    """Start the gateway that the configuration describes, and run until Ctrl-C."""
    try:
        settings = settings_module.load(config, os.environ)
    except Misconfigured as error:
        leave(error.problems)
    problems = problems_at_start(settings)
    if problems:
        leave(problems)
    write_log()
    click.echo(f"cafpro: {settings.server.public_url} before {settings.upstream.url}", err=True)
    try:
        code = run(settings)
    except OSError as error:
        leave([f"server.bind: {settings.server.bind} cannot be served ({error.strerror})."])
    sys.exit(code)
