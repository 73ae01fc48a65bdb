"""Who suspended an account: a delegated administrator resumes what one of its own partner suspended, nothing else.

Only added to: a process of the version before goes on. What was suspended until now counts as the Caf's, and so does
what it suspends, but for an account that its partner suspends or has suspended while both versions are at work.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("account", sa.Column("suspended_by_partner", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("account", "suspended_by_partner")


def lost(connection: sa.Connection) -> list[str]:
    named = sa.select(sa.func.count()).select_from(sa.table("account"))
    found = connection.execute(named.where(sa.column("suspended_by_partner", sa.Boolean()))).scalar_one()
    return [f"{found} accounts: that their partner suspended them, and not the Caf."] if found else []
