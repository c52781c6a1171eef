"""The association's beginning and its ends, as PDUs (PS3.8 section 9.3, PS3.7 annex D).

pynetdicom reads and writes the PDUs; what is accepted is decided here.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext

from dicomnode.dicom.sop_classes import (
    STORAGE_COMMITMENT,
    STORAGE_SOP_CLASSES,
    TRANSFER_SYNTAXES,
    VERIFICATION,
)
from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomnode.errors import ProtocolViolation, Trouble

__all__ = [
    "ABORTED",
    "RELEASED",
    "Agreement",
    "Context",
    "Proposal",
    "Rejection",
    "accept",
    "message",
    "read_proposal",
    "rejected",
]

_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_ACCEPTED, _NO_ABSTRACT_SYNTAX, _NO_TRANSFER_SYNTAX = 0, 3, 4  # PS3.8 Table 9-18
_FIXED_FIELDS = 68  #: of an A-ASSOCIATE-RQ, before its items (PS3.8 Table 9-11)
_MOST_CLASSES, _MOST_SYNTAXES = 16, 6  #: that were refused, and are told of
_LONGEST_UID = 64

RELEASED = struct.pack(">BxI4x", 0x06, 4)  #: A-RELEASE-RP
ABORTED = struct.pack(
    ">BxI2xBB", 0x07, 4, 2, 0
)  #: A-ABORT of the service provider, no reason given


@dataclass(frozen=True, slots=True)
class Rejection:
    """An A-ASSOCIATE-RJ (PS3.8 Table 9-21) and the reason in words."""

    result: int
    source: int
    reason: int
    words: str
    trouble: Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A presentation context that was accepted."""

    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a caller asks for in its A-ASSOCIATE-RQ."""

    calling_ae: str
    called_ae: str
    stores: bool  #: does it propose to store anything?
    max_pdu_bytes: int  #: the longest P-DATA it takes; 0 is any
    primitive: A_ASSOCIATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What was accepted, and the A-ASSOCIATE-AC that says so."""

    contexts: Mapping[int, Context]
    pdu: bytes
    refused: Mapping[str, tuple[str, ...]]  #: transfer syntaxes by SOP Class; not all, where many


def read_proposal(body: bytes) -> Proposal | Rejection:
    """Read the content of an A-ASSOCIATE-RQ.

    Raises:
        ProtocolViolation: it is none.
    """
    if len(body) < _FIXED_FIELDS:
        raise ProtocolViolation("an A-ASSOCIATE-RQ is too short")
    if not int.from_bytes(body[:2], "big") & 1:
        words = "the caller speaks another version of the protocol"
        return Rejection(1, 2, 2, words, Trouble.VERSION)
    pdu = A_ASSOCIATE_RQ()
    try:
        pdu.decode(struct.pack(">BxI", 0x01, len(body)) + body)
        primitive = pdu.to_primitive()
        contexts = primitive.presentation_context_definition_list
        if not all(context.abstract_syntax and context.transfer_syntax for context in contexts):
            raise ProtocolViolation("a presentation context lacks a syntax")
        if primitive.application_context_name != _APPLICATION_CONTEXT:
            words = "the caller's application context is not DICOM's"
            return Rejection(1, 1, 2, words, Trouble.APPLICATION)
        return Proposal(
            calling_ae=primitive.calling_ae_title.strip(),
            called_ae=primitive.called_ae_title.strip(),
            stores=any(context.abstract_syntax in STORAGE_SOP_CLASSES for context in contexts),
            max_pdu_bytes=primitive.maximum_length_received or 0,
            primitive=primitive,
        )
    except Exception as error:  # pynetdicom raises whatever broken bytes make Python raise
        raise ProtocolViolation("an A-ASSOCIATE-RQ cannot be read") from error


def accept(proposal: Proposal, *, may_store: bool, max_pdu_bytes: int) -> Agreement:
    """Accept what can be served of what is proposed; the caller's order of syntaxes decides.

    A sender lists first how it has the object, and what need not be encoded again stays as it is.
    """
    asked = proposal.primitive
    served = {VERIFICATION, STORAGE_COMMITMENT} | (STORAGE_SOP_CLASSES if may_store else set())
    results = [_result(each, served) for each in asked.presentation_context_definition_list]
    contexts = {
        context.context_id: Context(
            abstract_syntax=str(context.abstract_syntax),
            transfer_syntax=str(context.transfer_syntax[0]),
        )
        for context in results
        if context.result == _ACCEPTED and context.context_id is not None
    }
    answer = A_ASSOCIATE()
    answer.application_context_name = UID(_APPLICATION_CONTEXT)
    answer.calling_ae_title = asked.calling_ae_title
    answer.called_ae_title = asked.called_ae_title
    answer.result, answer.result_source = 0, 1
    answer.presentation_context_definition_results_list = results
    length = MaximumLengthNotification()
    length.maximum_length_received = max_pdu_bytes
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    roles = _roles(asked, {context.abstract_syntax for context in contexts.values()})
    answer.user_information = [length, implementation, version, *roles]
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(answer)
    return Agreement(contexts=contexts, pdu=pdu.encode(), refused=_refused(asked, results))


def rejected(rejection: Rejection) -> bytes:
    """The A-ASSOCIATE-RJ."""
    return struct.pack(">BxIxBBB", 0x03, 4, rejection.result, rejection.source, rejection.reason)


def message(context_id: int, command: bytes, max_pdu_bytes: int) -> bytes:
    """The P-DATA of a message without a dataset, in PDUs the peer takes (PS3.8 annex E)."""
    room = max_pdu_bytes - 6 if max_pdu_bytes > 6 else len(command)
    parts = [command[at : at + room] for at in range(0, len(command), room)]
    return b"".join(
        struct.pack(">BxIIBB", 0x04, len(part) + 6, len(part) + 2, context_id, control) + part
        for part, control in zip(parts, [1] * (len(parts) - 1) + [3], strict=True)
    )


def _result(
    proposed: PresentationContext, served: set[str] | frozenset[str]
) -> PresentationContext:
    """The answer to one presentation context (PS3.8 Table 9-18)."""
    result = PresentationContext()
    result.context_id = proposed.context_id
    result.abstract_syntax = proposed.abstract_syntax
    known = [uid for uid in proposed.transfer_syntax if uid in TRANSFER_SYNTAXES]
    result.transfer_syntax = [known[0] if known else proposed.transfer_syntax[0]]
    if proposed.abstract_syntax not in served:
        result.result = _NO_ABSTRACT_SYNTAX
    else:
        result.result = _ACCEPTED if known else _NO_TRANSFER_SYNTAX
    return result


def _refused(
    asked: A_ASSOCIATE, results: Iterable[PresentationContext]
) -> dict[str, tuple[str, ...]]:
    """What was not accepted: a caller may say as much as it likes, and little of it is kept."""
    found: dict[str, tuple[str, ...]] = {}
    for each, result in zip(asked.presentation_context_definition_list, results, strict=True):
        name = str(each.abstract_syntax)[:_LONGEST_UID]
        if result.result != _ACCEPTED and (name in found or len(found) < _MOST_CLASSES):
            syntaxes = (str(uid)[:_LONGEST_UID] for uid in each.transfer_syntax[:_MOST_SYNTAXES])
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), *syntaxes)))[:_MOST_SYNTAXES]
    return found


def _roles(asked: A_ASSOCIATE, accepted: set[str]) -> list[SCP_SCU_RoleSelectionNegotiation]:
    """A caller may be the SCP of Storage Commitment only, to report to us (PS3.7 D.3.3.4)."""
    answers = []
    for item in asked.user_information:
        if isinstance(item, SCP_SCU_RoleSelectionNegotiation) and item.sop_class_uid in accepted:
            answer = SCP_SCU_RoleSelectionNegotiation()
            answer.sop_class_uid = item.sop_class_uid
            answer.scu_role = bool(item.scu_role)
            answer.scp_role = bool(item.scp_role) and item.sop_class_uid == STORAGE_COMMITMENT
            if answer.scu_role or answer.scp_role:  # neither cannot be said
                answers.append(answer)
    return answers
