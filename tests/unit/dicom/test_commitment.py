import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicomnode.dicom.commitment import (
    EVERYTHING_KEPT,
    FAILURES_EXIST,
    CommitmentReport,
    CommitmentRequest,
    Reference,
    encode_report,
    encode_request,
    read_report,
    read_request,
)
from dicomnode.errors import Unreadable
from tests.commitment import encoded
from tests.factories import uid

TRANSACTION = uid("transaction")
ONE, TWO, THREE = (Reference(CTImageStorage, uid("instance", number)) for number in (1, 2, 3))
REQUEST = CommitmentRequest(transaction_uid=TRANSACTION, references=(ONE, TWO))
REPORT = CommitmentReport(
    transaction_uid=TRANSACTION, kept=(ONE,), failed=((TWO, 0x0112), (THREE, 0x0119))
)
SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]


def with_lengths(dataset: Dataset, *, undefined: bool) -> Dataset:
    for keyword in ("ReferencedSOPSequence", "FailedSOPSequence"):
        if keyword in dataset:
            dataset[keyword].is_undefined_length = undefined
            for item in dataset[keyword].value:
                item.is_undefined_length_sequence_item = undefined
    return dataset


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_request_is_read_as_it_was_written(syntax: str, undefined: bool) -> None:
    data = encoded(with_lengths(encode_request(REQUEST), undefined=undefined), syntax)
    assert read_request(data, syntax) == REQUEST


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_report_is_read_as_it_was_written(syntax: str, undefined: bool) -> None:
    data = encoded(with_lengths(encode_report(REPORT), undefined=undefined), syntax)
    assert read_report(data, syntax) == REPORT


def test_a_report_without_failures_is_the_first_event_and_has_no_empty_list() -> None:
    report = CommitmentReport(transaction_uid=TRANSACTION, kept=(ONE,), failed=())
    assert report.event_type_id == EVERYTHING_KEPT
    assert "FailedSOPSequence" not in encode_report(report)
    assert REPORT.event_type_id == FAILURES_EXIST


def test_what_else_a_dataset_holds_is_passed_over() -> None:
    dataset = encode_request(REQUEST)
    dataset.RetrieveAETitle = "SOMEWHERE"
    nested = Dataset()
    nested.ReferencedSeriesSequence = [Dataset(), encode_request(REQUEST)]
    dataset.ReferencedStudySequence = [nested]
    dataset["ReferencedStudySequence"].is_undefined_length = True
    for syntax in SYNTAXES:
        assert read_request(encoded(dataset, syntax), syntax) == REQUEST


def test_a_failure_without_its_reason_is_a_processing_failure() -> None:
    dataset = encode_report(REPORT)
    del dataset.FailedSOPSequence[0].FailureReason
    report = read_report(encoded(dataset), ImplicitVRLittleEndian)
    assert report.failed[0] == (TWO, 0x0110)


@pytest.mark.parametrize("keyword", ["TransactionUID", "ReferencedSOPSequence"])
@pytest.mark.parametrize("absent", [True, False])
def test_a_request_without_transaction_or_instances_is_unreadable(
    keyword: str, absent: bool
) -> None:
    dataset = encode_request(REQUEST)
    if absent:
        delattr(dataset, keyword)
    else:
        setattr(dataset, keyword, None)
    with pytest.raises(Unreadable):
        read_request(encoded(dataset), ImplicitVRLittleEndian)


def test_uids_that_are_none_are_unreadable() -> None:
    data = encoded(encode_request(REQUEST))
    for text in ("../../etc", "1.2.x", ""):
        name = text.ljust(len(ONE.sop_instance_uid)).encode()
        with pytest.raises(Unreadable, match="Referenced SOP Instance UID"):
            read_request(data.replace(ONE.sop_instance_uid.encode(), name), ImplicitVRLittleEndian)


def test_an_end_before_its_time_is_unreadable_wherever_it_comes() -> None:
    whole = encoded(encode_request(REQUEST))
    for end in range(len(whole)):
        with pytest.raises(Unreadable):
            read_request(whole[:end], ImplicitVRLittleEndian)


def test_ten_thousand_nested_sequences_are_unreadable() -> None:
    one = struct.pack("<HHI", 0x0008, 0x1199, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    with pytest.raises(Unreadable, match="nested"):
        read_request(one * 10_000, ImplicitVRLittleEndian)


def test_a_million_items_or_elements_are_unreadable() -> None:
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 1_000_000
    data = struct.pack("<HHI", 0x0008, 0x1199, len(items)) + items
    elements = struct.pack("<HHI", 0x0009, 0x0001, 0) * 1_000_000
    for much in (data, elements):
        with pytest.raises(Unreadable, match="elements"):
            read_request(much, ImplicitVRLittleEndian)


def test_fifty_thousand_instances_are_read() -> None:
    one = encoded(encode_request(REQUEST))
    start = one.index(b"\xfe\xff\x00\xe0")
    item = one[start : start + (len(one) - start) // 2]
    head = one[: start - 4] + struct.pack("<I", 50_000 * len(item))
    request = read_request(head + item * 50_000, ImplicitVRLittleEndian)
    assert request.references == (ONE,) * 50_000


def test_a_deflated_list_that_grows_beyond_all_limits_is_unreadable() -> None:
    deflater = zlib.compressobj(wbits=-15)
    bomb = b"".join(deflater.compress(bytes(1024 * 1024)) for _ in range(64)) + deflater.flush()
    with pytest.raises(Unreadable, match="too long"):
        read_request(bomb, DeflatedExplicitVRLittleEndian)
    with pytest.raises(Unreadable, match="not deflated"):
        read_request(b"\xff" * 64, DeflatedExplicitVRLittleEndian)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(encoded(encode_report(REPORT), draw(st.sampled_from(SYNTAXES[:3]))))
    for _ in range(draw(st.integers(1, 5))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


@settings(max_examples=300, deadline=None)
@given(data=mutated() | st.binary(max_size=200), syntax=st.sampled_from(SYNTAXES))
def test_whatever_comes_is_read_or_unreadable(data: bytes, syntax: str) -> None:
    for read in (read_request, read_report):
        with suppress(Unreadable):
            read(data, syntax)
