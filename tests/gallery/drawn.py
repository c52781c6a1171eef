"""Each result as people can look at it in a browser: a PNG or a page, and one line about it."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pypdfium2
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset, dcmread
from pydicom.uid import UID

from dicomnode.answers import Result
from dicomnode.dicom import pixels
from dicomnode.records import ResultKind
from dicomnode.report.sr.as_html import sr_html
from tests.factories import make_part10
from tests.gallery.study import Study

__all__ = ["Picture", "drawn"]

_COLOURS = ((255, 214, 0), (255, 64, 220), (0, 214, 255), (255, 140, 0))


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A file of the gallery, or only a line where there is none."""

    title: str
    file: str = ""  #: its name in the gallery's folder
    also: Mapping[str, str] | None = None  #: further files by what they are
    note: str = ""


def drawn(study: Study, result: Result, folder: Path, stem: str) -> list[Picture]:
    """What one result looks like; its files begin with `stem`."""
    return _WAYS[result.kind](study, dcmread(BytesIO(result.part10)), folder, stem)


def _capture(study: Study, ds: Dataset, folder: Path, stem: str) -> list[Picture]:
    Image.fromarray(ds.pixel_array).save(folder / f"{stem}.png")
    return [Picture(title="Secondary Capture", file=f"{stem}.png")]


# --- over the image -------------------------------------------------------------------------


def _shown(image: Dataset, frame: int) -> NDArray[np.uint8]:
    grey = pixels.display(next(iter(pixels.frames(image, [frame]))))
    return grey if grey.ndim == 3 else np.repeat(grey[..., np.newaxis], 3, axis=2)


def _image(study: Study, uid: str) -> Dataset:
    return next(image for image in study.images if image.SOPInstanceUID == uid)


def _segmentation(study: Study, ds: Dataset, folder: Path, stem: str) -> list[Picture]:
    """Segments as colours over the frames they name."""
    masks = np.atleast_3d(ds.pixel_array) if ds.NumberOfFrames == 1 else ds.pixel_array
    masks = masks.reshape(ds.NumberOfFrames, ds.Rows, ds.Columns)
    over: dict[tuple[str, int], NDArray[np.uint8]] = {}
    named = []
    for place, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
        origin = group.DerivationImageSequence[0].SourceImageSequence[0]
        key = (str(origin.ReferencedSOPInstanceUID), int(origin.get("ReferencedFrameNumber", 1)))
        shown = over.setdefault(key, _shown(_image(study, key[0]), key[1]).copy())
        inside = masks[place] > 0
        shown[inside] = (0.55 * shown[inside] + 0.45 * np.array(_COLOURS[place % 4])).astype("u1")
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        named.append(ds.SegmentSequence[number - 1].SegmentLabel)
    made = []
    for place, shown in enumerate(over.values(), 1):
        Image.fromarray(shown).save(folder / f"{stem}-{place}.png")
        said = ", ".join(dict.fromkeys(named))
        made.append(Picture(title="Segmentation", file=f"{stem}-{place}.png", note=said))
    return made


def _presentation(study: Study, ds: Dataset, folder: Path, stem: str) -> list[Picture]:
    """The state's graphics and words, over the greys that DCMTK makes of it where it is here."""
    made = []
    refs = ds.ReferencedSeriesSequence[0].ReferencedImageSequence
    for place, ref in enumerate(refs, 1):
        uid, frame = str(ref.ReferencedSOPInstanceUID), int(ref.get("ReferencedFrameNumber", 1))
        image = _image(study, uid)
        grey = _by_dcmtk(image, ds, frame)
        canvas = Image.fromarray(_shown(image, frame)) if grey is None else grey.convert("RGB")
        for item in ds.get("GraphicAnnotationSequence") or []:
            about = [r.ReferencedSOPInstanceUID for r in item.get("ReferencedImageSequence") or []]
            if not about or uid in about:
                _annotate(ImageDraw.Draw(canvas), item, canvas.size)
        canvas.save(folder / f"{stem}-{place}.png")
        note = "greys by DCMTK" if grey is not None else "DCMTK is missing: greys by dicomnode"
        made.append(Picture(title="Presentation State", file=f"{stem}-{place}.png", note=note))
    return made


def _by_dcmtk(image: Dataset, state: Dataset, frame: int) -> Image.Image | None:
    if not shutil.which("dcmp2pgm"):
        return None
    with TemporaryDirectory() as name:
        here = Path(name)
        (here / "image.dcm").write_bytes(make_part10(image))
        (here / "state.dcm").write_bytes(make_part10(state))
        command = ["dcmp2pgm", "-f", str(frame), "-p", "state.dcm", "image.dcm", "out.pgm"]
        done = subprocess.run(command, cwd=here, capture_output=True, check=False, timeout=60)
        if done.returncode or not (here / "out.pgm").exists():
            return None
        with Image.open(here / "out.pgm") as shown:
            return shown.copy()


def _annotate(draw: ImageDraw.ImageDraw, item: Dataset, size: tuple[int, int]) -> None:
    for graphic in item.get("GraphicObjectSequence") or []:
        numbers = [float(number) for number in graphic.GraphicData]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        draw.line(points, fill=_COLOURS[0], width=2)
    for text in item.get("TextObjectSequence") or []:
        place = text.get("AnchorPoint") or text.BoundingBoxTopLeftHandCorner
        units = text.get("AnchorPointAnnotationUnits") or text.BoundingBoxAnnotationUnits
        x, y = (float(number) for number in place)
        if units == "DISPLAY":
            x, y = x * size[0], y * size[1]
        said = str(text.UnformattedTextValue).replace("\r\n", "\n")
        draw.text((x, y), said, fill=_COLOURS[2], font_size=max(9, min(size) // 42))


# --- words ----------------------------------------------------------------------------------


def _report(study: Study, ds: Dataset, folder: Path, stem: str) -> list[Picture]:
    """The report as our page, and as DCMTK's where it is here."""
    (folder / f"{stem}.html").write_text(sr_html(ds), "utf-8")
    title = UID(ds.SOPClassUID).name.removesuffix(" Storage")
    other = f"{stem}-dcmtk.html"
    if not _by_dsr2html(ds, folder / other):
        return [Picture(title=title, file=f"{stem}.html", note="DCMTK is missing: no dsr2html")]
    return [Picture(title=title, file=f"{stem}.html", also={"dsr2html": other})]


def _by_dsr2html(ds: Dataset, out: Path) -> bool:
    if not shutil.which("dsr2html"):
        return False
    with TemporaryDirectory() as name:
        file = Path(name, "report.dcm")
        file.write_bytes(make_part10(ds))
        command = ["dsr2html", "+U8", str(file), str(out)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _document(study: Study, ds: Dataset, folder: Path, stem: str) -> list[Picture]:
    data = bytes(ds.EncapsulatedDocument)[: ds.get("EncapsulatedDocumentLength") or None]
    (folder / f"{stem}.pdf").write_bytes(data)
    pages = pypdfium2.PdfDocument(data)
    try:
        pages[0].render(scale=1.4).to_pil().save(folder / f"{stem}.png")
        note = f"{len(pages)} page{'s' if len(pages) > 1 else ''}"
    finally:
        pages.close()
    also = {"the PDF": f"{stem}.pdf"}
    return [Picture(title="Encapsulated PDF", file=f"{stem}.png", also=also, note=note)]


def _selection(study: Study, ds: Dataset, folder: Path, stem: str) -> list[Picture]:
    """A Key Object Selection: its title and what it names."""
    said = [ds.ConceptNameCodeSequence[0].CodeMeaning]
    for item in ds.ContentSequence:
        if item.ValueType == "CODE":
            said.append(item.ConceptCodeSequence[0].CodeMeaning)
        elif item.ValueType == "TEXT":
            said.append(item.TextValue)
        for ref in item.get("ReferencedSOPSequence") or []:
            said.append(f"→ {UID(ref.ReferencedSOPClassUID).name}")
    rows = "".join(f"<li>{escape(str(line))}</li>" for line in said)
    page = f'<!doctype html><meta charset="utf-8"><title>Key objects</title><ul>{rows}</ul>'
    (folder / f"{stem}.html").write_text(page, "utf-8")
    return [Picture(title="Key Object Selection", file=f"{stem}.html", note=str(said[0]))]


_WAYS: Mapping[ResultKind, Callable[[Study, Dataset, Path, str], list[Picture]]] = {
    ResultKind.SC: _capture,
    ResultKind.SEG: _segmentation,
    ResultKind.GSPS: _presentation,
    ResultKind.SR: _report,
    ResultKind.SR3D: _report,
    ResultKind.TEXT: _report,
    ResultKind.PDF: _document,
    ResultKind.KO: _selection,
}
