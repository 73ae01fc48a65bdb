"""SIRET of partners, most agents of a convention, function and end of accounts; who changed what, when and why.

Only added to: a process of the version before goes on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("partner", sa.Column("siret", sa.String(14)))
    op.create_index("ix_partner_siret", "partner", ["siret"], unique=True)
    op.add_column("convention", sa.Column("max_agents", sa.Integer()))
    op.add_column("account", sa.Column("function", sa.Text()))
    op.add_column("account", sa.Column("closed_at", sa.BigInteger()))
    op.create_table(
        "change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_change"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_change_subject", "change", ["subject"])


def downgrade() -> None:
    op.drop_table("change")
    op.drop_column("account", "closed_at")
    op.drop_column("account", "function")
    op.drop_column("convention", "max_agents")
    op.drop_index("ix_partner_siret", "partner")
    op.drop_column("partner", "siret")


def lost(connection: sa.Connection) -> list[str]:
    def count(table: str, *where: str) -> int:
        query = sa.select(sa.func.count()).select_from(sa.table(table))
        return connection.execute(query.where(*(sa.column(name).is_not(None) for name in where))).scalar_one()

    found = (
        (count("partner", "siret"), "partners: their SIRET"),
        (count("convention", "max_agents"), "conventions: how many agents they allow"),
        (count("account", "function"), "accounts: the agent's function"),
        (count("account", "closed_at"), "closed accounts: that they are closed. They stay suspended"),
        (count("change"), "changes: who made them, when and why"),
    )
    return [f"{number} {what}." for number, what in found if number]
