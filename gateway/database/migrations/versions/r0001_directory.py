"""Partners, conventions, accounts, failures, mandates, objections, sessions.

As the first version made them, without revisions: what is there already stays as it is.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0001"
down_revision = None


def upgrade() -> None:
    _table(
        "partner",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_partner"),
        sa.UniqueConstraint("name", name="uq_partner_name"),
    )
    _table(
        "convention",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("partner_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("caisse", sa.String(3), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.Column("profiles", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["partner_id"], ["partner.id"], name="fk_convention_partner_id"),
        sa.PrimaryKeyConstraint("id", name="pk_convention"),
        sa.UniqueConstraint("number", name="uq_convention_number"),
    )
    _index("convention", "partner_id")
    _table(
        "account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("partner_id", sa.Integer(), nullable=False),
        sa.Column("profiles", sa.Text(), nullable=False),
        sa.Column("engagement_version", sa.Text()),
        sa.Column("engagement_signed_at", sa.BigInteger()),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["partner_id"], ["partner.id"], name="fk_account_partner_id"),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("identifier", name="uq_account_identifier"),
    )
    _index("account", "partner_id")
    _table(
        "failure",
        sa.Column("account_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("in_a_row", sa.Integer(), nullable=False),
        sa.Column("locked_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_failure_account_id"),
        sa.PrimaryKeyConstraint("account_id", name="pk_failure"),
    )
    _table(
        "mandate",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dossier", sa.String(7), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("partner_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer()),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date()),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("released_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["partner_id"], ["partner.id"], name="fk_mandate_partner_id"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_mandate_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_mandate"),
    )
    _index("mandate", "partner_id")
    _index("mandate", "account_id")
    _index("mandate", "dossier", "partner_id")
    _table(
        "objection",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dossier", sa.String(7), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("lifted_at", sa.BigInteger()),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_objection"),
    )
    _index("objection", "dossier")
    _table(
        "session",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("assurance", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_session_account_id"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_session"),
        sqlite_with_rowid=False,
    )
    _index("session", "account_id")
    _index("session", "expires_at")


def downgrade() -> None:
    raise RuntimeError("Nothing comes before the first revision.")


def _table(name: str, *parts: SchemaItem, **options: bool) -> None:
    op.create_table(name, *parts, if_not_exists=True, **options)


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{'_'.join((table, *columns))}", table, list(columns), if_not_exists=True)
