"""`/-/openapi.json`: the gateway's own addresses, described for machines (OpenAPI 3.1).

Whoever asks is told, without a session, and nobody is recorded, as at the health addresses: the description is made
once from the code and says nothing about anyone, nor of the policies. The host is not checked either. It is long, so it
counts for what an address may ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import msgspec

from gateway import errors
from gateway.api import engagement, joining
from gateway.api.activation import Activate
from gateway.api.admin_described import CHANGES, READS, admin_paths, admin_responses, admin_schemas
from gateway.api.bodies import LARGEST
from gateway.api.openid import ADDRESS, ARRIVED, CALLBACK, LOGGED_OUT
from gateway.api.own_sessions import ADDRESS as OWN_SESSIONS
from gateway.api.own_sessions import ONE as OWN_SESSION
from gateway.api.second_factor import ADDRESS as SECOND_FACTOR
from gateway.api.second_factor import Begin, Confirm, Remove
from gateway.api.session import LogIn
from gateway.errors import Refusal, TooManyRequests
from gateway.identity import links
from gateway.identity.opaque import PUBLIC_DIGITS
from gateway.identity.openid import LONGEST_CODE, RETURNED
from gateway.metrics.exposition import CONTENT_TYPE
from gateway.model import ASSURANCES, CONVENTION_STATES, ENGAGEMENT_STATES
from gateway.policy_files.watching import REASONS
from gateway.proxy.answers import ALWAYS_SENT, Answer, Exit, always_sent, new_entry
from gateway.proxy.credentials import Door
from gateway.proxy.identify import Reception
from gateway.record.entry import Entry

VERSION: Final = "1"
"""Of what is described here, not of the package: nobody outside needs to know which one runs."""

Json = dict[str, Any]

ANYWHERE: Final = (errors.Busy, errors.RecordUnavailable, errors.Fault)
IDENTIFYING: Final = (
    *(errors.NotSignedIn, errors.SessionEnded, errors.TwoProofs, errors.CertificateRefused, errors.AccountSuspended),
    *(errors.TooManyRequests, errors.StoreUnavailable),
)
IDENTIFIED: Final = (*IDENTIFYING, *ANYWHERE)
LOG_IN_REFUSALS: Final = (
    *(errors.BadRequest, errors.UndeclaredParameter, errors.WrongPassword, errors.ForeignOrigin, errors.BodyLate),
    *(errors.BodyTooLarge, errors.UnsupportedBody, errors.ProfileNotHeld, errors.NoPlaceLeft),
    *(errors.TooManyAttempts, errors.TooManyRequests, errors.StoreUnavailable, *ANYWHERE),
)
JOINING_REFUSALS: Final = (
    *(errors.BadRequest, errors.UndeclaredParameter, errors.ForeignOrigin, errors.BodyLate, errors.BodyTooLarge),
    *(errors.UnsupportedBody, errors.EntryRefused, errors.EntryConflicts, errors.TooManyRequests),
    *(errors.StoreUnavailable, *ANYWHERE),
)
ACTIVATION_REFUSALS: Final = (
    *(errors.BadRequest, errors.UndeclaredParameter, errors.ActivationRefused, errors.ForeignOrigin, errors.BodyLate),
    *(errors.BodyTooLarge, errors.UnsupportedBody, errors.PasswordWeak, errors.PasswordGuessable),
    *(errors.TooManyAttempts, errors.TooManyRequests, errors.StoreUnavailable, *ANYWHERE),
)
WHO_REFUSALS: Final = (errors.BadRequest, errors.UndeclaredParameter, *IDENTIFYING, *ANYWHERE)
LOG_OUT_REFUSALS: Final = (*WHO_REFUSALS, errors.ForeignOrigin, errors.HeldElsewhere)
SESSIONS_REFUSALS: Final = (*WHO_REFUSALS, errors.HeldElsewhere)
SESSION_END_REFUSALS: Final = (*LOG_OUT_REFUSALS, errors.NoSuchSession)
ENGAGEMENT_REFUSALS: Final = (
    *(*WHO_REFUSALS, errors.ForeignOrigin, errors.BodyLate, errors.BodyTooLarge, errors.UnsupportedBody),
    errors.EngagementOther,
)
BEGIN_REFUSALS: Final = (
    *(errors.BadRequest, errors.UndeclaredParameter, errors.NoSuchRoute, errors.ProfileNotHeld),
    *(errors.TooManyRequests, *ANYWHERE),
)
COME_BACK_REFUSALS: Final = (
    *(errors.BadRequest, errors.UndeclaredParameter, errors.NoSuchRoute, errors.LogInNotBegun, errors.NotVouchedFor),
    *(errors.ProviderAway, errors.ProfileNotHeld, errors.NoPlaceLeft, errors.TooManyAttempts),
    *(errors.TooManyRequests, errors.StoreUnavailable, *ANYWHERE),
)
LOGGED_OUT_REFUSALS: Final = (
    *(errors.BadRequest, errors.UndeclaredParameter, errors.NoSuchRoute, errors.LogOutNotBegun),
    *(errors.TooManyRequests, errors.StoreUnavailable, *ANYWHERE),
)
ARRIVED_REFUSALS: Final = (errors.BadRequest, errors.UndeclaredParameter, errors.TooManyRequests, *ANYWHERE)
FACTOR_REFUSALS: Final = (*WHO_REFUSALS, errors.HeldElsewhere)
FACTOR_CHANGE_REFUSALS: Final = (
    *(*FACTOR_REFUSALS, errors.ForeignOrigin, errors.BodyLate, errors.BodyTooLarge, errors.UnsupportedBody),
    *(errors.SecondFactorState, errors.WrongProof, errors.TooManyAttempts),
)
DESCRIBED_REFUSALS: Final = (errors.TooManyRequests, *ANYWHERE)
METRICS_REFUSALS: Final = (errors.NotSignedIn, errors.TooManyRequests, *ANYWHERE)

ABOUT: Final = f"""\
The gateway's own addresses. HEAD is answered wherever GET is, with the same headers.

Every other address is the backend's, with the backend's own paths and documents, which this description leaves to it:
each needs a session or a token, answers what the policies open to the agent's profile, and refuses with the problems
below.

Every answer carries {", ".join(f"`{name}`" for name, _ in ALWAYS_SENT)}. A request that is not HTTP as it is accepted
(malformed, too large a head, another version) is answered 400, 413, 431 or 505 without a body, and the connection is
closed.
"""


class OpenApi:
    """Shows the description of the addresses under `/-/`, of those that exist: without a scrape token, no metrics;
    without OpenID providers, none of their names."""

    def __init__(
        self,
        reception: Reception,
        exit: Exit,
        *,
        metrics: bool,
        providers: Sequence[str],
        aside: Callable[[Callable[[], Answer]], Answer],
    ) -> None:
        """`aside` does in a thread what takes long."""
        self._reception, self._exit = reception, exit
        self._metrics, self._providers = metrics, providers
        self._aside = aside
        self._answer: Answer | None = None

    def openapi(self, environ: Mapping[str, Any]) -> Answer:
        """200 with the description, not recorded; 429 where the address has asked for too much."""
        entry = new_entry(environ)
        try:
            self._reception.limits.admit_address(entry.address)
        except TooManyRequests as refusal:
            return self._exit.leave(entry, partial(_refuse, refusal))
        # Made when somebody asks: few do, and every worker would begin later. It takes a while: not in the loop.
        return self._answer or self._aside(self._made)

    def _made(self) -> Answer:
        door = self._reception.door
        text = msgspec.json.encode(description(door, metrics=self._metrics, providers=self._providers))
        self._answer = Answer(200, text, (("Content-Type", "application/json"), *always_sent(secure=door.secure)))
        return self._answer


def _refuse(refusal: Refusal, _: Entry) -> Answer:
    raise refusal


def refusals(kind: type[Refusal] = Refusal) -> list[type[Refusal]]:
    """Every refusal that can go out, by its code. Those that look like another one outside are that one."""
    found = {inner.code: inner for inner in _below(kind) if inner.shown == inner.code}
    return [found[code] for code in sorted(found)]


def description(door: Door, *, metrics: bool, providers: Sequence[str] = ()) -> Json:
    """The whole OpenAPI document, for the cookie and the origin of `door`; agents log in at the OpenID `providers` of
    these names."""
    paths: Json = {
        "/-/session": {"post": _log_in(), "get": _who(), "delete": _log_out(providers)},
        OWN_SESSIONS: {"get": _sessions()},
        OWN_SESSION: {"delete": _end_session()},
        links.ADDRESS: {"post": _activate()},
        joining.ADDRESS: {"post": _ask_to_join()},
        **admin_paths(IDENTIFIED),
        engagement.ADDRESS: {"get": _engagement(), "post": _engage()},
        SECOND_FACTOR: {"get": _second_factor(), "post": _begin_factor()},
        f"{SECOND_FACTOR}/confirmation": {"post": _confirm_factor()},
        f"{SECOND_FACTOR}/removal": {"post": _remove_factor()},
        "/-/health/live": {"get": _live()},
        "/-/health/ready": {"get": _ready(scraped=metrics)},
        "/-/openapi.json": {"get": _itself()},
    }
    schemes: Json = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "The `token` that the log-in told; or a JSON Web Token of the agent's organisation, where "
            "its identity provider is known here. A client certificate that a proxy of ours hands over is a proof, "
            "too; a change that it authenticates needs what one by the cookie needs.",
        },
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": door.cookie_name,
            "description": "The same token, as the log-in set it.",
        },
        "change": {
            "type": "apiKey",
            "in": "header",
            "name": "X-CSRF-Token",
            "description": "The `csrf_token` of the session. A change that is authenticated by the cookie needs it, "
            "and the header `Origin` of this server.",
        },
    }
    if providers:
        paths[ADDRESS], paths[CALLBACK] = {"get": _begin(providers)}, {"get": _come_back(providers)}
        paths[ARRIVED], paths[LOGGED_OUT] = {"get": _arrived()}, {"get": _logged_out(providers)}
    if metrics:
        paths["/-/metrics"] = {"get": _metrics()}
        schemes["scrape"] = {"type": "http", "scheme": "bearer", "description": "The scrape token."}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Cafpro", "version": VERSION, "description": ABOUT},
        "servers": [{"url": door.origin}],
        "paths": paths,
        "components": {
            "securitySchemes": schemes,
            "responses": admin_responses(_problems, IDENTIFIED),
            "schemas": {**_sent(), **_SCHEMAS, **admin_schemas(), "Problem": _problem_schema(refusals())},
        },
    }


# One function for each address and method.


def _log_in() -> Json:
    about = (
        f"Opens a session. The body has at most {LARGEST} bytes. Failures in a row delay the next attempt. "
        "Where the account has a second factor, `code` is what its application shows, or a recovery code; whether it "
        "is that which is wrong, or the password, is not told."
    )
    cookie = {"Set-Cookie": {"schema": {"type": "string"}, "description": "The session, for a browser."}}
    return {
        "operationId": "logIn",
        "summary": "Log in",
        "description": about,
        "security": [],
        "requestBody": _body(LogIn),
        "responses": {"201": _json("The session is open.", "Opened", cookie), **_problems(LOG_IN_REFUSALS)},
    }


def _who() -> Json:
    return {
        "operationId": "who",
        "summary": "Who am I, and what does my profile open",
        "security": READS,
        "responses": {"200": _json("The agent behind the session.", "Session"), **_problems(WHO_REFUSALS)},
    }


def _log_out(providers: Sequence[str]) -> Json:
    over: Json = {"204": {"description": "The session is over."}}
    if providers:
        headers = {"Set-Cookie": {"schema": _TEXT, "description": "What the browser keeps until it comes back."}}
        address = {**_TEXT, "description": "Where the agent's browser goes next. It bears the ID token of the log-in."}
        over["200"] = {
            "description": "The session is over, and the OpenID provider where it began can end its own.",
            "content": {"application/json": {"schema": _object(end_session_url=address)}},
            "headers": headers,
        }
    return {
        "operationId": "logOut",
        "summary": "Log out",
        "description": "The token is worth nothing from now on. One of an identity provider stays good until its end, "
        "and is refused here.",
        "security": CHANGES,
        "responses": {**over, **_problems(LOG_OUT_REFUSALS)},
    }


def _sessions() -> Json:
    return {
        "operationId": "sessions",
        "summary": "My open sessions, the last used first",
        "description": "For whoever has a session. A token of an identity provider is none, and is refused here.",
        "security": READS,
        "responses": {"200": _json("Those that are open now.", "Sessions"), **_problems(SESSIONS_REFUSALS)},
    }


def _end_session() -> Json:
    return {
        "operationId": "endSession",
        "summary": "End one of my sessions",
        "description": "Its token is worth nothing from now on. Somebody else's session is refused like one that does "
        "not exist.",
        "security": CHANGES,
        "parameters": [{**_parameter("session", _SESSION_ID), "in": "path", "required": True}],
        "responses": {"204": {"description": "The session is over."}, **_problems(SESSION_END_REFUSALS)},
    }


def _activate() -> Json:
    about = (
        f"Gives the account of an activation link its password. The body has at most {LARGEST} bytes. The link works "
        "once; nobody is logged in by it. One that is refused counts as a failed log-in of the address."
    )
    return {
        "operationId": "activate",
        "summary": "Choose a password",
        "description": about,
        "security": [],
        "requestBody": _body(Activate),
        "responses": {"204": {"description": "The password is chosen."}, **_problems(ACTIVATION_REFUSALS)},
    }


def _engagement() -> Json:
    return {
        "operationId": "engagement",
        "summary": "The personal engagement, and whether I have accepted it",
        "security": READS,
        "responses": {"200": _json("The text in force.", "Engagement"), **_problems(WHO_REFUSALS)},
    }


def _engage() -> Json:
    return {
        "operationId": "engage",
        "summary": "Accept the personal engagement",
        "description": f"Every dossier is refused before. The body has at most {LARGEST} bytes.",
        "security": CHANGES,
        "requestBody": _body(engagement.Accept),
        "responses": {"204": {"description": "It is accepted."}, **_problems(ENGAGEMENT_REFUSALS)},
    }


def _ask_to_join() -> Json:
    return {
        "operationId": "askToJoin",
        "summary": "Ask to join",
        "description": "The answer is the same whether the organisation is known or not. The same asked again, before "
        "the Caf has received it, is the same request.",
        "security": [],
        "requestBody": _body(joining.AskToJoin),
        "responses": {"202": _json("The Caf will write to the contact.", "Asked"), **_problems(JOINING_REFUSALS)},
    }


def _begin(providers: Sequence[str]) -> Json:
    profile = {"type": "string", "pattern": "^T([1-9]|1[0-6])$"}
    headers = {
        "Location": {"schema": _TEXT, "description": "Of the provider."},
        "Set-Cookie": {"schema": _TEXT, "description": "What the browser keeps until it comes back, in ten minutes."},
    }
    return {
        "operationId": "beginOpenIdLogIn",
        "summary": "Log in at an OpenID provider",
        "description": "For a browser: OpenID Connect, authorization code with PKCE. An agent with several profiles "
        "says which.",
        "security": [],
        "parameters": [_provider(providers), _parameter("profile", profile)],
        "responses": {"303": {"description": "To the provider.", "headers": headers}, **_problems(BEGIN_REFUSALS)},
    }


def _come_back(providers: Sequence[str]) -> Json:
    text = {"type": "string", "maxLength": LONGEST_CODE, "pattern": "^[ -~]*$"}
    headers = {
        "Location": {"schema": _TEXT, "description": f"Always `{ARRIVED}`."},
        "Set-Cookie": {"schema": _TEXT, "description": "The session; and what was kept until now is forgotten."},
    }
    return {
        "operationId": "endOpenIdLogIn",
        "summary": "Come back from an OpenID provider",
        "description": "Where the provider sends the browser. What it sends is good once, and in the browser that was "
        "sent there.",
        "security": [],
        "parameters": [_provider(providers), *(_parameter(name, text) for name in RETURNED)],
        "responses": {
            "303": {"description": "A session is open.", "headers": headers},
            **_problems(COME_BACK_REFUSALS),
        },
    }


def _arrived() -> Json:
    return {
        "operationId": "arrived",
        "summary": "A page that leads a browser on to its new session",
        "security": [],
        "responses": {"200": _PAGE, **_problems(ARRIVED_REFUSALS)},
    }


def _logged_out(providers: Sequence[str]) -> Json:
    return {
        "operationId": "loggedOut",
        "summary": "Come back from the end of a session at an OpenID provider",
        "description": "Where the provider sends the browser after a log-out. What it sends is good once, and in the "
        "browser that was sent there.",
        "security": [],
        "parameters": [_provider(providers), _parameter("state", _TEXT)],
        "responses": {"200": _PAGE, **_problems(LOGGED_OUT_REFUSALS)},
    }


def _provider(providers: Sequence[str]) -> Json:
    return {**_parameter("provider", {"enum": list(providers)}), "in": "path", "required": True}


def _parameter(name: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "schema": schema}


def _second_factor() -> Json:
    return {
        "operationId": "secondFactor",
        "summary": "My second factor, if there is one",
        "security": READS,
        "responses": {"200": _json("Since when, and what is left.", "SecondFactor"), **_problems(FACTOR_REFUSALS)},
    }


def _begin_factor() -> Json:
    about = "The secret counts for nothing until it is confirmed with a code that an application makes of it."
    told = _json("The secret, told once.", "SecondFactorBegun")
    return _factor_change("beginSecondFactor", "Take up a second factor", about, Begin, {"201": told})


def _confirm_factor() -> Json:
    about = "Within ten minutes. Every session of the account ends, this one too: log in again, with a code."
    told = _json("Recovery codes for the day when the application is lost, told once.", "RecoveryCodes")
    return _factor_change("confirmSecondFactor", "Confirm it with its first code", about, Confirm, {"201": told})


def _remove_factor() -> Json:
    about = "With the password and a code. A recovery code will do."
    gone: Json = {"204": {"description": "The password is enough from now on."}}
    return _factor_change("removeSecondFactor", "Give my second factor up", about, Remove, gone)


def _factor_change(name: str, summary: str, about: str, body: type[msgspec.Struct], answered: Json) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "description": about,
        "security": CHANGES,
        "requestBody": _body(body),
        "responses": {**answered, **_problems(FACTOR_CHANGE_REFUSALS)},
    }


def _live() -> Json:
    return {
        "operationId": "live",
        "summary": "The process answers",
        "security": [],
        "responses": {"200": _json("It does.", "Live"), **_problems(ANYWHERE)},
    }


def _ready(*, scraped: bool) -> Json:
    failing = _json("Something fails: its name is listed. Or the answer itself could not be made.", "NotReady")
    failing["content"].update(_problems(ANYWHERE)["503"]["content"])
    return {
        "operationId": "ready",
        "summary": "Requests can be answered",
        "security": [{}, {"scrape": []}] if scraped else [],
        "responses": {**_problems(ANYWHERE), "200": _json("They can.", "Ready"), "503": failing},
    }


def _itself() -> Json:
    document = {"application/json": {"schema": {"type": "object", "required": ["openapi", "info", "paths"]}}}
    return {
        "operationId": "openapi",
        "summary": "This description",
        "security": [],
        "responses": {"200": {"description": "OpenAPI 3.1.", "content": document}, **_problems(DESCRIBED_REFUSALS)},
    }


def _metrics() -> Json:
    numbers = {"description": "Prometheus' text format.", "content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}
    return {
        "operationId": "metrics",
        "summary": "Numbers about the gateway, of nobody",
        "security": [{"scrape": []}],
        "responses": {"200": numbers, **_problems(METRICS_REFUSALS)},
    }


# What they hold.


def _object(*, optional: Json | None = None, **properties: Json) -> Json:
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT: Final[Json] = {"type": "string"}
_PAGE: Final[Json] = {"description": "In French.", "content": {"text/html; charset=utf-8": {"schema": _TEXT}}}
_INSTANT: Final[Json] = {"type": "string", "format": "date-time"}
_SESSION_ID: Final[Json] = {
    "type": "string",
    "pattern": f"^[0-9a-f]{{{PUBLIC_DIGITS}}}$",
    "description": "Which session is meant. It opens nothing.",
}
_PROFILE: Final[Json] = {"type": ["string", "null"], "description": "The session's one active profile, if any."}
_PROFILES: Final[Json] = {"type": "array", "items": _TEXT, "description": "Those the account holds."}
_ASSURANCE: Final[Json] = {"enum": list(ASSURANCES), "description": "How the agent proved who it is."}
_CODES_LEFT: Final[Json] = {
    "type": ["integer", "null"],
    "description": "Recovery codes of the second factor that nobody has used; null without a second factor.",
}
_CHANGE: Final[Json] = {"type": "string", "description": "To be sent back in `X-CSRF-Token`."}
_IN_FORCE: Final[Json] = {
    "policy": {
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
        "description": "The fingerprint of the policies in force, shown to whoever bears the scrape token.",
    },
    "stale": {
        "enum": list(REASONS),
        "description": "The folder of policies has changed, and this is why what was in force before goes on deciding.",
    },
    "stale_since": {"type": "integer", "description": "Seconds since 1970. To whoever bears the scrape token."},
    "because": {"type": "array", "items": _TEXT, "description": "In sentences. To whoever bears the scrape token."},
}

_SCHEMAS: Final[Json] = {
    "Opened": _object(
        token={"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$", "description": "Told once."},
        expires_at=_INSTANT,
        profile=_PROFILE,
        profiles=_PROFILES,
        assurance=_ASSURANCE,
        recovery_codes_left=_CODES_LEFT,
        csrf_token=_CHANGE,
    ),
    "SecondFactor": _object(since={"type": ["string", "null"], "format": "date-time"}, recovery_codes_left=_CODES_LEFT),
    "SecondFactorBegun": _object(
        secret={"type": "string", "pattern": "^[A-Z2-7]{32}$", "description": "To be typed into the application."},
        uri={"type": "string", "pattern": "^otpauth://totp/", "description": "The same, for a QR code."},
    ),
    "RecoveryCodes": _object(recovery_codes={"type": "array", "items": _TEXT, "minItems": 10, "maxItems": 10}),
    "Session": _object(
        identifier=_TEXT,
        partner=_TEXT,
        profile=_PROFILE,
        profiles=_PROFILES,
        convention={"enum": list(CONVENTION_STATES)},
        engagement={"enum": list(ENGAGEMENT_STATES)},
        assurance=_ASSURANCE,
        rubrics={
            "type": "array",
            "items": _object(slug=_TEXT, label={"type": "string", "description": "In French, as the agent reads it."}),
            "description": "What the profile opens where every condition holds.",
        },
        expires_at=_INSTANT,
        csrf_token=_CHANGE,
    ),
    "Sessions": _object(
        sessions={
            "type": "array",
            "items": _object(
                id=_SESSION_ID,
                opened_at=_INSTANT,
                seen_at={
                    **_INSTANT,
                    "description": "The last use, or one that is earlier by a twentieth of the idle time at most.",
                },
                expires_at=_INSTANT,
                profile=_PROFILE,
                assurance=_ASSURANCE,
                current={"type": "boolean", "description": "Whether it is the one that asks."},
            ),
        },
        csrf_token=_CHANGE,
    ),
    "Engagement": _object(
        version=_TEXT,
        text={"type": "string", "description": "In French, as the agent reads it."},
        state={"enum": list(ENGAGEMENT_STATES)},
        csrf_token=_CHANGE,
    ),
    "Asked": _object(status={"const": "asked"}),
    "Live": _object(status={"const": "live"}),
    "Ready": _object(status={"const": "ready"}, optional=_IN_FORCE),
    "NotReady": _object(
        status={"const": "not ready"},
        failing={"type": "array", "items": _TEXT, "minItems": 1},
        optional=_IN_FORCE,
    ),
}


_SENT: Final = {
    LogIn: "`profile` is one of the account's, needed where it holds several.",
    engagement.Accept: "`version` is the one that the agent has read.",
    Activate: "`token` is what stands behind the `#` of the link.",
    joining.AskToJoin: "`function` is one of those that may ask for the profiles; a refusal lists them.",
    Begin: "The password once more: a session that was stolen takes up nothing.",
    Confirm: "`code` is what the application shows.",
    Remove: "`code` is what the application shows, or a recovery code.",
}


def _sent() -> Json:
    """The schemas of bodies, by their names."""
    _, components = msgspec.json.schema_components(list(_SENT))
    return {kind.__name__: {**components[kind.__name__], "description": said} for kind, said in _SENT.items()}


def _body(kind: type[msgspec.Struct]) -> Json:
    return {"required": True, "content": {"application/json": {"schema": _ref(kind.__name__)}}}


# Refusals, as gateway/errors.py says them.


def _problem_schema(kinds: Sequence[type[Refusal]]) -> Json:
    """RFC 9457, with the codes of these refusals."""
    listed = "\n".join(f"- `{kind.code}` ({kind.status}) {kind.title} : {kind.said}" for kind in kinds)
    return {
        **_object(
            type={"type": "string", "pattern": "^urn:cafpro:problem:GW[0-9]{3}$"},
            title=_TEXT,
            status={"type": "integer"},
            detail=_TEXT,
            code={"enum": [kind.code for kind in kinds]},
            request_id={"type": "string", "pattern": "^[0-9a-f]{24}$"},
            optional={"file": {**_ref("FileReport"), "description": f"Of `{errors.FileRefused.code}` alone."}},
        ),
        "description": f"RFC 9457. Codes are stable; an agent may be shown `title` and `detail`.\n\n{listed}",
    }


def _problems(kinds: Iterable[type[Refusal]]) -> Json:
    """The responses that these refusals make, by status."""
    ordered = sorted({kind.code: kind for kind in kinds}.values(), key=attrgetter("status", "code"))
    return {str(status): _problem(list(alike)) for status, alike in groupby(ordered, key=attrgetter("status"))}


def _problem(kinds: Sequence[type[Refusal]]) -> Json:
    """One response: the refusals that share a status, each shown as it is sent."""
    only: Json = {"properties": {"code": {"enum": [kind.code for kind in kinds]}, "status": {"const": kinds[0].status}}}
    examples = {kind.code: {"value": _example(kind)} for kind in kinds}
    content = {"schema": {"allOf": [_ref("Problem"), only]}, "examples": examples}
    headers = {"Proxy-Status": {"schema": _TEXT, "description": "RFC 9209, with the code."}}
    if kinds[0].status == 401:
        headers["WWW-Authenticate"] = {"schema": _TEXT}
    return {
        "description": " · ".join(f"{kind.code} {kind.title}" for kind in kinds),
        "headers": headers,
        "content": {"application/problem+json": content},
    }


def _example(kind: type[Refusal]) -> Mapping[str, object]:
    return {
        "type": f"urn:cafpro:problem:{kind.shown}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.said,
        "code": kind.shown,
        "request_id": "0123456789abcdef01234567",
    }


def _json(said: str, schema: str, headers: Json | None = None) -> Json:
    answer: Json = {"description": said, "content": {"application/json": {"schema": _ref(schema)}}}
    return {**answer, "headers": headers} if headers else answer


def _ref(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def _below(kind: type[Refusal]) -> Iterable[type[Refusal]]:
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__ and "code" in inner.__dict__:
            yield inner
        yield from _below(inner)
