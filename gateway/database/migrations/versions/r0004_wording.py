"""The texts of the personal engagement, as they were accepted.

Only added to: a process of the version before goes on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "wording",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_wording"),
    )


def downgrade() -> None:
    op.drop_table("wording")


def lost(connection: sa.Connection) -> list[str]:
    found = connection.execute(sa.select(sa.func.count()).select_from(sa.table("wording"))).scalar_one()
    return [f"{found} texts of the engagement, as they were accepted."] if found else []
