"""Log-ins at an OpenID provider that have come back.

Only added to: a process of the version before goes on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "spent_state",
        sa.Column("state_hash", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name="pk_spent_state"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_spent_state_expires_at", "spent_state", ["expires_at"])


def downgrade() -> None:
    op.drop_table("spent_state")


def lost(connection: sa.Connection) -> list[str]:
    """Nothing: they are good for minutes, and the version before sends nobody to a provider."""
    return []
