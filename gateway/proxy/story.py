"""The story of a request to the backend, in order. A WSGI callable that the Flask app carries; the one way through.

identify, parse, authorise, fetch, redact: consecutive lines of `story`. Whatever they raise becomes a refusal, and
`Exit` records every outcome, durably, before it leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gateway.errors import NotOpen, PolicyUnavailable
from gateway.metrics.counts import Row
from gateway.model import Grant, facts_of
from gateway.policy.matrix import column
from gateway.policy_files.folder import Current, InForce
from gateway.policy_files.shadow import Seen
from gateway.proxy.answers import STATUS_LINES, Answer, Exit, new_entry
from gateway.proxy.assertion import HEADER, Asserting
from gateway.proxy.authorise import refusal_of
from gateway.proxy.fetch import Backend, Document
from gateway.proxy.identify import Caller, Reception
from gateway.proxy.parse import Request, parse
from gateway.record.entry import DossierMark, Entry
from gateway.redaction.answers import declared_type, redact, redact_document
from gateway.redaction.table import DOCUMENT

Environ = dict[str, Any]


class Story:
    """Carries requests to the backend and their redacted answers back."""

    def __init__(
        self,
        *,
        reception: Reception,
        policies: Current,
        backend: Backend,
        mark: DossierMark,
        asserting: Asserting | None,
        way_out: Exit,
        row: Row,
        unclassified: Callable[[str, tuple[str, ...]], None],
        seen: Seen | None = None,
    ) -> None:
        """`asserting` tells the backend who asks, `seen` is told what is decided: for whoever compares a draft."""
        self._policies = policies
        self._reception = reception
        self._backend = backend
        self._mark = mark
        self._asserting = asserting
        self._exit = way_out
        self._row = row
        self._unclassified = unclassified
        self._seen = seen

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        """PEP 3333. The body is in one piece; HEAD is answered with the headers of GET."""
        status, body, headers = self._exit.leave(new_entry(environ), partial(self.story, environ))
        start_response(STATUS_LINES[status], [*headers, ("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def story(self, environ: Mapping[str, Any], entry: Entry) -> Answer:
        """From a request to what of the backend's answer is open to the one who asks."""
        policies = self._policies.in_force  # one reference for the whole story: a reload changes nothing half-way
        caller = self._reception.identify(environ, entry)
        request = self.parse(environ, policies, entry)
        grant = self.authorise(caller, request, policies, entry)
        document = self.fetch(caller, request, entry)
        return self.redact(document, request, grant, policies, entry)

    def parse(self, environ: Mapping[str, Any], policies: InForce, entry: Entry) -> Request:
        """What is asked, in our nouns."""
        self._reception.door.check_host(environ)
        request = parse(environ, policies.routes, entry.request_id)
        entry.act, entry.route, entry.dossier = request.route.action, request.route.name, self._mark(request.number)
        return request

    def authorise(self, caller: Caller, request: Request, policies: InForce, entry: Entry) -> Grant:
        """What of it is open, decided before anything is fetched."""
        agent = caller.agent
        mandates, objection = self._reception.dossier_facts(caller, request.number, entry)
        facts = facts_of(agent, mandates=mandates, objection=objection, action=request.route.action)
        policy = policies.policy
        evaluated = policy.evaluated
        grant = policy.decide(facts)
        self._row.decided(cached=policy.evaluated == evaluated)
        entry.decided(facts, grant, policies.fingerprint)
        if grant.denied == "fault":
            raise PolicyUnavailable("the policy failed on these facts")
        if self._seen is not None:
            self._seen(policies.fingerprint, facts, grant, request.rubrics)
        if not grant.rubrics:
            if request.rubrics.isdisjoint(column(policy, agent.profile)):
                # Closed to this profile on every dossier: the answer must not tell whether this one is special.
                raise NotOpen(f"closed to the profile; the gate `{grant.denied}` is shut too")
            raise refusal_of(grant, facts)
        if request.rubrics.isdisjoint(grant.rubrics):
            raise NotOpen("nothing this route answers is open")
        return grant

    def fetch(self, caller: Caller, request: Request, entry: Entry) -> Document:
        """The backend's answer, to a request that says who asks. What a backend sends too late, behind an earlier
        answer, can be taken for the next one: an answer that does not say whose it is has a connection of its own."""
        headers = request.upstream_headers
        if self._asserting is not None:
            headers[HEADER] = self._asserting.of(caller.agent, request.number, request_id=entry.request_id, at=entry.at)
        alone = not request.route.tells_whose
        return self._backend.fetch(request.path, headers, alone=alone, about=request.number)

    def redact(self, document: Document, request: Request, grant: Grant, policies: InForce, entry: Entry) -> Answer:
        """The open parts, as the backend wrote them."""
        content_type = declared_type(document.content_type, request.route)
        if request.route.answer == DOCUMENT:
            redacted = redact_document(document.body, document.content_type, request.route, grant.rubrics)
        else:
            plan = policies.routes.plan(request.route, request.nouns, grant.rubrics)
            redacted = redact(document.body, plan, request.number)
        entry.left = redacted.left
        if redacted.unclassified:
            self._row.unclassified(len(redacted.unclassified))
            self._unclassified(request.route.name, redacted.unclassified)
        return Answer(200, redacted.body, (("Content-Type", content_type), ("X-Policy", entry.policy)))
