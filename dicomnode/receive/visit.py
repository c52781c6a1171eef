"""What came of one connection, told in one record of bounded size for those who look after senders.

Of several things that went wrong it names the one to mend: a caller that finds nothing of its
presentation contexts accepted aborts, and its abort is not what matters.
"""

from dicomnode.errors import Trouble
from dicomnode.receive.negotiation import Agreement, Proposal, Rejection
from dicomnode.receive.services import Services
from dicomnode.records import Visit, VisitState

__all__ = ["visit_of"]

_GONE = (None, Trouble.ABORTED, Trouble.HUNG_UP)


def visit_of(
    address: str,
    proposal: Proposal | None,
    rejection: Rejection | None,
    agreement: Agreement,
    services: Services | None,
    trouble: Trouble | None,
    problem: str,
    seconds: float,
) -> Visit:
    """A record of what is known at its end; `trouble` is why it ended, None for a release."""
    if rejection is not None:
        trouble, problem = rejection.trouble, rejection.words
    elif services is not None and trouble in _GONE:
        trouble = _deeper(agreement, services) or trouble
    return Visit(
        state=_state(proposal, rejection, problem),
        address=address,
        calling_ae=proposal.calling_ae if proposal else "",
        called_ae=proposal.called_ae if proposal else "",
        seconds=seconds,
        trouble=trouble,
        words=problem,
        refused_contexts=agreement.refused,
        stored=services.stored if services else 0,
        refusals=dict(services.refusals) if services else {},
    )


def _state(proposal: Proposal | None, rejection: Rejection | None, problem: str) -> VisitState:
    if rejection is not None:
        return VisitState.REJECTED
    if proposal is None:
        return VisitState.NO_REQUEST
    return VisitState.ABORTED if problem else VisitState.RELEASED


def _deeper(agreement: Agreement, services: Services) -> Trouble | None:
    """What the caller could not do."""
    if services.refused:
        return Trouble.OBJECTS
    if agreement.refused and not services.stored:
        return Trouble.CONTEXTS
    return None
