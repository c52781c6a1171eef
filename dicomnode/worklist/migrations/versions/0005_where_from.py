"""Where a session began, and an audit trail that is searched by who and what."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column and the indexes."""
    address = sa.Column("address", sa.String(length=64), server_default="", nullable=False)
    op.add_column("sessions", address)
    op.create_index(op.f("ix_audit_user_id"), "audit", ["user", "id"], unique=False)
    op.create_index(op.f("ix_audit_action_id"), "audit", ["action", "id"], unique=False)


def downgrade() -> None:
    """Take them away."""
    op.drop_index(op.f("ix_audit_action_id"), table_name="audit")
    op.drop_index(op.f("ix_audit_user_id"), table_name="audit")
    op.drop_column("sessions", "address")
