"""A model asked about each image of a manifest, as the node would ask it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.answers import Form
from dicomnode.classify.card.common import Common
from dicomnode.classify.classifier import Classifier
from dicomnode.errors import NotAnalysable, NotFound
from dicomnode.learn.assess import thresholds
from dicomnode.learn.manifest import Entry, Manifest
from dicomnode.learn.measures.sample import UNKNOWN, Opinion
from dicomnode.learn.picture_files import is_picture, read_grey
from dicomnode.learn.predictions import Predictions
from dicomnode.learn.table import plain_name

__all__ = ["ask", "beside"]


def ask(
    classifier: Classifier,
    card: Common,
    manifest: Manifest,
    step: Callable[[], None] = lambda: None,
    *,
    modality: str = "OT",
) -> Predictions:
    """The model's answers, one line of the manifest at a time; `step` is called after each.

    A line may name a folder, whose files are one study. A picture without DICOM attributes is shown
    as one of `modality`. Images that cannot be analysed have no answer; how many there are, and
    why, is in the notes.

    Raises:
        NotFound: the manifest has none of the model's findings, or not all of its grades.
    """
    known, truth = _truth(card, manifest)
    scores, refused = _answers(classifier, manifest.entries, known, modality, step)
    entries = manifest.entries
    facts = {
        name: values
        for name in ("sex", "view", "scanner")
        if any(values := tuple(getattr(entry, name) for entry in entries))
    }
    ages = np.array([np.nan if entry.age is None else entry.age for entry in entries])
    return Predictions(
        images=tuple(entry.name for entry in entries),
        patients=manifest.patients,
        findings=known,
        truth=np.where(np.isnan(truth), UNKNOWN, truth).astype(np.int8),
        scores=scores,
        facts=facts,
        ages=None if np.isnan(ages).all() else ages,
        notes=tuple(_notes(card, entries, refused, known)),
    )


def beside(ours: Predictions, theirs: Predictions, card: Common) -> Predictions:
    """Our answers with those of another model to the same manifest beside them."""
    scores = np.full(ours.scores.shape, np.nan)
    for column, finding in enumerate(ours.findings):
        if finding in theirs.findings:
            scores[:, column] = theirs.scores[:, theirs.findings.index(finding)]
    if np.isnan(scores).all():
        raise NotFound(f"{card.name} has answered about none of these findings")
    other = Opinion(name=card.tag, scores=scores, thresholds=thresholds(card))
    return replace(ours, opinions=(*ours.opinions, other))


def _truth(card: Common, manifest: Manifest) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Findings that both know, and their truth; of grades, whether it is this one or a higher."""
    findings = [label.name for label in card.labels]
    columns = {plain_name(label): column for column, label in enumerate(manifest.labels)}
    known = [name for name in findings if plain_name(name) in columns]
    truth = manifest.truth[:, [columns[plain_name(name)] for name in known]]
    graded = card.output.form is Form.GRADES
    if not known or (graded and known != findings):
        asked = "every grade" if graded else "what"
        raise NotFound(
            f"{manifest.path} has no column for {asked} {card.name} finds: {', '.join(findings)}"
        )
    if graded:
        return tuple(known[1:]), np.maximum.accumulate(truth[:, ::-1], axis=1)[:, -2::-1]
    return tuple(known), truth


def _answers(
    classifier: Classifier,
    entries: Sequence[Entry],
    findings: Sequence[str],
    modality: str,
    step: Callable[[], None],
) -> tuple[NDArray[np.float64], Counter[str]]:
    scores = np.full((len(entries), len(findings)), np.nan)
    refused: Counter[str] = Counter()
    for row, entry in enumerate(entries):
        try:
            said = classifier.classify(_images(entry, modality), explained=False)
            answer = {finding.label: finding.probability for finding in said.findings}
            scores[row] = [answer[name] for name in findings]
        except NotAnalysable as error:
            refused[error.cause.value] += 1
        step()
    return scores, refused


def _notes(
    card: Common, entries: Sequence[Entry], refused: Counter[str], findings: Sequence[str]
) -> Iterator[str]:
    graded = card.output.form is Form.GRADES
    if graded:
        yield "of each grade it is asked whether it is this one or a higher one"
    absent = [label.name for label in card.labels if label.name not in findings]
    if refused:
        causes = ", ".join(f"{cause}: {count}" for cause, count in refused.most_common())
        total = refused.total()
        yield f"{total} of {len(entries)} images were not analysed ({causes}) and are left out"
    if absent and not graded:
        yield f"the manifest does not tell the truth about: {', '.join(absent)}"
    if pictures := sum(is_picture(entry.file) for entry in entries):
        yield (
            f"{pictures} pictures without DICOM attributes were taken for what {card.name} is for"
        )


def _images(entry: Entry, modality: str) -> list[Dataset | Path]:
    """The images of one line: a file, or all of a folder, which are one study."""
    if entry.file.is_dir():
        return sorted(path for path in entry.file.rglob("*") if path.is_file())
    return [_wrapped(entry, modality) if is_picture(entry.file) else entry.file]


def _wrapped(entry: Entry, modality: str) -> Dataset:
    """A picture as a DICOM image, its whole range of grey values from black to white."""
    grey = read_grey(entry.file)
    bits = 8 * grey.itemsize
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.Modality = modality
    if entry.view:
        ds.ViewPosition = entry.view
    ds.Rows, ds.Columns = grey.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit, ds.PixelRepresentation = bits - 1, 0
    # PS3.3 C.11.2.1.2.1: this window is the identity over the whole range
    ds.WindowCenter, ds.WindowWidth = 2 ** (bits - 1), 2**bits
    ds.PixelData = grey.astype(grey.dtype.newbyteorder("<")).tobytes()
    if len(ds.PixelData) % 2:
        ds.PixelData += b"\0"
    return ds
