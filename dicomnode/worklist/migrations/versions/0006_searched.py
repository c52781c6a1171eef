"""The worklist is searched, and looked over, by indexes; findings have a table of their own."""

import sqlalchemy as sa
from alembic import op

from dicomnode.storage.columns import Words

revision = "0006"
down_revision = "0005"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_REFUSED = sa.text("state = 'refused'")
_BEGINNING = ("patient_id", "accession_number")
_EQUAL_FIRST = ("calling_ae", "study_date")

#: What the results so far say is present, of each pipeline's newest answer that stands.
_FILL = """
INSERT INTO findings (job_id, label, study_uid, probability)
SELECT results.job_id, said.key, results.study_uid,
       max(CAST(said.value ->> 'probability' AS FLOAT))
FROM results JOIN jobs ON jobs.id = results.job_id CROSS JOIN json_each(results.summary) AS said
WHERE said.value ->> 'presence' = 'present'
  AND results.withdrawn_at IS NULL AND jobs.refused IS NULL
  AND NOT EXISTS (
    SELECT 1 FROM jobs AS later JOIN results AS newer ON newer.job_id = later.id
    WHERE later.study_uid = jobs.study_uid AND later.pipeline = jobs.pipeline
      AND later.revision > jobs.revision)
GROUP BY results.job_id, said.key, results.study_uid
"""


def upgrade() -> None:
    """Make the table, fill it, and make the indexes."""
    op.create_table(
        "findings",
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("label", Words(), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_findings_job_id")),
        sa.ForeignKeyConstraint(
            ["study_uid"], ["studies.study_uid"], name=op.f("fk_findings_study_uid")
        ),
        sa.PrimaryKeyConstraint("job_id", "label", name=op.f("pk_findings")),
    )
    op.execute(_FILL)
    op.create_index(op.f("ix_findings_label_study_uid"), "findings", ["label", "study_uid"])
    for name in _BEGINNING:
        ops = {name: "text_pattern_ops"}
        op.create_index(op.f(f"ix_studies_{name}"), "studies", [name], postgresql_ops=ops)
    newest = ["last_received_at", "study_uid"]
    op.create_index(op.f("ix_studies_last_received_at_study_uid"), "studies", newest)
    for name in _EQUAL_FIRST:
        index = op.f(f"ix_studies_{name}_last_received_at_study_uid")
        op.create_index(index, "studies", [name, *newest])
    op.create_index(op.f("ix_jobs_state_updated_at"), "jobs", ["state", "updated_at"])
    op.create_index(op.f("ix_jobs_pipeline_id"), "jobs", ["pipeline", "id"])
    op.create_index(
        "ix_deliveries_refused",
        "deliveries",
        ["peer", "updated_at"],
        postgresql_where=_REFUSED,
        sqlite_where=_REFUSED,
    )
    op.create_index(op.f("ix_instances_study_uid_own"), "instances", ["study_uid", "own"])
    op.drop_index(op.f("ix_instances_study_uid"), table_name="instances")


def downgrade() -> None:
    """Take them away."""
    op.create_index(op.f("ix_instances_study_uid"), "instances", ["study_uid"])
    op.drop_index(op.f("ix_instances_study_uid_own"), table_name="instances")
    op.drop_index("ix_deliveries_refused", table_name="deliveries")
    op.drop_index(op.f("ix_jobs_pipeline_id"), table_name="jobs")
    op.drop_index(op.f("ix_jobs_state_updated_at"), table_name="jobs")
    for name in _EQUAL_FIRST:
        index = op.f(f"ix_studies_{name}_last_received_at_study_uid")
        op.drop_index(index, table_name="studies")
    op.drop_index(op.f("ix_studies_last_received_at_study_uid"), table_name="studies")
    for name in _BEGINNING:
        op.drop_index(op.f(f"ix_studies_{name}"), table_name="studies")
    op.drop_index(op.f("ix_findings_label_study_uid"), table_name="findings")
    op.drop_table("findings")
