"""The factory: joins the parts by hand. One application for each worker process, made after the fork."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from gateway.api.activation import ActivationApi
from gateway.api.admin import AdminApi
from gateway.api.answering import as_flask, seconds_to_hold
from gateway.api.engagement import EngagementApi
from gateway.api.health import Health
from gateway.api.joining import JoiningApi
from gateway.api.metrics import Metrics, scrape_token
from gateway.api.openapi import OpenApi
from gateway.api.openid import CALLBACK, LOGGED_OUT, OpenIdApi
from gateway.api.own_sessions import OwnSessionsApi
from gateway.api.second_factor import SecondFactorApi
from gateway.api.session import SessionApi
from gateway.errors import BadRequest, Fault, MethodNotAllowed, Misconfigured, NoSuchRoute, Refusal
from gateway.identity.engagement import load_wording
from gateway.identity.functions import NAME as FUNCTIONS
from gateway.identity.functions import load_functions
from gateway.identity.guesses import Guesses
from gateway.identity.issuers import Vouchers, load_vouchers
from gateway.identity.sealing import Seal, load_seal
from gateway.identity.store import open_store
from gateway.limits.limits import Limits, Rate
from gateway.loop.waiting import Aside, Bell, pause
from gateway.metrics.counts import Counts, Row
from gateway.policy_files.approved import ApprovalRules, unapproved
from gateway.policy_files.board import Standing
from gateway.policy_files.folder import Current, InForce, load_texts, read, shipped
from gateway.policy_files.shadow import Seen
from gateway.proxy.answers import STATUS_LINES, Answer, Exit, Headers, always_sent, new_entry
from gateway.proxy.assertion import Asserting, assertion_key
from gateway.proxy.credentials import PEER, Door
from gateway.proxy.fetch import Backend
from gateway.proxy.forwarded import Forwarded
from gateway.proxy.identify import Reception
from gateway.proxy.openid import clients_of
from gateway.proxy.providers import tokens_of
from gateway.proxy.story import Story
from gateway.proxy.unclassified import Unclassified
from gateway.record.entry import DossierMark, Entry
from gateway.record.journal import open_journal
from gateway.record.recorder import Recorder
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.identity.certificates import Certificates

OWN: Final = "/-/"
"""Everything under it is Flask's; everything else is the backend's."""
OWN_THREADS: Final = 24
"""Requests to our own addresses answered at once in a process: a log-in blocks, and so it has a thread. More than all
log-ins that have a place (`identity.passwords`), whatever they wait for: whoever has a session finds one free."""
SHORTEST_KEY: Final = 32


def create_app(
    settings: Settings,
    counts: Counts | None = None,
    row: Row | None = None,
    limits: Limits | None = None,
    *,
    policies: Current | None = None,
    standing: Callable[[], Standing] = Standing,
    seen: Seen | None = None,
    bell: Bell | None = None,
) -> Flask:
    """The gateway as a Flask application whose `wsgi_app` carries the story.

    Counts in `row`, which is one of `counts`, and keeps to `limits`, which the workers share, as they do the `bell` of
    those who write the record; without them, to its own.
    Raises `Misconfigured` with the problems of the first part that cannot be made.

    Decides by `policies`, which whoever gave them replaces and whose `standing` is told by the health addresses;
    without them, by those that the settings name, for good. `seen` is told what is decided.
    """
    counts = counts or Counts(1)
    row = row or counts.take(0)
    current = policies or Current(load_approved(settings))
    store = open_store(settings.store.url, make=False)
    journal = open_journal(settings.record.url, make=False, bell=bell)
    door = Door(settings.server.public_url, settings.server.hosts)
    issuers = settings.identity.issuers
    vouchers = load_vouchers(issuers) if issuers else Vouchers((), (), ())
    tokens = tokens_of(vouchers.issuers) if issuers else None
    certificates = certificates_of(vouchers)
    clients = clients_of(
        vouchers.providers, callback=f"{door.origin}{CALLBACK}", logged_out=f"{door.origin}{LOGGED_OUT}"
    )
    key = record_key(settings.record.key_file)
    reception = Reception(
        door,
        store,
        settings.identity,
        limits or limits_of(settings),
        tokens=tokens,
        certificates=certificates,
        guesses=guesses_of(settings, key),
    )
    way_out = Exit(Recorder(journal.write, row.recorded), row, secure=door.secure)
    story = Story(
        reception=reception,
        policies=current,
        backend=Backend(settings.upstream, row),
        mark=DossierMark(key, settings.identity.caisse),
        asserting=asserting_of(settings),
        way_out=way_out,
        row=row,
        unclassified=Unclassified(),
        seen=seen,
    )
    in_force = lambda: current.in_force  # noqa: E731 - asked each time: a reload replaces it

    app = Flask("gateway", static_folder=None)
    # An address is itself and nothing near it: no redirect, whose Location would repeat what a client sent.
    app.url_map.merge_slashes = False
    # A traceback can quote a password or a dossier; faults are logged at the exit, without their texts.
    app.logger.disabled = True
    seal = seal_of(settings)
    log_outs = {name: client.log_outs for name, client in clients.items() if client.log_outs}
    session = SessionApi(reception=reception, policies=in_force, exit=way_out, seal=seal, log_outs=log_outs)
    app.register_blueprint(session.blueprint())
    app.register_blueprint(OwnSessionsApi(reception, way_out).blueprint())
    app.register_blueprint(ActivationApi(reception, way_out).blueprint())
    app.register_blueprint(AdminApi(reception, way_out).blueprint())
    app.register_blueprint(EngagementApi(reception, load_wording(settings.identity), way_out).blueprint())
    functions = load_functions(functions_file(settings))
    app.register_blueprint(JoiningApi(reception, functions, way_out).blueprint())
    if clients:
        app.register_blueprint(OpenIdApi(reception, clients, way_out).blueprint())
    app.register_blueprint(SecondFactorApi(reception=reception, exit=way_out, seal=seal).blueprint())
    probes = {"store": store.check_writable, "record": journal.check_writable}
    token_file = settings.metrics.token_file
    token = scrape_token(token_file) if token_file else None
    metrics = Metrics(counts=counts, token=token, reception=reception, exit=way_out)
    always = always_sent(secure=door.secure)
    health = Health(
        policies=in_force,
        standing=standing,
        probes=probes,
        bears_token=metrics.holds_token,
        aside=Aside(1, "probe").do,
        headers=always,
    )
    described = OpenApi(
        reception,
        way_out,
        metrics=token is not None,
        providers=sorted(clients),
        aside=Aside(1, "description").do,
    )
    prompt = {
        "/-/health/live": health.live,
        "/-/health/ready": health.ready,
        "/-/openapi.json": described.openapi,
    }
    for address in prompt:
        # Without a view: Flask knows them only to refuse their other methods.
        app.add_url_rule(address, address, methods=["GET"], provide_automatic_options=False)
    app.register_blueprint(metrics.blueprint())
    app.register_error_handler(HTTPException, _recorded_refusals(reception, way_out))
    app.after_request(partial(_with, always))
    forwarded = Forwarded(settings.server.proxies) if settings.server.proxies else None
    doorway = _Doorway(prompt, app.wsgi_app, story, forwarded)
    app.wsgi_app = doorway  # type: ignore[method-assign]  # Flask's place for middleware
    return app


def policies_folder(settings: Settings) -> Path:
    """The folder of policies that the settings name, or the one that travels with the package."""
    return settings.policies.path or shipped()


def functions_file(settings: Settings) -> Path:
    """The table of functions beside the policies that the settings name, or the one that travels with the package."""
    file = policies_folder(settings) / FUNCTIONS
    return file if file.is_file() else shipped() / FUNCTIONS


def load_approved(settings: Settings, texts: Mapping[str, str] | None = None) -> InForce:
    """The policies that the settings name, or these texts of theirs, read a moment ago.

    Raises `Misconfigured` with everything that is wrong with them, or with what they open that is not approved.
    """
    folder = policies_folder(settings)
    in_force = load_texts(read(folder) if texts is None else texts)
    rules = ApprovalRules(settings.policies.approvers, settings.policies.approver_keys)
    problems = unapproved(folder, in_force, rules)
    if problems:
        raise Misconfigured(problems)
    return in_force


def limits_of(settings: Settings) -> Limits:
    """The limits that the settings ask for, with nothing asked for yet: one for all workers, made before the fork."""
    asked = settings.limits
    return Limits(
        agent=Rate(asked.agent_per_minute, asked.agent_burst),
        address=Rate(asked.address_per_minute, asked.address_burst),
        failures=Rate(asked.failures_per_minute, asked.failures_burst),
        log_ins=Rate(asked.log_ins_per_minute, asked.log_ins_burst),
    )


def guesses_of(settings: Settings, key: bytes) -> Guesses:
    """How failed log-ins are kept in the store, under a key that is made from the record's."""
    return Guesses(key, per_minute=settings.limits.failures_per_minute, burst=settings.limits.failures_burst)


def certificates_of(vouchers: Vouchers) -> Certificates | None:
    """What verifies client certificates, where somebody vouches with them."""
    if not vouchers.authorities:
        return None
    from gateway.identity.certificates import Certificates  # megabytes, for those alone who believe certificates

    return Certificates(vouchers.authorities)


def asserting_of(settings: Settings) -> Asserting | None:
    """What tells the backend who asks, where the settings want it told. Raises `Misconfigured`."""
    file = settings.upstream.assertion_key_file
    if file is None:
        return None
    return Asserting(assertion_key(file), issuer=settings.server.public_url, audience=settings.upstream.url)


def seal_of(settings: Settings) -> Seal | None:
    """What the secrets of second factors are sealed with, where the settings name it. Raises `Misconfigured`."""
    file = settings.identity.second_factor_key_file
    return load_seal(file) if file else None


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
    """Sends our own addresses to Flask and everything else into the story, as asked by the client of our proxies.

    What machines ask for, whole answers that nobody waits for, is given at once, here in the task: without a thread,
    since those that block may have them all, and without Flask, whose price would be the price of a flood.
    """

    def __init__(
        self,
        prompt: Mapping[str, Callable[[Mapping[str, Any]], Answer]],
        own: Callable[..., Any],
        story: Story,
        forwarded: Forwarded | None,
    ) -> None:
        self._prompt = prompt
        self._own = own
        self._story = story
        self._forwarded = forwarded
        self._aside = Aside(OWN_THREADS, "own")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if self._forwarded:
            environ[PEER] = environ["REMOTE_ADDR"]
            environ["REMOTE_ADDR"] = self._forwarded.client(environ)
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path.startswith(OWN):
            if path in self._prompt and method in ("GET", "HEAD"):
                status, body, headers = self._prompt[path](environ)
                start_response(STATUS_LINES[status], [*headers, ("Content-Length", str(len(body)))])
                return [] if method == "HEAD" else [body]
            answered = self._aside.do(partial(self._own, environ, start_response))
            held = seconds_to_hold(environ)
            if held:
                # Here, in the task: in its thread a refused log-in would keep others from theirs.
                pause(held)
            return answered
        return self._story(environ, start_response)


def _with(headers: Headers, response: Response) -> Response:
    """The answer with what every answer of ours carries, whoever made it."""
    for name, value in headers:
        response.headers.setdefault(name, value)
    return response


def _recorded_refusals(reception: Reception, way_out: Exit) -> Callable[[HTTPException], Response]:
    """What Flask refuses by itself leaves as our problems do, recorded with the agent where there is one."""

    def refuse(error: HTTPException) -> Response:
        def refused(entry: Entry) -> Answer:
            reception.note(request.environ, entry)
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
