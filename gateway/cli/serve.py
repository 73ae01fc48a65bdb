"""`cafpro serve`: the gateway on its production server."""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
import structlog
from granian import Granian
from granian.constants import Interfaces, SSLProtocols
from granian.http import HTTP1Settings

from gateway import settings as settings_module
from gateway.app import create_app, load_policies, record_key
from gateway.cli.speaking import leave
from gateway.errors import Misconfigured
from gateway.identity.store import open_store
from gateway.record.journal import open_journal
from gateway.settings import Settings

CONNECTIONS: int = 8192
"""Open at once in each worker, idle and slow ones included; only `threads` are answered at a time."""


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


def application(settings: Settings, *_: Any) -> Any:
    """The application of one worker, made in the worker."""
    write_log()
    try:
        app = create_app(settings)
    except Misconfigured as error:
        leave(error.problems)
    return app.wsgi_app


def run(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM."""
    server = settings.server
    host, _, port = server.bind.rpartition(":")
    Granian(
        "gateway",
        address=host.strip("[]"),
        port=int(port),
        interface=Interfaces.WSGI,
        workers=server.workers,
        blocking_threads=server.threads,
        blocking_threads_idle_timeout=600,
        backlog=CONNECTIONS,
        backpressure=CONNECTIONS,
        websockets=False,
        log_level="error",  # type: ignore[arg-type]  # the word is the enumeration's value
        http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=65_536),
        ssl_cert=server.tls_certificate,
        ssl_key=server.tls_key,
        ssl_protocol_min=SSLProtocols.tls12,
        respawn_failed_workers=True,
        workers_kill_timeout=15,
    ).serve(target_loader=partial(application, settings), wrap_loader=False)


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
    click.echo(f"cafpro: {settings.server.public_url} before {settings.upstream.url}", err=True)
    run(settings)
