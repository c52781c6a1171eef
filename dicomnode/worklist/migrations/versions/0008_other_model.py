"""A job may be done by another model than its pipeline's."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column."""
    op.add_column("jobs", sa.Column("model", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("jobs", "model")
