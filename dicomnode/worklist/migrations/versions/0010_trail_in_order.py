"""The audit trail is read in the order of time, whatever it is searched by."""

from alembic import op

revision = "0010"
down_revision = "0009"

_BEFORE = (["at"], ["study_uid"], ["user", "id"], ["action", "id"])
_AFTER = (
    ["at", "id"],
    ["user", "at", "id"],
    ["action", "at", "id"],
    ["user", "action", "at", "id"],
    ["study_uid", "at", "id"],
)


def upgrade() -> None:
    """Replace the indexes."""
    _replace(_BEFORE, _AFTER)


def downgrade() -> None:
    """Put the others back."""
    _replace(_AFTER, _BEFORE)


def _replace(old: tuple[list[str], ...], new: tuple[list[str], ...]) -> None:
    for columns in old:
        op.drop_index(op.f(f"ix_audit_{'_'.join(columns)}"), table_name="audit")
    for columns in new:
        op.create_index(op.f(f"ix_audit_{'_'.join(columns)}"), "audit", columns)
