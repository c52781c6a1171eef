"""The drawing of the house is the contract that the linter checks."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def contract() -> list[str]:
    """The layers of pyproject.toml, from the roof down."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (layers,) = [item["layers"] for item in contracts["contracts"] if item["type"] == "layers"]
    return list(layers)


def test_contributing_draws_the_layers_that_are_checked() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    drawings = re.findall(r"^```\n(cli\n.*?)^```$", text, re.DOTALL | re.MULTILINE)

    assert [drawing.splitlines() for drawing in drawings] == [contract()]


def test_every_room_has_its_place() -> None:
    placed = {room.strip() for layer in contract() for room in layer.split("|")}
    package = ROOT / "dicomnode"
    rooms = {path.stem for path in package.glob("*.py") if not path.stem.startswith("__")}
    rooms |= {path.parent.name for path in package.glob("*/__init__.py")}

    assert rooms == placed
