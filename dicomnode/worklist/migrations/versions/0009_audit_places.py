"""How far the audit trail was told to whom; jobs are counted by state and pipeline."""

import sqlalchemy as sa
from alembic import op

from dicomnode.storage.columns import UTCDateTime

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table and the index."""
    op.create_table(
        "audit_places",
        sa.Column("sink", sa.String(length=16), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("place", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("sink", name=op.f("pk_audit_places")),
    )
    op.create_index(op.f("ix_jobs_state_pipeline"), "jobs", ["state", "pipeline"])


def downgrade() -> None:
    """Take them away."""
    op.drop_index(op.f("ix_jobs_state_pipeline"), table_name="jobs")
    op.drop_table("audit_places")
