"""A worklist as it is after years: SQL fills it, so that a million studies take minutes.

The newest studies are of today, each new one 90 seconds after the last. What is rare is there too:
a modality and a pipeline that are long retired, failures of long ago, CT studies of 300 images.
"""

from datetime import datetime

import sqlalchemy as sa

from dicomnode.storage.database import Database

__all__ = ["LABELS", "fill"]

LABELS = (
    "atelectasis", "cardiomegaly", "consolidation", "edema", "effusion", "emphysema", "fibrosis",
    "hernia", "infiltration", "mass", "nodule", "pleural thickening", "pneumonia", "pneumothorax",
)  # fmt: skip

_EACH_S = 90
_CT_IMAGES = 300
_CT_EVERY = 10  #: of the newest thousand studies
_IMAGES = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
_AT = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', :now, '-' || ((:count - i) * 90) || ' seconds')"
    " || '000'",
    "postgresql": "(CAST(:now AS timestamptz) - (:count - i) * interval '90 seconds')",
}
_DAY = {
    "sqlite": "replace(substr({at}, 1, 10), '-', '')",
    "postgresql": "to_char({at}, 'YYYYMMDD')",
}
_LATER = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', {at}, '+' || (20 + i % 60) || ' seconds') || '000'",
    "postgresql": "({at} + (20 + i % 60) * interval '1 second')",
}

_STUDIES = """
INSERT INTO studies (study_uid, patient_id, accession_number, study_date, calling_ae,
                     first_received_at, last_received_at)
{n} SELECT '1.2.826.0.1.3680043.8.498.' || i,
    'PAT' || substr(CAST(10000000 + i % 250000 * 7919 % 300000 AS text), 2),
    'ACC' || substr(CAST(10000000 + i AS text), 2), {day},
    CASE WHEN i <= :count / 20 THEN 'CT_OLD' WHEN i % 3 = 0 THEN 'DX_EAST' WHEN i % 3 = 1
    THEN 'DX_WEST' WHEN i % 50 = 2 THEN 'MOBILE' ELSE 'DX_WARD' END, {at}, {at} FROM n
"""
_INSTANCES = """
INSERT INTO instances (sop_instance_uid, sop_class_uid, series_uid, study_uid, sha256, calling_ae,
                       own, received_at)
{n}, k(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM k WHERE k < {images})
SELECT '1.2.826.0.1.3680043.8.498.' || i || '.{start}.' || k, '1.2.840.10008.5.1.4.1.1.1.1',
    '1.2.826.0.1.3680043.8.498.' || i || '.9', '1.2.826.0.1.3680043.8.498.' || i,
    '0000000000000000000000000000000000000000000000000000000000000000', 'DX_EAST', {no}, {at}
FROM n CROSS JOIN k WHERE {which}
"""
_JOBS = """
INSERT INTO jobs (study_uid, pipeline, revision, state, priority, attempts, partial, reason,
    because, last_instance_id, ready_at, not_before, created_at, updated_at)
{n} SELECT '1.2.826.0.1.3680043.8.498.' || i,
    CASE WHEN i <= :count / 10 THEN 'retired' WHEN i % 7 = 0 THEN 'hand' ELSE 'chest' END, 1,
    CASE WHEN i > :count - 4 THEN 'waiting' WHEN i > :count - 7 THEN 'ready'
    WHEN i > :count - 9 THEN 'running' WHEN i > :count - 14 THEN 'reported'
    WHEN i <= :count / 5 AND i % 10 = 3 THEN 'cancelled' WHEN i % 25 = 4 THEN 'not-analysed'
    WHEN i % 1000 = 5 THEN 'failed' WHEN i % 1000 = 6 THEN 'undelivered' ELSE 'delivered' END,
    0, 0, {no}, '', '', i * 2, {at}, {at}, {at}, {later} FROM n
"""
_RESULTS = """
INSERT INTO results (job_id, study_uid, sop_instance_uid, sop_class_uid, series_uid, kind, model,
                     summary, created_at)
SELECT id, study_uid, study_uid || '.7', '1.2.840.10008.5.1.4.1.1.88.33', study_uid || '.8', 'sr',
    'densenet@1.2', '{{}}', updated_at FROM jobs
WHERE state IN ('delivered', 'undelivered', 'reported') ORDER BY id
"""
_DELIVERIES = """
INSERT INTO deliveries (result_id, job_id, peer, state, attempts, not_before, message, created_at,
                        updated_at)
SELECT results.id, job_id, 'pacs', CASE jobs.state WHEN 'delivered' THEN 'sent'
    WHEN 'undelivered' THEN 'refused' ELSE 'owed' END, 1, jobs.updated_at, 'stored',
    jobs.updated_at, jobs.updated_at
FROM results JOIN jobs ON jobs.id = job_id ORDER BY results.id
"""
_FINDINGS = """
INSERT INTO findings (job_id, label, study_uid, probability)
SELECT id, :label, study_uid, 0.5 + (id % 50) / 100.0 FROM jobs
WHERE state IN ('delivered', 'undelivered', 'reported') AND id % 31 = :place
"""


def fill(database: Database, count: int, now: datetime) -> None:
    """Bring an empty, migrated worklist to so many studies."""
    with database.transaction() as tx:
        words = {"now": now.strftime("%Y-%m-%d %H:%M:%S"), "count": count}
        at = _AT[tx.dialect.name]
        day, later = (each[tx.dialect.name].format(at=at) for each in (_DAY, _LATER))
        no = "0" if tx.dialect.name == "sqlite" else "false"
        known = {"n": _IMAGES, "at": at, "day": day, "later": later, "no": no}
        ct = f"i > :count - 1000 AND i % {_CT_EVERY} = 0"
        for statement, more in (
            (_STUDIES, {}),
            (_INSTANCES, {"images": 2, "start": 1, "which": "1 = 1"}),
            (_INSTANCES, {"images": _CT_IMAGES, "start": 2, "which": ct}),
            (_JOBS, {}),
            (_RESULTS, {}),
            (_DELIVERIES, {}),
        ):
            tx.execute(sa.text(statement.format(**known, **more)), words)
        for place, label in enumerate(LABELS):
            tx.execute(sa.text(_FINDINGS), {"label": label, "place": place})
    _look_over(database)


def _look_over(database: Database) -> None:
    """What a Postgres does by itself after so many changes, sooner or later."""
    if database.url.get_backend_name() == "postgresql":
        engine = sa.create_engine(database.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
        engine.dispose()
