"""What must hold for any object, however broken: an answer, soon, in little memory."""

import resource
import time
import warnings
from collections import Counter
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from pydicom import dcmread

from dicomnode.dicom.attributes import Header, read_header, text
from dicomnode.dicom.elements import read_identity
from dicomnode.dicom.uids import is_uid
from dicomnode.errors import DicomnodeError, Unreadable
from dicomnode.receive.intake import file_header
from dicomnode.records import InstanceRef
from tests.factories import make_dataset, make_request
from tests.fuzz.objects import Mutant

__all__ = ["Judge"]

_LONGEST_S = 1.0  #: of processor time
_MOST_GROWTH_KB = 50 * 1024
_MEBIBYTE = 1024 * 1024
_WARM_UP = 200  #: objects, before memory is looked at
_PYDICOM_EVERY = 10  #: accepted objects; it is ten times as slow as we are


class Judge:
    """Puts objects through what a received one goes through, and counts how it went."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._folder = TemporaryDirectory()
        self._path = Path(self._folder.name) / "one.dcm"
        self._first_kb = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._folder.cleanup()

    def check(self, mutant: Mutant, name: str) -> None:
        """Fail with the mutant's name if a promise is broken."""
        started = time.thread_time()
        try:
            outcome = self._try(mutant)
        except Exception as error:
            error.add_note(f"mutant {name}: {', '.join(mutant.changes)}, {mutant.syntax}")
            raise
        seconds = time.thread_time() - started
        assert seconds < _LONGEST_S, f"mutant {name} took {seconds:.1f} s: {mutant.changes}"
        self.outcomes[outcome] += 1
        self._check_memory(name)

    def summary(self) -> str:
        """How many went which way."""
        ways = ", ".join(f"{count} {way}" for way, count in self.outcomes.most_common())
        return f"{self.outcomes.total()} objects: {ways}"

    def _try(self, mutant: Mutant) -> str:
        try:
            found = read_identity(
                BytesIO(mutant.data), 0, mutant.syntax, max_inflated_bytes=64 * _MEBIBYTE
            )
        except DicomnodeError as error:
            return type(error).__name__
        assert isinstance(found, InstanceRef)
        uids = (found.sop_class_uid, found.sop_instance_uid, found.study_uid, found.series_uid)
        if not all(map(is_uid, uids)):
            return "BadUID"
        self._read_again(mutant, found)
        return "kept"

    def _read_again(self, mutant: Mutant, found: InstanceRef) -> None:
        """What was taken must do no harm to its readers, and be to them what it was to us."""
        self._path.write_bytes(_file_meta(mutant.syntax) + mutant.data)
        with suppress(Unreadable):
            _same(read_header(self._path), found)
        if self.outcomes["kept"] % _PYDICOM_EVERY == 0:
            with warnings.catch_warnings(), suppress(Exception):
                warnings.simplefilter("ignore")
                dcmread(self._path, stop_before_pixels=True)

    def _check_memory(self, name: str) -> None:
        if self.outcomes.total() < _WARM_UP:
            return
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._first_kb = self._first_kb or peak_kb
        assert peak_kb - self._first_kb < _MOST_GROWTH_KB, f"memory grew up to mutant {name}"


@lru_cache
def _file_meta(syntax: str) -> bytes:
    return file_header(make_request(make_dataset(), transfer_syntax_uid=syntax))


def _same(header: Header, found: InstanceRef) -> None:
    assert text(header, "SOPInstanceUID") == found.sop_instance_uid
    assert text(header, "SOPClassUID") == found.sop_class_uid
    assert text(header, "StudyInstanceUID") == found.study_uid
    assert text(header, "SeriesInstanceUID") == found.series_uid
    for keyword in ("PatientID", "PatientName", "StudyDate", "Modality", "InstanceNumber"):
        assert text(header, keyword).isprintable()
