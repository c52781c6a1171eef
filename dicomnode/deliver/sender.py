"""Send files to a peer: one association a batch, every byte as it lies on disk (C-STORE SCU)."""

import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dsutils import split_dataset
from pynetdicom.presentation import build_context

from dicomnode.deliver.status import meaning
from dicomnode.dicom.network import associate
from dicomnode.dicom.uids import is_uid
from dicomnode.errors import DicomnodeError, PeerAway, PeerRefused, StoreError, Unreadable
from dicomnode.records import Outcome, Peer, Verdict

__all__ = ["send"]

_MOST_CONTEXTS = 128  #: in one association: the odd numbers of one byte (PS3.8 Table 9-13)
_SLOWEST_BYTES_PER_S = 100_000  #: a connection slower than this is taken for dead

#: What pydicom raises for bytes that are no file meta information.
_GARBLED = (
    AttributeError,
    BytesLengthException,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    """What must be known of a file before it can be offered."""

    number: int  #: of the file, among those to be sent
    path: Path
    sop_class: UID
    sop_instance_uid: str
    transfer_syntax: UID
    size: int  #: of the dataset, in bytes

    @property
    def context(self) -> tuple[UID, UID]:
        """Abstract and transfer syntax of the presentation context it needs."""
        return self.sop_class, self.transfer_syntax


def send(
    files: Sequence[Path],
    peer: Peer,
    our_title: str,
    *,
    on_outcome: Callable[[Path, Outcome], None] | None = None,
    in_order: bool = False,
) -> list[Outcome]:
    """Send the files in order and say of each what became of it; a peer never makes this raise.

    With `in_order` nothing overtakes an object that has to wait: what comes behind it is left
    untried. `on_outcome` is called as soon as an outcome is known. Whatever that is, the same file
    may be sent again: its bytes and its SOP Instance UID stay the same.
    """
    told: dict[int, Outcome] = {}

    def tell(number: int, outcome: Outcome) -> None:
        told[number] = outcome
        if on_outcome is not None:
            on_outcome(files[number], outcome)

    objects = []
    for number, path in enumerate(files):
        try:
            objects.append(_look(number, path))
        except (Unreadable, StoreError) as error:
            tell(number, _unsent("", error))
    waits = in_order and any(outcome.verdict is Verdict.LATER for outcome in told.values())
    for batch in _batches(objects):
        if waits:
            _leave(batch, "what goes before it has to wait", tell)
        else:
            waits = _send_batch(batch, peer, our_title, tell, in_order=in_order)
    return [told[number] for number in range(len(files))]


def _look(number: int, path: Path) -> _Object:
    try:
        meta, offset = split_dataset(path)
        size = path.stat().st_size - offset
        found = _Object(
            number=number,
            path=path,
            sop_class=UID(meta.MediaStorageSOPClassUID),
            sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
            transfer_syntax=UID(meta.TransferSyntaxUID),
            size=size,
        )
    except OSError as error:
        raise StoreError(f"the file cannot be read: {error.strerror}") from error
    except _GARBLED as error:
        raise Unreadable("not a DICOM file with its meta information (PS3.10 7.1)") from error
    uids = (found.sop_class, found.sop_instance_uid, found.transfer_syntax)
    if found.size <= 0 or not all(is_uid(uid) for uid in uids):
        raise Unreadable("the file holds no dataset, or its meta information no valid UIDs")
    return found


def _batches(objects: Sequence[_Object]) -> Iterator[list[_Object]]:
    """One batch; more only where an association cannot hold all presentation contexts."""
    batch: list[_Object] = []
    contexts: set[tuple[UID, UID]] = set()
    for found in objects:
        if len(contexts | {found.context}) > _MOST_CONTEXTS:
            yield batch
            batch, contexts = [], set()
        batch.append(found)
        contexts.add(found.context)
    if batch:
        yield batch


def _send_batch(
    batch: Sequence[_Object],
    peer: Peer,
    our_title: str,
    tell: Callable[[int, Outcome], None],
    *,
    in_order: bool,
) -> bool:
    """Each context offers one transfer syntax, so that nothing must be encoded again.

    True when the next batch must not overtake what was left behind of this one.
    """
    contexts = [build_context(*context) for context in sorted({found.context for found in batch})]
    left = deque(batch)
    problem = ""
    try:
        with associate(peer, our_title, contexts) as association:
            while left and not problem and association.is_established:
                found, number = left[0], (len(batch) - len(left)) % 65535 + 1
                outcome = _store(association, found, peer, message_id=number)
                left.popleft()
                tell(found.number, outcome)
                if in_order and outcome.verdict is Verdict.LATER:
                    problem = "what goes before it has to wait"
    except PeerAway as error:
        problem = str(error)
    except PeerRefused as error:
        while left:
            found = left.popleft()
            tell(found.number, _unsent(found.sop_instance_uid, error))
    _leave(left, problem or "the association ended before its turn", tell)
    return in_order and bool(left or problem)


def _leave(untried: Iterable[_Object], why: str, tell: Callable[[int, Outcome], None]) -> None:
    for found in untried:
        outcome = Outcome(
            sop_instance_uid=found.sop_instance_uid,
            verdict=Verdict.UNTRIED,
            status=None,
            message=why,
        )
        tell(found.number, outcome)


def _store(association: Association, found: _Object, peer: Peer, *, message_id: int) -> Outcome:
    """One C-STORE; where the answer is lost, the association is over too."""
    accepted = {(cx.abstract_syntax, cx.transfer_syntax[0]) for cx in association.accepted_contexts}
    if found.context not in accepted:
        refused = f"does not take {found.sop_class.name} as {found.transfer_syntax.name}"
        return _unsent(found.sop_instance_uid, PeerRefused(f"{peer.ae_title} {refused}"))
    patience_s = peer.timeout_s + found.size / _SLOWEST_BYTES_PER_S
    association.dimse_timeout = patience_s
    started = time.monotonic()
    try:
        answer = association.send_c_store(found.path, msg_id=message_id)
    except OSError as error:
        association.abort()  # it has half an object
        problem = f"the file cannot be read: {error.strerror}"
        return _unsent(found.sop_instance_uid, StoreError(problem))
    if "Status" not in answer:
        late = time.monotonic() - started >= patience_s
        what = f"did not answer within {patience_s:.3g} s" if late else "hung up before it answered"
        association.abort()
        return _unsent(found.sop_instance_uid, PeerAway(f"{peer.ae_title} {what}"))
    verdict, words = meaning(answer.Status)
    return Outcome(
        sop_instance_uid=found.sop_instance_uid,
        verdict=verdict,
        status=answer.Status,
        message=words,
    )


def _unsent(sop_instance_uid: str, error: DicomnodeError) -> Outcome:
    """The outcome of an object on which the peer gave no status."""
    return Outcome(
        sop_instance_uid=sop_instance_uid,
        verdict=Verdict.LATER if error.retry else Verdict.NEVER,
        status=None,
        message=str(error),
    )
