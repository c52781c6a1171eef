"""Models, with what their cards say and what came of them here."""

from fastapi import APIRouter

from dicomnode.web.access import Viewer
from dicomnode.web.models import Models, models
from dicomnode.web.site import Here

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["Models"])


@router.get("/models", summary="Models, their cards and their use")
def read_models(here: Here, _: Viewer) -> Models:
    """All that pipelines name, that are here, or that results here are of.

    Where `use.exact` is false there are at least so many jobs. Nothing in it names a patient.
    """
    return models(here)
