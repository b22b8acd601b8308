"""What a run starts from with `model.weights`: bit for bit what is stored, and the preprocessing that goes with it."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cnnlab.errors import DataError, RunError, SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.models import build
from cnnlab.runs.network import find_network, network
from cnnlab.runs.pretrained import load_weights, prepare_experiment, with_weights
from cnnlab.spec.load import load
from cnnlab.spec.schema import Experiment
from cnnlab.tasks import task_of
from cnnlab.train import checkpoint
from cnnlab.train.state import State, named_leaves, split
from cnnlab.train.step import Program, Sizes, compile_program
from cnnlab.weights.files import Description
from cnnlab.weights.files import write as write_weights
from tests.conftest import well
from tests.runs.test_training import arrays

pytestmark = pytest.mark.usefixtures("undrawn")

LAYERS = """
  layers:
    - conv: {name: conv1, features: 4, kernel: 3, bias: false}
    - batch_norm: {name: norm1}
    - relu
    - global_avg_pool
    - dense: {name: head, features: classes}
"""
SOURCE = (
    "seed: 5\ndata: {source: npz, path: small.npz, batch_size: 16}\nmodel:" + LAYERS + "train: {epochs: 1}\n"
    "optimizer: {learning_rate: {peak: 0.1, warmup_epochs: 0}}\n"
)
VECTORS = (
    "data: {source: npz, path: vectors.npz, spatial_axes: 0}\nmodel: {name: mlp, hidden: [4]}\ntrain: {epochs: 1}\n"
)
HEAD = {"head.kernel", "head.bias"}


def write_images(path: Path, classes: int, size: int, channels: int = 1) -> None:
    random = np.random.default_rng(classes)
    x = random.integers(0, 200, (20 * classes, size, size, channels), dtype=np.uint8)
    np.savez(path, x=x, y=np.arange(20 * classes) % classes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Runs of three classes on 6x6 pixels and on vectors, and the weights of the first in every form."""
    folder = tmp_path_factory.mktemp("stored")
    write_images(folder / "small.npz", 3, 6)
    write_images(folder / "other.npz", 4, 9)
    write_images(folder / "colour.npz", 3, 6, channels=3)
    random = np.random.default_rng(0)
    np.savez(folder / "vectors.npz", x=random.normal(3, 2, (60, 5)).astype(np.float32), y=np.arange(60) % 3)
    (folder / "source.yaml").write_text(SOURCE)
    (folder / "vectors.yaml").write_text(VECTORS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        well("train", "source.yaml", "--quiet")
        well("train", "vectors.yaml", "--quiet")
        well("export-weights", "runs/source", "-o", "exported.safetensors")
        save_file(load_file("exported.safetensors"), "foreign.safetensors")  # without its description
        known = ("--model", "source.yaml", "--input", "6,6,1")  # a foreign file says neither
        well("import-weights", "foreign.safetensors", *known, "-o", "imported.safetensors")
    return folder


FORMS = ["runs/source", "exported.safetensors", "imported.safetensors", "foreign.safetensors"]


def started(folder: Path, *overrides: str, data: str = "small.npz", weights: str = "runs/source"):
    """The spec with its weights, its data, its program, and the state before the first step."""
    spec = folder / "target.yaml"
    text = f"data: {{source: npz, path: {data}, batch_size: 16}}\nmodel:\n  weights: {weights}" + LAYERS
    spec.write_text(text)
    experiment, prepared = prepare_experiment(load(spec, list(overrides)))
    found = network(experiment, prepared.input_shape, task_of(experiment, prepared), prepared=prepared)
    program = compile_program(experiment, Sizes.of(experiment, prepared))
    state = with_weights(program.host_state, load_weights(experiment.model, found.model, prepared.input_shape))
    return experiment, prepared, program, state


def weights_of(state: State) -> dict[str, bytes]:
    leaves = {**named_leaves(state.params), **named_leaves(state.stats)}
    return {name: np.asarray(leaf).tobytes() for name, leaf in leaves.items()}


def stored_weights(run: Path) -> dict[str, bytes]:
    """What the run's best checkpoint holds, read without the code under test."""
    best = json.loads((run / "status.json").read_text())["best"]["step"]
    (found,) = (c for c in checkpoint.stored(run / "checkpoints") if c.step == best)
    kinds = ("params.", "stats.")
    return {name.partition(".")[2]: value for name, value in arrays(found).items() if name.startswith(kinds)}


def fresh(program: Program) -> dict[str, bytes]:
    return weights_of(program.host_state)


# ---------------------------------------------------------------- the weights


@pytest.mark.parametrize("weights", FORMS)
def test_every_weight_is_the_stored_one_bit_for_bit(folder, weights):
    _, _, program, state = started(folder, weights=weights)
    stored = stored_weights(folder / "runs/source")
    assert set(stored) == {"conv1.kernel", "norm1.scale", "norm1.bias", "norm1.mean", "norm1.var"} | HEAD
    assert weights_of(state) == stored
    assert all(stored[name] != value for name, value in fresh(program).items()), "training moved all of them"


def test_nothing_but_the_weights_is_taken_over(folder):
    """Optimizer, counters and sums begin as without weights."""
    _, _, program, state = started(folder)
    for field in set(State._fields) - {"params", "stats"}:
        found, wanted = (named_leaves(getattr(s, field)) for s in (state, program.host_state))
        assert all(np.array_equal(found[name], wanted[name]) for name in wanted), field
    assert int(state.step) == 0


@pytest.mark.parametrize("weights", FORMS)
@pytest.mark.parametrize("seed", [0, 3])
def test_a_new_head_is_drawn_from_the_seed_and_the_rest_is_the_stored(folder, weights, seed):
    _, prepared, program, state = started(
        folder, "model.new_head=true", f"seed={seed}", data="other.npz", weights=weights
    )
    assert len(prepared.classes) == 4
    found, stored = weights_of(state), stored_weights(folder / "runs/source")
    assert {name: found[name] for name in HEAD} == {name: fresh(program)[name] for name in HEAD}
    assert {name: found[name] for name in set(found) - HEAD} == {name: stored[name] for name in set(stored) - HEAD}
    kernel = state.params["head"]["kernel"]
    assert kernel.shape == (4, 4)
    assert kernel.std() > 0


def test_a_new_head_hangs_on_the_seed(folder):
    states = [started(folder, "model.new_head=true", f"seed={seed}")[3] for seed in (0, 1)]
    assert states[0].params["head"]["kernel"].tobytes() != states[1].params["head"]["kernel"].tobytes()


def test_a_new_head_for_the_same_classes_is_new_too(folder):
    _, _, program, state = started(folder, "model.new_head=true", "seed=5")
    found, stored = weights_of(state), stored_weights(folder / "runs/source")
    assert found["head.kernel"] == fresh(program)["head.kernel"] != stored["head.kernel"]


def test_auxiliary_classifiers_are_heads_too(tmp_path):
    """GoogLeNet's two of them know of the classes as its head does."""
    spec = tmp_path / "googlenet.yaml"
    spec.write_text("model: {name: googlenet, weights: a.safetensors}\n")
    model = load(spec).model
    shape = (32, 32, 3)
    before, after = (build(model, shape, classes, init=Initializer()) for classes in (5, 7))
    _, params, stats = split(before)
    tensors = {**named_leaves(params), **named_leaves(stats)}
    content = {"name": "googlenet", "input": shape, "classes": 5}
    write_weights(tmp_path / "a.safetensors", tensors, Description(content, "cnnlab"))
    taken = load_weights(model.model_copy(update={"new_head": True}), after, shape)
    heads = {f"{path}.{leaf}" for path in ("head", "aux1.head", "aux2.head") for leaf in ("kernel", "bias")}
    assert set(tensors) - set(taken) == heads
    assert set(taken) < set(tensors)
    with pytest.raises(DataError) as caught:
        load_weights(model, after, shape)
    assert str(caught.value) == (
        f"{tmp_path}/a.safetensors: the head 'head' of these weights is not that of this network's classes; "
        "model.new_head: true draws a new one"
    )


# ---------------------------------------------------------------- what does not fit


@pytest.mark.parametrize("weights", FORMS)
def test_a_head_of_other_classes(folder, weights):
    with pytest.raises(DataError) as caught:
        started(folder, data="other.npz", weights=weights)
    assert str(caught.value) == (
        f"{folder}/{weights}: the head 'head' of these weights is not that of this network's classes; "
        "model.new_head: true draws a new one"
    )


OTHER = (
    "model.layers=[conv: {name: conv1, features: 5, kernel: 3, bias: false}, batch_norm: {name: norm2}, relu, "
    "global_avg_pool, dense: {name: head, features: classes}]"
)


@pytest.mark.parametrize("new_head", ["true", "false"])
def test_weights_of_another_network_are_listed_tensor_by_tensor(folder, new_head):
    with pytest.raises(DataError) as caught:
        started(folder, OTHER, f"model.new_head={new_head}")
    head = "" if new_head == "true" else ", head.kernel is [4, 3], not [5, 3]"
    assert str(caught.value) == (
        f"{folder}/runs/source: not the weights of this network; nothing was loaded\n"
        "  missing: norm2.bias, norm2.mean, norm2.scale, norm2.var\n"
        "  unexpected: norm1.bias, norm1.mean, norm1.scale, norm1.var\n"
        f"  misshapen: conv1.kernel is [3, 3, 1, 4], not [3, 3, 1, 5]{head}"
    )


def test_weights_of_another_network_under_torchs_names(folder):
    with pytest.raises(DataError) as caught:
        started(folder, OTHER, "model.new_head=true", weights="exported.safetensors")
    assert str(caught.value) == (
        f"{folder}/exported.safetensors: not the weights of this network; nothing was loaded\n"
        "  missing: norm2.bias, norm2.running_mean, norm2.running_var, norm2.weight\n"
        "  unexpected: norm1.bias, norm1.running_mean, norm1.running_var, norm1.weight\n"
        "  misshapen: conv1.weight is [4, 1, 3, 3], not [5, 1, 3, 3]"
    )


def test_weights_that_are_not_there(folder):
    with pytest.raises(DataError, match=r"no such weights file; did you mean 'exported\.safetensors'\?$"):
        started(folder, weights="exportd.safetensors")
    with pytest.raises(RunError) as caught:
        started(folder, weights="runs")
    assert str(caught.value).startswith(f"{folder}/runs: ")


@pytest.mark.parametrize("name", ["unet, depth: 1, padding: same", "conv_autoencoder"])
def test_a_network_that_gives_a_map_does_not_classify(folder, name):
    spec = folder / "map.yaml"
    spec.write_text(f"data: {{source: npz, path: other.npz, resize: 16}}\nmodel: {{name: {name}}}\n")
    gives = {"unet": "16x16x4", "conv_autoencoder": "16x16x1"}[name.partition(",")[0]]
    with pytest.raises(SpecError) as caught:
        find_network(spec, [], None)
    assert str(caught.value) == (
        f"model: gives {gives}, and classification needs one logit for each of 4 classes; "
        "end with 'dense: classes', choose a network that classifies, or name another task"
    )
    spec.write_text(f"model: {{name: {name}, input: [16, 16, 1]}}\n")  # alone it is fine
    assert len(find_network(spec, [], None).traced.output_shape) == 3


# ---------------------------------------------------------------- the preprocessing


def source_normalization(folder: Path, run: str = "source") -> tuple[np.ndarray, np.ndarray]:
    data = json.loads((folder / f"runs/{run}/data.json").read_text())
    return tuple(np.float32(data["normalization"][key]) for key in ("mean", "std"))


def own_normalization(folder: Path, experiment: Experiment) -> tuple[np.ndarray, np.ndarray]:
    """Of the training split of the spec without weights."""
    bare = experiment.model_copy(update={"model": experiment.model.model_copy(update={"weights": None})})
    _, prepared = prepare_experiment(bare)
    return prepared.mean, prepared.std


@pytest.mark.parametrize("weights", ["runs/source", "exported.safetensors"])
def test_mean_deviation_and_size_travel_with_the_weights(folder, weights):
    experiment, prepared, *_ = started(folder, "model.new_head=true", data="other.npz", weights=weights)
    assert experiment.data.resize == 6
    assert prepared.input_shape == (6, 6, 1)
    mean, std = source_normalization(folder)
    assert (prepared.mean.tolist(), prepared.std.tolist()) == (mean.tolist(), std.tolist())
    assert prepared.mean.dtype == prepared.std.dtype == np.float32
    assert own_normalization(folder, experiment)[0] != mean


def test_a_stated_size_goes_before_that_of_the_weights(folder):
    experiment, prepared, *_ = started(folder, "model.new_head=true", "data.resize=7", data="other.npz")
    assert experiment.data.resize == 7
    assert prepared.input_shape == (7, 7, 1)
    assert prepared.mean.tolist() == source_normalization(folder)[0].tolist()


def test_without_normalization_none_travels(folder):
    experiment, prepared, *_ = started(folder, "model.new_head=true", "data.normalize=false", data="other.npz")
    assert experiment.data.resize == 6
    assert (prepared.mean.tolist(), prepared.std.tolist()) == ([0.0], [1.0])


def test_a_foreign_file_says_nothing_of_it(folder):
    experiment, prepared, *_ = started(folder, "model.new_head=true", data="other.npz", weights="foreign.safetensors")
    assert experiment.data.resize is None
    assert prepared.input_shape == (9, 9, 1)
    own = own_normalization(folder, experiment)
    assert (prepared.mean.tolist(), prepared.std.tolist()) == (own[0].tolist(), own[1].tolist())


def test_a_mean_for_another_number_of_channels_is_not_used(folder):
    spec = folder / "colour.yaml"
    spec.write_text("data: {source: npz, path: colour.npz}\nmodel:\n  weights: runs/source" + LAYERS)
    _, prepared = prepare_experiment(load(spec))
    assert prepared.mean.shape == (3,)
    assert (prepared.mean != source_normalization(folder)[0]).all()


def test_weights_on_vectors_have_no_size(folder):
    spec = folder / "more_vectors.yaml"
    spec.write_text(VECTORS.replace("{name: mlp", "{weights: runs/vectors, name: mlp"))
    experiment, prepared = prepare_experiment(load(spec, ["seed=1"]))
    assert experiment.data.resize is None
    assert prepared.input_shape == (5,)
    assert prepared.mean.tolist() == source_normalization(folder, "vectors")[0].tolist()
    found = network(experiment, (5,), task_of(experiment, prepared), prepared=prepared)
    taken = load_weights(experiment.model, found.model, (5,))
    assert {name: value.tobytes() for name, value in taken.items()} == stored_weights(folder / "runs/vectors")


def test_without_weights_nothing_changes(folder):
    spec = folder / "source.yaml"
    experiment, prepared = prepare_experiment(load(spec))
    assert experiment == load(folder / "runs/source/resolved.yaml").model_copy(update={"name": "source"})
    assert prepared.mean.tolist() == source_normalization(folder)[0].tolist()
