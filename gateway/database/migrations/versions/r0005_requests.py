"""Requests to join; when an account was last confirmed and used.

Only added to: a process of the version before goes on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "join_request",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("siret", sa.String(14), nullable=False),
        sa.Column("function", sa.Text(), nullable=False),
        sa.Column("profiles", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("received_by", sa.Text()),
        sa.Column("signed_by", sa.Text()),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("number", sa.Text()),
        sa.Column("caisse", sa.String(3)),
        sa.Column("starts_on", sa.Date()),
        sa.Column("ends_on", sa.Date()),
        sa.Column("max_agents", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_join_request"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_join_request_siret", "join_request", ["siret"])
    op.create_index("ix_join_request_state", "join_request", ["state"])
    op.add_column("account", sa.Column("confirmed_on", sa.Date()))
    op.add_column("account", sa.Column("last_used_on", sa.Date()))


def downgrade() -> None:
    op.drop_column("account", "last_used_on")
    op.drop_column("account", "confirmed_on")
    op.drop_table("join_request")


def lost(connection: sa.Connection) -> list[str]:
    def count(table: str, *where: str) -> int:
        query = sa.select(sa.func.count()).select_from(sa.table(table))
        return connection.execute(query.where(*(sa.column(name).is_not(None) for name in where))).scalar_one()

    found = (
        (count("join_request"), "requests to join"),
        (count("account", "confirmed_on"), "accounts: when they were confirmed"),
        (count("account", "last_used_on"), "accounts: when they were last used"),
    )
    return [f"{number} {what}." for number, what in found if number]
