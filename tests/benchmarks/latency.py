"""From the release of the association to the SR in the PACS, for one radiograph, part by part:
`python tests/benchmarks/latency.py --help`.

A whole node, with DCMTK's storescp as the PACS, on one machine. Each study is one DX of some 15 MB,
sent when the node is at rest. The times are those of the worklist's own history, so `sent` is when
the PACS's answer to the C-STORE of the SR was there.
"""

import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pynetdicom.presentation import build_context

from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.folder import read_card, write_card
from dicomnode.classify.network import build_network
from dicomnode.classify.weights import save_weights
from dicomnode.cli.output import console, print_table
from dicomnode.cli.running import free_port, running, write_config
from dicomnode.dicom.network import associate
from dicomnode.dicom.uids import result_uid
from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.records import Peer

_NODE = """
[receive]
port = {port}

[web]
on = false

[storage]
folder = "{folder}/node"
min_free_bytes = 0

[classify]
models = ["{folder}/models"]
early = {early}
"""
_PEER = """
ae_title = "BENCH"
host = "127.0.0.1"
port = {pacs}
may_send = true
"""
_PIPELINE = """
model = "{model}"
destinations = ["bench"]

[complete]
quiet_s = {quiet_s}
"""

_ROWS = 2800  #: 7.8 megapixels of 16 bits
_WARM = 3  #: studies that come first and do not count
_LONGEST_S = 120.0
_PARTS = ("registered", "ready", "claimed", "reported", "first sent", "SR sent")


def main(
    model: Annotated[str, typer.Option(help="demonstration, or densenet121.")] = "demonstration",
    studies: Annotated[int, typer.Option(min=1, help="How many are measured.")] = 10,
    quiet_s: Annotated[float, typer.Option(help="`quiet_s` of the pipeline.")] = 0.0,
    rows: Annotated[int, typer.Option(help="Rows of the radiograph.")] = _ROWS,
    early: Annotated[bool, typer.Option(help="Classify images as they arrive?")] = True,
) -> None:
    """Measure one model, and show the median of each part."""
    with tempfile.TemporaryDirectory(prefix="latency-") as name:
        folder = Path(name)
        if model == "densenet121":
            densenet121(folder / "models" / model)
        else:
            (folder / "models").mkdir()
        with node(folder, model, quiet_s, early) as (us, worklist):
            files = list(radiographs(folder, studies + _WARM, rows))
            spent = [one(us, worklist, file, uid) for file, uid in files][_WARM:]
    medians = [median(times) * 1000 for times in zip(*spent, strict=True)]
    steps = [now - before for before, now in zip([0.0, *medians], medians, strict=False)]
    rows_shown = [
        (part, f"{step:.0f}", f"{at:.0f}")
        for part, step, at in zip(_PARTS, steps, medians, strict=True)
    ]
    title = f"{model}, {studies} studies: milliseconds since the release, medians"
    print_table(["part", "takes", "is over at"], rows_shown, title=title)
    slowest = max(times[-1] for times in spent) * 1000
    console.print(f"slowest: {slowest:.0f} ms; goal on two cores: 700 ms", highlight=False)


@contextmanager
def node(folder: Path, model: str, quiet_s: float, early: bool) -> Iterator[tuple[Peer, Path]]:
    """Our node and its PACS; gives the node as a peer, and the file of its worklist."""
    port, pacs = free_port(), free_port()
    texts = {"node.toml": _NODE, "peers/bench.toml": _PEER, "pipelines/all.toml": _PIPELINE}
    values: dict[str, object] = {
        "port": port,
        "pacs": pacs,
        "folder": folder,
        "model": model,
        "quiet_s": quiet_s,
    }
    values["early"] = str(early).lower()
    config = write_config(folder / "ae_config", texts, **values)
    us = Peer(name="node", ae_title="DICOMNODE", host="127.0.0.1", port=port)
    (folder / "pacs").mkdir()
    storescp = ["storescp", "--output-directory", str(folder / "pacs"), str(pacs)]
    with subprocess.Popen(storescp) as archive:
        try:
            with running(config, us, "BENCH"):
                yield us, folder / "node" / "worklist.db"
        finally:
            archive.terminate()


def radiographs(folder: Path, count: int, rows: int) -> Iterator[tuple[Path, str]]:
    """The same drawing as so many studies, each file with its Study Instance UID."""
    ds = synthetic_dx(1, ["cardiomegaly"], rows=rows)
    for number in range(count):
        uids = [result_uid("latency", what, str(number)) for what in ("study", "series", "image")]
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = uids
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        path = folder / f"{number}.dcm"
        ds.save_as(path, enforce_file_format=True)
        yield path, uids[0]


def one(us: Peer, worklist: Path, file: Path, study_uid: str) -> list[float]:
    """Seconds from the release to the end of each part, for one study."""
    contexts = [build_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)]
    with associate(us, "BENCH", contexts) as association:
        association.send_c_store(file)
        released = time.time()
    events = _events(worklist, study_uid)
    time.sleep(1.0)  # the next one finds the node at rest
    return [at - released for at in events]


def _events(worklist: Path, study_uid: str) -> list[float]:
    """When each part was over, of the system's clock."""
    deadline = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline:
        with closing(sqlite3.connect(f"file:{worklist}?mode=ro", uri=True)) as database:
            found = database.execute(
                "SELECT event, detail, at FROM history WHERE study_uid = ? ORDER BY id",
                (study_uid,),
            ).fetchall()
        if any(event == "delivered" for event, _, _ in found):
            return _moments(found)
        time.sleep(0.05)
    raise RuntimeError(f"no SR within {_LONGEST_S} s: {[event for event, *_ in found]}")


def _moments(found: list[tuple[str, str, str]]) -> list[float]:
    moments = [(event, detail, datetime.fromisoformat(at)) for event, detail, at in found]
    sent = [(detail, at) for event, detail, at in moments if event == "sent"]
    first = {event: at for event, _, at in reversed(moments)}
    last_sr = next(at for detail, at in reversed(sent) if detail.startswith("sr "))
    times = [first["waiting"], first["ready"], first["running"], first["reported"]]
    return [at.replace(tzinfo=UTC).timestamp() for at in (*times, sent[0][1], last_sr)]


def densenet121(folder: Path) -> Card:
    """A model folder with MONAI's DenseNet-121 at 224 px, its weights random, always the same."""
    like = read_card(Path(demonstration_folder()))
    fields = like.model_dump(mode="python")
    fields |= {
        "name": "densenet121",
        "architecture": Architecture(
            kind="densenet",
            params={"init_features": 64, "growth_rate": 32, "block_config": [6, 12, 24, 16]},
        ),
        "input": like.input.model_copy(update={"size_px": 224}),
        "explanation": Explanation(method="grad-cam", layer="features.denseblock4"),
        "labels": tuple(
            label.model_copy(update={"threshold": 0.01 if number == 0 else 0.99, "margin": 0.0})
            for number, label in enumerate(like.labels)
        ),  # one finding is present, so that one picture is made
        "novelty": None,
        "calibration": None,
        "vectors": None,
    }
    card = Card.model_validate(fields)
    torch.manual_seed(1)
    folder.mkdir(parents=True)
    weights = save_weights(build_network(card).state_dict(), folder / card.weights.file)
    card = card.model_copy(update={"weights": weights})
    write_card(card, folder)
    return card


def demonstration_folder() -> Path:
    """Where the model that ships lies: its labels are those of the drawings."""
    from dicomnode.classify.card.folder import find_models

    return find_models(())["demonstration"]


if __name__ == "__main__":
    typer.run(main)
