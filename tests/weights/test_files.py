"""Files of weights: bit for bit there and back, foreign ones, damaged ones; torch's own format where torch is."""

import json
import math
import os
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from cnnlab.errors import DataError
from cnnlab.weights import files
from cnnlab.weights.files import Description
from cnnlab.weights.preprocessing import Preprocessing

BEFORE = Preprocessing((0.1, 0.25), (1 / 3, 2.0), (5, 7), 9, "bicubic", pixels=False)
DESCRIPTION = Description({"name": "resnet18", "width": 4}, "cnnlab", ("übung", "b, c"), BEFORE)
BARE = Description({"layers": [{"dense": "classes"}]}, "plain")


def bits(value: np.ndarray) -> bytes:
    return np.ascontiguousarray(value).tobytes()


def raw(path: Path, tensors: dict[str, tuple[str, list[int], bytes]], metadata: dict[str, str] | None = None) -> Path:
    """A safetensors file by the format's own rules: 8 bytes of length, a JSON header, the data."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    data = b""
    for name, (kind, shape, content) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def refusal(path: Path) -> str:
    """What the one sentence says behind the file's name."""
    with pytest.raises(DataError) as error:
        files.read(path)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.startswith(f"{path}: ")
    return sentence.removeprefix(f"{path}: ")


# ---------------------------------------------------------------- there and back


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12).filter(
            lambda name: name != "__metadata__"
        ),
        st.lists(st.integers(0, 3), max_size=4),
        max_size=4,
    ),
    st.integers(0, 2**32 - 1),
)
def test_tensors_come_back_bit_for_bit(tmp_path_factory, shapes, seed):
    random = np.random.default_rng(seed)
    tensors = {  # any bits, NaN and denormal numbers among them
        name: np.frombuffer(random.bytes(4 * math.prod(shape)), np.float32).reshape(shape)
        for name, shape in shapes.items()
    }
    path = tmp_path_factory.mktemp("bits") / "w.safetensors"
    files.write(path, tensors, BARE)
    found, description = files.read(path)
    assert {name: (value.shape, value.dtype, bits(value)) for name, value in found.items()} == {
        name: (value.shape, value.dtype, bits(value)) for name, value in tensors.items()
    }
    assert description == BARE


@pytest.mark.parametrize(
    "description",
    [DESCRIPTION, BARE, replace(DESCRIPTION, preprocessing=None), replace(DESCRIPTION, classes=())],
)
def test_the_description_comes_back(tmp_path, description):
    path = tmp_path / "w.safetensors"
    files.write(path, {}, description)
    assert files.describe(path) == description
    assert files.read(path) == ({}, description)


def test_a_preprocessing_of_an_older_file_is_of_pixels(tmp_path):
    before = {"mean": [0.5], "std": [0.25], "size": [8, 8], "resize": None, "interpolation": "bilinear"}
    content = {"model": {}, "scheme": "plain", "classes": None, "preprocessing": before}
    path = raw(tmp_path / "old.safetensors", {}, {"cnnlab": json.dumps(content)})
    description = files.describe(path)
    assert description == Description({}, "plain", None, Preprocessing((0.5,), (0.25,), (8, 8)))


def test_what_is_not_contiguous_is_written_as_it_reads(tmp_path):
    value = np.arange(12, dtype=np.float32).reshape(3, 4).T
    files.write(tmp_path / "w.safetensors", {"a": value}, BARE)
    np.testing.assert_array_equal(files.read(tmp_path / "w.safetensors")[0]["a"], value)


def test_others_read_our_files(tmp_path):
    """By the format's own library, which loads them for torch where the metadata say `pt`."""
    path = tmp_path / "w.safetensors"
    files.write(path, {"a.weight": np.ones((2, 3), np.float32), "a.count": np.zeros((), np.int64)}, DESCRIPTION)
    found = load_file(path)
    assert {name: (value.shape, value.dtype.name) for name, value in found.items()} == {
        "a.weight": ((2, 3), "float32"),
        "a.count": ((), "int64"),
    }
    size = struct.unpack("<Q", path.read_bytes()[:8])[0]
    metadata = json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]
    assert metadata["format"] == "pt"
    assert json.loads(metadata["cnnlab"])["model"] == {"name": "resnet18", "width": 4}


def test_a_foreign_file_has_no_description(tmp_path):
    plain, described = tmp_path / "plain.safetensors", tmp_path / "described.safetensors"
    save_file({"a": np.ones(2, np.float32)}, plain)
    save_file({"a": np.ones(2, np.float32)}, described, {"format": "pt", "author": "somebody"})
    for path in (plain, described):
        assert files.describe(path) is None
        tensors, description = files.read(path)
        assert description is None
        assert tensors["a"].tolist() == [1, 1]


def test_equal_weights_make_equal_files(tmp_path):
    """Byte for byte, however often; the tensors begin at a multiple of 8 bytes, as the format asks."""
    tensors = {"größe": np.ones((2, 3), np.float32), "a": np.zeros((), np.int64)}
    for i in range(8):
        files.write(tmp_path / f"{i}.safetensors", tensors, DESCRIPTION)
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 1
    assert struct.unpack("<Q", contents.pop()[:8])[0] % 8 == 0


# ---------------------------------------------------------------- types


def test_sixteen_bits_are_widened_without_loss(tmp_path):
    """Every number of both 16-bit formats; bfloat16 is the upper half of a float32."""
    patterns = np.arange(2**16, dtype=np.uint16)
    path = raw(
        tmp_path / "half.safetensors",
        {"half": ("F16", [256, 256], bits(patterns)), "brain": ("BF16", [2**16], bits(patterns))},
    )
    found, _ = files.read(path)
    assert {name: (value.shape, value.dtype) for name, value in found.items()} == {
        "half": ((256, 256), np.float32),
        "brain": ((2**16,), np.float32),
    }
    sign, exponent, fraction = patterns >> 15, (patterns >> 10) & 31, (patterns & 1023) / 1024
    scale = np.ldexp(1.0, np.maximum(exponent, 1).astype(int) - 15)
    half = np.where(sign, -1, 1) * scale * (fraction + (exponent > 0))
    finite = exponent < 31
    np.testing.assert_array_equal(found["half"].ravel()[finite], half[finite])
    assert not np.isfinite(found["half"].ravel()[~finite]).any()
    brain = (patterns.astype(np.uint32) << 16).view(np.float32)
    normal = ~np.isnan(brain) & ((abs(brain) >= np.finfo(np.float32).tiny) | (brain == 0))
    np.testing.assert_array_equal(found["brain"][normal], brain[normal])
    assert np.isnan(found["brain"][np.isnan(brain)]).all()


def test_other_types_stay(tmp_path):
    tensors = {"a": np.array([1e300]), "b": np.array([7], np.int64), "c": np.array([True])}
    save_file(tensors, tmp_path / "w.safetensors")
    found, _ = files.read(tmp_path / "w.safetensors")
    for name, value in tensors.items():
        assert (found[name].dtype, found[name].tolist()) == (value.dtype, value.tolist())


@pytest.mark.parametrize(("kind", "count", "size"), [("F8_E4M3", 4, 4), ("F8_E5M2", 4, 4), ("C64", 1, 8), ("F4", 8, 4)])
def test_types_that_are_no_weights(tmp_path, kind, count, size):
    path = raw(tmp_path / "w.safetensors", {"a.weight": (kind, [count], bytes(size))})
    assert refusal(path) == (
        f"the tensor 'a.weight' has the type {kind}, and numbers of 16 bits or more are wanted; save it as float32"
    )


# ---------------------------------------------------------------- what cannot be read


def test_missing_files_and_other_kinds(tmp_path):
    for name in ("resnet18.safetensors", "resnet18.pth", "notes.txt", "resnet"):
        (tmp_path / name).write_text("")
    assert refusal(tmp_path / "resnet18.safetensor") == "no such weights file; did you mean 'resnet18.safetensors'?"
    assert refusal(tmp_path / "resnet_18.pth") == "no such weights file; did you mean 'resnet18.pth'?"
    assert refusal(tmp_path / "zzz") == "no such weights file; name a .safetensors or .pth file, or a run"
    assert refusal(tmp_path / "nowhere" / "a.pth") == "no such weights file; name a .safetensors or .pth file, or a run"
    (tmp_path / "my-run").mkdir()
    directory = "is a directory, not a weights file; 'cnnlab export-weights' makes one of a run"
    assert refusal(tmp_path / "my-run") == directory
    assert refusal(tmp_path / "notes.txt") == "'.txt' is no format of weights; name a .safetensors or .pth file"
    assert refusal(tmp_path / "resnet") == "'' is no format of weights; name a .safetensors or .pth file"
    with pytest.raises(DataError, match="no such weights file"):
        files.describe(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "header too small"),
        (b"PK\x03\x04, a zip file, say", "header too large"),
        (struct.pack("<Q", 4) + b"{{{{", "invalid JSON in header: key must be a string at line 1 column 2"),
    ],
)
def test_what_is_no_safetensors_file(tmp_path, content, reason):
    (tmp_path / "w.safetensors").write_bytes(content)
    assert refusal(tmp_path / "w.safetensors") == (
        f"cannot be read as safetensors: Error while deserializing header: {reason}; copy or export it again"
    )


def test_a_file_cut_short_anywhere(tmp_path):
    path = tmp_path / "w.safetensors"
    files.write(path, {"a": np.ones(5, np.float32), "b": np.ones((2, 2), np.float32)}, BARE)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        sentence = refusal(path)
        assert sentence.startswith("cannot be read as safetensors: Error while deserializing header: ")
        assert sentence.endswith("; copy or export it again")
    path.write_bytes(whole + b"\x00")
    assert "cannot be read as safetensors" in refusal(path)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "3",
        "[]",
        '{"model": {}, "scheme": "cnnlab"}',
        '{"model": 3, "scheme": "cnnlab", "classes": null, "preprocessing": null}',
        '{"model": {}, "scheme": "cnnlab", "classes": 3, "preprocessing": null}',
        '{"model": {}, "scheme": "cnnlab", "classes": null, "preprocessing": {"mean": [0.5]}}',
        '{"model": {}, "scheme": "x", "classes": null, "preprocessing": {"mean": [], "std": [], "size": [], "x": 2}}',
    ],
)
def test_a_damaged_description(tmp_path, text):
    path = raw(tmp_path / "w.safetensors", {}, {"cnnlab": text})
    assert refusal(path) == "its description is damaged; import or export it again"
    with pytest.raises(DataError, match="its description is damaged"):
        files.describe(path)


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize(("name", "suffix"), [("w.npz", ".npz"), ("w.pth", ".pth"), ("w", "")])
def test_only_safetensors_are_written(tmp_path, name, suffix):
    with pytest.raises(DataError) as error:
        files.write(tmp_path / name, {}, BARE)
    assert str(error.value) == (
        f"{tmp_path / name}: '{suffix}' is no format to write weights in; name a .safetensors file"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "new" / "w.safetensors"
    files.write(path, {"a": np.ones(3, np.float32)}, BARE)  # makes the folder
    before = path.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left on device"):
        files.write(path, {"a": np.zeros(3, np.float32)}, BARE)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["w.safetensors"]


# ---------------------------------------------------------------- torch's own format


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
def test_without_torch_its_files_cannot_be_read(tmp_path, monkeypatch, suffix):
    monkeypatch.setitem(sys.modules, "torch", None)
    path = tmp_path / f"w{suffix}"
    assert refusal(path) == "no such weights file; name a .safetensors or .pth file, or a run"
    path.write_bytes(b"\x80\x04")
    assert refusal(path) == (
        f"reading {suffix} needs PyTorch, which is not installed; "
        "install it, or save the state dict with safetensors.torch.save_file"
    )
    assert files.describe(path) is None


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch, an extra of the tests, is not installed")


def state_dict(torch):
    layers = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    return layers.state_dict()


def test_a_state_dict_of_torch(torch, tmp_path):
    state = state_dict(torch)
    torch.save(state, tmp_path / "w.pth")
    found, description = files.read(tmp_path / "w.pth")
    assert description is None
    assert list(found) == list(state)
    for name, value in state.items():
        assert found[name].dtype.name == str(value.dtype).removeprefix("torch.")
        assert bits(found[name]) == bits(value.numpy())


@pytest.mark.parametrize("wrapped", ["state_dict", "model", "model_state_dict"])
def test_a_training_scripts_checkpoint(torch, tmp_path, wrapped):
    state = state_dict(torch)
    torch.save({"epoch": 3, wrapped: state, "optimizer": {"lr": 0.1}}, tmp_path / "w.pth")
    assert list(files.read(tmp_path / "w.pth")[0]) == list(state)
    torch.save({"state_dict": {"model": state}}, tmp_path / "twice.pt")
    assert list(files.read(tmp_path / "twice.pt")[0]) == list(state)


def test_torchs_narrow_types_are_widened_and_parameters_detached(torch, tmp_path):
    tensors = {
        "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
        "brain": torch.tensor([1.5, -3.0], dtype=torch.bfloat16),
        "eight": torch.tensor([1.5, -3.0], dtype=torch.float8_e4m3fn),
        "double": torch.tensor([1e300], dtype=torch.float64),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "strided": torch.arange(6.0).reshape(2, 3).T,
    }
    torch.save(tensors, tmp_path / "w.bin")
    found, _ = files.read(tmp_path / "w.bin")
    assert {name: (str(value.dtype), value.tolist()) for name, value in found.items()} == {
        "half": ("float32", [1.5, -2]),
        "brain": ("float32", [1.5, -3]),
        "eight": ("float32", [1.5, -3]),
        "double": ("float64", [1e300]),
        "parameter": ("float32", [1, 1]),
        "strided": ("float32", [[0, 3], [1, 4], [2, 5]]),
    }


class Attack:
    """A pickle that runs code when it is loaded."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_code_in_a_pickle_is_not_run(torch, tmp_path):
    torch.save({"a.weight": torch.ones(2), "b": Attack(tmp_path / "ran")}, tmp_path / "w.pth")
    assert refusal(tmp_path / "w.pth") == (
        "cannot be read as a state dict: it is damaged, or holds more than tensors; save model.state_dict()"
    )
    assert not (tmp_path / "ran").exists()


def test_pickles_that_are_no_state_dicts(torch, tmp_path):
    damaged = "cannot be read as a state dict: it is damaged, or holds more than tensors; save model.state_dict()"
    none = "holds no state dict: names with tensors; save model.state_dict()"
    path = tmp_path / "w.pth"
    torch.save(torch.nn.Linear(2, 3), path)  # a whole module is code
    assert refusal(path) == damaged
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:100], whole[: len(whole) // 2]):
        path.write_bytes(content)
        assert refusal(path) == damaged
    for content in ([1, 2], {"a": 1}, {"state_dict": {"a": torch.ones(1), "b": "x"}}, torch.ones(3)):
        torch.save(content, path)
        assert refusal(path) == none
    torch.save({"a": torch.eye(2).to_sparse()}, path)
    assert refusal(path) == (
        "the tensor 'a' has the type float32, sparse_coo, and numbers of 16 bits or more are wanted; save it as float32"
    )
