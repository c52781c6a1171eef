"""Objects that came and objects that left are told as transfers (PS3.15 A.5.3.7)."""

from pathlib import Path

from dicomnode.logbook import associations
from dicomnode.logbook.associations import Ended
from dicomnode.records import Visit, VisitState
from dicomnode.storage.database import Database
from tests.audited import Ear, event_of, follower
from tests.factories import STUDY_UID
from tests.worklist import NOW, after, delivered_job, enter, undelivered_job


def test_a_study_that_came_and_results_that_left_are_transfers(
    database: Database, tmp_path: Path
) -> None:
    ear = Ear()
    follows = follower(database, tmp_path, ear)
    follows.follow(NOW)  # from now on
    with database.transaction() as tx:
        enter(tx, 7, calling_ae="PACS", now=NOW, patient_id="P-9", accession_number="A-1")
        delivered_job(tx, images=2, patient_id="P-9", accession_number="A-1")

    follows.follow(NOW)
    assert ear.told == []  # there may be more to come
    follows.follow(after(60))
    follows.follow(after(120))

    ends = [
        [each.attrib["UserID"] for each in root.findall("ActiveParticipant")] for root in ear.heard
    ]
    assert sorted(ends) == [["DICOMNODE", "PACS"], ["MODALITY", "DICOMNODE"], ["PACS", "DICOMNODE"]]
    for root in ear.heard:
        assert event_of(root) == "DICOM Instances Transferred"
        study, patient = root.findall("ParticipantObjectIdentification")
        assert study.attrib["ParticipantObjectID"] == STUDY_UID
        assert patient.attrib["ParticipantObjectID"] == "P-9"
    sent = ear.heard[ends.index(["DICOMNODE", "PACS"])]
    counts = [int(each.attrib["NumberOfInstances"]) for each in sent.iter("SOPClass")]
    assert sum(counts) == 2
    assert sent.findall("ActiveParticipant")[1].attrib["NetworkAccessPointID"] == "127.0.0.1"


def test_what_a_peer_took_and_what_it_refused_are_two_messages(
    database: Database, tmp_path: Path
) -> None:
    """PS3.15 A.5.2: not a single message with mixed results."""
    ear = Ear()
    follows = follower(database, tmp_path, ear)
    follows.follow(NOW)
    with database.transaction() as tx:
        undelivered_job(tx)

    follows.follow(after(60))

    outcomes = []
    for root in ear.heard:
        event, receiver = root.find("EventIdentification"), root.findall("ActiveParticipant")[1]
        if event is not None and receiver.attrib["UserID"] == "PACS":
            outcomes.append(event.attrib["EventOutcomeIndicator"])
    assert sorted(outcomes) == ["0", "8"]


def test_objects_that_came_and_were_refused_are_a_transfer_that_failed(
    database: Database, tmp_path: Path
) -> None:
    ear = Ear()
    follows = follower(database, tmp_path, ear)
    follows.follow(NOW)
    usual = {"address": "10.0.0.9", "called_ae": "DICOMNODE", "stored": 3}
    visits = [
        Visit(state=VisitState.RELEASED, calling_ae="CT1", **usual),  # type: ignore[arg-type]
        Visit(
            state=VisitState.ABORTED,
            calling_ae="CT2",
            refusals={"StoreFull": 2, "": 1},
            **usual,  # type: ignore[arg-type]  # one of several kinds of values
        ),
    ]
    with database.transaction() as tx:
        rows = [Ended(visit=visit, at=NOW, ended_at=after(9)) for visit in visits]
        associations.write(tx, rows)

    follows.follow(after(10))
    follower(database, tmp_path, ear).follow(after(60))

    assert ear.told == ["objects refused by the receiver: unforeseen 1, StoreFull 2"]
    (root,) = ear.heard
    event = root.find("EventIdentification")
    assert event is not None
    assert (event_of(root), event.attrib["EventOutcomeIndicator"]) == (
        "DICOM Instances Transferred",
        "8",
    )
    sender, receiver = root.findall("ActiveParticipant")
    assert (sender.attrib["UserID"], receiver.attrib["UserID"]) == ("CT2", "DICOMNODE")
    assert sender.attrib["NetworkAccessPointID"] == "10.0.0.9"


def test_while_an_association_brings_more_a_study_is_not_told(
    database: Database, tmp_path: Path
) -> None:
    ear, bringing = Ear(), {STUDY_UID}
    follows = follower(database, tmp_path, ear, bringing.__contains__)
    follows.follow(NOW)
    with database.transaction() as tx:
        enter(tx, 1)
    follows.follow(after(60))
    assert ear.told == []

    bringing.clear()
    follower(database, tmp_path, ear).follow(after(61))  # even by a process that begins now

    assert ear.told == ["DICOM Instances Transferred"]
