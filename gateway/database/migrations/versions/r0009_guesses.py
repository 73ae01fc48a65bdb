"""Failed log-ins of identifiers and addresses, for all machines and over restarts.

Only added to: a process of the version before goes on, and knows its own alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "guess",
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tag", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("place", name="pk_guess"),
    )
    op.create_index("ix_guess_at", "guess", ["at"])


def downgrade() -> None:
    op.drop_table("guess")


def lost(connection: sa.Connection) -> list[str]:
    """Nothing: an hour later none of it would mean anything."""
    return []
