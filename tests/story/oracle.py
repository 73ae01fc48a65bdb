"""What the whole service promises, in plain Python: the brochure's table, and the rules of the domain around it.

A world of accounts, conventions, mandates and objections, and what must come of each request in it: status, code, body,
and the row of the record. Shares no line with the gateway.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from tests.story.brochure import DOCUMENTS, OPEN, SLUGS, kept_dossier, kept_rubric, members
from upstream_stub.documents import document_pdf
from upstream_stub.dossiers import dossier_text, rubric_text

ENTRUSTED = {"T9": {"judgment", "masp"}, "T10": {"direct_payment"}}
"""The profiles that read only what is entrusted to them, and for which reasons."""
MANDATES = ("judgment", "masp", "direct_payment", "instruction")
LOCKED_AFTER = 10
"""Wrong passwords in a row (CNIL 2022-100)."""
DELAYS = (0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 120)
"""Seconds that nothing is tried for an identifier after so many failures in a row."""


@dataclass
class Partner:
    name: str
    kind: str


@dataclass
class Convention:
    number: str
    partner: Partner
    profiles: tuple[str, ...]
    suspended: bool = False
    days: str = "running"
    """`running`, `over` or `to come`."""
    caisse: str = "851"


@dataclass
class Account:
    identifier: str
    partner: Partner
    profiles: tuple[str, ...]
    password: str
    suspended: bool = False
    engagement: str = "signed"
    failures: int = 0
    """Wrong passwords in a row."""

    @property
    def locked(self) -> bool:
        return self.failures >= LOCKED_AFTER


@dataclass
class Session:
    token: str
    change: str
    """What a page sends back with a change."""
    account: Account
    profile: str
    ended: bool = False

    @property
    def known(self) -> dict[str, str]:
        """Who the record says it is."""
        return {"agent": self.account.identifier, "partner": self.account.partner.name, "profile": self.profile}


@dataclass
class Mandate:
    number: int
    partner: Partner
    account: Account | None
    dossier: str
    kind: str
    released: bool = False


class Expected(NamedTuple):
    """An answer and its row. `code` is the one that is kept, `shown` the one that goes out."""

    status: int
    code: str = ""
    shown: str = ""
    body: bytes | None = None
    row: Mapping[str, Any] = {}


def refused(status: int, code: str, *, shown: str = "", **row: Any) -> Expected:
    return Expected(status, code, shown or code, None, row)


@dataclass
class World:
    """The directory as it should be."""

    accounts: list[Account] = field(default_factory=list)
    conventions: list[Convention] = field(default_factory=list)
    mandates: list[Mandate] = field(default_factory=list)
    objections: set[str] = field(default_factory=set)
    sessions: list[Session] = field(default_factory=list)
    """Of this world, those that have ended too."""

    def convention(self, partner: Partner, profile: str) -> str:
        """The best that any convention of the partner's with this caisse says of the profile."""
        states = {
            "suspended" if one.suspended else {"running": "in_force", "over": "expired", "to come": "none"}[one.days]
            for one in self.conventions
            if one.partner is partner and profile in one.profiles and one.caisse == "851"
        }
        return next((state for state in ("in_force", "suspended", "expired") if state in states), "none")

    def reasons(self, account: Account, dossier: str) -> set[str]:
        """Why this dossier is entrusted to this agent."""
        return {
            one.kind
            for one in self.mandates
            if one.dossier == dossier
            and one.partner is account.partner
            and one.account in (None, account)
            and not one.released
        }

    def identified(self, session: Session | None, offered: bool) -> Expected | None:
        """The refusal of whoever comes with this session, or with something that is none; None where it is good."""
        if session is None:
            return refused(401, "GW102" if offered else "GW101")
        account = session.account
        if session.ended:
            return refused(401, "GW102")
        if account.suspended:
            return refused(403, "GW110", **session.known)
        if session.profile not in (account.profiles or ("",)):
            return refused(401, "GW102")
        return None

    def who(self, session: Session | None, offered: bool) -> Expected:
        stranger = self.identified(session, offered)
        if stranger or session is None:
            assert stranger
            return stranger._replace(row={**stranger.row, "act": "session"})
        return Expected(200, row={**session.known, "act": "session"})

    def told(self, session: Session) -> dict[str, Any]:
        """What the agent is told of itself, but for the session's own texts."""
        account = session.account
        return {
            "identifier": account.identifier,
            "partner": account.partner.name,
            "profile": session.profile or None,
            "profiles": sorted(account.profiles),
            "convention": self.convention(account.partner, session.profile),
            "engagement": account.engagement,
            "assurance": "password",
            "rubrics": [slug for slug in SLUGS if slug in OPEN.get(session.profile, ())],
        }

    def asked(self, session: Session | None, offered: bool, question: Question) -> Expected:
        """What must come of this question to the backend."""
        stranger = self.identified(session, offered)
        if stranger or session is None:
            assert stranger
            return stranger
        known = session.known
        if question.fault:
            return refused(*question.fault, **known)
        account, profile, dossier = session.account, session.profile, question.dossier
        column = OPEN.get(profile, frozenset())
        held = self.reasons(account, dossier)
        convention = self.convention(account.partner, profile)
        facts = {
            "action": "consult",
            "assurance": "password",
            "convention": convention,
            "engagement": account.engagement,
            "mandates": sorted(held),
            "objection": "raised" if dossier in self.objections else "none",
            "partner_kind": account.partner.kind,
            "profile": profile,
        }
        row = {
            **known,
            "act": "consult",
            "route": question.route,
            "dossier": dossier,
            "facts": json.dumps(facts, sort_keys=True, separators=(",", ":")),
        }
        needed = ENTRUSTED.get(profile)
        if not question.rubrics & column:
            return refused(403, "GW301", **row)
        if convention != "in_force":
            code = {"none": "GW311", "suspended": "GW312", "expired": "GW313"}[convention]
            return refused(403, code, **row)
        if account.engagement != "signed":
            return refused(403, {"missing": "GW314", "outdated": "GW315"}[account.engagement], **row)
        if needed is not None and not needed & held:
            return refused(403, "GW320", **row)
        if dossier in self.objections and account.partner.kind == "external":
            return refused(403, "GW321", shown="GW320", **row)
        body, left = leaving(question, column)
        if body is None:
            return refused(404, "GW401", **row)
        labels = {"convention in force", "engagement signed", "identity proved"}
        labels |= {"any dossier"} if needed is None else needed & held
        labels |= {f"brochure 2012, row {SLUGS.index(slug) + 1}" for slug in left}
        return Expected(200, body=body, row={**row, "rubrics": sorted(left), "rules": sorted(labels)})


class Question(NamedTuple):
    """A request to the backend: one of a dossier's three kinds of address, or one that is refused for what it is."""

    path: str
    dossier: str = ""
    route: str = ""
    rubric: str = ""
    """Empty for the whole dossier."""
    document: str = ""
    fault: tuple[int, str] | None = None

    @property
    def rubrics(self) -> frozenset[str]:
        """The rubrics that the answer could hold."""
        return frozenset((self.rubric,)) if self.rubric else frozenset(SLUGS)


@cache
def leaving(question: Question, column: frozenset[str]) -> tuple[bytes | None, frozenset[str]]:
    """Exactly what must leave, and the rubrics that are in it; None where the backend has nothing."""
    dossier, rubric = question.dossier, question.rubric
    if question.document:
        folder, _, reference = question.document.partition("/")
        return document_pdf(dossier, folder, reference), frozenset((rubric,))
    if rubric:
        alone = rubric_text(dossier, rubric)
        return None if alone is None else kept_rubric(rubric, alone.decode()).encode(), frozenset((rubric,))
    whole = dossier_text(dossier)
    if whole is None:
        return None, frozenset()
    return kept_dossier(whole, column), column & frozenset(members(members(whole.decode())["rubriques"]))


def dossier_question(dossier: str) -> Question:
    return Question(f"/dossiers/{dossier}", dossier, "dossier")


def rubric_question(dossier: str, slug: str) -> Question:
    return Question(f"/dossiers/{dossier}/rubriques/{slug}", dossier, "rubric", slug)


def document_question(dossier: str, folder: str, number: int) -> Question:
    rubric, beginning = DOCUMENTS[folder]
    reference = f"{beginning}-{dossier}-{number}"
    route = {"attestations": "attestation", "courriers": "courrier", "declarations": "declaration"}[folder]
    return Question(f"/dossiers/{dossier}/{folder}/{reference}.pdf", dossier, route, rubric, f"{folder}/{reference}")


ODD = (
    Question("/dossiers/123456", fault=(422, "GW207")),
    Question("/dossiers/12345678", fault=(422, "GW207")),
    Question("/dossiers/abcdefg/rubriques/rsa", fault=(422, "GW207")),
    Question("/dossiers/9990001/rubriques/Rsa", fault=(404, "GW203")),
    Question("/dossiers/9990001/", fault=(404, "GW203")),
    Question("/dossiers//9990001", fault=(404, "GW203")),
    Question("/dossiers/9990001/messages", fault=(404, "GW203")),
    Question("/etat", fault=(404, "GW203")),
    Question("/dossiers/9990001?rubriques=rsa", fault=(400, "GW202")),
    Question("/dossiers/%39990001?", dossier="9990001", route="dossier"),
)
"""Addresses that are refused for what they are, before any decision, and one that only looks so."""


class Attempts:
    """The failed log-ins of each identifier that was typed, known or not, by the clock of the one who types."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[int, float, float]] = {}

    def must_wait(self, typed: str, began: float, ended: float) -> bool | None:
        """Whether an attempt between these two instants came too soon; None where it was too close to tell."""
        times, first, last = self._failed.get(typed, (0, 0.0, 0.0))
        delay = DELAYS[min(times, len(DELAYS) - 1)]
        if not delay or began > last + delay:
            return False
        return True if ended < first + delay else None

    def fail(self, typed: str, began: float, ended: float) -> None:
        times = self._failed.get(typed, (0, 0.0, 0.0))[0]
        self._failed[typed] = (times + 1, began, ended)

    def succeed(self, typed: str) -> None:
        self._failed.pop(typed, None)
