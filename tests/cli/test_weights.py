"""`cnnlab import-weights`, `export-weights` and `predict --weights`, from a run to torch's names and back."""

import csv
import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from cnnlab.runs.directory import open_run
from cnnlab.runs.network import network
from cnnlab.runs.pretrained import load_weights, prepare_experiment, with_weights
from cnnlab.runs.weights import run_weights, state_weights
from cnnlab.spec.load import load
from cnnlab.tasks import task_of
from cnnlab.train.step import Sizes, compile_program
from cnnlab.weights import files
from cnnlab.weights.preprocessing import Preprocessing

pytestmark = pytest.mark.usefixtures("undrawn")

REFERENCE = Path(__file__).parent.parent / "models" / "reference"
LAYERS = {
    "conv_0.weight": (4, 1, 3, 3),
    "conv_0.bias": (4,),
    "batch_norm_1.weight": (4,),
    "batch_norm_1.bias": (4,),
    "batch_norm_1.running_mean": (4,),
    "batch_norm_1.running_var": (4,),
    "batch_norm_1.num_batches_tracked": (),
    "dense_6.weight": (3, 36),
    "dense_6.bias": (3,),
}
RESNET = "{name: resnet18, stem: small, width: 4}"


def narrow(shape: list[int], name: str) -> tuple[int, ...]:
    """A published ResNet-18's tensor with width 4 for 64, a 3x3 stem on one channel, and three classes."""
    if name == "conv1.weight":
        return (4, 1, 3, 3)
    if name.startswith("fc."):
        return (3, 32)[: len(shape)]
    return tuple(size // 16 if size >= 64 else size for size in shape)


def normalised(x: np.ndarray, run: Path) -> np.ndarray:
    """What a run does with pixels, by hand."""
    data = json.loads((run / "data.json").read_text())["normalization"]
    return ((x[..., None] / 255 - np.array(data["mean"])) / np.array(data["std"])).astype(np.float32)


def values(text: str) -> np.ndarray:
    return np.array([[float(cell) for cell in row[2:]] for row in list(csv.reader(text.splitlines()))[1:]])


@pytest.fixture(params=["layers", pytest.param("resnet18", marks=pytest.mark.slow)])
def trained(request, small, cnnlab) -> tuple[Path, str]:
    """A run, and the name of its torch names; of resnet18 the spec says a narrow one."""
    if request.param == "layers":
        return request.getfixturevalue("uninterrupted").rename("run"), "plain"
    text = small.read_text()
    before, after = text.split("model:\n")[0], text.split("- dense: classes\n")[1]
    small.write_text(f"{before}model: {RESNET}\n{after}")
    ended = cnnlab("train", small, "train.epochs=1", "--run", "run", "--quiet")
    assert ended.code == 0, ended.err
    return Path("run"), "torchvision"


def test_from_a_run_to_torchs_names_and_back(trained, cnnlab):
    run, scheme = trained
    if scheme == "plain":
        shapes = LAYERS
    else:
        published = json.loads((REFERENCE / "resnet18.json").read_text())["state"]
        shapes = {name: narrow(shape, name) for name, shape in published.items()}
    count = sum("num_batches" not in name for name in shapes)
    parameters = sum(math.prod(shape) for name, shape in shapes.items() if "running" not in name and shape)

    ended = cnnlab("export-weights", run, "-o", "torch.safetensors")
    assert ended == (0, f"torch.safetensors: {count} tensors under the names of {scheme}\n", "")
    state = load_file("torch.safetensors")
    assert {name: value.shape for name, value in state.items()} == shapes
    assert {value.dtype.name for name, value in state.items() if name.endswith("tracked")} == {"int64"}

    ended = cnnlab("import-weights", "torch.safetensors", "--model", "small.yaml", "-o", "ours.safetensors")
    line = f"ours.safetensors: small.yaml, {count} tensors, {parameters:,} parameters, 3 classes\n"
    assert ended == (0, line, "")
    stored, _, _ = run_weights(open_run(run), "best")
    imported, _ = files.read(Path("ours.safetensors"))
    assert {name: value.tobytes() for name, value in imported.items()} == {
        name: value.tobytes() for name, value in stored.items()
    }

    with np.load("small.npz") as arrays:
        pixels = arrays["x"][:40]  # more than a batch of prediction
    np.save("pixels.npy", pixels)
    np.save("coloured.npy", pixels[..., None])
    np.savez("by_hand.npz", x=normalised(pixels, run))
    Image.fromarray(pixels[0]).save("one.png")
    of_run = cnnlab("predict", run, "pixels.npy", "--output", "logits").out
    wanted = values(of_run)
    assert of_run.splitlines()[0] == "file,index,top,middle,bottom"
    assert wanted.shape == (40, 3)
    for weights in ("ours.safetensors", "torch.safetensors"):
        for file in ("coloured.npy", "by_hand.npz"):
            ended = cnnlab("predict", "--weights", weights, file, "--output", "logits")
            assert ended.out.splitlines()[0] == "file,index,top,middle,bottom"  # the classes went along
            np.testing.assert_allclose(values(ended.out), wanted, rtol=1e-5, atol=1e-5)
        one = cnnlab("predict", "--weights", weights, "one.png", "--output", "logits")
        np.testing.assert_allclose(values(one.out), wanted[:1], rtol=1e-5, atol=1e-5)
        named = cnnlab("predict", "--weights", weights, "--model", "small.yaml", "one.png", "--output", "logits")
        assert named.out == one.out


def test_a_spec_that_starts_from_an_export_begins_with_the_runs_weights(trained, cnnlab):
    run, _ = trained
    assert cnnlab("export-weights", run, "-o", "torch.safetensors").code == 0
    experiment, prepared = prepare_experiment(load(Path("small.yaml"), ["model.weights=torch.safetensors", "seed=9"]))
    found = network(experiment, prepared.input_shape, task_of(experiment, prepared), prepared=prepared)
    weights = load_weights(experiment.model, found.model, prepared.input_shape)
    state = with_weights(compile_program(experiment, Sizes.of(experiment, prepared)).host_state, weights)
    stored, _, _ = run_weights(open_run(run), "best")
    assert {name: np.asarray(value).tobytes() for name, value in state_weights(state).items()} == {
        name: np.asarray(value).tobytes() for name, value in stored.items()
    }


def test_exports_of_best_and_last_and_as_json(small, cnnlab):
    assert cnnlab("train", small, "train.epochs=1", "--run", "run", "--quiet").code == 0
    for which in ("best", "last"):
        ended = cnnlab("export-weights", "run", "-o", f"{which}.safetensors", "--checkpoint", which, "--json")
        assert json.loads(ended.out) == {"weights": f"{which}.safetensors", "tensors": 8, "names": "plain"}
    assert Path("best.safetensors").read_bytes() == Path("last.safetensors").read_bytes()  # of one epoch


# ---------------------------------------------------------------- foreign weights


def filled(name: str, shape: list[int]) -> np.ndarray:
    """The rule by which the reference's weights are filled; see its README."""
    x = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("num_batches_tracked"):
        return np.zeros((), np.int64)
    if name.endswith("running_var"):
        x = 1 + 0.1 * abs(x)
    elif name.endswith("running_mean"):
        x = 0.1 * x
    elif len(shape) == 1:
        x = 1 + 0.1 * x if name.endswith("weight") else 0.1 * x
    else:
        x = x * math.sqrt(2 / math.prod(shape[1:]))
    return x.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("imported", [True, False])
def test_torchvisions_resnet18_through_the_command_line(tmp_path, monkeypatch, cnnlab, imported):
    """Its state dict, and the logits that torch computed of it in float64."""
    monkeypatch.chdir(tmp_path)
    reference = json.loads((REFERENCE / "resnet18.json").read_text())
    save_file({name: filled(name, shape) for name, shape in reference["state"].items()}, "torch.safetensors")
    images = np.random.default_rng(0).standard_normal(reference["input"]).astype(np.float32)
    np.savez("x.npz", x=images.transpose(0, 2, 3, 1))
    weights = "torch.safetensors"
    if imported:
        weights = "ours.safetensors"
        ended = cnnlab("import-weights", "torch.safetensors", "--model", "resnet18", "-o", weights)
        line = "ours.safetensors: resnet18, 102 tensors, 11,689,512 parameters, 1,000 classes\n"
        assert ended == (0, line, "")
    arguments = ("--output", "logits", "-o", "out.npz")
    ended = cnnlab("predict", "--model", "resnet18", "--weights", weights, "x.npz", *arguments)
    assert ended == (0, "out.npz\n", "")
    with np.load(REFERENCE / "resnet18.npz") as stored, np.load("out.npz") as out:
        wanted, found = stored["logits"], out["logits"]
        assert out["files"].tolist() == ["x.npz"] * 4
        assert out["classes"].tolist() == [str(i) for i in range(1000)]
    assert found.dtype == np.float32
    assert np.linalg.norm(found - wanted) < 1e-5 * np.linalg.norm(wanted)


@pytest.fixture
def foreign(tmp_path, monkeypatch) -> Path:
    """In the current directory: a state dict of 7 classes on 6x5 pixels of 2 channels, and a spec of its network."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    shapes = {"a.weight": (4, 2, 3, 3), "a.bias": (4,), "b.weight": (7, 4), "b.bias": (7,)}
    save_file({k: random.standard_normal(v, dtype=np.float32) for k, v in shapes.items()}, "foreign.safetensors")
    layers = "[conv: {features: 4, kernel: 3, name: a}, relu, global_avg_pool, dense: {features: classes, name: b}]"
    Path("net.yaml").write_text(f"model: {{layers: {layers}}}\n")
    return tmp_path


def converted(cnnlab, *options: object, model: object = "net.yaml"):
    return cnnlab("import-weights", "foreign.safetensors", "--model", model, "-o", "ours.safetensors", *options)


def test_options_of_the_preprocessing_and_names_of_classes(foreign, cnnlab):
    names = ["ant", "bee", "cat", "dog", "eel", "fox", "größe"]
    Path("names.txt").write_text("\r\n".join(names) + "\n\n", encoding="utf-8")
    ended = converted(cnnlab, "--mean", "0.1,0.2", "--std", "0.3,0.4", "--size", 6, "--classes", "names.txt")
    assert ended == (0, "ours.safetensors: net.yaml, 4 tensors, 111 parameters, 7 classes\n", "")
    found = files.describe(Path("ours.safetensors"))
    assert found.preprocessing == Preprocessing((0.1, 0.2), (0.3, 0.4), (6, 6), 6)  # the shorter side as the crop
    assert found.classes == tuple(names)
    more = ("--resize", 9, "--interpolation", "bicubic", "--input", "6,5,2", "--json")
    ended = converted(cnnlab, "--mean", "0,-1", "--std", "1,1e-2", "--size", 6, *more)
    assert json.loads(ended.out) == {
        "weights": "ours.safetensors",
        "model": "net.yaml",
        "tensors": 4,
        "parameters": 111,
        "classes": 7,
    }
    found = files.describe(Path("ours.safetensors"))
    assert found.preprocessing == Preprocessing((0, -1), (1, 0.01), (6, 6), 9, "bicubic")
    assert (found.model["input"], found.model["classes"], found.classes) == ([6, 5, 2], 7, None)


def test_overrides_follow_the_file(foreign, cnnlab):
    ended = converted(cnnlab, "model.input=[6, 5, 2]", "model.classes=7")
    assert ended == (0, "ours.safetensors: net.yaml, 4 tensors, 111 parameters, 7 classes\n", "")
    ended = converted(cnnlab, "model.input=[6, 5, 2]", "model.classes=6")
    assert ended.code == 2
    assert ended.err.splitlines()[1] == "  misshapen: b.bias is [7], not [6], b.weight is [7, 4], not [6, 4]"


def test_everything_that_does_not_fit_is_listed_and_nothing_is_written(foreign, cnnlab):
    state = load_file("foreign.safetensors")
    state["c.bias"] = state.pop("a.bias")
    state["b.weight"] = np.zeros((7, 5), np.float32)
    save_file(state, "foreign.safetensors")
    ended = converted(cnnlab, "--input", "6,5,2")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        "foreign.safetensors: not the weights of this network; nothing was loaded",
        "  missing: a.bias",
        "  unexpected: c.bias",
        "  misshapen: b.weight is [7, 5], not [7, 4]",
    ]
    assert not Path("ours.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "model", "sentence"),
    [
        ((), "resnt18", "--model:1:15: model.name: no architecture 'resnt18'; did you mean 'resnet18'? "
         "'cnnlab list models' shows all"),
        ((), "nett.yaml", "nett.yaml: no such spec file; did you mean 'net.yaml'?"),
        (("model.widht=3",), "resnet18", "command line: model.widht=3: model.widht: unknown key (value 3); "
         "did you mean 'width'?"),
        ((), "net.yaml", "--input: the input's shape of net.yaml is not known; such as --input 32,32,1"),
        (("--input", "6x5xtwo"), "net.yaml", "--input: '6x5xtwo' is no shape; such as 224,224,3: height, width, "
         "channels"),
        (("--input", "2,2,2"), "lenet5", "model (lenet5) on 2x2x2, layer c1: the map is 2x2 here, smaller than the "
         "window 5x5; give it a larger input, such as data.resize: 16"),
        (("--mean", "a,b"), "net.yaml", "--mean: 'a,b' is no list of numbers; such as 0.485,0.456,0.406"),
        (("--std", ""), "net.yaml", "--std: '' is no list of numbers; such as 0.485,0.456,0.406"),
        (("--input", "6,5,2", "--mean", "1,2,3"), "net.yaml",
         "--mean: 3 numbers, and the channels of the input are 2; give one for each"),
        (("--input", "6,5,2", "--mean", "1,2", "--std", "1,0"), "net.yaml",
         "--std: 1.0,0.0 are not all finite and above 0"),
        (("--classes", "nowhere.txt"), "net.yaml", "nowhere.txt: cannot be read: [Errno 2] No such file or directory: "
         "'nowhere.txt'; one name a line, in UTF-8"),
        (("--input", "6,5,2", "--classes", "net.yaml"), "net.yaml", "--classes: 1 names, and the weights have 7 "
         "classes"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_a_sentence(foreign, cnnlab, options, model, sentence):
    assert converted(cnnlab, *options, model=model) == (2, "", sentence + "\n")
    assert not Path("ours.safetensors").exists()


def test_files_that_cannot_be_imported_or_written(foreign, cnnlab):
    arguments = ("--model", "net.yaml", "--input", "6,5,2", "-o")
    ended = cnnlab("import-weights", "forein.safetensors", *arguments, "ours.safetensors")
    assert ended == (2, "", "forein.safetensors: no such weights file; did you mean 'foreign.safetensors'?\n")
    ended = cnnlab("import-weights", "net.yaml", *arguments, "ours.safetensors")
    assert ended == (2, "", "net.yaml: '.yaml' is no format of weights; name a .safetensors or .pth file\n")
    Path("cut.safetensors").write_bytes(Path("foreign.safetensors").read_bytes()[:-1])
    ended = cnnlab("import-weights", "cut.safetensors", *arguments, "ours.safetensors")
    assert ended == (
        2,
        "",
        "cut.safetensors: cannot be read as safetensors: Error while deserializing header: "
        "incomplete metadata, file not fully covered; copy or export it again\n",
    )
    for name in ("ours.npz", "ours"):
        ended = cnnlab("import-weights", "foreign.safetensors", *arguments, name)
        sentence = f"{name}: '{Path(name).suffix}' is no format to write weights in; name a .safetensors file\n"
        assert ended == (2, "", sentence)
    assert sorted(path.name for path in foreign.iterdir()) == ["cut.safetensors", "foreign.safetensors", "net.yaml"]


@pytest.mark.parametrize("option", [("--size", 0), ("--resize", -1), ("--interpolation", "nearest")])
def test_options_of_a_wrong_kind(foreign, cnnlab, option):
    ended = converted(cnnlab, "--input", "6,5,2", *option)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[-1].startswith(f"Error: Invalid value for '{option[0]}': ")


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        ("nowhere", "nowhere: no such run directory; 'cnnlab train SPEC' makes one"),
        (".", ".: is not a run directory: it has no resolved.yaml; a run is what 'cnnlab train' leaves in runs/"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence(foreign, cnnlab, run, sentence):
    assert cnnlab("export-weights", run, "-o", "out.safetensors") == (2, "", sentence + "\n")
    assert not Path("out.safetensors").exists()
