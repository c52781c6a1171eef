"""Take a message of Storage Commitment: check it, keep it durably, say which status it gets.

Statuses are those of N-ACTION and N-EVENT-REPORT (PS3.7 sections 10.1.4.1.10 and 10.1.1.1.8). What
was kept is worked through by the node's main process.
"""

import logging

from dicomnode.dicom.commitment import (
    EVERYTHING_KEPT,
    FAILURES_EXIST,
    PUSH_MODEL_INSTANCE,
    REQUEST_COMMITMENT,
    read_report,
    read_request,
)
from dicomnode.errors import StoreError, StoreFull, Unreadable
from dicomnode.records import CommitmentMessage
from dicomnode.storage.spool import Spool

__all__ = ["take"]

log = logging.getLogger(__name__)

_SUCCESS = 0x0000
_PROCESSING_FAILURE = 0x0110
_NO_SUCH_INSTANCE = 0x0112
_NO_SUCH_EVENT_TYPE = 0x0113
_NO_SUCH_ARGUMENT = 0x0114
_INVALID_ARGUMENT = 0x0115
_NO_SUCH_ACTION = 0x0123
_RESOURCE_LIMITATION = 0x0213


def take(spool: Spool, message: CommitmentMessage) -> int:
    """Keep a message and return the DIMSE status; 0x0000 once it is on disk."""
    status, problem = _refusal(message)
    if not problem:
        try:
            spool.put(message)
        except StoreFull as error:
            status, problem = _RESOURCE_LIMITATION, str(error)
        except StoreError as error:
            status, problem = _PROCESSING_FAILURE, str(error)
    fields = {"calling_ae": message.calling_ae, "status": f"0x{status:04X}"}
    if problem:
        log.warning("commitment.refused", extra=fields | {"problem": problem})
    return status


def _refusal(message: CommitmentMessage) -> tuple[int, str]:
    """The status, and what is wrong in words; no words where nothing is."""
    if message.sop_instance_uid != PUSH_MODEL_INSTANCE:
        return _NO_SUCH_INSTANCE, "not the well-known instance of Storage Commitment"
    asks = message.kind == "request"
    known = {REQUEST_COMMITMENT} if asks else {EVERYTHING_KEPT, FAILURES_EXIST}
    if message.type_id not in known:
        return _NO_SUCH_ACTION if asks else _NO_SUCH_EVENT_TYPE, "an action or event nobody knows"
    if not message.dataset:
        return _NO_SUCH_ARGUMENT, "it came without a dataset"
    try:
        (read_request if asks else read_report)(message.dataset, message.transfer_syntax_uid)
    except Unreadable as error:
        return _INVALID_ARGUMENT, str(error)
    return _SUCCESS, ""
