"""Messages hold what the schema and the tables of PS3.15 A.5 want, whatever patients are called."""

import base64
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from dicomnode.audit.events import Deed, Party, Transfer, deed_message, transfer_message
from dicomnode.audit.message import Source, as_xml
from tests.audit_schema import parse

AT = datetime(2026, 11, 21, 8, 30, 0, 123_000, tzinfo=UTC)
SOURCE = Source(id="DICOMNODE@reading-room", site="North")
STUDY = "1.2.826.0.1.3680043.8.498.1"


def told(action: str, **changes: object) -> ET.Element:
    """The message of a deed, after it was held against the schema."""
    values = {"at": AT, "user": "ada", "address": "10.0.0.7", "action": action, "done": True}
    deed = Deed(**values | changes)  # type: ignore[arg-type]  # one of many kinds of values
    return parse(as_xml(deed_message(deed, SOURCE)))


def event(root: ET.Element) -> tuple[str, str, str, str]:
    """Code, type, action and outcome."""
    identity = root.find("EventIdentification")
    assert identity is not None
    kind = identity.find("EventTypeCode")
    return (
        identity.find("EventID").attrib["csd-code"],  # type: ignore[union-attr]  # checked
        "" if kind is None else kind.attrib["csd-code"],
        identity.attrib["EventActionCode"],
        identity.attrib["EventOutcomeIndicator"],
    )


@pytest.mark.parametrize(
    ("action", "code", "kind", "does"),
    [
        ("node.started", "110100", "110120", "E"),
        ("node.stopped", "110100", "110121", "E"),
        ("login", "110114", "110122", "E"),
        ("logout", "110114", "110123", "E"),
        ("user.added", "110113", "110137", "E"),
        ("user.role", "110113", "110136", "E"),
        ("key.made", "110113", "110137", "E"),
        ("peer.saved", "110113", "110128", "E"),
        ("configuration.saved", "110113", "110131", "E"),
        ("audit.seen", "110101", "", "R"),
        ("studies.searched", "110112", "", "E"),
        ("of-tomorrow", "110113", "110132", "E"),
    ],
)
def test_each_deed_is_the_event_of_the_standard(
    action: str, code: str, kind: str, does: str
) -> None:
    assert event(told(action, detail="words")) == (code, kind, does, "0")


@pytest.mark.parametrize(
    ("action", "does"),
    [("study.seen", "R"), ("job.cancelled", "U"), ("study.of-tomorrow", "U"), ("result.got", "R")],
)
def test_what_is_done_with_a_study_names_study_and_patient(action: str, does: str) -> None:
    root = told(action, study_uid=STUDY, patient_id="P-1")

    assert event(root) == ("110103", "", does, "0")
    study, patient = root.findall("ParticipantObjectIdentification")
    assert study.attrib["ParticipantObjectID"] == STUDY
    assert (study.attrib["ParticipantObjectTypeCode"], patient.attrib["ParticipantObjectID"]) == (
        "2",
        "P-1",
    )
    assert patient.attrib["ParticipantObjectTypeCodeRole"] == "1"


def test_a_failed_login_is_a_failure_of_somebody_at_an_address() -> None:
    root = told("login", user="", done=False, detail="unknown name")

    assert event(root) == ("110114", "110122", "E", "4")
    person, node = root.findall("ActiveParticipant")
    assert person.attrib["UserIsRequestor"] == "true"
    assert person.attrib["NetworkAccessPointID"] == "10.0.0.7"
    assert person.attrib["NetworkAccessPointTypeCode"] == "2"
    assert node.attrib["UserID"] == SOURCE.id


def test_a_query_is_told_whole_and_only_encoded() -> None:
    root = told("studies.searched", detail="patient <P-1>")

    query = root.find("ParticipantObjectIdentification/ParticipantObjectQuery")
    assert query is not None
    assert base64.b64decode(query.text or "").decode() == "patient <P-1>"
    assert "P-1" not in (root.findtext("EventIdentification/EventOutcomeDescription") or "")


@pytest.mark.parametrize("refused", ["", "objects refused by the receiver: StoreFull 2"])
def test_a_transfer_names_both_ends_the_study_and_how_much(refused: str) -> None:
    transfer = Transfer(
        at=AT,
        sender=Party(ae_title="CT1", address="10.0.0.9"),
        receiver=Party(ae_title="DICOMNODE", address="reading-room"),
        study_uid=STUDY,
        patient_id="P-1",
        accession_number="A 7",
        sop_classes={"1.2.840.10008.5.1.4.1.1.2": 312},
        refused=refused,
    )

    root = parse(as_xml(transfer_message(transfer, SOURCE)))

    assert event(root) == ("110104", "", "C", "8" if refused else "0")
    assert (root.findtext("EventIdentification/EventOutcomeDescription") or "") == refused
    sender, receiver = root.findall("ActiveParticipant")
    assert sender.attrib["UserIsRequestor"] == "true"
    assert [each.find("RoleIDCode").attrib["csd-code"] for each in (sender, receiver)] == [  # type: ignore[union-attr]
        "110153",
        "110152",
    ]
    assert receiver.attrib["NetworkAccessPointTypeCode"] == "1"
    described = root.find("ParticipantObjectIdentification/ParticipantObjectDescription")
    assert described is not None
    assert [child.attrib for child in described] == [
        {"Number": "A 7"},
        {"UID": "1.2.840.10008.5.1.4.1.1.2", "NumberOfInstances": "312"},
    ]


def test_a_study_that_was_refused_unread_is_called_unknown() -> None:
    """A.5.3.7 wants a study and a patient in each message."""
    ct, node = Party(ae_title="CT1"), Party(ae_title="DICOMNODE")
    transfer = Transfer(at=AT, sender=ct, receiver=node, refused="Unreadable 1")
    root = parse(as_xml(transfer_message(transfer, SOURCE)))

    named = root.findall("ParticipantObjectIdentification")
    assert [each.attrib["ParticipantObjectID"] for each in named] == ["unknown", "unknown"]


@pytest.mark.parametrize(
    "text",
    [
        '"/><ActiveParticipant UserID="root',
        "]]>\x00\x01\x1b\x7f\ufffe\ud800",
        "Müller^Jürgen 山田",
        "two\r\nlines\tand a tab",
        "  spaces   within  ",
        "&amp;#0; <!ENTITY x>",
        "",
    ],
)
def test_whatever_a_patient_or_user_is_called_it_stays_one_line_of_one_message(text: str) -> None:
    for action in ("study.seen", "user.added", "studies.searched", "login"):
        deed = Deed(
            at=AT,
            user=text,
            address="::1",
            action=action,
            done=True,
            study_uid=STUDY,
            patient_id=text,
            detail=text,
        )
        line = as_xml(deed_message(deed, SOURCE))
        assert "\n" not in line
        assert "\r" not in line
        root = ET.fromstring(line)  # noqa: S314  # made by ourselves
        assert len(root.findall("ActiveParticipant")) == 2


def test_however_much_is_said_a_collector_that_takes_32_kib_takes_it() -> None:
    """PS3.15 A.6: at least 32768 octets."""
    line = as_xml(
        deed_message(
            Deed(at=AT, user="ada", address="", action="refused", done=False, detail="é" * 100_000),
            SOURCE,
        )
    )

    assert len(line.encode()) < 32_768


def test_the_time_is_utc_and_says_so() -> None:
    identity = told("login").find("EventIdentification")

    assert identity is not None
    assert identity.attrib["EventDateTime"] == "2026-11-21T08:30:00.123Z"
