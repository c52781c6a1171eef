"""Jobs that are not analysed and say so; results that know their model, and may be recalled."""

import sqlalchemy as sa
from alembic import op

from dicomnode.storage.columns import UTCDateTime, Words

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add them; what is there was analysed, by a model that was not written down."""
    op.add_column("jobs", sa.Column("refused", sa.String(length=16), nullable=True))
    op.add_column("jobs", sa.Column("because", Words(), nullable=False, server_default=""))
    op.add_column("results", sa.Column("model", Words(), nullable=False, server_default=""))
    op.add_column("results", sa.Column("withdrawn_at", UTCDateTime(), nullable=True))
    op.create_index(op.f("ix_results_model"), "results", ["model"], unique=False)
    op.create_table(
        "recalls",
        sa.Column("model", Words(), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_recalls")),
    )


def downgrade() -> None:
    """Take them out again."""
    op.drop_table("recalls")
    op.drop_index(op.f("ix_results_model"), "results")
    for table, name in (
        ("results", "withdrawn_at"),
        ("results", "model"),
        ("jobs", "because"),
        ("jobs", "refused"),
    ):
        op.drop_column(table, name)
