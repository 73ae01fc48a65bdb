"""By which import a partner, a convention, an account or a mandate was entered.

Only added to: a process of the version before goes on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
_TABLES = ("partner", "convention", "account", "mandate")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("import_id", sa.Integer()))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "import_id")


def lost(connection: sa.Connection) -> list[str]:
    found = 0
    for table in _TABLES:
        query = sa.select(sa.func.count(sa.column("import_id"))).select_from(sa.table(table))
        found += connection.execute(query).scalar_one()
    return [f"{found} entries: by which import they came. The imports stay among the changes."] if found else []
