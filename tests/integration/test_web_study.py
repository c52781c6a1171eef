"""What a running node made, on the page; and what is done there, taken up by the node."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.node.build import open_worklist
from dicomnode.people.accounts import Role
from dicomnode.records import ResultKind, State
from dicomnode.storage.objects import ObjectStore
from dicomnode.web.site import Site
from dicomnode.worklist import history, results
from tests.factories import uid
from tests.pacs import FakePacs
from tests.running import RunningNode, node, until
from tests.web import client

STUDY = uid("web", "study")
KINDS = """
results = ["sr", "text", "sc", "pdf"]
destinations = ["pacs"]

[complete]
quiet_s = 0.5
"""


@pytest.fixture
def running(tmp_path: Path, archive: FakePacs) -> Iterator[RunningNode]:
    with node(tmp_path, archive.peer.port, extra={"pipelines/all.toml": KINDS}) as running:
        yield running


@pytest.fixture
def site(running: RunningNode) -> Iterator[Site]:
    site = Site(
        config=running.config,
        settings=lambda: running.settings,
        database=open_worklist(running.settings),
        store=ObjectStore(running.settings.node.storage.folder),
    )
    yield site
    site.pictures.close()
    site.database.close()


def test_a_study_is_seen_with_its_findings_over_it_and_sent_and_done_again_from_the_page(
    running: RunningNode, site: Site, archive: FakePacs, tmp_path: Path
) -> None:
    image = synthetic_dx(3, ("cardiomegaly",), rows=512, study_uid=STUDY)
    path = tmp_path / "1.dcm"
    image.save_as(path, enforce_file_format=True)
    running.send([path])
    (job,) = running.wait_for_studies(1)
    assert job.state is State.DELIVERED, job.reason
    browser, there = client(site, Role.OPERATOR), f"/studies/{STUDY}"

    page = browser.get(there).text
    assert "heat map of cardiomegaly" in page
    assert "cardiomegaly" in page
    with site.database.reading() as tx:
        made = results.listed(tx, study_uid=STUDY)
    for each in made:
        shown = browser.get(f"/results/{each.ref.sop_instance_uid}")
        assert shown.status_code == 200, each.kind
    capture = next(each for each in made if each.kind is ResultKind.SC)
    for name in (image.SOPInstanceUID, capture.ref.sop_instance_uid):
        assert browser.get(f"/pictures/{name}.png?size=128").content.startswith(b"\x89PNG")

    sent = len(archive.order)
    browser.post(there, data={"act": "resend", "job": job.id})
    until(lambda: len(archive.order) == 2 * sent)
    until(lambda: running.jobs()[0].state is State.DELIVERED)

    browser.post(there, data={"act": "process", "pipeline": "all"})
    until(lambda: [each.state for each in running.jobs()] == [State.DELIVERED] * 2)
    assert [each.revision for each in running.jobs()] == [2, 1]
    assert capture.ref.sop_class_uid == SecondaryCaptureImageStorage
    with site.database.reading() as tx:
        story = [event.detail for event in history.of_study(tx, STUDY)]
    assert "sent again to pacs by operator" in story
    assert "given to all by operator" in story
