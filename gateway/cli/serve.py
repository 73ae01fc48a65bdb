"""`cafpro serve`: the gateway on its production server."""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from pathlib import Path

import click
import structlog

from gateway import settings as settings_module
from gateway.app import OWN, create_app, load_policies, record_key
from gateway.cli.speaking import leave
from gateway.errors import Misconfigured
from gateway.identity.store import open_store
from gateway.record.journal import open_journal
from gateway.server.connection import Application, Patience
from gateway.server.supervisor import listen, supervise, tls_context
from gateway.settings import Settings


def problems_at_start(settings: Settings) -> list[str]:
    """Everything that would stop a start: policies, key, store, record."""
    problems: list[str] = []
    for part in (
        lambda: load_policies(settings),
        lambda: record_key(settings.record.key_file),
        lambda: open_store(settings.store.url).close(),
        lambda: open_journal(settings.record.url).close(),
    ):
        try:
            part()
        except Misconfigured as error:
            problems += error.problems
    return problems


def write_log() -> None:
    """Logs are JSON lines on standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def application(settings: Settings) -> Application:
    """The application of one worker, made in the worker. Ends the process where it cannot be made."""
    write_log()
    try:
        return create_app(settings).wsgi_app
    except Misconfigured as error:
        leave(error.problems)


def reads_bodies(path: str) -> bool:
    """Bodies are read at our own addresses only: no route to the backend declares one."""
    return path.startswith(OWN)


def run(settings: Settings) -> int:
    """Serves until SIGINT or SIGTERM; the exit code. Raises `OSError` where the address or TLS cannot be had."""
    server = settings.server
    host, _, port = server.bind.rpartition(":")
    certificate, key = server.tls_certificate, server.tls_key
    return supervise(
        partial(application, settings),
        listen(host.strip("[]"), int(port)),
        workers=server.workers,
        threads=server.threads,
        wants_body=reads_bodies,
        patience=Patience(body=server.body_seconds),
        tls=tls_context(certificate, key) if certificate and key else None,
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
