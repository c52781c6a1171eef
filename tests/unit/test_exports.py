import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dicomnode

ROOT = Path(next(iter(dicomnode.__path__)))
FILES = sorted(path for path in ROOT.rglob("*.py") if "migrations" not in path.parts)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = [name for path in FILES if not (name := module_name(path)).endswith("__main__")]
RUNNING = ("receive.server", "receive.intake", "deliver.sender", "dicom.network", "cli.main")
KEEPING = tuple(f"dicomnode.{name}" for name in ("worklist", "people", "logbook", "storage"))
LIGHT = [
    *(f"dicomnode.{name}" for name in RUNNING),
    *(name for name in MODULES if name.startswith(KEEPING)),
]


def names(tree: ast.Module) -> set[str]:
    """What a module defines at its top."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def public(tree: ast.Module) -> set[str]:
    """Functions, classes and constants without an underscore.

    A short name for a type is for its own module, unless it is listed; a command is found by its
    decorator, not by its name.
    """
    commands = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if any(ast.unparse(mark).startswith(("app.", "router.")) for mark in node.decorator_list)
    }
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    types = {name for name in names(tree) - classes if name != name.upper() and name[0].isupper()}
    own = names(tree) - commands - types - {"log"}
    return {name for name in own if not name.startswith("_")}


def imported(tree: ast.Module) -> set[str]:
    """Names that a module has from elsewhere."""
    nodes = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname or alias.name for node in nodes for alias in node.names}


def listed(tree: ast.Module) -> list[str]:
    """What stands in `__all__`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            exports: list[str] = ast.literal_eval(node.value)
            return exports
    raise AssertionError("there is no __all__")


@pytest.mark.parametrize("path", [path for path in FILES if path.name[0] != "_"], ids=module_name)
def test_a_module_lists_its_public_names(path: Path) -> None:
    tree = ast.parse(path.read_text())
    exports = listed(tree)

    assert len(exports) == len(set(exports)), "a name stands twice"
    assert public(tree) - set(exports) == set(), "public and not in __all__"
    assert set(exports) - names(tree) - imported(tree) == set(), "in __all__ and not there"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_module_opens_with_what_lives_in_it(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))

    assert docstring, "it has no docstring"
    assert docstring.partition("\n\n")[0][-1] in ".:?", "it does not begin with a sentence"


def run(script: str, *arguments: str, cwd: Path | None = None) -> str:
    """What a fresh Python prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


IMPORT_QUIETLY = """
import importlib, os, sys, tempfile
sys.dont_write_bytecode = True
import importlib.metadata, pydicom, pynetdicom, sqlalchemy, torch, monai, highdicom

def refuse(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (
        os.O_WRONLY | os.O_RDWR | os.O_CREAT
    )
    if writes or event in ("socket.connect", "socket.bind", "os.mkdir", "subprocess.Popen"):
        seen.append(f"{event} {arguments}")

seen = []
sys.addaudithook(refuse)
for name in sys.argv[1:]:
    importlib.import_module(name)
print("\\n".join(seen))
"""


def test_importing_opens_no_socket_starts_no_program_and_makes_no_file(tmp_path: Path) -> None:
    assert run(IMPORT_QUIETLY, *MODULES, cwd=tmp_path).strip() == ""
    assert list(tmp_path.iterdir()) == []


IMPORT_LIGHTLY = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(" ".join(sorted({"torch", "monai", "highdicom"} & set(sys.modules))))
"""


def test_receiving_queueing_and_sending_load_no_torch() -> None:
    assert run(IMPORT_LIGHTLY, *LIGHT).strip() == ""
