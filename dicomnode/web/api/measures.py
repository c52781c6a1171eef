"""Measures for Prometheus: nothing of patients, and open to this machine only by default."""

from ipaddress import ip_address

from fastapi import APIRouter, HTTPException, Request, Response

from dicomnode.web.access import Anyone, who
from dicomnode.web.site import Here, Site

__all__ = ["router"]

router = APIRouter(tags=["Monitoring"])

_FORMAT = "text/plain; version=0.0.4; charset=utf-8"  #: that every Prometheus reads


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    summary="Measures for Prometheus",
)
def metrics(request: Request, here: Here, _: Anyone) -> Response:
    """Studies, jobs, deliveries, failures, times, peers, the machine; without patient data.

    Answered where it is asked on the node's own machine, with a key, or if `web.metrics_open` says
    so.
    """
    if not _may_ask(request, here):
        words = "ask on the node's own machine or with a key, or set metrics_open in [web]"
        raise HTTPException(401, words, {"www-authenticate": "Bearer"})
    text = here.measures.text(here.database, here.settings(), here.store, now=here.now())
    return Response(text, media_type=_FORMAT)


def _may_ask(request: Request, here: Site) -> bool:
    if here.settings().node.web.metrics_open or _is_local(request):
        return True
    return who(request, here) is not None


def _is_local(request: Request) -> bool:
    """From this machine, and not by a proxy on it that nobody told us of."""
    forwarded = {"forwarded", "x-forwarded-for", "x-real-ip", "via"} & set(request.headers)
    try:
        return ip_address(request.client.host if request.client else "").is_loopback and not (
            forwarded
        )
    except ValueError:
        return False
