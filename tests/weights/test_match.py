"""All of a network's weights or none: every tensor that does not fit is named, whatever naming the file has."""

import numpy as np
import pytest
from flax import nnx

from cnnlab.errors import DataError
from cnnlab.layers.initialize import Initializer
from cnnlab.models import build
from cnnlab.spec.load import parse
from cnnlab.train.state import named_leaves, split
from cnnlab.weights.files import Description
from cnnlab.weights.match import matched
from cnnlab.weights.names import OURS, counters, tensors

LAYERS = "{layers: [conv: {features: 4, kernel: 3}, batch_norm, relu, flatten, {dense: {features: 3, name: head}}]}"
NAMES = ("conv_0.weight", "conv_0.bias", "batch_norm_1.weight", "batch_norm_1.bias", "batch_norm_1.running_mean")


def network(model: str, shape: tuple[int, ...] = (64, 64, 3), seed: int | None = None) -> nnx.Module:
    return build(parse(f"model: {model}", "test.yaml").model, shape, None, init=Initializer(seed))


def small() -> nnx.Module:
    return network(LAYERS, (4, 5, 2))


def weights_of(model: nnx.Module) -> dict[str, np.ndarray]:
    """Numbers that tell every position of every tensor apart, by our names."""
    _, params, stats = split(model)
    shapes = {name: np.shape(leaf) for name, leaf in {**named_leaves(params), **named_leaves(stats)}.items()}
    random = np.random.default_rng(0)
    return {name: random.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


def state_dict(model: nnx.Module, name: str | None, scheme: str, axes: int = 2) -> dict[str, np.ndarray]:
    """The same under torch's names and in its layout, with the counts of batches."""
    ours = weights_of(model)
    state = {entry.torch: entry.to_torch(ours[entry.ours]) for entry in tensors(model, name, scheme, axes)}
    return {**state, **counters(state)}


def refusal(model: nnx.Module, name: str | None, found: dict[str, np.ndarray], description=None, **given) -> list[str]:
    with pytest.raises(DataError) as error:
        matched(model, name, 2, found, description, "w.safetensors", **given)
    return str(error.value).split("\n")


def assert_same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], value)


# ---------------------------------------------------------------- naming schemes


@pytest.mark.parametrize("scheme", ["torchvision", "timm"])
def test_both_publishers_names_are_recognised(scheme):
    model = network("{name: efficientnet_b0}")
    found = matched(model, "efficientnet_b0", 2, state_dict(model, "efficientnet_b0", scheme), None, "w")
    assert_same(found, weights_of(model))


def test_our_names_are_taken_where_the_file_says_so():
    model = small()
    ours = weights_of(model)
    assert_same(matched(model, None, 2, ours, Description({}, OURS), "w"), ours)


def test_torchs_names_of_layers_of_ones_own():
    model = small()
    state = state_dict(model, None, "plain")
    assert set(NAMES) < set(state)
    assert_same(matched(model, None, 2, state, None, "w"), weights_of(model))
    exported = Description({}, "plain")
    assert_same(matched(model, None, 2, state, exported, "w"), weights_of(model))


def test_a_file_of_ours_under_torchs_names_goes_by_what_fits():
    """A description names one scheme; the tensors have another, as after an export by an older version."""
    model = network("{name: efficientnet_b0}")
    state = state_dict(model, "efficientnet_b0", "timm")
    found = matched(model, "efficientnet_b0", 2, state, Description({}, "torchvision"), "w")
    assert_same(found, weights_of(model))


def test_other_types_become_float32():
    model = small()
    found = {name: value.astype(np.float64) for name, value in state_dict(model, None, "plain").items()}
    assert_same(matched(model, None, 2, found, None, "w"), weights_of(model))


def test_a_dense_layer_that_timm_has_as_a_convolution_over_the_whole_map():
    model = network("{name: vgg11, width: 2, hidden: 8}")
    state = state_dict(model, "vgg11", "timm")
    state["pre_logits.fc1.weight"] = state["pre_logits.fc1.weight"].reshape(8, 16, 7, 7)
    state["pre_logits.fc2.weight"] = state["pre_logits.fc2.weight"].reshape(8, 8, 1, 1)
    assert_same(matched(model, "vgg11", 2, state, None, "w"), weights_of(model))
    state["pre_logits.fc1.weight"] = np.zeros((8, 16, 5, 5), np.float32)
    assert refusal(model, "vgg11", state)[1:] == ["  misshapen: pre_logits.fc1.weight is [8, 16, 5, 5], not [8, 784]"]


# ---------------------------------------------------------------- what does not fit


def test_everything_that_does_not_fit_is_named_at_once():
    model = small()
    state = state_dict(model, None, "plain")
    del state["conv_0.bias"], state["batch_norm_1.running_var"]
    state["conv_0.weight"] = np.zeros((4, 3, 3, 3), np.float32)
    state["head.weight"] = np.zeros((5, 80), np.float32)
    state["fc.bias"] = state["fc.weight"] = np.zeros(1, np.float32)
    assert refusal(model, None, state) == [
        "w.safetensors: not the weights of this network; nothing was loaded",
        "  missing: batch_norm_1.running_var, conv_0.bias",
        "  unexpected: fc.bias, fc.weight",
        "  misshapen: conv_0.weight is [4, 3, 3, 3], not [4, 2, 3, 3], head.weight is [5, 80], not [3, 80]",
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda state: state.pop("fc.bias"), "  missing: fc.bias"),
        (lambda state: state.update({"fc.scale": np.zeros(1)}), "  unexpected: fc.scale"),
        (lambda state: state.update({"bn1.weight": np.zeros((4, 1))}), "  misshapen: bn1.weight is [4, 1], not [4]"),
        (lambda state: state.update({"bn1.weight": np.zeros(())}), "  misshapen: bn1.weight is [], not [4]"),
    ],
)
def test_one_thing_that_does_not_fit(change, line):
    model = network("{name: resnet18, width: 4}")
    state = state_dict(model, "resnet18", "torchvision")
    change(state)
    assert refusal(model, "resnet18", state) == [
        "w.safetensors: not the weights of resnet18; nothing was loaded",
        line,
    ]


def test_the_weights_of_another_network_are_told_by_name():
    vgg = state_dict(network("{name: vgg11, width: 2, hidden: 8}"), "vgg11", "torchvision")
    lines = refusal(network("{name: resnet18}"), "resnet18", vgg)
    assert [line.partition(":")[0] for line in lines] == ["w.safetensors", "  missing", "  unexpected"]
    assert len(lines[1].split(", ")) == 102
    assert len(lines[2].split(", ")) == 22


def test_our_shapes_are_told_where_the_names_are_ours():
    model = small()
    ours = weights_of(model)
    ours["conv_0.kernel"] = np.zeros((5, 5, 2, 4), np.float32)
    ours["relu_2.slope"] = np.zeros(1, np.float32)
    assert refusal(model, None, ours, Description({}, OURS)) == [
        "w.safetensors: not the weights of this network; nothing was loaded",
        "  unexpected: relu_2.slope",
        "  misshapen: conv_0.kernel is [5, 5, 2, 4], not [3, 3, 2, 4]",
    ]


def test_a_kernel_in_our_layout_is_none_of_torchs():
    """A square one fits by its shape, so that only the names tell; any other is refused."""
    model = small()
    state = state_dict(model, None, "plain")
    state["conv_0.weight"] = weights_of(model)["conv_0.kernel"]
    assert refusal(model, None, state)[1:] == ["  misshapen: conv_0.weight is [3, 3, 2, 4], not [4, 2, 3, 3]"]


def test_counts_of_batches_may_be_there_or_not():
    model = small()
    state = state_dict(model, None, "plain")
    count = state.pop("batch_norm_1.num_batches_tracked")
    assert count.shape == ()
    assert_same(matched(model, None, 2, state, None, "w"), weights_of(model))


# ---------------------------------------------------------------- all but the head


@pytest.mark.parametrize("scheme", ["plain", OURS])
def test_layers_left_out_may_have_any_shape_or_be_missing(scheme):
    model = small()
    ours = {key: value for key, value in weights_of(model).items() if not key.startswith("head.")}
    state = weights_of(model) if scheme == OURS else state_dict(model, None, "plain")
    kernel, bias = ("head.kernel", "head.bias") if scheme == OURS else ("head.weight", "head.bias")
    state[kernel] = np.zeros((7, 7), np.float32)
    found = matched(model, None, 2, state, Description({}, scheme), "w", without=("head",))
    assert_same(found, ours)
    del state[kernel], state[bias]
    assert_same(matched(model, None, 2, state, Description({}, scheme), "w", without=("head",)), ours)


def test_the_rest_is_still_checked():
    model = small()
    state = state_dict(model, None, "plain")
    del state["head.bias"], state["conv_0.bias"]
    assert refusal(model, None, state, without=("head",))[1:] == ["  missing: conv_0.bias"]
