"""The README's commands are run, its specs are checked, its tree is the real one."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from cnnlab.cli import COMMANDS
from cnnlab.layers.initialize import Initializer
from cnnlab.models import MODELS
from cnnlab.weights.names import tensors

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL)
LINES = [line.split("#")[0].strip() for language, block in BLOCKS if language == "sh" for line in block.splitlines()]


def test_it_is_short():
    assert len(TEXT.splitlines()) < 330


def test_every_command_is_documented():
    for command in COMMANDS:
        assert f"cnnlab {command}" in TEXT, f"the README does not show {command}"


def test_every_target_of_the_makefile_is_documented():
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"help", "setup", "demo", "course", "test", "test-all", "lint", "format", "bench"} == set(targets)
    for line in LINES:
        if line.startswith("make "):
            assert line.split()[1] in targets


@pytest.mark.parametrize("spec", [block for language, block in BLOCKS if language == "yaml"])
def test_its_specs_check(spec, tmp_path, monkeypatch, cnnlab):
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(spec)
    ended = cnnlab("check", "spec.yaml")
    assert ended.code == 0, ended.err


def resnet18_state() -> dict[str, np.ndarray]:
    """A state dict under torchvision's names, as a user would have one."""
    model = MODELS["resnet18"]((224, 224, 3), 1000, init=Initializer())
    return {
        tensor.torch: np.zeros(tensor.torch_shape, np.float32)
        for tensor in tensors(model, "resnet18", "torchvision", 2)
    }


def test_its_commands_run(tmp_path, monkeypatch, cnnlab):
    """In their order, in a copy of what they need; training takes one epoch here."""
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.chdir(tmp_path)
    from PIL import Image

    Image.new("L", (8, 8)).save("photo.png")
    save_file(resnet18_state(), "resnet18.safetensors")
    ran = []
    for line in LINES:
        words = shlex.split(line)
        if words[:1] != ["cnnlab"]:
            continue
        extra = ["train.epochs=1", "train.early_stopping=null"] if words[1] == "train" else []
        ended = cnnlab(*words[1:], *extra)
        assert ended.code == 0, f"{line}: {ended.err}"
        ran.append(words[1])
    assert set(COMMANDS) <= set(ran)


def test_its_tree_names_every_room():
    (tree,) = [block for language, block in BLOCKS if language == "" and "cnnlab/" in block and "errors.py" in block]
    for room in (ROOT / "cnnlab").iterdir():
        if room.name not in ("__init__.py", "__pycache__", "__main__.py"):
            assert room.name in tree
