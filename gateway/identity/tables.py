"""The directory's tables, the same on SQLite and on PostgreSQL.

Dates are civil days of the configured time zone. Instants are whole seconds since 1970, UTC. Profiles are written
separated by spaces, such as `T1 T9`. Nothing an administrator enters is ever deleted: it is released, lifted,
suspended, closed; only sessions go, failures, activation links and second factors. Whoever changes a table here gives
it a revision: gateway/README.md. `import_id` is the change by which a file brought the row (`imports.py`), None where
it came alone. `info` says what a gateway may do with its rows on a server: `database/rights.py`.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
)

from gateway.database.rights import APPENDED, PASSING

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

partner: Final = Table(
    "partner",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("siret", String(14), unique=True, index=True),
    Column("import_id", Integer),
)

convention: Final = Table(
    "convention",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("partner_id", ForeignKey(partner.c.id), nullable=False, index=True),
    Column("number", Text, nullable=False, unique=True),
    Column("caisse", String(3), nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date, nullable=False),
    Column("suspended", Boolean, nullable=False),
    Column("profiles", Text, nullable=False),
    Column("max_agents", Integer),
    Column("import_id", Integer),
)

account: Final = Table(
    "account",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("identifier", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("partner_id", ForeignKey(partner.c.id), nullable=False, index=True),
    Column("profiles", Text, nullable=False),
    Column("engagement_version", Text),
    Column("engagement_signed_at", BigInteger),
    Column("suspended", Boolean, nullable=False),
    Column("function", Text),
    Column("closed_at", BigInteger),
    Column("confirmed_on", Date),
    Column("last_used_on", Date),
    Column("import_id", Integer),
    Column("delegated", Boolean, nullable=False, server_default=false()),
    Column("suspended_by_partner", Boolean, nullable=False, server_default=false()),
)
"""A closed account is suspended, too: for a process of an earlier version, and for whatever asks no more than that.
`suspended_by_partner`: its own partner's administrator did it, and may undo it."""

failure: Final = Table(
    "failure",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True, autoincrement=False),
    Column("in_a_row", Integer, nullable=False),
    Column("locked_at", BigInteger),
    info=PASSING,
)
"""Wrong passwords since the last right one, of the accounts that have any."""

guess: Final = Table(
    "guess",
    METADATA,
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("tag", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    info=PASSING,
)
"""Failed log-ins of identifiers and addresses, known or not, none of them named: `guesses.py`."""

second_factor: Final = Table(
    "second_factor",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True, autoincrement=False),
    Column("secret", Text, nullable=False),
    Column("begun_at", BigInteger, nullable=False),
    Column("confirmed_at", BigInteger),
    Column("last_step", BigInteger, nullable=False),
    info=PASSING,
)
"""The secret is sealed. What was not confirmed with a code asks for none. `last_step`: of the last code accepted."""

recovery_code: Final = Table(
    "recovery_code",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("account_id", ForeignKey(account.c.id), nullable=False, index=True),
    Column("code_hash", String(64), nullable=False),
    Column("used_at", BigInteger),
    info=PASSING,
)

mandate: Final = Table(
    "mandate",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("dossier", String(7), nullable=False),
    Column("kind", Text, nullable=False),
    Column("partner_id", ForeignKey(partner.c.id), nullable=False, index=True),
    Column("account_id", ForeignKey(account.c.id), index=True),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
    Column("reference", Text, nullable=False),
    Column("released_at", BigInteger),
    Column("import_id", Integer),
    Index(None, "dossier", "partner_id"),
)

objection: Final = Table(
    "objection",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("dossier", String(7), nullable=False, index=True),
    Column("raised_at", BigInteger, nullable=False),
    Column("lifted_at", BigInteger),
    Column("reference", Text, nullable=False),
)

session: Final = Table(
    "session",
    METADATA,
    Column("token_hash", String(64), primary_key=True),
    Column("account_id", ForeignKey(account.c.id), nullable=False, index=True),
    Column("profile", Text, nullable=False),
    Column("assurance", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
    info=PASSING,
)

id_token: Final = Table(
    "id_token",
    METADATA,
    Column("token_hash", ForeignKey(session.c.token_hash, ondelete="CASCADE"), primary_key=True),
    Column("provider", Text, nullable=False),
    Column("sealed", Text),
    info=PASSING,
)
"""Of the sessions whose provider is to be told of their end. Sealed with what only the session's bearer has:
`openid_hints.py`."""

activation: Final = Table(
    "activation",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True, autoincrement=False),
    Column("token_hash", String(64), nullable=False, unique=True, index=True),
    Column("expires_at", BigInteger, nullable=False),
    info=PASSING,
)
"""The link of an account with which its agent may choose a password. It goes when it is used."""

wording: Final = Table(
    "wording",
    METADATA,
    Column("version", Text, primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    info=APPENDED,
)
"""The texts of the personal engagement, as they were when they were accepted for the first time."""

join_request: Final = Table(
    "join_request",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("siret", String(14), nullable=False, index=True),
    Column("function", Text, nullable=False),
    Column("profiles", Text, nullable=False),
    Column("contact", Text, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("asked_at", BigInteger, nullable=False),
    Column("received_by", Text),
    Column("signed_by", Text),
    Column("decided_by", Text),
    Column("decided_at", BigInteger),
    Column("number", Text),
    Column("caisse", String(3)),
    Column("starts_on", Date),
    Column("ends_on", Date),
    Column("max_agents", Integer),
    sqlite_autoincrement=True,
)
"""Organisations that ask to join, and the convention that is signed with them. `…_by` are identifiers of accounts,
which are never another's. `contact` is emptied some time after the decision: `retention.py`."""

spent_state: Final = Table(
    "spent_state",
    METADATA,
    Column("state_hash", String(64), primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
    info=PASSING,
)
"""Browsers that have come back from an OpenID provider, until they could not any more: each comes back once."""

change: Final = Table(
    "change",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("detail", Text, nullable=False),
    Column("why", Text, nullable=False),
    sqlite_autoincrement=True,
    info=APPENDED,
)
"""Everything that was done to the other tables by hand. Appended to, never altered."""
