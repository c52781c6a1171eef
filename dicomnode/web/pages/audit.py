"""The audit trail: who did what, and who looked at whose data."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dicomnode.logbook import audit
from dicomnode.people import accounts
from dicomnode.web import trail
from dicomnode.web.access import Administrator
from dicomnode.web.asked import Before, query_of
from dicomnode.web.rendering import page
from dicomnode.web.site import Here

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_A_PAGE = 100


@router.get("/audit")
def table(
    request: Request,
    here: Here,
    caller: Administrator,
    wanted: trail.Wanted,
    before: Before = 0,
) -> HTMLResponse:
    """Lines, newest first."""
    found = trail.look(here, caller, wanted, before=before, limit=_A_PAGE + 1)
    with here.database.reading() as tx:
        actions, names = audit.actions(tx), [each.user.name for each in accounts.listed(tx)]
    asked = {
        "user": wanted.user,
        "action": wanted.action,
        "study_uid": wanted.study_uid,
        "since": wanted.since.date().isoformat() if wanted.since else "",
        "until": wanted.until.date().isoformat() if wanted.until else "",
    }
    day = wanted.since or wanted.until
    zone = {"zone": str(day.tzinfo)} if day else {}
    return page(
        request,
        "audit.html",
        caller,
        lines=[deed for _, deed in found[:_A_PAGE]],
        next=found[_A_PAGE - 1][0] if len(found) > _A_PAGE else 0,
        before=before,
        asked=asked,
        query=query_of(asked | zone),
        actions=actions,
        names=names,
    )
