"""What candidates said of the same studies."""

import sqlalchemy as sa
from alembic import op

from dicomnode.storage.columns import UTCDateTime, Words

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "shadows",
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("model", Words(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("begun_at", UTCDateTime(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("refused", sa.String(length=16), nullable=True),
        sa.Column("because", Words(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_shadows_job_id")),
        sa.PrimaryKeyConstraint("job_id", "model", name=op.f("pk_shadows")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("shadows")
