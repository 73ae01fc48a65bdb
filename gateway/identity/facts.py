"""What the store knows about an agent and a dossier, turned into the states that policies decide on.

Two questions, one statement each. Their answers are remembered no longer than the database allows
(`database.connections`): on a file a change acts on the next request, on a server within a second. Days are those of
`rules.timezone`; a first and a last day both count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Date, String, and_, bindparam, literal_column, or_, select, union_all

from gateway.database.connections import Reading
from gateway.identity.tables import account, convention, mandate, objection, partner, session
from gateway.model import Agent, DossierNumber
from gateway.settings import Identity

_TODAY: Final = bindparam("today", type_=Date())
_DOSSIER: Final = bindparam("dossier", type_=String())


class SessionRow(NamedTuple):
    """A session, its account and partner, and one of the partner's conventions with this caisse, or None. SQLite says 0
    and 1 where PostgreSQL says false and true."""

    profile: str
    assurance: str
    seen_at: int
    expires_at: int
    account_id: int
    identifier: str
    account_profiles: str
    account_suspended: int
    engagement_version: str | None
    partner_id: int
    partner_name: str
    partner_kind: str
    convention_profiles: str | None
    convention_suspended: int | None
    convention_begun: int | None
    convention_over: int | None


_STANDING: Final = (
    account.c.id,
    account.c.identifier,
    account.c.profiles,
    account.c.suspended,
    account.c.engagement_version,
    partner.c.id,
    partner.c.name,
    partner.c.kind,
    convention.c.profiles,
    convention.c.suspended,
    (convention.c.starts_on <= _TODAY),
    (convention.c.ends_on < _TODAY),
)
_CONVENTIONS: Final = and_(
    convention.c.partner_id == partner.c.id, convention.c.caisse == bindparam("caisse", type_=String())
)

SESSION: Final = (
    select(session.c.profile, session.c.assurance, session.c.seen_at, session.c.expires_at, *_STANDING)
    .select_from(session)
    .join(account, account.c.id == session.c.account_id)
    .join(partner, partner.c.id == account.c.partner_id)
    .outerjoin(convention, _CONVENTIONS)
    .where(session.c.token_hash == bindparam("token_hash", type_=String()))
)
"""One row for each of the partner's conventions with `caisse`, at least one for a session that exists."""

ACCOUNT: Final = (
    select(
        bindparam("profile", type_=String()),
        bindparam("assurance", type_=String()),
        literal_column("0"),
        literal_column("0"),
        *_STANDING,
    )
    .select_from(account)
    .join(partner, partner.c.id == account.c.partner_id)
    .outerjoin(convention, _CONVENTIONS)
    .where(account.c.identifier == bindparam("identifier", type_=String()), account.c.closed_at.is_(None))
)
"""The rows of `SESSION` for an account that has none: `profile` and `assurance` are those it would have. No row for a
closed one, which is to be refused as if it were unknown."""

ENTRUSTED: Final = union_all(
    select(mandate.c.kind, literal_column("0")).where(
        mandate.c.dossier == _DOSSIER,
        mandate.c.partner_id == bindparam("partner"),
        or_(mandate.c.account_id.is_(None), mandate.c.account_id == bindparam("account")),
        mandate.c.starts_on <= _TODAY,
        or_(mandate.c.ends_on.is_(None), mandate.c.ends_on >= _TODAY),
        mandate.c.released_at.is_(None),
    ),
    select(literal_column("''"), literal_column("1")).where(
        objection.c.dossier == _DOSSIER, objection.c.lifted_at.is_(None)
    ),
)
"""A row (kind, 0) for each mandate in force, a row ("", 1) for each objection that is raised."""


def dossier_facts(
    reading: Reading, rules: Identity, agent: Agent, number: DossierNumber, *, now: datetime
) -> tuple[frozenset[str], str]:
    """The kinds of the agent's mandates on this dossier in force at `now`, and the dossier's objection state.

    A mandate serves the whole partner it names, or one agent of that partner. An objection is raised before all.
    Raises `StoreUnavailable`.
    """
    return reading.ask(
        ENTRUSTED,
        _entrusted,
        dossier=number,
        partner=agent.partner_id,
        account=agent.account_id,
        today=local_day(rules, int(now.timestamp())),
    )


def _entrusted(rows: list[tuple[Any, ...]]) -> tuple[frozenset[str], str]:
    if not rows:
        return _NOTHING_ENTRUSTED
    raised = any(objected for _, objected in rows)
    return frozenset(kind for kind, objected in rows if not objected), "raised" if raised else "none"


_NOTHING_ENTRUSTED: Final[tuple[frozenset[str], str]] = (frozenset(), "none")


@dataclass(frozen=True, slots=True)
class Session:
    """A session as the store knows it. `suspended` is its account."""

    seen_at: int
    expires_at: int
    suspended: bool
    agent: Agent


def session_of(found: list[tuple[Any, ...]], rules: Identity) -> Session | None:
    """The session of `SESSION`'s rows, None where there is none."""
    if not found:
        return None
    rows = [SessionRow._make(row) for row in found]
    first = rows[0]
    agent = Agent(
        account_id=first.account_id,
        identifier=first.identifier,
        partner_id=first.partner_id,
        partner_name=first.partner_name,
        partner_kind=first.partner_kind,
        profile=first.profile,
        profiles=tuple(first.account_profiles.split()),
        convention=convention_state(rows, profile=first.profile),
        engagement=engagement_state(first.engagement_version, asked=rules.engagement_version),
        assurance=first.assurance,
        expires_at=first.expires_at,
    )
    return Session(first.seen_at, first.expires_at, bool(first.account_suspended), agent)


def convention_state(rows: Iterable[SessionRow], *, profile: str) -> str:
    """The best state among the conventions that open `profile`: in force, else suspended, else expired, else none."""
    best = "none"
    for row in rows:
        if row.convention_profiles is None or profile not in row.convention_profiles.split():
            continue
        if row.convention_suspended:
            best = "suspended"
        elif row.convention_begun and not row.convention_over:
            return "in_force"
        elif row.convention_over and best == "none":
            best = "expired"
    return best


def engagement_state(version: str | None, *, asked: str) -> str:
    """Whether the version an agent signed is the one that is `asked` today."""
    if version is None:
        return "missing"
    return "signed" if version == asked else "outdated"


def local_day(rules: Identity, seconds: int) -> str:
    """The civil day of an instant (seconds since 1970, UTC), as `YYYY-MM-DD`."""
    return _day_of_quarter(rules.timezone, seconds // 900)


def local_date(rules: Identity, now: datetime) -> date:
    """The civil day of an instant."""
    return date.fromisoformat(local_day(rules, int(now.timestamp())))


@lru_cache(maxsize=64)
def _day_of_quarter(timezone: str, quarter: int) -> str:
    # Every time zone begins its days at a full quarter of an hour.
    return datetime.fromtimestamp(quarter * 900, ZoneInfo(timezone)).date().isoformat()
