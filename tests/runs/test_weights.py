"""Weights in and out: what a file needs to be imported, what it says afterwards, and what a run gives away."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cnnlab.errors import CnnlabError, DataError, RunError, SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.models import build
from cnnlab.runs import weights
from cnnlab.runs.directory import open_run
from cnnlab.spec.load import parse
from cnnlab.train import checkpoint
from cnnlab.train.state import named_leaves, split
from cnnlab.weights import files
from cnnlab.weights.files import Description
from cnnlab.weights.names import OURS, counters, schemes, tensors
from cnnlab.weights.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, published
from tests.conftest import well

pytestmark = pytest.mark.usefixtures("undrawn")

RESNET = "{name: resnet18, width: 4}"
GRAY = "{layers: [conv: {features: 4, kernel: 3}, relu, flatten, dense: classes]}"


def state_dict(model: str, shape: tuple[int, ...], classes: int | None) -> dict[str, np.ndarray]:
    """A foreign one: the network's weights drawn from a seed, under torch's names and in its layout."""
    spec = parse(f"model: {model}", "test.yaml").model
    _, params, stats = split(build(spec, shape, classes, init=Initializer(1)))
    leaves = {**named_leaves(params), **named_leaves(stats)}
    name = weights.architecture(spec)
    scheme = next(iter(schemes(name)))
    network = weights.bare(spec, shape, classes)
    entries = tensors(network, name, scheme, len(shape) - 1)
    state = {entry.torch: entry.to_torch(np.asarray(leaves[entry.ours])) for entry in entries}
    return {**state, **counters(state)}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spec(model: str, name: str = "net.yaml") -> str:
    Path(name).write_text(f"model: {model}\n")
    return name


def convert(state, name, overrides=(), shape=None, preprocessing=None, classes=None):
    """Import a foreign state dict: what the command says, and what the file holds."""
    save_file(state, "foreign.safetensors")
    arguments = name, list(overrides), shape, preprocessing or {}, classes
    found = weights.import_weights(Path("foreign.safetensors"), *arguments, Path("ours.safetensors"))
    return found, *files.read(Path("ours.safetensors"))


def refused(error: type[CnnlabError], *arguments, **named) -> str:
    with pytest.raises(error) as caught:
        convert(*arguments, **named)
    assert not Path("ours.safetensors").exists()
    return str(caught.value)


# ---------------------------------------------------------------- import


def test_an_import_holds_every_tensor_in_our_layout(folder):
    state = state_dict(RESNET, (64, 64, 3), 1000)
    found, tensors_, description = convert(state, spec(RESNET))
    assert found == {
        "weights": "ours.safetensors",
        "model": "net.yaml",
        "tensors": 102,
        "parameters": sum(value.size for name, value in state.items() if "running" not in name and value.shape),
        "classes": 1000,
    }
    np.testing.assert_array_equal(tensors_["head.kernel"], state["fc.weight"].T)
    wanted = state["layer2.0.conv1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(tensors_["stage2.block0.body.conv1.kernel"], wanted)
    np.testing.assert_array_equal(tensors_["stem.norm.var"], state["bn1.running_var"])
    assert not [name for name in tensors_ if "num_batches_tracked" in name]
    assert description is not None
    assert description.scheme == OURS
    assert description.classes is None
    assert description.preprocessing == published("resnet18")
    assert dict(description.model) == {
        "name": "resnet18",
        "input": [224, 224, 3],
        "classes": 1000,
        "width": 4,
        "variant": "v1.5",
        "stem": "standard",
        "activation": "relu",
        "normalization": "batch",
        "dropout": 0.0,
        "stochastic_depth": 0.0,
    }


def test_what_only_training_reads_of_a_spec_does_not_go_with_the_weights(folder):
    model = RESNET.replace("}", ", freeze: [stem], new_head: true, unfreeze_at_epoch: 3, weights: x.safetensors}")
    _, _, description = convert(state_dict(RESNET, (64, 64, 3), 1000), spec(model))
    assert not {"freeze", "new_head", "unfreeze_at_epoch", "weights", "init"} & set(description.model)


def test_the_imported_file_describes_a_network_that_can_be_built(folder):
    state = state_dict(RESNET, (64, 64, 3), 7)
    _, tensors_, description = convert(state, spec(RESNET), shape=(32, 32, 3))
    model = weights.description_model(description)
    _, params, stats = split(weights.bare(model, model.input, model.classes))
    shapes = {name: np.shape(leaf) for tree in (params, stats) for name, leaf in named_leaves(tree).items()}
    assert shapes == {name: value.shape for name, value in tensors_.items()}


@pytest.mark.parametrize("classes", [2, 7, 1000])
def test_the_head_tells_the_number_of_classes(folder, classes):
    found, tensors_, description = convert(state_dict(RESNET, (64, 64, 3), classes), spec(RESNET))
    assert (found["classes"], description.model["classes"]) == (classes, classes)
    assert tensors_["head.kernel"].shape == (32, classes)


@pytest.mark.parametrize("name", ["efficientnet_b0", "googlenet", "network_in_network"])
def test_heads_of_all_kinds_tell_it(folder, name):
    """Under timm's names, with auxiliary classifiers, and a convolution."""
    state = state_dict(f"{{name: {name}}}", (32, 32, 3), 7)
    if name == "efficientnet_b0":
        model = parse("model: {name: efficientnet_b0}", "test.yaml").model
        network = weights.bare(model, (32, 32, 3), 7)
        both = (tensors(network, name, scheme, 2) for scheme in ("torchvision", "timm"))
        state = {theirs.torch: state[ours.torch] for ours, theirs in zip(*both, strict=True)}
        assert "classifier.weight" in state
    found, _, _ = convert(state, name, shape=(32, 32, 3))
    assert found["classes"] == 7


def test_one_unit_tells_two_classes_apart(folder):
    state = state_dict("{name: perceptron}", (4, 4, 1), 2)
    assert state["head.weight"].shape == (1, 16)
    found, _, description = convert(state, "perceptron", shape=(4, 4, 1))
    assert (found["classes"], description.model["classes"]) == (2, 2)


@pytest.mark.parametrize("last", ["dense: classes", "dense: 7"])
def test_layers_of_ones_own_that_say_their_outputs_or_not(folder, last):
    state = state_dict(GRAY.replace("dense: classes", last), (6, 6, 1), 7)
    found, _, description = convert(state, spec(GRAY.replace("dense: classes", last)), shape=(6, 6, 1))
    assert (found["classes"], found["tensors"]) == (7, 4)
    assert description.model["classes"] == 7


def test_overrides_go_before_the_architectures_defaults(folder):
    found, _, description = convert(state_dict(RESNET, (64, 64, 3), 5), "resnet18", ["model.width=4"])
    assert found["model"] == "resnet18"
    assert description.model["width"] == 4


def test_names_of_classes(folder):
    state = state_dict(GRAY, (6, 6, 1), 3)
    _, _, description = convert(state, spec(GRAY), shape=(6, 6, 1), classes=("a", "b", "c"))
    assert description.classes == ("a", "b", "c")
    Path("ours.safetensors").unlink()
    sentence = refused(DataError, state, spec(GRAY), shape=(6, 6, 1), classes=("a", "b"))
    assert sentence == "--classes: 2 names, and the weights have 3 classes"


# ---------------------------------------------------------------- preprocessing


def test_the_published_preprocessing_goes_with_a_published_network(folder):
    _, _, description = convert(state_dict("{name: efficientnet_b3}", (64, 64, 3), 5), "efficientnet_b3")
    assert description.preprocessing == published("efficientnet_b3")
    assert description.model["input"] == [300, 300, 3]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"mean": (0.5, 0.5, 0.5)}, {"mean": (0.5, 0.5, 0.5)}),
        ({"std": (1.0, 2.0, 3.0)}, {"std": (1.0, 2.0, 3.0)}),
        ({"size": (96, 96), "resize": 96}, {"size": (96, 96), "resize": 96}),
        ({"resize": 300, "interpolation": "bicubic"}, {"resize": 300, "interpolation": "bicubic"}),
    ],
)
def test_options_replace_what_was_published(folder, given, wanted):
    _, _, description = convert(state_dict(RESNET, (64, 64, 3), 5), spec(RESNET), preprocessing=given)
    assert description.preprocessing == replace(published("resnet18"), **wanted)
    assert tuple(description.model["input"]) == (*description.preprocessing.size, 3)


def test_an_input_of_another_size_is_what_images_are_resized_to(folder):
    state = state_dict(RESNET, (64, 64, 3), 5)
    wanted = Preprocessing(IMAGENET_MEAN, IMAGENET_STD, (48, 64))
    _, _, description = convert(state, spec(RESNET), shape=(48, 64, 3))
    assert description.preprocessing == wanted
    _, _, description = convert(state, spec(RESNET.replace("}", ", input: [48, 64, 3]}")))
    assert (description.preprocessing, description.model["input"]) == (wanted, [48, 64, 3])
    _, _, description = convert(state, spec(RESNET), shape=(224, 224, 3))
    assert description.preprocessing == published("resnet18")


@pytest.mark.parametrize("shape", [(64, 64, 1), (64, 1), (16, 16, 16, 3)])
def test_no_published_preprocessing_for_other_inputs(folder, shape):
    model = "{name: resnet18, width: 4}"
    _, _, description = convert(state_dict(model, shape, 5), spec(model), shape=shape)
    assert description.preprocessing is None
    assert tuple(description.model["input"]) == shape


def test_layers_of_ones_own_have_the_preprocessing_that_is_given(folder):
    state = state_dict(GRAY, (6, 6, 1), 3)
    _, _, description = convert(state, spec(GRAY), shape=(6, 6, 1))
    assert description.preprocessing is None
    given = {"mean": (0.1,), "std": (0.2,)}
    _, _, description = convert(state, spec(GRAY), shape=(6, 6, 1), preprocessing=given)
    assert description.preprocessing == Preprocessing((0.1,), (0.2,), (6, 6))
    given |= {"size": (6, 6), "resize": 8}  # which also tell the input's shape
    _, _, description = convert(state, spec(GRAY), preprocessing=given)
    assert description.preprocessing == Preprocessing((0.1,), (0.2,), (6, 6), 8)
    assert description.model["input"] == [6, 6, 1]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"mean": (0.1, 0.2)}, "--mean: 2 numbers, and the channels of the input are 1; give one for each"),
        ({"mean": (0.1,)}, "--std: 3 numbers, and the channels of the input are 1; give one for each"),
        ({"mean": (float("nan"),), "std": (1.0,)}, "--mean: nan are not all finite"),
        ({"mean": (0.1,), "std": (0.0,)}, "--std: 0.0 are not all finite and above 0"),
        ({"mean": (0.1,), "std": (float("inf"),)}, "--std: inf are not all finite and above 0"),
    ],
)
def test_a_preprocessing_that_cannot_be(folder, given, sentence):
    state = state_dict(GRAY, (6, 6, 1), 3)
    assert refused(SpecError, state, spec(GRAY), shape=(6, 6, 1), preprocessing=given) == sentence


def test_a_preprocessing_of_what_is_no_image(folder):
    state = state_dict("{name: mlp, hidden: [4]}", (5,), 3)
    sentence = refused(SpecError, state, spec("{name: mlp, hidden: [4]}"), shape=(5,), preprocessing={"mean": (0.1,)})
    assert sentence == "the input is 5, and --mean, --std, --size and the like are for images; leave them out"


def test_the_inputs_shape_must_be_known(folder):
    sentence = refused(SpecError, state_dict(GRAY, (6, 6, 1), 3), spec(GRAY))
    assert sentence == "--input: the input's shape of net.yaml is not known; such as --input 32,32,1"


# ---------------------------------------------------------------- what does not fit


def test_nothing_is_written_where_something_does_not_fit(folder):
    state = state_dict(RESNET, (64, 64, 3), 5)
    del state["fc.bias"]
    Path("kept.safetensors").write_bytes(b"before")
    save_file(state, "foreign.safetensors")
    with pytest.raises(DataError) as error:
        weights.import_weights(
            Path("foreign.safetensors"), "resnet18", ["model.width=4"], None, {}, None, Path("kept.safetensors")
        )
    assert str(error.value).split("\n") == [
        "foreign.safetensors: not the weights of resnet18; nothing was loaded",
        "  missing: fc.bias",
    ]
    assert Path("kept.safetensors").read_bytes() == b"before"
    assert refused(DataError, state, "resnet18").split("\n")[1] == "  missing: fc.bias"


def test_classes_that_a_spec_states_are_not_taken_from_the_head(folder):
    state = state_dict(RESNET, (64, 64, 3), 5)
    lines = refused(DataError, state, spec(RESNET.replace("}", ", classes: 6}"))).split("\n")
    assert lines[1] == "  misshapen: fc.bias is [5], not [6], fc.weight is [5, 32], not [6, 32]"
    fixed = spec(GRAY.replace("classes", "6"))
    lines = refused(DataError, state_dict(GRAY, (6, 6, 1), 3), fixed, shape=(6, 6, 1)).split("\n")
    assert lines[1] == "  misshapen: dense_3.bias is [3], not [6], dense_3.weight is [3, 144], not [6, 144]"


def test_an_output_that_is_no_format(folder):
    save_file(state_dict(GRAY, (6, 6, 1), 3), "foreign.safetensors")
    with pytest.raises(DataError) as error:
        weights.import_weights(Path("foreign.safetensors"), spec(GRAY), [], (6, 6, 1), {}, None, Path("ours.pth"))
    assert str(error.value) == "ours.pth: '.pth' is no format to write weights in; name a .safetensors file"


# ---------------------------------------------------------------- runs

DATA = (
    "data: {source: npz, path: data.npz, batch_size: 16}\n"
    "train: {epochs: 5, checkpoint_every: 1}\noptimizer: {learning_rate: 0.3}\n"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Runs on 6x6 pixels and on vectors that are no pixels; the last state of the first is not its best."""

    folder = tmp_path_factory.mktemp("runs")
    random = np.random.default_rng(0)
    y = np.arange(60) % 3
    np.savez(folder / "data.npz", x=random.integers(0, 256, (60, 6, 6), dtype=np.uint8), y=y, classes=["a", "b", "c"])
    np.savez(folder / "vectors.npz", x=random.normal(3, 2, (60, 5)), y=y)
    layers = "{layers: [conv: {features: 4, kernel: 3}, batch_norm, relu, flatten, dense: classes], init: he_uniform}"
    (folder / "net.yaml").write_text(f"{DATA}model: {layers}\n")
    (folder / "mlp.yaml").write_text(
        DATA.replace("data.npz", "vectors.npz, spatial_axes: 0") + "model: {name: mlp, hidden: [4]}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("net", "mlp"):
            well("train", f"{name}.yaml", "--run", name, "--quiet")
    return folder


def stored(run: Path, which: str) -> dict[str, np.ndarray]:
    """The parameters and statistics of a checkpoint, read by Orbax alone."""
    from orbax.checkpoint import v1 as ocp

    step = json.loads((run / "status.json").read_text())[which]["step"] if which == "best" else None
    found = checkpoint.stored(run / "checkpoints")
    chosen = found[-1] if step is None else next(entry for entry in found if entry.step == step)
    leaves = ocp.load(str((chosen.path / "state").absolute()))
    kinds = ("params.", "stats.")
    return {name.partition(".")[2]: np.asarray(leaf) for name, leaf in leaves.items() if name.startswith(kinds)}


def test_a_runs_description(runs):
    data = json.loads((runs / "net" / "data.json").read_text())["normalization"]
    found = weights.run_description(open_run(runs / "net"))
    assert found == weights.describe(runs / "net")
    assert (found.scheme, found.classes) == (OURS, ("a", "b", "c"))
    mean, std = (tuple(np.float32(data[key]).tolist()) for key in ("mean", "std"))
    assert found.preprocessing == Preprocessing(mean, std, (6, 6), pixels=True)
    assert (found.model["input"], found.model["classes"]) == ([6, 6, 1], 3)
    assert "init" not in found.model
    vectors = weights.run_description(open_run(runs / "mlp"))
    assert vectors.preprocessing is not None
    assert (vectors.preprocessing.pixels, vectors.preprocessing.size) == (False, ())


@pytest.mark.parametrize("which", ["best", "last"])
def test_a_runs_weights_are_those_of_its_checkpoint(runs, which):
    found, _, notes = weights.run_weights(open_run(runs / "net"), which)
    wanted = stored(runs / "net", which)
    assert notes == ()
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in wanted.items()
    }


def test_best_and_last_differ(runs):
    best, last = (stored(runs / "net", which) for which in ("best", "last"))
    assert any(not np.array_equal(best[name], last[name]) for name in best)


def test_weights_of_a_run_or_of_a_file(runs, tmp_path):
    found, description = weights.read(runs / "net")
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in stored(runs / "net", "best").items()
    }
    assert description == weights.describe(runs / "net")
    save_file({"a": np.ones(1, np.float32)}, tmp_path / "w.safetensors")
    assert weights.describe(tmp_path / "w.safetensors") is None
    assert weights.read(tmp_path / "w.safetensors") == ({"a": np.ones(1, np.float32)}, None)
    with pytest.raises(RunError):
        weights.read(tmp_path)


@pytest.mark.parametrize("which", ["best", "last"])
def test_an_export_has_torchs_names_and_layout(runs, tmp_path, which):
    path = tmp_path / "out.safetensors"
    assert weights.export_weights(runs / "net", which, path) == {"weights": str(path), "tensors": 8, "names": "plain"}
    wanted, found = stored(runs / "net", which), load_file(path)
    assert {name: value.shape for name, value in found.items()} == {
        "conv_0.weight": (4, 1, 3, 3),
        "conv_0.bias": (4,),
        "batch_norm_1.weight": (4,),
        "batch_norm_1.bias": (4,),
        "batch_norm_1.running_mean": (4,),
        "batch_norm_1.running_var": (4,),
        "batch_norm_1.num_batches_tracked": (),
        "dense_4.weight": (3, 144),
        "dense_4.bias": (3,),
    }
    np.testing.assert_array_equal(found["conv_0.weight"], wanted["conv_0.kernel"].transpose(3, 2, 0, 1))
    dense = wanted["dense_4.kernel"].reshape(6, 6, 4, 3).transpose(3, 2, 0, 1)  # torch flattens channels first
    np.testing.assert_array_equal(found["dense_4.weight"], dense.reshape(3, 144))
    np.testing.assert_array_equal(found["batch_norm_1.running_var"], wanted["batch_norm_1.var"])
    assert files.describe(path) == replace(weights.describe(runs / "net"), scheme="plain")


def test_there_and_back_is_exact(runs, tmp_path, monkeypatch):
    """Exported, its description taken off, imported: the same bits, and with the description all it says."""
    monkeypatch.chdir(tmp_path)
    weights.export_weights(runs / "net", "best", Path("out.safetensors"))
    save_file(load_file("out.safetensors"), "bare.safetensors")
    name, wanted = str(runs / "net.yaml"), stored(runs / "net", "best")
    for file, shape in (("out.safetensors", None), ("bare.safetensors", (6, 6, 1))):
        found = weights.import_weights(Path(file), name, [], shape, {}, None, Path("back.safetensors"))
        assert (found["tensors"], found["classes"]) == (8, 3)
        back, description = files.read(Path("back.safetensors"))
        assert {key: value.tobytes() for key, value in back.items()} == {
            key: value.tobytes() for key, value in wanted.items()
        }
        assert isinstance(description, Description)
        own = weights.describe(runs / "net")
        kept = ("a", "b", "c") if shape is None else None
        assert (description.classes, description.preprocessing) == (kept, own.preprocessing if kept else None)


def test_what_an_exported_file_says_can_be_replaced(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights.export_weights(runs / "net", "best", Path("out.safetensors"))
    arguments = str(runs / "net.yaml"), [], None, {"mean": (0.25,)}, ("x", "y", "z")
    weights.import_weights(Path("out.safetensors"), *arguments, Path("back.safetensors"))
    description, own = files.describe(Path("back.safetensors")), weights.describe(runs / "net")
    assert description.classes == ("x", "y", "z")
    assert description.preprocessing == replace(own.preprocessing, mean=(0.25,))


def test_a_vector_runs_weights_there_and_back(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights.export_weights(runs / "mlp", "best", Path("out.safetensors"))
    weights.import_weights(Path("out.safetensors"), str(runs / "mlp.yaml"), [], None, {}, None, Path("b.safetensors"))
    back, description = files.read(Path("b.safetensors"))
    assert description == weights.describe(runs / "mlp")
    assert {key: value.tobytes() for key, value in back.items()} == {
        key: value.tobytes() for key, value in stored(runs / "mlp", "best").items()
    }
