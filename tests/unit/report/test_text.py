"""The report as a web page."""

from dataclasses import replace
from html.parser import HTMLParser

from pydicom import Dataset

from dicomnode.answers import Refusal
from dicomnode.errors import Cause
from dicomnode.records import ResultKind
from dicomnode.report.notice import make_notices
from dicomnode.report.sr.as_html import sr_html
from tests.unit.report.samples import ORDER, made, make_header, make_source, read, report_of


class Page(HTMLParser):
    """Collects text, and which tags were opened and closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def test_says_patient_findings_and_caution_in_well_formed_html() -> None:
    page = Page(sr_html(report_of(made())))
    assert not page.open
    for said in (
        "SYNTHETIC, ONE", "1970-01-01", "Pleural effusion", "97.0 %", "Undetermined",
        "UNVERIFIED", "Automated result, not verified by a physician.", "Not for clinical use.",
        "Secondary Capture Image Storage",
    ):  # fmt: skip
        assert said in page.text


def test_what_was_found_is_read_before_what_was_measured() -> None:
    text = Page(sr_html(report_of(made()))).text
    assert text.index("Qualitative Evaluations") < text.index("Imaging Measurements")
    assert text.index("Imaging Measurements") < text.index("Image Library")


def test_a_page_says_its_language_and_only_what_is_odd_of_its_state() -> None:
    html = sr_html(report_of(made(language="zh")))
    assert '<html lang="zh">' in html
    assert "自动生成的结果" in html
    assert "COMPLETE" not in html
    assert "PARTIAL, PRELIMINARY" in sr_html(report_of(made(partial=True)))


def test_a_name_that_stands_for_several_sentences_is_said_once() -> None:
    (result,) = made(kinds=frozenset({ResultKind.TEXT}))
    text = Page(sr_html(read(result))).text
    assert text.count("Procedure Description\n") == 1
    assert text.index("Impressions") < text.index("Findings") < text.index("Current Procedure")


def test_a_notice_shows_that_nothing_was_analysed() -> None:
    refusal = Refusal(cause=Cause.SIZE, detail="12 x 12 pixels", model=None)
    order = replace(ORDER, kinds=frozenset({ResultKind.SR}), language="fr")
    (result,) = make_notices([make_header()], refusal, order)
    page = Page(sr_html(read(result)))
    assert not page.open
    for said in ("AI: NOT ANALYSED", "NON ANALYSÉ", "12 x 12 pixels", "Modèle : illisible."):
        assert said in page.text


def test_a_name_cannot_become_markup() -> None:
    header = make_header(PatientName="<script>x</script>", StudyDescription='"><img src=x>')
    page = Page(sr_html(report_of(made(make_source(header)))))
    assert not {"script", "img"} & page.tags
    assert "<script>x</script>" in page.text


def test_needs_nothing_from_elsewhere() -> None:
    html = sr_html(report_of(made()))
    assert "http" not in html
    assert "src=" not in html


def test_an_empty_or_foreign_dataset_is_no_reason_to_fail() -> None:
    assert "Structured Report" in sr_html(Dataset())
    report = report_of(made())
    for item in report.ContentSequence:
        del item.ConceptNameCodeSequence
        item.ValueType = "WAVEFORM"
    assert not Page(sr_html(report)).open
    odd = report_of(made())
    group = odd.ContentSequence[-2].ContentSequence[0].ContentSequence[-1]
    group.MeasuredValueSequence[0].NumericValue = None
    assert not Page(sr_html(odd)).open
