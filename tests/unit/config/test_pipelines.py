"""What each destination gets: kinds, profiles, and what it is told where there is no answer."""

from pathlib import Path

import pytest

from dicomnode.config.load import load
from dicomnode.config.pipelines import NOTICES, PROFILES, Profile
from dicomnode.errors import ConfigError
from dicomnode.records import ResultKind
from tests.cli import configure
from tests.node import make_pipeline

SC, SEG, GSPS, SR, SR3D, TEXT, PDF, KO = ResultKind


def test_every_destination_gets_what_the_pipeline_says() -> None:
    pipeline = make_pipeline(destinations=("pacs", "viewer"), results=("sr", "pdf"))

    assert pipeline.wanted == {"pacs": {SR, PDF}, "viewer": {SR, PDF}}


def test_a_destination_gets_what_is_said_for_it_alone() -> None:
    pipeline = make_pipeline(
        destinations=("pacs", "viewer"), results=("sr",), results_for={"viewer": ("legacy", "ko")}
    )

    assert pipeline.wanted == {"pacs": {SR}, "viewer": {SC, TEXT, KO}}


@pytest.mark.parametrize("profile", Profile)
def test_every_profile_has_something_that_a_person_can_read(profile: Profile) -> None:
    wanted = make_pipeline(results=(str(profile),)).wanted["pacs"]

    assert wanted == PROFILES[profile]
    assert wanted & {SR, SR3D, TEXT, PDF}


def only_mistake(folder: Path, pipeline: str) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(configure(folder, pipeline=pipeline))
    (mistake,) = caught.value.mistakes
    return mistake.key, mistake.problem


@pytest.mark.parametrize(
    ("pipeline", "key", "problem"),
    [
        ('results = ["sr", "srd"]', "results[1]", "did you mean"),
        ('results = ["dicom"]', "results[0]", "is neither a kind of result nor a profile"),
        ("results = []", "results", "must"),
        ('[results_for]\npacs = ["ohfi"]', "results_for.pacs[0]", "did you mean ohif?"),
        ('[results_for]\nviewer = ["sr"]', "results_for", "viewer"),
        ('results = ["seg", "ko"]', "results", "says nothing where nothing was found; add one of"),
        ('[results_for]\npacs = ["gsps"]', "results_for.pacs", "says nothing where nothing was"),
        ('shadow = ["demonstration"]', "shadow", "names the pipeline's own model"),
        ('shadow = ["a", "a"]', "shadow", "names a model twice"),
        ('not_analysed = "some"', "not_analysed", "must be 'all', 'reports' or 'nothing'"),
    ],
)
def test_a_choice_that_is_none_is_named_with_what_would_be_right(
    pipeline: str, key: str, problem: str, tmp_path: Path
) -> None:
    found = only_mistake(tmp_path, pipeline)

    assert found[0].startswith(key)
    assert problem in found[1]


def test_a_configuration_may_choose_for_each_destination(tmp_path: Path) -> None:
    text = 'results = ["ohif"]\n[results_for]\npacs = ["air"]\n'

    pipeline = load(configure(tmp_path, pipeline=text)).pipelines["all"]

    assert pipeline.wanted == {"pacs": {SR3D, SEG, KO}}


# --- not analysed ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "everything", "reports"),
    [
        (("sr", "sc"), {SR, SC}, {SR}),
        (("legacy", "pdf"), {SC, TEXT, PDF}, {TEXT, PDF}),
        (("air",), {SR3D}, {SR3D}),
        (("weasis",), {SR, SC}, {SR}),
        (("sc",), {SC}, {SC}),
        (("gsps", "seg", "sc"), {SC}, {SC}),
        (("ko", "sr"), {SR}, {SR}),
    ],
)
def test_a_destination_is_told_in_the_kinds_that_it_takes(
    results: tuple[str, ...], everything: set[ResultKind], reports: set[ResultKind]
) -> None:
    assert make_pipeline(results=results).wanted_notices == {"pacs": everything}
    told = make_pipeline(results=results, not_analysed="reports").wanted_notices
    assert told == {"pacs": reports}


def test_nobody_is_told_where_the_pipeline_says_so() -> None:
    assert make_pipeline(not_analysed="nothing").wanted_notices == {}


def test_each_destination_is_told_in_its_own_way() -> None:
    pipeline = make_pipeline(
        destinations=("pacs", "viewer"), results=("sr",), results_for={"viewer": ("gsps", "sc")}
    )

    assert pipeline.wanted_notices == {"pacs": {SR}, "viewer": {SC}}
    assert frozenset({SC, SR, SR3D, TEXT, PDF}) == NOTICES
