"""Send files to a peer: one association a batch, every byte as it lies on disk (C-STORE SCU)."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError
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
) -> list[Outcome]:
    """Send the files in order and say of each what became of it; a peer never makes this raise.

    `on_outcome` is called as soon as an outcome is known. Whatever that is, the same file may be
    sent again: its bytes and its SOP Instance UID stay the same.
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
    for batch in _batches(objects):
        _send_batch(batch, peer, our_title, tell)
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
    except (InvalidDicomError, AttributeError, ValueError, TypeError, LookupError) as error:
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
    batch: Sequence[_Object], peer: Peer, our_title: str, tell: Callable[[int, Outcome], None]
) -> None:
    """Each context offers one transfer syntax, so that nothing must be encoded again."""
    contexts = [build_context(*pair) for pair in sorted({found.context for found in batch})]
    sent = 0
    try:
        with associate(peer, our_title, contexts) as association:
            for found in batch:
                outcome = _store(association, found, peer, message_id=sent % 65535 + 1)
                sent += 1
                tell(found.number, outcome)
    except (PeerAway, PeerRefused, StoreError) as error:
        for found in batch[sent:]:
            tell(found.number, _unsent(found.sop_instance_uid, error))


def _store(association: Association, found: _Object, peer: Peer, *, message_id: int) -> Outcome:
    """One C-STORE; PeerAway where the answer is lost, since then the association is over too."""
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
        raise StoreError(f"the file cannot be read: {error.strerror}") from error
    if "Status" not in answer:
        late = time.monotonic() - started >= patience_s
        what = f"did not answer within {patience_s:.3g} s" if late else "hung up before it answered"
        raise PeerAway(f"{peer.ae_title} {what}")
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
