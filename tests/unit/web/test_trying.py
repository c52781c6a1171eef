"""Trying a pipeline on one's own files: one at a time, owner only, and nothing stays."""

import io
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicomnode.logbook import audit
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database
from dicomnode.web.site import Site
from dicomnode.web.trials import trials
from dicomnode.web.trials.trials import Trials
from dicomnode.worklist import jobs
from tests.factories import make_dataset, make_part10
from tests.running import until
from tests.web import client, make_site, nobody

DICOM = make_part10(make_dataset())

#: In the place of `dicomnode try`: finds something in the number of files that it is given.
_FINDS = """
import json, shutil, sys
from pathlib import Path
images, out = Path(sys.argv[1]), Path(sys.argv[2])
files = sorted(images.iterdir())
print("reading files", file=sys.stderr)
print("loading the model", file=sys.stderr)
out.mkdir()
shutil.copy(files[0], out / "001-001-sc.dcm")
score = {"probability": 0.75, "presence": "present", "threshold": 0.5, "calibrated": True}
other = score | {"probability": 0.25, "presence": "absent"}
study = {"study_uid": "1.2.3", "images": len(files), "objects": 1, "model": "demo@1",
         "findings": {"effusion": other, "nodule": score}, "cause": None, "problem": "",
         "results": [{"kind": "sc", "file": "001-001-sc.dcm"}]}
print(json.dumps({"objects": 1, "unreadable": 0, "missed": {}, "studies": [study]}))
"""
_MATCHES_NOT = """
import json
missed = {"modality": "CT"}
print(json.dumps({"objects": 1, "unreadable": 0, "missed": missed, "studies": []}))
raise SystemExit(1)
"""
_NO_DICOM = _MATCHES_NOT.replace('"objects": 1, "unreadable": 0', '"objects": 0, "unreadable": 1')
_FAILS = """
import sys
print("reading files", file=sys.stderr)
sys.exit("there is no model like that")
"""
_DIES = "import os; os.kill(os.getpid(), 9)"
_WAITS = """
import sys, time
print("loading the model", file=sys.stderr, flush=True)
time.sleep(60)
"""


def command(script: str) -> Callable[[Path, str, Path, Path], list[str]]:
    return lambda config, pipeline, images, out: [
        sys.executable,
        "-c",
        script,
        *map(str, (images, out)),
    ]


@pytest.fixture
def made(tmp_path: Path, sqlite_url: str) -> Iterator[Callable[..., Site]]:
    database, sites = Database(sqlite_url), []

    def make(script: str = _FINDS, **rules: object) -> Site:
        site = make_site(tmp_path, database)
        site.store.prepare()
        sites.append(replace(site, trials=Trials(command(script), **rules)))  # type: ignore[arg-type]
        return sites[-1]

    yield make
    for site in sites:
        site.trials.close()
        until(lambda site=site: not site.trials._busy.locked())  # type: ignore[misc]
    database.close()


def begin(site: Site, *files: bytes, role: Role = Role.OPERATOR, pipeline: str = "all") -> str:
    """The trial's number."""
    sent = [("files", (f"{n}.dcm", data)) for n, data in enumerate(files or (DICOM,))]
    answer = client(site, role).post("/api/try", data={"pipeline": pipeline}, files=sent)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def ended(site: Site, number: str) -> dict[str, object]:
    browser = client(site, Role.OPERATOR)
    until(lambda: not browser.get(f"/api/try/{number}").json()["running"])
    found: dict[str, object] = browser.get(f"/api/try/{number}").json()
    return found


def partial(site: Site) -> list[str]:
    return [path.name for path in (site.store.folder / "partial").iterdir()]


def noted(site: Site) -> list[str]:
    with site.database.reading() as tx:
        return [entry.action for _, entry in audit.listed(tx)][::-1]


def test_only_operators_try(made: Callable[..., Site]) -> None:
    site = made()
    form = {"data": {"pipeline": "all"}, "files": [("files", ("a", DICOM))]}
    assert nobody(site).get("/try").status_code == 401
    assert client(site, Role.VIEWER).get("/try").status_code == 403
    assert client(site, Role.VIEWER).post("/api/try", **form).status_code == 403  # type: ignore[arg-type]
    other = client(site, Role.OPERATOR)
    other.headers.pop("x-csrf-token")
    assert other.post("/try", **form).status_code == 403  # type: ignore[arg-type]
    assert partial(site) == []


def test_what_was_found_is_seen_and_nothing_else_happens(made: Callable[..., Site]) -> None:
    site = made()
    number = begin(site, DICOM, b"another")
    told = ended(site, number)
    assert told["studies"] == [
        {
            "images": 2,
            "model": "demo@1",
            "findings": [
                {"label": "nodule", "probability": 0.75, "presence": "present"},
                {"label": "effusion", "probability": 0.25, "presence": "absent"},
            ],
            "cause": "",
            "problem": "",
            "results": [{"place": 1, "kind": "sc"}],
        }
    ]
    browser = client(site, Role.OPERATOR)
    page = browser.get(f"/try/{number}").text
    assert "75.0 %" in page
    assert "The study: patient SYN-0001, accession number A0001</h2>" in page
    assert "1.2.3</span>" in page
    assert page.index("nodule") < page.index("effusion")  # as on a study's page
    assert f"/try/{number}/pictures/1.png" in page
    assert browser.get(f"/try/{number}/pictures/1.png").content[:4] == b"\x89PNG"
    assert browser.get(f"/api/try/{number}/results/1").content == DICOM
    assert browser.get(f"/try/{number}/results/2").status_code == 404
    assert not (site.store.folder / "partial" / f"trial.{number}" / "in").exists()
    with site.database.reading() as tx:
        assert jobs.listed(tx) == []
    assert noted(site) == ["trial.begun", "trial.seen", "trial.exported"]


def test_a_form_without_scripts_does_it_too(made: Callable[..., Site]) -> None:
    site = made()
    browser = client(site, Role.OPERATOR)
    csrf = browser.headers.pop("x-csrf-token")
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("../../a", DICOM)
        archive.writestr("b", b"no object")
    sent = [("files", ("a.zip", zipped.getvalue()))]
    answer = browser.post("/try", data={"pipeline": "all", "csrf": csrf}, files=sent)
    assert answer.status_code == 303
    assert browser.get(answer.headers["location"]).status_code == 200
    number = answer.headers["location"].rpartition("/")[2]
    assert ended(site, number)["files"] == 2
    assert number in browser.get("/try").text


def test_nobody_else_sees_it(made: Callable[..., Site]) -> None:
    site = made()
    number = begin(site)
    ended(site, number)
    other = client(site, Role.ADMINISTRATOR)
    for path in (f"/try/{number}", f"/try/{number}/live", f"/api/try/{number}/results/1"):
        assert other.get(path).status_code == 404
    assert other.delete(f"/api/try/{number}").status_code == 404
    assert number not in other.get("/try").text


def test_what_matches_no_rule_is_told_why(made: Callable[..., Site]) -> None:
    site = made(_MATCHES_NOT)
    number = begin(site)
    assert ended(site, number)["missed"] == {"modality": "CT"}
    page = client(site, Role.OPERATOR).get(f"/try/{number}").text
    assert "No image matches the pipeline" in page
    assert "<code>modality</code>: most images have CT" in page


@pytest.mark.parametrize(
    ("script", "problem"),
    [(_FAILS, "there is no model like that"), (_DIES, "the process that tried it died")],
)
def test_an_error_is_told_in_words_and_the_next_may_try(
    made: Callable[..., Site], script: str, problem: str
) -> None:
    site = made(script)
    assert ended(site, begin(site))["problem"] == problem
    assert ended(site, begin(site))["problem"] == problem


def test_one_at_a_time_and_it_can_be_stopped(made: Callable[..., Site]) -> None:
    site = made(_WAITS)
    number = begin(site)
    browser = client(site, Role.OPERATOR)
    until(lambda: "Loading the model" in browser.get(f"/try/{number}").text)
    sent = [("files", ("a", DICOM))]
    second = browser.post("/api/try", data={"pipeline": "all"}, files=sent)
    assert second.status_code == 409
    assert "one trial at a time" in second.text
    assert len(partial(site)) == 1
    assert browser.post(f"/try/{number}/remove").status_code == 303
    until(lambda: partial(site) == [])
    assert browser.get(f"/try/{number}").status_code == 404
    until(lambda: not site.trials._busy.locked())


def test_it_has_so_long_and_no_longer(made: Callable[..., Site]) -> None:
    site = made(_WAITS, longest_s=0.5)
    assert "took longer than" in str(ended(site, begin(site))["problem"])


def test_it_is_gone_after_its_hour(made: Callable[..., Site]) -> None:
    site = made()
    number = begin(site)
    ended(site, number)
    over = site.trials.get(number, Role.OPERATOR).over
    assert over is not None
    assert over.interval == 3600
    over.function(*over.args)
    assert partial(site) == []
    assert client(site, Role.OPERATOR).get(f"/try/{number}").status_code == 404


def test_only_so_many_are_kept(made: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_MOST_KEPT", 2)
    site = made()
    numbers = []
    for _ in range(3):
        numbers.append(begin(site))
        ended(site, numbers[-1])
        until(lambda: not site.trials._busy.locked())
    assert sorted(partial(site)) == sorted(f"trial.{number}" for number in numbers[1:])
    assert [each.id for each in site.trials.of(Role.OPERATOR)] == numbers[:0:-1]


def test_what_an_earlier_life_left_is_removed(made: Callable[..., Site]) -> None:
    site = made()
    (site.store.folder / "partial" / "trial.left" / "in").mkdir(parents=True)
    number = begin(site)
    ended(site, number)
    assert partial(site) == [f"trial.{number}"]


def test_too_much_is_refused_before_it_is_read(made: Callable[..., Site], tmp_path: Path) -> None:
    site = made()
    file = site.config / "node.toml"
    file.write_text(file.read_text().replace("[web]", "[web]\ntry_max_bytes = 5000"))
    browser = client(site, Role.OPERATOR)
    sent = [("files", ("a", bytes(6000)))]
    assert browser.post("/api/try", data={"pipeline": "all"}, files=sent).status_code == 413
    assert browser.post("/try", data={"pipeline": "all"}, files=sent).status_code == 413
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(10**6))
    sent = [("files", ("a.zip", zipped.getvalue()))]
    assert browser.post("/api/try", data={"pipeline": "all"}, files=sent).status_code == 413
    assert partial(site) == []


@pytest.mark.parametrize(
    ("pipeline", "files", "status"),
    [("other", [("files", ("a", DICOM))], 404), ("all", [("files", ("a", b""))], 422)],
)
def test_what_cannot_be_tried_is_told(
    made: Callable[..., Site],
    pipeline: str,
    files: list[tuple[str, tuple[str, bytes]]],
    status: int,
) -> None:
    browser = client(made(), Role.OPERATOR)
    answer = browser.post("/api/try", data={"pipeline": pipeline}, files=files)
    assert answer.status_code == status
    assert browser.post("/api/try", data={"pipeline": pipeline}).status_code == 415
    assert browser.post("/api/try", content=b"x").status_code == 415


def test_a_full_disk_takes_nothing(made: Callable[..., Site]) -> None:
    site = made()
    file = site.config / "node.toml"
    file.write_text(file.read_text().replace("[storage]", f"[storage]\nlow_water_bytes = {2**60}"))
    sent = [("files", ("a", DICOM))]
    answer = client(site, Role.OPERATOR).post("/api/try", data={"pipeline": "all"}, files=sent)
    assert "no room" in answer.text
    assert partial(site) == []


def test_files_that_are_no_dicom_are_not_blamed_on_the_pipeline(made: Callable[..., Site]) -> None:
    site = made(_NO_DICOM)
    number = begin(site)
    ended(site, number)
    page = client(site, Role.OPERATOR).get(f"/try/{number}").text
    assert "<h2>No DICOM object to try it on</h2>" in page
    assert "No image matches the pipeline" not in page
