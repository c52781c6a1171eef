"""The gate: good objects of every kind pass; broken in any way, none does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR, tag_for_keyword

from dicomnode.errors import ReportError
from dicomnode.records import ResultKind
from dicomnode.report.gate import check as gate
from dicomnode.report.gate.attributes import IODS, ITEMS, MODULES
from tests.unit.report.every_kind import EVERY_KIND, good, results
from tests.unit.report.samples import make_header

K = ResultKind
Break = Callable[[Dataset], Any]


def put(ds: Dataset, keyword: str, value: object) -> None:
    """Set what pydicom would warn of."""
    tag = tag_for_keyword(keyword) or 0
    ds[tag] = DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE)


@contextmanager
def without(ds: Dataset, keyword: str) -> Iterator[None]:
    """The dataset lacks an attribute for a while."""
    element = ds[keyword]
    del ds[keyword]
    yield
    ds[element.tag] = element


def everything(ds: Dataset) -> Iterator[Dataset]:
    """The object and every item in it."""
    yield ds
    for element in ds:
        for item in element.value if element.VR == "SQ" else ():
            yield from everything(item)


def descend(ds: Dataset, sequence: str) -> Dataset | None:
    """The first item of the first sequence of that name, wherever it is."""
    return next((one[sequence][0] for one in everything(ds) if one.get(sequence)), None)


def _items(ds: Dataset, sequence: str) -> list[Dataset]:
    return list(ds.get(sequence) or [])


def content(ds: Dataset, name: str) -> Dataset:
    """The first content item of that name."""
    return next(
        item
        for one in everything(ds)
        for item in _items(one, "ContentSequence")
        if item.get("ConceptNameCodeSequence")
        and item.ConceptNameCodeSequence[0].get("CodeValue") == name
    )


def test_the_gate_knows_the_classes_that_we_make_and_no_other() -> None:
    assert set(IODS) == {made.ref.sop_class_uid for made in results()}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_good_object_of_every_kind_passes(kind: ResultKind) -> None:
    gate.check(good(kind))


# --- attributes -----------------------------------------------------------------------------


def required(kind: ResultKind, *, filled: bool) -> list[str]:
    modules = [MODULES[section] for section in IODS[good(kind).SOPClassUID].split()]
    words = [m.filled if filled else f"{m.filled} {m.present}" for m in modules]
    return sorted({keyword for line in words for keyword in line.split()})


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_missing_attribute_closes_the_gate(kind: ResultKind) -> None:
    ds = good(kind)
    for keyword in required(kind, filled=False):
        with without(ds, keyword), pytest.raises(ReportError, match=rf"{keyword} is (missing|not)"):
            gate.check(ds)
    gate.check(ds)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_an_empty_attribute_of_type_1_closes_the_gate(kind: ResultKind) -> None:
    ds = good(kind)
    for keyword in required(kind, filled=True):
        with without(ds, keyword):
            setattr(ds, keyword, [] if dictionary_VR(keyword) == "SQ" else None)
            with pytest.raises(ReportError, match=rf"{keyword} (is|has)"):
                gate.check(ds)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_missing_attribute_of_an_item_closes_the_gate(kind: ResultKind) -> None:
    ds = good(kind)
    found = [(name, item) for name in ITEMS if (item := descend(ds, name)) is not None]
    assert found
    for sequence, item in found:
        for keyword in ITEMS[sequence].filled.split():
            told = rf"{keyword} is missing \({sequence}\)"
            with without(item, keyword), pytest.raises(ReportError, match=told):
                gate.check(ds)


def test_no_sequence_is_ruled_that_no_result_has() -> None:
    met = {name for name in ITEMS if any(descend(good(kind), name) for kind in EVERY_KIND)}
    assert set(ITEMS) - met <= {"PredecessorDocumentsSequence"}


# --- values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StationName", "x" * 17),
        ("SeriesDescription", "x" * 65),
        ("SeriesDescription", "line\nline"),
        ("SeriesDescription", "escape\x1b$B"),
        ("Modality", "sr"),
        ("Modality", "S" * 17),
        ("SeriesDate", "20250230x"),
        ("SeriesDate", "20251301"),
        ("SeriesTime", "246000"),
        ("SeriesTime", "12:00:00"),
        ("PatientAge", "55"),
        ("SeriesNumber", "1.5"),
        ("SeriesNumber", "1234567890123"),
        ("PatientSize", "0.12345678901234567"),
        ("SeriesInstanceUID", "1.2.x"),
        ("SeriesInstanceUID", "1." * 32 + "1"),
        ("SeriesInstanceUID", "1.02.3"),
        ("OperatorsName", "a^b^c^d^e^f"),
        ("OperatorsName", "x" * 65),
        ("OperatorsName", "a=b=c=d"),
        ("InstanceCreationDate", "2025"),
        ("AcquisitionDateTime", "20250301T1200"),
        ("RetrieveAETitle", "x" * 17),
        ("RetrieveURI", "http://a b"),
        ("AdmittingDiagnosesDescription", "x" * 65),
        ("AdditionalPatientHistory", "x" * 10241),
        ("InstitutionAddress", "x" * 1025),
    ],
)  # fmt: skip
def test_a_value_that_is_none_of_its_vr_closes_the_gate(keyword: str, value: str) -> None:
    ds = good(K.SR)
    put(ds, keyword, value)
    with pytest.raises(ReportError, match=keyword) as raised:
        gate.check(ds)
    assert value not in str(raised.value)


def test_a_bad_value_deep_in_the_content_closes_the_gate() -> None:
    ds = good(K.SR)
    put(content(ds, "112040"), "UID", "not one")
    with pytest.raises(ReportError, match="UID is no UI"):
        gate.check(ds)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", "x" * 100),
        ("PatientName", "x" * 100),
        ("PatientName", "a^b^c^d^e^f"),
        ("OtherPatientNames", ["x" * 65, "y"]),
        ("AccessionNumber", "0" * 17),
        ("SeriesDescription", "胸" * 64),
        ("OperatorsName", "=".join(["x" * 64, "王" * 64, "x" * 64])),
        ("OperatorsName", "a^b^c^d^e"),
        ("PatientAge", "055Y"),
        ("StudyTime", "0304"),
        ("AcquisitionDateTime", "20250301120000.123456+0200"),
    ],
)
def test_an_odd_identity_and_long_values_that_fit_pass(keyword: str, value: object) -> None:
    ds = good(K.SR)
    put(ds, keyword, value)
    gate.check(ds)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_whatever_is_taken_away_or_emptied_the_gate_answers(kind: ResultKind) -> None:
    """Every element at the first place where it is: it passes, or it is named; nothing else."""
    ds = good(kind)
    closed, seen = 0, set()
    for item in everything(ds):
        within = frozenset(element.keyword for element in item)
        for element in list(item):
            if (within, element.keyword) in seen:
                continue
            seen.add((within, element.keyword))
            for changed in (None, DataElement(element.tag, element.VR, None)):
                del item[element.tag]
                if changed is not None:
                    item[element.tag] = changed
                try:
                    gate.check(ds)
                except ReportError:
                    closed += 1
                item[element.tag] = element
    assert closed > len(seen) / 2
    gate.check(ds)


# --- what has to fit together ---------------------------------------------------------------


def _set(**values: object) -> Break:
    def change(ds: Dataset) -> None:
        for keyword, value in values.items():
            put(ds, keyword, value)

    return change


def _in(sequence: str, **values: object) -> Break:
    def change(ds: Dataset) -> None:
        item = descend(ds, sequence)
        assert item is not None
        for keyword, value in values.items():
            if value is None:
                delattr(item, keyword)
            else:
                put(item, keyword, value)

    return change


def _at(name: str, **values: object) -> Break:
    def change(ds: Dataset) -> None:
        for keyword, value in values.items():
            put(content(ds, name), keyword, value)

    return change


def _drop(name: str) -> Break:
    def change(ds: Dataset) -> None:
        item = content(ds, name)
        parent = next(one for one in everything(ds) if item in one.get("ContentSequence", []))
        parent.ContentSequence.remove(item)

    return change


def _again(ds: Dataset) -> None:
    """The same tracking UID for two groups."""
    groups = content(ds, "126010").ContentSequence
    content(groups[1], "112040").UID = content(groups[0], "112040").UID


def _evidence_of(ds: Dataset) -> Dataset:
    return ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]  # type: ignore[no-any-return]


def _more_evidence(ds: Dataset) -> None:
    more = Dataset()
    more.ReferencedSOPClassUID, more.ReferencedSOPInstanceUID = "1.2.3", "1.2.3.4"
    _evidence_of(ds).ReferencedSOPSequence.append(more)


def _twice(ds: Dataset) -> None:
    series = _evidence_of(ds)
    series.ReferencedSOPSequence.append(series.ReferencedSOPSequence[0])


def _less_evidence(ds: Dataset) -> None:
    series = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    del series[0]


def _itself(ds: Dataset) -> None:
    ds.SOPInstanceUID = _evidence_of(ds).ReferencedSOPSequence[0].ReferencedSOPInstanceUID


def _open_line(ds: Dataset) -> None:
    line = content(ds, "111030")
    line.GraphicData = list(line.GraphicData)[:-2]


def _line_at(*places: float) -> Break:
    def change(ds: Dataset) -> None:
        content(ds, "111030").GraphicData = list(places)

    return change


BROKEN: list[tuple[ResultKind, Break, str]] = [
    (K.SC, _set(SOPClassUID="1.2.840.10008.5.1.4.1.1.2"), "SOPClassUID"),
    (K.SC, _set(SpecificCharacterSet="ISO_IR 100"), "SpecificCharacterSet"),
    (K.SC, _set(PatientSex="U"), "PatientSex"),
    (K.SC, _set(Laterality="B"), "Laterality"),
    (K.SC, _set(PatientIdentityRemoved="YES"), "DeidentificationMethod"),
    (K.SC, _set(LossyImageCompression="1"), "LossyImageCompression"),
    (K.SC, _set(LossyImageCompressionRatio="10"), "not compressed"),
    (K.SC, lambda ds: put(ds, "SeriesInstanceUID", ds.StudyInstanceUID), "all different"),
    (K.SC, _set(SOPInstanceUID="2.25.007"), "SOPInstanceUID"),
    (K.SC, _set(ConversionType="DI"), "ConversionType"),
    (K.SC, _set(ImageType=["ORIGINAL", "PRIMARY"]), "ImageType"),
    (K.SC, _set(PhotometricInterpretation="MONOCHROME2"), "Photometric"),
    (K.SC, _set(SamplesPerPixel=1), "Photometric"),
    (K.SC, _set(PlanarConfiguration=1), "PlanarConfiguration"),
    (K.SC, _set(Rows=1), "PixelData"),
    (K.SC, lambda ds: put(ds, "PixelData", ds.PixelData[:-2]), "PixelData"),
    (K.SC, _set(HighBit=11), "HighBit"),
    (K.SC, lambda ds: delattr(ds, "PatientOrientation"), "PatientOrientation"),
    (K.SC, lambda ds: delattr(ds, "BodyPartExamined"), "Laterality"),
    (K.SC, lambda ds: delattr(ds, "SourceImageSequence"), "SourceImageSequence"),
    (K.SC, _set(WindowCenter="40"), "WindowCenter"),
    (K.SC, _in("PurposeOfReferenceCodeSequence", CodeMeaning=""), "whole code"),
    (K.SC, _in("PurposeOfReferenceCodeSequence", CodeValue=""), "whole code"),
    (K.SC, _in("PurposeOfReferenceCodeSequence", CodeValue=None), "whole code"),
    (K.SC, _in("PurposeOfReferenceCodeSequence", CodingSchemeDesignator=None), "whole code"),
    (K.SC, _in("PurposeOfReferenceCodeSequence", LongCodeValue="x" * 20), "whole code"),
    (K.SC, _in("PurposeOfReferenceCodeSequence", CodeMeaning="x" * 65), "CodeMeaning"),
    (K.SC, _in("PurposeOfReferenceCodeSequence", CodingSchemeDesignator="99X"), "private"),
    (K.SR, _in("PurposeOfReferenceCodeSequence", CodeValue=None, LongCodeValue="1"), "length"),
    (K.SR, _in("CodingSchemeIdentificationSequence", CodingSchemeDesignator="99X"), "private"),
    (K.SR, _set(VerificationFlag="VERIFIED"), "VerificationFlag"),
    (K.SR, _set(PreliminaryFlag="FINAL"), "PreliminaryFlag"),
    (K.SR, _set(CompletionFlag="DONE"), "CompletionFlag"),
    (K.SR, _set(ContinuityOfContent="CONTINUOUS"), "ContinuityOfContent"),
    (K.SR, _at("126010", ContinuityOfContent="CONTINUOUS"), "SEPARATE"),
    (K.SR, _in("ContentTemplateSequence", TemplateIdentifier="1501"), "ContentTemplateSequence"),
    (K.SR, lambda ds: delattr(ds, "ContentTemplateSequence"), "ContentTemplateSequence"),
    (K.SR, _at("121012", RelationshipType="HAS PROPERTIES"), "may not stand below"),
    (K.SR, _at("112039", RelationshipType="HAS PROPERTIES"), "may not stand below"),
    (K.SR, _at("111030", RelationshipType="INFERRED FROM"), "may not stand below"),
    (K.SR, _at("112039", ValueType="SOUND"), "ValueType"),
    (K.SR, _at("112039", TextValue=""), "TextValue"),
    (K.SR, _at("121005", ConceptCodeSequence=[]), "ConceptCodeSequence"),
    (K.SR, _at("110910", MeasuredValueSequence=[]), "MeasuredValueSequence"),
    (K.SR, _at("126200", ContentSequence=[]), "ContentSequence"),
    (K.SR, _at("112039", ConceptNameCodeSequence=[]), "ConceptNameCodeSequence"),
    (K.SR, _more_evidence, "Evidence"),
    (K.SR, _less_evidence, "Evidence"),
    (K.SR, _twice, "twice"),
    (K.SR, _in("CurrentRequestedProcedureEvidenceSequence", StudyInstanceUID="1.2.3"), "another"),
    (K.SR, _open_line, "closed"),
    (K.SR, _line_at(1, 1, 5, 1, 1), "points"),
    (K.SR, _line_at(1, 1), "points"),
    (K.SR, _line_at(1, 1, 999, 1, 5, 5, 1, 1), "leaves its image"),
    (K.SR, _line_at(1, 1, 5, -1, 5, 5, 1, 1), "leaves its image"),
    (K.SR, _at("111030", GraphicType="SPLINE"), "points"),
    (K.SR, _at("111030", ContentSequence=[]), "one image"),
    (K.SR, _drop("111030"), "no coordinates"),
    (K.SR, _drop("112039"), "tracking identifier"),
    (K.SR, _drop("112040"), "tracking identifier"),
    (K.SR, _drop("110911"), "image library"),
    (K.SR, _drop("126010"), "without a group"),
    (K.SR, _again, "same tracking UID"),
    (K.SR, _itself, "itself"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_a_broken_object_does_not_pass(number: int) -> None:
    kind, change, told = BROKEN[number]
    ds = good(kind)
    change(ds)
    with pytest.raises(ReportError, match=told):
        gate.check(ds)


def test_the_message_names_a_few_rules_and_how_many_more() -> None:
    ds = Dataset()
    ds.SOPClassUID = good(K.SR).SOPClassUID
    with pytest.raises(ReportError, match=r"not sent: .* is missing .*; and \d+ more"):
        gate.check(ds)


@pytest.mark.parametrize(
    "keyword", ["StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate"]
)
def test_an_object_of_another_patient_or_study_does_not_leave(keyword: str) -> None:
    ds, header = good(K.SR), make_header()
    gate.belongs(ds, header)
    put(ds, keyword, "19010101")
    with pytest.raises(ReportError, match=keyword) as raised:
        gate.belongs(ds, header)
    assert "19010101" not in str(raised.value)
