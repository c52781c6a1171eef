"""Every report in OHIF, in a real browser: on its image or as text, never black, never an error."""

from collections import Counter
from collections.abc import Iterator
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from dicomnode.records import ResultKind
from tests.gallery.studies import STUDIES
from tests.gallery.study import Study
from tests.ohif import Looking, Seen, looking
from tests.orthanc import DICOMWEB, Orthanc, with_plugins
from tests.tools import require

ANALYSED = ("positive", "negative", "undetermined", "many regions", "partial CT", "multi-frame")
CASES = (
    *((name, ResultKind.SR) for name in ANALYSED),
    ("wide image", ResultKind.SR),
    ("Chinese", ResultKind.SR),
    ("positive", ResultKind.SR3D),
    ("negative", ResultKind.SR3D),
    ("positive", ResultKind.TEXT),
    ("positive", ResultKind.SC),
    ("partial CT", ResultKind.SEG),
    ("not analysed", ResultKind.SC),
    ("not analysed", ResultKind.SR),
    ("not analysed", ResultKind.SR3D),
    ("not analysed", ResultKind.TEXT),
    ("withdrawn", ResultKind.SR),
)


#: What a person must be able to read of each that is no measurement report.
IN_WORDS = {
    ("positive", ResultKind.TEXT): "Above threshold: ",
    ("not analysed", ResultKind.SR): "NOT ANALYSED",
    ("not analysed", ResultKind.SR3D): "NOT ANALYSED",
    ("not analysed", ResultKind.TEXT): "NOT ANALYSED",
    ("withdrawn", ResultKind.SR): "not use it: neither what it found nor what it did not",
}


class Viewer:
    """OHIF before an archive, which gets each study when it is first looked at."""

    def __init__(self, archive: Orthanc, looks: Looking) -> None:
        self._archive, self._looks = archive, looks
        self._stored: dict[str, Study] = {}

    def shows(self, name: str, kind: ResultKind) -> tuple[Seen, Dataset]:
        """What it shows of the last result of that kind, and that result."""
        if name not in self._stored:
            self._stored[name] = STUDIES[name](name)
            for part in self._stored[name].parts():
                self._archive.get("/instances", part)
        study = self._stored[name]
        result = [result for result in study.results if result.kind is kind][-1]
        ds = dcmread(BytesIO(result.part10))
        return self._looks.at(study.uid, ds), ds


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    for tool in ("orthanc", "chromium", "ohif"):
        require(tool)
    assert DICOMWEB.exists(), "package orthanc-dicomweb"
    folder = tmp_path_factory.mktemp("orthanc")
    with Orthanc(folder, with_plugins(DICOMWEB)) as archive, looking(archive.http) as looks:
        yield Viewer(archive, looks)


def labels(report: Dataset) -> list[str]:
    """What OHIF writes beside each outline: the first five numbers of its group."""
    (measurements,) = (
        item
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].get("CodeValue") == "126010"
    )
    said = []
    for group in measurements.ContentSequence:
        numbers = [item for item in group.ContentSequence if item.ValueType == "NUM"]
        for item in numbers[:5]:
            value = float(item.MeasuredValueSequence[0].NumericValue)
            said.append(f"{item.ConceptNameCodeSequence[0].CodeMeaning}: {value:.2f} %")
    return said


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_ohif_shows_it_and_nothing_goes_wrong(viewer: Viewer, name: str, kind: ResultKind) -> None:
    seen, ds = viewer.shows(name, kind)

    assert seen.errors == ()
    assert seen.lit > 0.02, "the viewport is black"
    if said := IN_WORDS.get((name, kind)):
        assert said in seen.text
    elif kind in (ResultKind.SR, ResultKind.SR3D):
        assert not seen.asked, "a banner covers the image"
        expected = Counter(labels(ds))
        assert expected
        assert all(seen.text.count(label) == count for label, count in expected.items())
