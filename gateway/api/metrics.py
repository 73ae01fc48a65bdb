"""`/-/metrics`, for Prometheus: numbers about the gateway, to whoever holds the scrape token."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Response, request

from gateway.api.answering import as_flask
from gateway.errors import Misconfigured, NotSignedIn
from gateway.metrics.counts import Counts
from gateway.metrics.exposition import CONTENT_TYPE, Exposition
from gateway.proxy.answers import ALWAYS_SENT, Answer, Exit, new_entry
from gateway.proxy.identify import Reception
from gateway.record.entry import Entry

SHORTEST_TOKEN: Final = 32


class Metrics:
    """Shows `counts` to bearers of `token`. Without a token there is no such address."""

    def __init__(self, *, counts: Counts, token: str | None, reception: Reception, exit: Exit) -> None:
        self._exposition = Exposition(counts)
        self._token = token.encode() if token is not None else None
        self._reception = reception
        self._exit = exit

    def blueprint(self) -> Blueprint:
        """The Flask route; none without a token, so that the address is answered as any that does not exist."""
        routes = Blueprint("metrics", __name__)
        if self._token is not None:
            routes.add_url_rule("/-/metrics", "metrics", self.metrics, provide_automatic_options=False)
        return routes

    def metrics(self) -> Response:
        """200 with the numbers of all workers, not recorded: it says nothing about anyone. Else 401, recorded."""
        # The host is not checked: a scraper names the machine or the pod, and no browser holds the token.
        if self.holds_token(request.environ):
            return Response(self._exposition.text(), 200, [("Content-Type", CONTENT_TYPE), *ALWAYS_SENT])
        return as_flask(self._exit.leave(new_entry(request.environ), partial(self._refuse, request.environ)))

    def holds_token(self, environ: Mapping[str, Any]) -> bool:
        """Whether a request (PEP 3333) bears the scrape token. None does where there is no such token."""
        scheme, _, token = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
        right = self._token is not None and hmac.compare_digest(token.encode("latin-1", "replace"), self._token)
        return right and scheme.lower() == "bearer"

    def _refuse(self, environ: Mapping[str, Any], entry: Entry) -> Answer:
        # An agent who tries is named in the record, as at any address that is refused.
        self._reception.note(environ, entry)
        raise NotSignedIn("not the scrape token")


def scrape_token(file: Path) -> str:
    """The token in `file`: one line of at least 32 visible ASCII characters. Raises `Misconfigured`.

    Prometheus reads the same file (`authorization: {credentials_file: …}`).
    """
    try:
        token = file.read_text("ascii").strip()
    except (OSError, ValueError):
        raise Misconfigured([f"metrics.token_file: {file} cannot be read as a line of ASCII."]) from None
    if not re.fullmatch(rf"[!-~]{{{SHORTEST_TOKEN},}}", token):
        raise Misconfigured(
            [f"metrics.token_file: {file} must hold one line of at least {SHORTEST_TOKEN} characters, without spaces."]
        )
    return token
