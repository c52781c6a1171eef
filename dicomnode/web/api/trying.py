"""Try a pipeline on one's own files."""

from datetime import datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from dicomnode.answers import Presence
from dicomnode.web.access import Operator
from dicomnode.web.site import Here
from dicomnode.web.trials import tried
from dicomnode.web.trials.trials import Trial
from dicomnode.web.trying import FORM, LARGEST, NotTooLarge, begin, export, note_seen

__all__ = ["TrialFinding", "TrialResult", "TrialState", "TrialStudy", "router"]

router = APIRouter(prefix="/api", tags=["Try it"])


class TrialFinding(BaseModel):
    """What was said of one label."""

    label: str
    probability: float = Field(description="0 to 1.")
    presence: Presence


class TrialResult(BaseModel):
    """One object that would have been sent."""

    place: int = Field(description="Its number, as in the address of the object itself.")
    kind: str = Field(examples=["sr"])


class TrialStudy(BaseModel):
    """What came of one study."""

    images: int = Field(description="Images of it that the pipeline takes.")
    model: str = Field(description="NAME@VERSION; empty where none spoke.")
    findings: list[TrialFinding]
    cause: str = Field(description="Why it is not analysed; empty where it is.")
    problem: str = Field(description="The same in words.")
    results: list[TrialResult]


class TrialState(BaseModel):
    """How a trial goes, or what came of it."""

    id: str
    pipeline: str
    files: int
    began_at: datetime
    running: bool
    step: str = Field(description="What it is doing, in words.")
    problem: str = Field(description="Why nothing came of it.")
    missed: dict[str, str] = Field(
        description="Rules that said no to images, with what these have."
    )
    studies: list[TrialStudy]


@router.post(
    "/try",
    status_code=202,
    max_body_size=LARGEST,
    openapi_extra=FORM,
    responses={409: {"description": "Another trial is going on."}},
)
async def begin_trial(
    request: Request, here: Here, small: NotTooLarge, caller: Operator
) -> TrialState:
    """Begin to try a pipeline on files; nothing is sent, and all is forgotten after an hour."""
    return _state(await begin(request, here, caller))


@router.get("/try/{number}")
def get_trial(here: Here, caller: Operator, number: str) -> TrialState:
    """How it goes, or what came of it; only who began it sees it."""
    trial = here.trials.get(number, caller.name)
    if not trial.running:
        note_seen(here, caller, trial)
    return _state(trial)


@router.get(
    "/try/{number}/results/{place}",
    response_class=FileResponse,
    responses={200: {"content": {"application/dicom": {}}}},
)
def get_trial_result(here: Here, caller: Operator, number: str, place: int) -> FileResponse:
    """One object, as it would have been sent."""
    return export(here, caller, here.trials.get(number, caller.name), place)


@router.delete("/try/{number}", status_code=204)
def remove_trial(here: Here, caller: Operator, number: str) -> Response:
    """End and forget it now."""
    here.trials.remove(here.trials.get(number, caller.name).id)
    return Response(status_code=204)


def _state(trial: Trial) -> TrialState:
    return TrialState(
        id=trial.id,
        pipeline=trial.pipeline,
        files=trial.files,
        began_at=trial.began_at,
        running=trial.running,
        step=trial.step,
        problem=trial.problem,
        missed=dict((trial.answer or {}).get("missed", {})),
        studies=[_study(study) for study in tried.shown(trial)],
    )


def _study(study: tried.StudyShown) -> TrialStudy:
    return TrialStudy(
        images=study.images,
        model=study.model,
        findings=[
            TrialFinding(label=label, probability=score.probability, presence=score.presence)
            for label, score in study.findings.items()
        ],
        cause=study.cause,
        problem=study.problem,
        results=[TrialResult(place=each.place, kind=each.kind) for each in study.results],
    )
