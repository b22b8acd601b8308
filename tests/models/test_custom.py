"""`layers:` of a spec: every word, every key of every word, and every sentence with its path."""

import textwrap
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.windows import ShapeError
from cnnlab.models.custom import from_layers
from cnnlab.receptive_field.fields import receptive_field
from cnnlab.spec.load import parse
from cnnlab.spec.schema import LayersModel
from cnnlab.spec.vocabulary import VOCABULARY
from cnnlab.trace.walk import trace


def model(
    layers: str,
    shape: tuple[int, ...],
    classes: int | None = None,
    seed: int | None = None,
    rule: str | float | None = None,
) -> nnx.Module:
    """The network of `layers`, a YAML list."""
    text = "model:\n  layers:\n" + textwrap.indent(layers.strip("\n"), "    ")
    spec = parse(text, "test.yaml").model
    assert isinstance(spec, LayersModel)
    return from_layers(spec.layers, shape, classes, init=Initializer(seed, rule))


SHAPE = (6, 6, 4)
WEIGHTS = "{constant: 0.5}"
CONVOLUTION = {"features": "6", "kernel": "[1, 3]", "stride": "2", "dilation": "2", "bias": "false", "init": WEIGHTS}
# Each word: its shortest use, what it makes of 6x6x4, and another value for each of its keys.
WORDS: dict[str, tuple[str, tuple[int, ...], dict[str, str]]] = {
    "conv": (
        "features: 8, kernel: 3",
        (6, 6, 8),
        {**CONVOLUTION, "padding": "valid", "padding_mode": "reflect", "groups": "2"},
    ),
    "conv_transpose": (
        "features: 8, kernel: 3, stride: 2",
        (12, 12, 8),
        {**CONVOLUTION, "stride": "3", "padding": "valid", "dilation": "[1, 2]", "groups": "2"},
    ),
    "depthwise_conv": (
        "kernel: 3",
        (6, 6, 4),
        {**CONVOLUTION, "features": "8", "padding": "[1, 2]", "padding_mode": "replicate"},
    ),
    "separable_conv": (
        "features: 8, kernel: 3",
        (6, 6, 8),
        {**CONVOLUTION, "stride": "3", "padding": "2", "padding_mode": "circular"},
    ),
    "spatially_separable_conv": (
        "features: 8, kernel: 3",
        (6, 6, 8),
        {**CONVOLUTION, "stride": "[1, 2]", "padding": "valid", "padding_mode": "reflect"},
    ),
    "dense": ("features: 8", (8,), {"features": "9", "bias": "false", "init": WEIGHTS}),
    "squeeze_excite": ("", (6, 6, 4), {"reduction": "2", "activation": "swish", "init": WEIGHTS}),
    "max_pool": ("window: 2", (3, 3, 4), {"window": "3", "stride": "1", "padding": "1"}),
    "avg_pool": ("window: [2, 3]", (3, 2, 4), {"window": "2", "stride": "2", "padding": "1"}),
    "adaptive_max_pool": ("size: 4", (4, 4, 4), {"size": "[3, 5]"}),
    "adaptive_avg_pool": ("size: [2, 3]", (2, 3, 4), {"size": "7"}),
    "global_max_pool": ("", (4,), {}),
    "global_avg_pool": ("", (4,), {}),
    "spatial_pyramid_pool": ("", (84,), {"levels": "[1, 3]", "method": "avg"}),
    "flatten": ("", (144,), {}),
    "upsample": ("", (12, 12, 4), {"factor": "[1, 3]", "method": "bilinear"}),
    "pad": ("padding: [[1, 2], [0, 1]]", (9, 7, 4), {"padding": "1", "mode": "reflect"}),
    "batch_norm": ("", (6, 6, 4), {"epsilon": "0.01", "momentum": "0.5"}),
    "layer_norm": ("", (6, 6, 4), {"epsilon": "0.01"}),
    "instance_norm": ("", (6, 6, 4), {"epsilon": "0.01"}),
    "group_norm": ("groups: 2", (6, 6, 4), {"epsilon": "0.01", "groups": "4"}),
    "dropout": ("", (6, 6, 4), {"rate": "0.25"}),
    "spatial_dropout": ("", (6, 6, 4), {"rate": "0.25"}),
    "stochastic_depth": ("", (6, 6, 4), {"rate": "0.25"}),
    "identity": ("", (6, 6, 4), {}),
    "hard_threshold": ("", (6, 6, 4), {}),
    "relu": ("", (6, 6, 4), {}),
    "leaky_relu": ("", (6, 6, 4), {"slope": "0.2"}),
    "prelu": ("", (6, 6, 4), {"shared": "true"}),
    "elu": ("", (6, 6, 4), {"alpha": "0.5"}),
    "gelu": ("", (6, 6, 4), {}),
    "sigmoid": ("", (6, 6, 4), {}),
    "tanh": ("", (6, 6, 4), {}),
    "scaled_tanh": ("", (6, 6, 4), {}),
    "softplus": ("", (6, 6, 4), {"beta": "2"}),
    "swish": ("", (6, 6, 4), {"beta": "2", "learned": "true"}),
    "sine": ("", (6, 6, 4), {"frequency": "30"}),
    "softmax": ("", (6, 6, 4), {}),
    "residual": (
        "body: [conv: {features: 4, kernel: 3}]",
        (6, 6, 4),
        {"body": "[relu]", "shortcut": "projection", "activation": "tanh"},
    ),
    "branches": (
        "lists: [[relu], [conv: {features: 4, kernel: 1}]]",
        (6, 6, 8),
        {"join": "add", "lists": "[[relu], [tanh], [elu]]"},
    ),
    "crop_concat": ("body: [conv: {features: 3, kernel: 3, padding: valid}]", (4, 4, 7), {"body": "[relu]"}),
    "repeat": (
        "times: 2, layers: [conv: {features: 4, kernel: 2, padding: valid}]",
        (4, 4, 4),
        {"times": "3", "layers": "[relu]"},
    ),
}


def entry(word: str, keys: dict[str, str]) -> str:
    before = "- flatten\n" if word == "dense" else ""
    inside = ", ".join(f"{key}: {value}" for key, value in keys.items())
    return f"{before}- {word}: {{{inside}}}\n- identity"  # softmax must not be the last


def shortest(word: str) -> dict[str, str]:
    """The word's keys in its shortest use; nested braces and brackets stay together."""
    keys: dict[str, str] = {}
    depth, part = 0, ""
    for letter in WORDS[word][0] + ",":
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0:
            if part.strip():
                key, value = part.strip().split(": ", 1)
                keys[key] = value
            part = ""
        else:
            part += letter
    return keys


def test_every_word_of_the_vocabulary_and_every_key_is_here():
    assert list(WORDS) == list(VOCABULARY)
    for word, cls in VOCABULARY.items():
        assert set(WORDS[word][2]) == set(cls.model_fields) - {"name"}, word


@pytest.mark.parametrize("word", WORDS)
def test_a_word_builds_and_runs_to_its_shape(word):
    made = model(entry(word, shortest(word)), SHAPE, seed=0)
    x = jax.random.normal(jax.random.key(0), (2, *SHAPE))
    y = jax.jit(made)(x)
    assert y.shape == (2, *WORDS[word][1])
    assert trace(made, SHAPE).output_shape == WORDS[word][1]
    assert np.isfinite(y).all()
    assert len(np.unique(np.asarray(y))) > 1


@pytest.mark.parametrize("word", WORDS)
def test_every_word_has_an_exact_receptive_field(word):
    report = receptive_field(model(entry(word, shortest(word)), SHAPE), SHAPE)
    assert report.exact, report.treated_as_global


def computation(made: nnx.Module) -> tuple[str, bytes]:
    """What a training pass computes, parameters as inputs, and the parameters: one network is as the other."""
    graph, state = nnx.split(made)

    def forward(state: Any, x: jax.Array, key: jax.Array) -> tuple[jax.Array, Any]:
        copy = nnx.merge(graph, state)
        return copy(x, Mode(train=True, key=key)), nnx.state(copy, nnx.BatchStat)

    example = jax.ShapeDtypeStruct((2, *SHAPE), jnp.float32)
    weights = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state))
    return str(jax.make_jaxpr(forward)(state, example, jax.random.key(0))), weights


@pytest.mark.parametrize(("word", "key"), [(word, key) for word, (_, _, other) in WORDS.items() for key in other])
def test_no_key_is_ignored(word, key):
    keys = shortest(word)
    default = computation(model(entry(word, keys), SHAPE, seed=0))
    assert default == computation(model(entry(word, keys), SHAPE, seed=0))
    assert default != computation(model(entry(word, {**keys, key: WORDS[word][2][key]}), SHAPE, seed=0))


@pytest.mark.parametrize("word", [word for word, cls in VOCABULARY.items() if cls.short])
def test_the_short_form_is_the_long_one(word):
    short = VOCABULARY[word].short
    assert short is not None
    value = WORDS[word][2][short]
    before = "- flatten\n" if word == "dense" else ""
    bare = model(f"{before}- {word}: {value}\n- identity", SHAPE, seed=0)
    assert computation(bare) == computation(model(entry(word, {short: value}), SHAPE, seed=0))


# ---------------------------------------------------------------- the whole

NET = """
- conv: {features: 8, kernel: 3}
- batch_norm
- relu
- max_pool: 2
- residual:
    name: block
    body:
      - conv: {features: 8, kernel: 3}
      - relu
- branches:
    - - conv: {features: 4, kernel: 1}
    - - conv: {features: 2, kernel: 1}
      - conv: {features: 6, kernel: 3, name: wide}
- repeat: {times: 2, layers: [conv: {features: 5, kernel: 3}, relu]}
- global_avg_pool
- dense: classes
"""


def test_a_network_of_its_own_has_the_shapes_and_names_of_its_entries():
    calls = trace(model(NET, (8, 8, 1), 3), (8, 8, 1)).calls
    shapes = {call.path: call.output_shapes[0] for call in calls}
    assert shapes["conv_0"] == shapes["relu_2"] == (8, 8, 8)
    assert shapes["max_pool_3"] == shapes["block"] == shapes["block.body.conv_0"] == (4, 4, 8)
    assert shapes["branches_5.branch0"] == (4, 4, 4)
    assert shapes["branches_5.branch1.wide"] == (4, 4, 6)
    assert shapes["branches_5"] == (4, 4, 10)
    assert shapes["repeat_6.time0.conv_0"] == shapes["repeat_6.time1.relu_1"] == (4, 4, 5)
    assert shapes["global_avg_pool_7"] == (5,)
    assert shapes["dense_8"] == shapes[""] == (3,)


@pytest.mark.parametrize(
    ("shape", "expected"), [((9, 2), (4, 5)), ((4, 6, 2), (2, 3, 5)), ((4, 6, 2, 1), (2, 3, 1, 5))]
)
def test_one_number_serves_any_count_of_axes(shape, expected):
    made = model("- conv: {features: 5, kernel: 3}\n- relu\n- avg_pool: 2", shape)
    assert trace(made, shape).output_shape == expected


def test_repeated_layers_have_weights_of_their_own():
    made = model("- repeat: {times: 3, layers: [conv: {features: 4, kernel: 1}]}", SHAPE, seed=0)
    kernels = [leaf for leaf in jax.tree.leaves(nnx.state(made, nnx.Param)) if leaf.ndim > 1]
    assert len({np.asarray(kernel).tobytes() for kernel in kernels}) == 3


# ---------------------------------------------------------------- first weights


def kernels(made: nnx.Module) -> dict[str, np.ndarray]:
    """The kernels by path."""
    leaves = {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.state(made, nnx.Param))}
    return {path: np.asarray(leaf[...]) for path, leaf in leaves.items() if path.endswith("kernel")}


THREE = """
- conv: {{features: 4, kernel: 3{}}}
- squeeze_excite: {{reduction: 1}}
- flatten
- dense: {{features: 5{}}}
"""


def test_a_layers_own_rule_goes_before_the_models_and_changes_no_other_layers_weights():
    shape = (4, 4, 2)
    own, first, last = (kernels(model(THREE.format(*rules), shape, seed=1)) for rules in (
        ("", ""), (", init: {constant: 0.5}", ""), ("", ", init: orthogonal"),
    ))  # fmt: skip
    changed = {path for path in own if (own[path] != first[path]).any()}
    assert changed == {"conv_0.kernel"}
    np.testing.assert_array_equal(first["conv_0.kernel"], np.full((3, 3, 2, 4), 0.5))
    changed = {path for path in own if (own[path] != last[path]).any()}
    assert changed == {"dense_3.kernel"}
    dense = last["dense_3.kernel"]
    np.testing.assert_allclose(dense.T @ dense, np.eye(5), atol=1e-6)


def test_the_models_rule_is_every_layers_that_has_none():
    shape = (4, 4, 2)
    plain, mixed = THREE.format("", ""), THREE.format("", ", init: xavier_uniform")
    ruled = kernels(model(plain, shape, seed=1, rule=0.25))
    assert len(ruled) == 4
    assert all((kernel == 0.25).all() for kernel in ruled.values())
    mixed = kernels(model(mixed, shape, seed=1, rule=0.25))
    bound = np.sqrt(6 / (64 + 5))
    assert 0.9 * bound < np.abs(mixed.pop("dense_3.kernel")).max() <= bound
    assert all((kernel == 0.25).all() for kernel in mixed.values())


@pytest.mark.parametrize("word", [word for word, (_, _, keys) in WORDS.items() if "init" in keys])
def test_a_rule_is_that_of_all_kernels_inside(word):
    made = kernels(model(entry(word, {**shortest(word), "init": "{constant: -1}"}), SHAPE, seed=0))
    assert made
    assert all((kernel == -1).all() for kernel in made.values())


# ---------------------------------------------------------------- the ways of a map


@pytest.mark.parametrize(
    ("shape", "body", "stride", "features"),
    [
        ((6, 6, 4), "conv: {features: 8, kernel: 3, stride: 2}", (2, 2), 8),
        ((7, 5, 4), "conv: {features: 8, kernel: 3, stride: [3, 1]}", (3, 1), 8),
        ((9, 4), "conv: {features: 2, kernel: 3, stride: 2}", (2,), 2),
        ((4, 4, 4, 1), "conv: {features: 3, kernel: 3}", (1, 1, 1), 3),
    ],
)
def test_a_projection_is_a_convolution_of_one_position_with_the_bodys_features_and_stride(
    shape, body, stride, features
):
    made = model(f"- residual: {{body: [{body}], shortcut: projection}}", shape, seed=0)
    kernel = np.asarray(made.residual_0.shortcut.kernel[...])
    axes = len(shape) - 1
    assert kernel.shape == ((1,) * axes + (shape[-1], features))
    assert made.residual_0.shortcut.bias is None
    x = jax.random.normal(jax.random.key(0), (2, *shape))
    body = made.residual_0.body(x)
    every = (slice(None), *(slice(None, None, s) for s in stride))
    projected = np.asarray(x)[every] @ kernel.reshape(-1, features)
    np.testing.assert_allclose(made(x), body + projected, rtol=1e-4, atol=1e-4)


def test_a_projection_of_a_vector_is_a_matrix():
    made = model("- residual: {body: [dense: 3], shortcut: projection}", (5,), seed=0)
    x = np.float32([[1, 2, 3, 4, 5]])
    body, shortcut = (np.asarray(part.kernel[...]) for part in (made.residual_0.body.dense_0, made.residual_0.shortcut))
    np.testing.assert_allclose(made(jnp.asarray(x)), x @ (body + shortcut), rtol=1e-5)


def level(features: int, inside: str) -> str:
    """Two convolutions, and what is below them with a skip connection round it."""
    conv = "{{conv: {{features: {}, kernel: 3, padding: valid}}}}, relu"
    twice = ", ".join([conv.format(features)] * 2)
    if not inside:
        return twice
    up = f"{{conv_transpose: {{features: {features}, kernel: 2, stride: 2, padding: valid}}}}"
    return f"{twice}, {{crop_concat: [{{max_pool: 2}}, {inside}, {up}]}}, {twice}"


def test_the_u_net_of_2015_written_out_has_the_sizes_of_its_figure():
    net = ""
    for features in (1024, 512, 256, 128, 64):
        net = level(features, net)
    made = model(f"- repeat: {{times: 1, layers: [{net}]}}\n- conv: {{features: 2, kernel: 1}}", (572, 572, 1))
    traced = trace(made, (572, 572, 1))
    assert traced.output_shape == (388, 388, 2)
    joined = [call.output_shape for call in traced.calls if call.kind == "CropConcat"]
    # Figure 1: the maps behind the white and blue boxes, from the outermost level (which begins first) inwards.
    assert joined == [(392, 392, 128), (200, 200, 256), (104, 104, 512), (56, 56, 1024)]
    count = 0
    before = 1
    for features in (64, 128, 256, 512, 1024):
        count += 9 * before * features + features + 9 * features**2 + features
        before = features
    for features in (512, 256, 128, 64):
        count += 4 * 2 * features * features + features  # up-convolution
        count += 9 * 2 * features * features + features + 9 * features**2 + features
    count += 64 * 2 + 2
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(made, nnx.Param))) == count == 31_030_658


def test_a_small_u_net_is_its_layers_joined_by_hand():
    made = model(f"- repeat: {{times: 1, layers: [{level(2, level(4, ''))}]}}", (20, 22, 1), seed=0)
    outer = made.repeat_0.time0
    inner = outer.crop_concat_4.body
    x = jax.random.normal(jax.random.key(0), (2, 20, 22, 1))
    skip = outer.relu_3(outer.conv_2(outer.relu_1(outer.conv_0(x))))
    below = skip
    for name in ("max_pool_0", "conv_1", "relu_2", "conv_3", "relu_4", "conv_transpose_5"):
        below = getattr(inner, name)(below)
    assert (skip.shape, below.shape) == ((2, 16, 18, 2), (2, 8, 10, 2))
    joined = np.concatenate([np.asarray(skip)[:, 4:12, 4:14], below], -1)
    expected = outer.relu_8(outer.conv_7(outer.relu_6(outer.conv_5(jnp.asarray(joined)))))
    np.testing.assert_allclose(made(x), expected, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------- what does not fit

BODY = """
- conv: {features: 4, kernel: 3}
- batch_norm
- relu
- max_pool: 2
"""


def refused(layers: str, shape: tuple[int, ...], classes: int | None = None) -> str:
    with pytest.raises(ShapeError) as caught:
        model(layers, shape, classes)
    return str(caught.value)


def test_the_sentence_of_the_contract():
    layers = BODY + "- conv: {features: 4, kernel: 3}\n- relu\n- max_pool: 2\n- flatten\n- dense: classes"
    sentence = "model.layers[6] (max_pool 2): the map is 1x1 here, smaller than the window"
    assert refused(layers, (2, 3, 1), 10) == f"{sentence} 2x2"


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        (
            "- residual: [relu, {max_pool: 7}]",
            "model.layers[0].residual.body[1] (max_pool 7): the map is 6x6 here, smaller than the window 7x7",
        ),
        (
            "- residual: {body: [relu], shortcut: [tanh, {conv: {features: 4, kernel: 7, padding: valid}}]}",
            "model.layers[0].residual.shortcut[1] (conv 7): the map is 6x6 here, smaller than the window 7x7",
        ),
        (
            "- relu\n- branches: [[relu], [relu, relu, {avg_pool: [2, 9]}]]",
            "model.layers[1].branches[1][2] (avg_pool 2x9): the map is 6x6 here, smaller than the window 2x9",
        ),
        (
            "- repeat: {times: 3, layers: [relu, {max_pool: 2}]}",
            "model.layers[0].repeat.layers[1] (max_pool 2): the map is 1x1 here, smaller than the window 2x2",
        ),
        (
            "- residual: [{branches: [[relu], [{repeat: {times: 1, layers: [{max_pool: 7}]}}]]}]",
            "model.layers[0].residual.body[0].branches[1][0].repeat.layers[0] (max_pool 7): "
            "the map is 6x6 here, smaller than the window 7x7",
        ),
        (
            "- residual: [conv: {features: 8, kernel: 3, stride: 2}]",
            "model.layers[0] (residual): the body gives 3x3x8 and the shortcut 6x6x4; "
            "give the shortcut a conv with the body's features and stride",
        ),
        (
            "- branches: [[relu], [{max_pool: 2}]]",
            "model.layers[0] (branches): the branches give maps that do not fit together: 6x6x4, 3x3x4",
        ),
        (
            "- branches: {join: add, lists: [[relu], [conv: {features: 2, kernel: 1}]]}",
            "model.layers[0] (branches): the branches give maps that do not fit together: 6x6x4, 6x6x2",
        ),
        (
            "- dense: 5",
            "model.layers[0] (dense): takes a vector, and the map is 6x6x4 here; "
            "put flatten or global_avg_pool before it",
        ),
        (
            "- flatten\n- conv: {features: 3, kernel: 3}",
            "model.layers[1] (conv 3): needs a map with spatial axes, and gets a vector of 144",
        ),
        ("- flatten\n- pad: 1", "model.layers[1] (pad): needs a map with spatial axes, and gets a vector of 144"),
        (
            "- global_max_pool\n- global_avg_pool",
            "model.layers[1] (global_avg_pool): needs a map with spatial axes, and gets a vector of 4",
        ),
        (
            "- conv: {features: 3, kernel: [3, 3, 3]}",
            "model.layers[0] (conv 3x3x3): kernel [3, 3, 3] has 3 numbers, and the map 2 spatial axes",
        ),
        (
            "- conv: {features: 3, kernel: 3, padding: [1, 1, 1]}",
            "model.layers[0] (conv 3): padding ((1, 1), (1, 1), (1, 1)) does not fit a map of 2 spatial axes",
        ),
        (
            "- conv: {features: 6, kernel: 3, groups: 3}",
            "model.layers[0] (conv 3): 3 groups do not divide the 4 input channels",
        ),
        ("- group_norm", "model.layers[0] (group_norm): 32 groups do not divide the 4 channels"),
        (
            "- max_pool: {window: 2, padding: 2}",
            "model.layers[0] (max_pool 2): padding 2x2 is as large as the window 2x2; pad less than the window",
        ),
        (
            "- residual: {body: [conv: {features: 4, kernel: 3, padding: 2}], shortcut: projection}",
            "model.layers[0] (residual): the body gives 8x8x4, and no stride leads a projection of 6x6x4 there; "
            "write the shortcut out, as a list of layers",
        ),
        (
            "- residual: {body: [conv: {features: 4, kernel: 2, padding: valid}], shortcut: projection}",
            "model.layers[0] (residual): the body gives 5x5x4, and no stride leads a projection of 6x6x4 there; "
            "write the shortcut out, as a list of layers",
        ),
        (
            "- residual: {body: [global_avg_pool], shortcut: projection}",
            "model.layers[0] (residual): the body gives 4, and no stride leads a projection of 6x6x4 there; "
            "write the shortcut out, as a list of layers",
        ),
        (
            "- crop_concat: [conv: {features: 4, kernel: 1, padding: 2}]",
            "model.layers[0] (crop_concat): the body gives 10x10x4, and 6x6x4 cannot be cropped to it",
        ),
        (
            "- crop_concat: [relu, {max_pool: 7}]",
            "model.layers[0].crop_concat.body[1] (max_pool 7): the map is 6x6 here, smaller than the window 7x7",
        ),
        (
            "- conv_transpose: {features: 4, kernel: 3, padding: ceil}",
            "model.layers[0] (conv_transpose 3): padding cannot be ceil in a transposed convolution; "
            "say same, valid or numbers",
        ),
        (
            "- separable_conv: {features: 4, kernel: 3, padding: valid, padding_mode: reflect}",
            "model.layers[0] (separable_conv 3): padding valid has no border to fill by padding_mode reflect; "
            "leave one of them out",
        ),
        (
            "- conv: {features: 4, kernel: 15, padding_mode: circular}",
            "model.layers[0] (conv 15): the map is 6x6 here, too small for circular padding ((7, 7), (7, 7))",
        ),
        (
            "- adaptive_avg_pool: [2, 2, 2]",
            "model.layers[0] (adaptive_avg_pool): size [2, 2, 2] has 3 numbers, and the map 2 spatial axes",
        ),
        (
            "- spatial_pyramid_pool: [1, 7]",
            "model.layers[0] (spatial_pyramid_pool): the map is 6x6 here, smaller than the finest level 7",
        ),
        (
            "- flatten\n- squeeze_excite",
            "model.layers[1] (squeeze_excite): needs a map with spatial axes, and gets a vector of 144",
        ),
        ("- pad: ceil", "model.layers[0] (pad): padding must be numbers here, not ceil"),
        ("- pad: same", "model.layers[0] (pad): padding must be numbers here, not same"),
        (
            "- flatten\n- dense: classes",
            "model.layers[1] (dense): there are no classes without data; give model.classes",
        ),
        ("- relu: {name: order}", "model.layers[0] (relu): the name 'order' is taken; choose another"),
        (
            "- residual: [relu: {name: eval}]",
            "model.layers[0].residual.body[0] (relu): the name 'eval' is taken; choose another",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_by_entry_and_map(layers, sentence):
    assert refused(layers, SHAPE) == sentence


def test_the_word_classes_is_their_number():
    assert trace(model("- flatten\n- dense: classes", SHAPE, 10), SHAPE).output_shape == (10,)
