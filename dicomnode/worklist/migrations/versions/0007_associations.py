"""Associations that are alike are counted in one row; why objects were refused; found by time."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_TROUBLED = sa.text("cause != ''")


def upgrade() -> None:
    """Add the columns and the indexes."""
    for column in (
        sa.Column("refusals", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("count", sa.Integer(), server_default="1", nullable=False),
    ):
        op.add_column("associations", column)
    op.create_index(op.f("ix_associations_ended_at"), "associations", ["ended_at"], unique=False)
    op.create_index(
        "ix_associations_troubled",
        "associations",
        ["ended_at"],
        unique=False,
        postgresql_where=_TROUBLED,
        sqlite_where=_TROUBLED,
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_index("ix_associations_troubled", table_name="associations")
    op.drop_index(op.f("ix_associations_ended_at"), table_name="associations")
    op.drop_column("associations", "count")
    op.drop_column("associations", "refusals")
