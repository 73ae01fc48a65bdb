"""Activation links: an agent chooses a password with one.

Only added to: a process of the version before goes on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "activation",
        sa.Column("account_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_activation"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_activation_account_id"),
    )
    op.create_index("ix_activation_token_hash", "activation", ["token_hash"], unique=True)


def downgrade() -> None:
    op.drop_table("activation")


def lost(connection: sa.Connection) -> list[str]:
    found = connection.execute(sa.select(sa.func.count()).select_from(sa.table("activation"))).scalar_one()
    return [f"{found} activation links: make them anew."] if found else []
