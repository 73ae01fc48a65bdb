"""The factory: joins the parts by hand. One application for each worker process, made after the fork."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from gateway.api.health import Health
from gateway.api.metrics import Metrics, scrape_token
from gateway.api.openapi import OpenApi
from gateway.api.session import SessionApi, as_flask
from gateway.errors import BadRequest, Fault, MethodNotAllowed, Misconfigured, NoSuchRoute, Refusal
from gateway.identity.store import open_store
from gateway.loop.waiting import Aside
from gateway.metrics.counts import Counts, Row
from gateway.policy_files.folder import InForce, load_folder, shipped
from gateway.proxy.answers import Answer, Exit, new_entry
from gateway.proxy.credentials import Door
from gateway.proxy.fetch import Backend
from gateway.proxy.identify import Reception
from gateway.proxy.story import Story
from gateway.proxy.unclassified import Unclassified
from gateway.record.entry import DossierMark, Entry
from gateway.record.journal import open_journal
from gateway.record.recorder import Recorder
from gateway.settings import Settings

OWN: Final = "/-/"
"""Everything under it is Flask's; everything else is the backend's."""
OWN_THREADS: Final = 16
"""Requests to our own addresses answered at once in a process: a log-in blocks, and so it has a thread."""
SHORTEST_KEY: Final = 32


def create_app(settings: Settings, counts: Counts | None = None, row: Row | None = None) -> Flask:
    """The gateway as a Flask application whose `wsgi_app` carries the story.

    Counts in `row`, which is one of `counts`; without them, in one of its own. Raises `Misconfigured` with the
    problems of the first part that cannot be made.
    """
    counts = counts or Counts(1)
    row = row or counts.take(0)
    policies = load_policies(settings)
    store = open_store(settings.store.url)
    journal = open_journal(settings.record.url)
    door = Door(settings.server.public_url, settings.server.hosts)
    reception = Reception(door, store, settings.identity)
    way_out = Exit(Recorder(journal.write, row.recorded), row, secure=door.secure)
    story = Story(
        reception=reception,
        policies=policies,
        backend=Backend(settings.upstream, row),
        mark=DossierMark(record_key(settings.record.key_file), settings.identity.caisse),
        way_out=way_out,
        row=row,
        unclassified=Unclassified(),
    )
    in_force = lambda: story.policies  # noqa: E731 - asked each time: a reload replaces it

    app = Flask("gateway", static_folder=None)
    # An address is itself and nothing near it: no redirect, whose Location would repeat what a client sent.
    app.url_map.merge_slashes = False
    # A traceback can quote a password or a dossier; faults are logged at the exit, without their texts.
    app.logger.disabled = True
    session = SessionApi(
        reception=reception,
        policies=in_force,
        exit=way_out,
    )
    app.register_blueprint(session.blueprint())
    probes = {"store": store.check_writable, "record": journal.check_writable}
    app.register_blueprint(Health(policies=in_force, probes=probes).blueprint())
    token_file = settings.metrics.token_file
    token = scrape_token(token_file) if token_file else None
    metrics = Metrics(counts=counts, token=token, reception=reception, exit=way_out)
    app.register_blueprint(metrics.blueprint())
    app.register_blueprint(OpenApi(door, metrics=token is not None).blueprint())
    app.register_error_handler(HTTPException, _recorded_refusals(reception, way_out))
    app.wsgi_app = _Doorway(app.wsgi_app, story)  # type: ignore[method-assign]  # Flask's place for middleware
    return app


def load_policies(settings: Settings) -> InForce:
    """The policies that the settings name, or those that travel with the package."""
    return load_folder(settings.policies.path or shipped())


def record_key(file: Path) -> bytes:
    """The key under which dossier numbers enter the record: at least 32 bytes, written as hexadecimal."""
    try:
        key = bytes.fromhex(file.read_text("ascii").strip())
    except (OSError, ValueError):
        raise Misconfigured([f"record.key_file: {file} cannot be read as hexadecimal digits."]) from None
    if len(key) < SHORTEST_KEY:
        raise Misconfigured([f"record.key_file: {file} must hold at least {SHORTEST_KEY} bytes (64 digits)."])
    return key


class _Doorway:
    """Sends our own addresses to Flask and everything else into the story."""

    def __init__(self, own: Callable[..., Any], story: Story) -> None:
        self._own = own
        self._story = story
        self._aside = Aside(OWN_THREADS, "own")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"].startswith(OWN):
            return self._aside.do(partial(self._own, environ, start_response))
        return self._story(environ, start_response)


def _recorded_refusals(reception: Reception, way_out: Exit) -> Callable[[HTTPException], Response]:
    """What Flask refuses by itself leaves as our problems do, recorded with the agent where there is one."""

    def refuse(error: HTTPException) -> Response:
        def refused(entry: Entry) -> Answer:
            with contextlib.suppress(Refusal):
                reception.identify(request.environ, entry)
            raise _as_ours(error)

        return as_flask(way_out.leave(new_entry(request.environ), refused))

    return refuse


def _as_ours(error: HTTPException) -> Refusal:
    if error.code == 404:
        return NoSuchRoute("not one of our own addresses")
    if error.code == 405:
        return MethodNotAllowed(sorted(getattr(error, "valid_methods", None) or ()))
    if error.code is not None and error.code >= 500:
        return Fault(type(getattr(error, "original_exception", None)).__name__)
    return BadRequest(f"Flask answered {error.code}")
