"""Accept one object: check what it says it is, and keep its bytes as they came.

Knows nothing of the network: `receive/services.py` calls in, `receive/status.py` speaks back.
"""

from functools import lru_cache
from typing import Literal, Self

from dicomnode.dicom.elements import read_identity
from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, is_uid
from dicomnode.errors import BadUID, Mismatch, TooLarge
from dicomnode.records import StoreRequest
from dicomnode.storage.incoming import Bytes, Incoming, Kept
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.seal import UNSEALED

__all__ = ["Intake", "Reception", "file_header"]


class Intake:
    """The door to the object store."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        conflict: Literal["refuse", "keep"] = "refuse",
        max_object_bytes: int = 2**32,
    ) -> None:
        self._store = store
        self._keep_both = conflict == "keep"
        self.max_object_bytes = max_object_bytes

    def begin(self, request: StoreRequest) -> "Reception":
        """Check the command and open an object for its dataset."""
        for name, uid in (
            ("Affected SOP Class UID", request.sop_class_uid),
            ("Affected SOP Instance UID", request.sop_instance_uid),
        ):
            if not is_uid(uid):
                raise BadUID(f"the command's {name} is missing or not a UID")
        if request.sop_class_uid != request.context_sop_class_uid:
            raise Mismatch("the command's SOP Class is not that of its presentation context")
        return Reception(
            request, self._store.begin(), keep_both=self._keep_both, max_bytes=self.max_object_bytes
        )


class Reception:
    """One object on its way in; leaving its `with` block without `keep` discards it."""

    def __init__(
        self, request: StoreRequest, incoming: Incoming, *, keep_both: bool, max_bytes: int
    ) -> None:
        self.request = request
        self.study_uid = ""  #: known, and a UID, once `keep` has read the dataset
        self._incoming = incoming
        self._keep_both = keep_both
        header = file_header(request)
        self._start = len(header)
        self._pieces: list[Bytes] = [header]  #: not written yet
        self._max_bytes = self._left = max_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.discard()

    def write(self, piece: Bytes) -> None:
        """Take the next bytes of the dataset, of any length; they are good until `flush`."""
        self._left -= len(piece)
        if self._left < 0:
            raise TooLarge("the object is longer than max_object_bytes")
        self._pieces.append(piece)

    def flush(self) -> None:
        """Write what was taken."""
        pieces, self._pieces = self._pieces, []
        self._incoming.write(*pieces)

    def keep(self) -> Kept:
        """Check the whole dataset and keep it durably; only then may Success be answered."""
        self.flush()
        self._check()
        return self._incoming.keep(
            self.study_uid, self.request.sop_instance_uid, keep_both=self._keep_both
        )

    def discard(self) -> None:
        """Forget the object, as far as it was not kept."""
        self._pieces.clear()
        self._incoming.discard()

    def _check(self) -> None:
        found = read_identity(
            self._incoming.written,
            self._start,
            self.request.transfer_syntax_uid,
            max_inflated_bytes=self._max_bytes,
        )
        if found.sop_instance_uid != self.request.sop_instance_uid:
            raise Mismatch("command and dataset differ in SOP Instance UID")
        if found.sop_class_uid != self.request.sop_class_uid:
            raise Mismatch("command and dataset differ in SOP Class UID")
        for name, uid in (("Study", found.study_uid), ("Series", found.series_uid)):
            if not is_uid(uid):
                raise BadUID(f"the dataset's {name} Instance UID is missing or not a UID")
        self.study_uid = found.study_uid


def file_header(request: StoreRequest) -> bytes:
    """Preamble and File Meta Information for a dataset received with `request` (PS3.10 7.1)."""
    told = request.association
    before, after = _around_the_uid(
        request.sop_class_uid, request.transfer_syntax_uid, told.calling_ae, told.called_ae
    )
    elements = before + _element(0x0003, "UI", request.sop_instance_uid) + after
    group_length = b"\x02\x00\x00\x00UL\x04\x00" + len(elements).to_bytes(4, "little")
    return bytes(128) + b"DICM" + group_length + elements


@lru_cache(maxsize=256)
def _around_the_uid(
    sop_class_uid: str, transfer_syntax_uid: str, calling_ae: str, called_ae: str
) -> tuple[bytes, bytes]:
    """The elements of group 0002 that many objects share, before and behind their own UID."""
    before = (
        b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01",
        _element(0x0002, "UI", sop_class_uid),
    )
    after = (
        _element(0x0010, "UI", transfer_syntax_uid),
        _element(0x0012, "UI", IMPLEMENTATION_CLASS_UID),
        _element(0x0013, "SH", IMPLEMENTATION_VERSION_NAME),
        _element(0x0016, "AE", calling_ae),
        _element(0x0018, "AE", called_ae),
        _element(0x0100, "UI", IMPLEMENTATION_CLASS_UID),
        UNSEALED,
    )
    return b"".join(before), b"".join(after)


def _element(number: int, vr: str, text: str) -> bytes:
    """One element of group 0002, Explicit VR Little Endian, padded to even length."""
    value = text.encode("ascii", "replace")
    if len(value) % 2:
        value += b"\x00" if vr == "UI" else b" "
    tag = b"\x02\x00" + number.to_bytes(2, "little")
    return tag + vr.encode() + len(value).to_bytes(2, "little") + value
