"""The Encapsulated PDF: what its pages say, in any script, and what the object around it says."""

from dataclasses import replace
from typing import Any

import pypdfium2
import pytest
from pydicom import Dataset

from dicomnode.answers import (
    Interval,
    OperatingPoint,
    Prediction,
    Presence,
    Refusal,
    Result,
)
from dicomnode.errors import Cause
from dicomnode.records import ResultKind
from dicomnode.report import wording
from dicomnode.report.catalogue import LANGUAGES, words
from dicomnode.report.drawn.document import placard_document
from dicomnode.report.drawn.page import person
from dicomnode.report.drawn.placard import not_analysed
from dicomnode.report.part10 import finished
from dicomnode.report.results import make_results
from tests.unit.report.samples import (
    MODEL,
    ORDER,
    earlier_report,
    frame_of,
    heat,
    make_ct,
    make_finding,
    make_header,
    make_prediction,
    make_source,
    read,
    ring,
)

NAMES = {
    "SYNTHETIC^SEÁN^^DR": "SYNTHETIC, DR SEÁN",
    "Yamada^Tarou=山田^太郎=やまだ^たろう": "Yamada, Tarou / 山田 太郎 / やまだ たろう",
    "Hong^Gildong=洪^吉洞=홍^길동": "Hong, Gildong / 洪 吉洞 / 홍 길동",
    "Wang^XiaoDong=王^小东": "Wang, XiaoDong / 王 小东",
    "Люксембург": "Люксембург",
    "Διονυσιος": "Διονυσιος",
    "=山田^太郎": "山田 太郎",
    "A^B^C^D^E": "A, D B C, E",
}
REFUSAL = Refusal(cause=Cause.VIEW, detail="no image is of a frontal view", model=MODEL)


def document(header: Dataset | None = None, regions: int = 1, **order: Any) -> Dataset:
    source = make_source(header or make_header())
    asked = replace(ORDER, kinds=frozenset({ResultKind.PDF}), **order)
    (result,) = make_results(source, make_prediction(source, regions), asked)
    return read(result)


def of(prediction: Prediction, **order: Any) -> Dataset:
    asked = replace(ORDER, kinds=frozenset({ResultKind.PDF}), **order)
    (result,) = make_results(make_source(), prediction, asked)
    return read(result)


def pages(ds: Dataset) -> list[str]:
    """The text of each page, as a viewer would copy it, with single spaces."""
    pdf = pypdfium2.PdfDocument(bytes(ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength]))
    texts = [" ".join(page.get_textpage().get_text_bounded().split()) for page in pdf]
    pdf.close()
    return texts


def text(ds: Dataset) -> str:
    return " ".join(pages(ds))


def test_the_object_says_what_it_holds_and_where_it_comes_from() -> None:
    source = make_ct(3)
    asked = replace(ORDER, kinds=frozenset({ResultKind.PDF}))
    (result,) = make_results(source, make_prediction(source), asked)
    ds = read(result)
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1"
    assert (ds.Modality, ds.ConversionType) == ("DOC", "WSD")
    assert ds.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert ds.BurnedInAnnotation == "YES"
    assert ds.VerificationFlag == "UNVERIFIED"
    assert ds.DocumentTitle == "Automated image analysis"
    assert ds.ConceptNameCodeSequence[0].CodeValue == "18748-4"
    assert [item.ReferencedSOPInstanceUID for item in ds.SourceInstanceSequence] == [
        header.SOPInstanceUID for header in source.headers
    ]
    assert len(ds.EncapsulatedDocument) % 2 == 0
    assert len(ds.EncapsulatedDocument) - ds.EncapsulatedDocumentLength in (0, 1)


def test_the_same_prediction_gives_the_same_bytes() -> None:
    first, second = (document(regions=2, language="zh") for _ in range(2))
    assert first.EncapsulatedDocument == second.EncapsulatedDocument
    assert b"2000010" in first.EncapsulatedDocument  # the date that stands for none


def test_every_typeface_is_embedded() -> None:
    header = make_header(SpecificCharacterSet="ISO_IR 192", PatientName="Yamada^T=山田^太郎")
    pdf = document(header, language="de").EncapsulatedDocument
    assert pdf.count(b"/BaseFont") == pdf.count(b"/FontFile2")
    assert b"DroidSansFallback" in pdf
    assert b"Helvetica" not in pdf


@pytest.mark.parametrize(("name", "written"), NAMES.items())
def test_a_name_of_any_script_stands_on_every_page(name: str, written: str) -> None:
    header = make_header(SpecificCharacterSet="ISO_IR 192", PatientName=name)
    assert person(name) == written
    ds = document(header)
    assert all(written.replace(" ", "") in page.replace(" ", "") for page in pages(ds))


def test_tells_patient_and_study_as_the_source_has_them() -> None:
    header = make_header(
        PatientID="ID-4711", PatientBirthDate="19680229", PatientSex="F", AccessionNumber="ACC-9"
    )
    said = text(document(header))
    for fact in ("ID-4711", "1968-02-29", "female", "ACC-9", "Chest, frontal", "REFERRER"):
        assert fact in said


def test_what_the_source_does_not_say_is_left_open() -> None:
    header = make_header(PatientBirthDate="", PatientSex="U", AccessionNumber=None)
    said = text(document(header))
    assert "Date of birth - " in said
    assert "Sex - " in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_tells_the_findings_in_every_language(language: str) -> None:
    say, said = words(language).say, text(document(language=language))
    number = f"97{say('marks.decimal')}0"
    for fact in (say("caution"), say("page.title"), say("presence.undetermined"), number):
        assert fact.replace(" ", "") in said.replace(" ", "")
    assert said.replace(" ", "").count(say("caution").replace(" ", "")) >= 2  # and at the foot


def test_tells_the_operating_point_with_its_interval_and_data() -> None:
    prediction = make_prediction(make_source())
    point = OperatingPoint(
        sensitivity=Interval(value=0.912, low=0.851, high=0.953),
        specificity=Interval(value=0.88, low=0.83, high=0.92),
        positives=121,
        negatives=483,
        data="images kept apart from training",
    )
    measured = tuple(replace(finding, operating=point) for finding in prediction.findings)
    model = replace(MODEL, calibration="isotonic")
    said = text(of(replace(prediction, findings=measured, model=model)))
    for fact in ("91.2 %", "85.1 %", "95.3 %", "121", "483", point.data, "isotonic regression"):
        assert fact in said


def test_what_must_be_minded_comes_before_all_else() -> None:
    order: dict[str, Any] = {"partial": True, "expected": 7, "revision": 2}
    said = text(document(predecessors=(earlier_report(make_source()),), **order))
    parts = ("not verified", MODEL.disclaimer, "PARTIAL", "Revision 2", "Patient ID")
    places = [said.index(part) for part in parts]
    assert places == sorted(places)


@pytest.mark.parametrize("left_out", [0, 2])
@pytest.mark.parametrize("partial", [False, True])
def test_the_first_page_says_how_much_of_the_study_was_analysed(
    left_out: int, partial: bool
) -> None:
    order = replace(ORDER, partial=partial, received=1, expected=4)
    prediction = replace(make_prediction(make_source()), left_out=left_out)
    first = pages(of(prediction, partial=partial, expected=4))[0]
    assert first.count(wording.completeness(prediction, order)) == 1
    before = first.index("Images analysed") < first.index("Patient ID")
    assert before == bool(left_out or partial)  # as a warning


def test_a_negative_result_says_so_and_shows_the_image() -> None:
    ds = document(regions=0)
    assert "No finding above its threshold" in text(ds)
    assert b"/DCTDecode" in ds.EncapsulatedDocument
    assert "Heat map (" not in text(ds)


def test_there_is_a_picture_of_each_present_finding() -> None:
    prediction = make_prediction(make_source())
    frame = prediction.frames[0]
    more = [
        make_finding(f"Finding {n}", frame, 0.9, heat=heat(frame, 0.2 * n, 0.5)) for n in range(4)
    ]
    ds = of(replace(prediction, findings=(*prediction.findings, *more)))
    assert ds.EncapsulatedDocument.count(b"/DCTDecode") == 5


def test_many_findings_go_on_over_pages_that_are_counted_and_nothing_reaches_the_foot() -> None:
    frame = frame_of(make_header())
    many = tuple(
        make_finding(f"Finding with a rather long name {n}", frame, 0.3, presence=Presence.ABSENT)
        for n in range(80)
    )
    ds = of(replace(make_prediction(make_source()), findings=many))
    told = pages(ds)
    assert len(told) > 2
    for number, page in enumerate(told, 1):
        assert f"Page {number} of {len(told)}" in page
    assert all(f"rather long name {n} " in " ".join(told) for n in range(80))
    pdf = pypdfium2.PdfDocument(bytes(ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength]))
    for page in pdf:
        gap = page.get_textpage().get_text_bounded(left=0, bottom=51, right=595, top=60)
        assert not gap.strip()
    pdf.close()


def test_a_page_has_the_picture_with_its_heat() -> None:
    header = make_header(rows=200, columns=160)
    pdf = document(header, regions=2)
    page = pypdfium2.PdfDocument(bytes(pdf.EncapsulatedDocument))[0]
    shown = page.render(scale=1).to_numpy().astype(int)
    blue, green, red = (shown[..., channel] for channel in range(3))
    assert ((red - blue > 60) & (red - green > 15)).sum() > 500
    page.pdf.close()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("cause", Cause)
def test_a_notice_says_why_and_what_to_do(cause: Cause, language: str) -> None:
    order, refusal = replace(ORDER, language=language), replace(REFUSAL, cause=cause)
    header = make_header(PatientID="ID-4711")
    ds = placard_document(
        header, not_analysed(refusal, order), order, uid="2.25.1", series_uid="2.25.2"
    )
    said, say = (
        text(read(finished(ds, header, ResultKind.PDF, {}))).replace(" ", ""),
        words(language).say,
    )
    for key in ("notice.title", "notice.negative", f"cause.{cause}.what", f"cause.{cause}.remedy"):
        assert say(key).replace(" ", "") in said
    assert said.index(MODEL.disclaimer.replace(" ", "")) < said.index("ID-4711")
    assert "ID-4711" in said
    assert "SourceInstanceSequence" not in ds


def test_a_notice_without_a_model_stands_alone() -> None:
    bare = Refusal(cause=Cause.MODEL_FAILED, detail="", model=None)
    ds = placard_document(
        make_header(), not_analysed(bare, ORDER), ORDER, uid="2.25.1", series_uid="2.25.2"
    )
    result: Result = finished(ds, ds, ResultKind.PDF, {})
    assert "could not be read" in text(read(result))


def test_a_region_without_heat_has_its_picture_and_no_scale_of_colours() -> None:
    prediction = make_prediction(make_source())
    frame = prediction.frames[0]
    bare = make_finding("Nodule", frame, 0.9, regions=(ring(frame, 0.5, 0.5),))
    said = text(of(replace(prediction, findings=(bare,))))
    assert "Nodule (90.0 %)" in said
    assert "Heat map (" not in said
