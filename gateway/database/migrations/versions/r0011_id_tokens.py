"""The ID tokens of sessions that began at an OpenID provider, sealed, for the log-out there.

Only added to: a process of the version before goes on, and what it ends here is ended with the session.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "id_token",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text()),
        sa.PrimaryKeyConstraint("token_hash", name="pk_id_token"),
        sa.ForeignKeyConstraint(
            ["token_hash"], ["session.token_hash"], name="fk_id_token_token_hash", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    op.drop_table("id_token")


def lost(connection: sa.Connection) -> list[str]:
    """Nothing: sessions go on, and the version before ends none at a provider."""
    return []
