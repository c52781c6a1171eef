"""A study that was answered: its image and its results on disk, and the worklist knows of both."""

from collections.abc import Collection
from pathlib import Path

from pydicom import Dataset

from dicomnode.answers import Result
from dicomnode.records import (
    InstanceRef,
    Job,
    ResultKind,
    State,
)
from dicomnode.storage.objects import ObjectStore
from dicomnode.web.site import Site
from dicomnode.worklist import arrivals, jobs, queue, studies
from tests.factories import STUDY_UID, make_part10
from tests.unit.report.samples import chest, made, make_header, make_source
from tests.worklist import after, claim, make_arrival

__all__ = ["PATIENT", "answer", "image_of", "keep_image", "make_image", "result_of"]

PATIENT = "SYN-0001"


def make_image(number: int = 1, *, rows: int = 160, columns: int = 160) -> Dataset:
    """A chest radiograph with its pixels."""
    shown = chest(rows, columns)[..., 0].astype("<u2") << 4
    image = make_header(number, rows=rows, columns=columns, PixelData=shown.tobytes())
    image["PixelData"].VR = "OW"
    image.WindowCenter, image.WindowWidth = 1024, 4096
    return image


def image_of(image: Dataset) -> InstanceRef:
    """Its name."""
    return InstanceRef(
        sop_class_uid=str(image.SOPClassUID),
        sop_instance_uid=str(image.SOPInstanceUID),
        series_uid=str(image.SeriesInstanceUID),
        study_uid=str(image.StudyInstanceUID),
    )


def keep_image(store: ObjectStore, image: Dataset, part10: bytes = b"") -> Path:
    """Put an image where received ones lie."""
    ref = image_of(image)
    path = store.path_of(ref.study_uid, ref.sop_instance_uid)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(part10 or make_part10(image))
    return path


def answer(
    site: Site, *, regions: int = 1, kinds: Collection[ResultKind] = tuple(ResultKind)
) -> tuple[Job, tuple[Result, ...]]:
    """One image came for the pipeline `all`, and its results are owed to `pacs`."""
    site.store.prepare()
    image = make_image()
    keep_image(site.store, image)
    results = made(make_source(image), regions, kinds=frozenset(kinds))
    files = {result.ref.sop_instance_uid: result.part10 for result in results}
    site.store.keep_results(STUDY_UID, files)
    with site.database.transaction() as tx:
        came = make_arrival(ref=image_of(image), pipelines={"all": 0}, patient_id=PATIENT)
        arrivals.enter(tx, [came], now=after(0))
        waiting = jobs.latest(tx, STUDY_UID, "all")
        assert waiting is not None
        assert studies.close(tx, waiting, State.READY, now=after(1))
        job = claim(tx, now=after(2))
        assert job is not None
        queue.finish(tx, job, results, {"pacs": frozenset(kinds)}, now=after(3))
        return jobs.get(tx, job.id), results


def result_of(results: Collection[Result], kind: ResultKind) -> str:
    """UID of the first of a kind."""
    return next(each.ref.sop_instance_uid for each in results if each.kind is kind)
