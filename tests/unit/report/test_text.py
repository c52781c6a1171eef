"""The report as a web page."""

from html.parser import HTMLParser

from pydicom import Dataset

from dicomnode.report.text import sr_html
from tests.unit.report.samples import made, make_header, make_source, report_of


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
