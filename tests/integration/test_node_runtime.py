"""A node chooses what runs its model before the first study, and remembers it over a restart."""

from pathlib import Path

from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.records import State
from tests.pacs import pacs
from tests.running import RunningNode, node, until


def test_a_node_measures_once(tmp_path: Path) -> None:
    with pacs() as archive, node(tmp_path, archive.peer.port, start=False) as running:
        file = running.config / "node.toml"
        file.write_text(file.read_text().replace('runtime = "torch"', 'runtime = "openvino"'))
        running.start()
        answered(running, tmp_path, 1)
        assert running.log.count("runtime.chosen") == 1
        running.stop()

        running.start()
        answered(running, tmp_path, 2)
        assert running.log.count("runtime.chosen") == 1
        (kept,) = (tmp_path / "node" / "runtimes").iterdir()
        assert (kept / "choice.json").is_file()


def answered(running: RunningNode, folder: Path, study: int) -> None:
    path = folder / f"{study}.dcm"
    synthetic_dx(study, rows=256).save_as(path, enforce_file_format=True)
    running.send([path])
    until(lambda: [job.state for job in running.jobs()] == [State.DELIVERED] * study, timeout_s=120)
