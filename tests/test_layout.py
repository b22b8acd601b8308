"""The house's plan: a room uses only what lies below it, files stay short, nothing starts jax by the way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Low floors first, as in the README's tree.
FLOORS = (
    "errors",
    "files",
    "kernels",
    "spec",
    "layers",
    "models",
    "losses",
    "metrics",
    "data",
    "tasks",
    "optim",
    "trace",
    "receptive_field",
    "weights",
    "train",
    "runs",
    "report",
    "cli",
)
MODULES = sorted((ROOT / "cnnlab").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The rooms of cnnlab that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("cnnlab.") and name != "cnnlab.__version__"}
    return found


def test_every_room_has_its_floor():
    rooms = {p.relative_to(ROOT / "cnnlab").parts[0].removesuffix(".py") for p in MODULES} - {"__init__"}
    assert rooms == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_uses_only_what_lies_below(path):
    room = path.relative_to(ROOT / "cnnlab").parts[0].removesuffix(".py")
    if room == "__init__":
        assert imported(path) == set()
        return
    above = {name for name in imported(path) if FLOORS.index(name) > FLOORS.index(room)}
    assert above == set(), f"{path.name} of {room}/ imports from above: {above}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short_and_say_what_they_are(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 320, "a longer file wants to be two"
    assert ast.get_docstring(ast.parse(text)), "a file opens with what it is"
    assert path.name != "utils.py"


def test_only_rendering_prints():
    for path in MODULES:
        calls = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        ]
        allowed = path.relative_to(ROOT / "cnnlab").parts[0] == "cli"
        assert allowed or not calls, f"{path}: the library never prints"
