"""A whole node whose pipelines name models that cannot be had: images are kept all the same."""

from pathlib import Path

import pytest

from dicomnode.errors import Cause
from dicomnode.records import State, Verdict
from tests.factories import make_dataset, write_part10
from tests.pacs import free_port
from tests.running import node, until

PIPELINE = 'destinations = ["pacs"]\nmodel = "{model}"\n\n[complete]\nquiet_s = 0.2\n'


@pytest.mark.parametrize(
    ("folders", "word"), [("", "there is no model brain"), ("gone", "is no folder")]
)
def test_a_pipeline_without_its_model_is_named_at_the_start_and_its_studies_are_told_of(
    tmp_path: Path, folders: str, word: str
) -> None:
    pipelines = {
        "pipelines/all.toml": PIPELINE.format(model="brain"),
        "pipelines/off.toml": "enabled = false\n" + PIPELINE.format(model="heart"),
    }
    with node(tmp_path, free_port(), extra=pipelines, start=False) as running:
        if folders:
            file = running.config / "node.toml"
            models = f'[classify]\nmodels = ["{tmp_path / folders}"]\n'
            file.write_text(file.read_text().replace("[classify]\n", models))
        running.start()
        image = write_part10(make_dataset(1), tmp_path / "1.dcm")
        assert [outcome.verdict for outcome in running.send([image])] == [Verdict.STORED]

        until(lambda: [job.state for job in running.jobs()] == [State.REPORTED])

        (job,) = running.jobs()
        assert job.refused is Cause.MODEL_FAILED
        assert word in job.reason
        (broken,) = [line for line in running.log.splitlines() if "pipeline.broken" in line]
        assert "ERROR" in broken
        assert "pipeline=all model=brain" in broken
        assert word in broken
