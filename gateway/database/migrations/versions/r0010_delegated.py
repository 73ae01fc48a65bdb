"""Delegated administrators: accounts that manage the agents of their own partner.

Only added to: a process of the version before goes on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("account", sa.Column("delegated", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("account", "delegated")


def lost(connection: sa.Connection) -> list[str]:
    named = sa.select(sa.func.count()).select_from(sa.table("account")).where(sa.column("delegated", sa.Boolean()))
    found = connection.execute(named).scalar_one()
    return [f"{found} delegated administrators: that they are."] if found else []
