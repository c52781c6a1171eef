"""How everything stands now, for scripts and for other monitors."""

from fastapi import APIRouter

from dicomnode.web.access import Viewer
from dicomnode.web.monitoring.overview import Overview, glance
from dicomnode.web.site import Here

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["Overview"])


@router.get("/overview", summary="Today at a glance")
def overview(here: Here, _: Viewer) -> Overview:
    """Studies and jobs of today and in all, times to result, the last hours, peers, models, nodes.

    Counts stop at 10,001, which means more than 10,000. Nothing in it names a patient.
    """
    return glance(here.database, here.settings(), now=here.now())
