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
from cnnlab.spec.load import parse
from cnnlab.spec.schema import LayersModel
from cnnlab.spec.vocabulary import VOCABULARY
from cnnlab.trace.walk import trace


def model(layers: str, shape: tuple[int, ...], classes: int | None = None, seed: int | None = None) -> nnx.Module:
    """The network of `layers`, a YAML list."""
    text = "model:\n  layers:\n" + textwrap.indent(layers.strip("\n"), "    ")
    spec = parse(text, "test.yaml").model
    assert isinstance(spec, LayersModel)
    return from_layers(spec.layers, shape, classes, init=Initializer(seed))


SHAPE = (6, 6, 4)
# Each word: its shortest use, what it makes of 6x6x4, and another value for each of its keys.
WORDS: dict[str, tuple[str, tuple[int, ...], dict[str, str]]] = {
    "conv": (
        "features: 8, kernel: 3",
        (6, 6, 8),
        {
            "features": "6",
            "kernel": "[1, 3]",
            "stride": "2",
            "padding": "valid",
            "dilation": "2",
            "groups": "2",
            "bias": "false",
        },
    ),
    "conv_transpose": (
        "features: 8, kernel: 3, stride: 2",
        (12, 12, 8),
        {
            "features": "6",
            "kernel": "4",
            "stride": "3",
            "padding": "valid",
            "dilation": "[1, 2]",
            "groups": "2",
            "bias": "false",
        },
    ),
    "depthwise_conv": (
        "kernel: 3",
        (6, 6, 4),
        {"features": "8", "kernel": "5", "stride": "2", "padding": "[1, 2]", "dilation": "2", "bias": "false"},
    ),
    "separable_conv": (
        "features: 8, kernel: 3",
        (6, 6, 8),
        {"features": "6", "kernel": "2", "stride": "3", "padding": "2", "dilation": "2", "bias": "false"},
    ),
    "max_pool": ("window: 2", (3, 3, 4), {"window": "3", "stride": "1", "padding": "1"}),
    "avg_pool": ("window: [2, 3]", (3, 2, 4), {"window": "2", "stride": "2", "padding": "1"}),
    "global_avg_pool": ("", (4,), {}),
    "global_max_pool": ("", (4,), {}),
    "flatten": ("", (144,), {}),
    "batch_norm": ("", (6, 6, 4), {"epsilon": "0.01", "momentum": "0.5"}),
    "layer_norm": ("", (6, 6, 4), {"epsilon": "0.01"}),
    "instance_norm": ("", (6, 6, 4), {"epsilon": "0.01"}),
    "group_norm": ("groups: 2", (6, 6, 4), {"epsilon": "0.01", "groups": "4"}),
    "dropout": ("", (6, 6, 4), {"rate": "0.25"}),
    "dense": ("features: 8", (8,), {"features": "9", "bias": "false"}),
    "upsample": ("", (12, 12, 4), {"factor": "[1, 3]", "method": "bilinear"}),
    "pad": ("padding: [[1, 2], [0, 1]]", (9, 7, 4), {"padding": "1", "mode": "reflect"}),
    "identity": ("", (6, 6, 4), {}),
    "relu": ("", (6, 6, 4), {}),
    "leaky_relu": ("", (6, 6, 4), {"slope": "0.2"}),
    "elu": ("", (6, 6, 4), {}),
    "gelu": ("", (6, 6, 4), {}),
    "sigmoid": ("", (6, 6, 4), {}),
    "tanh": ("", (6, 6, 4), {}),
    "softplus": ("", (6, 6, 4), {}),
    "swish": ("", (6, 6, 4), {}),
    "softmax": ("", (6, 6, 4), {}),
    "residual": (
        "body: [conv: {features: 4, kernel: 3}]",
        (6, 6, 4),
        {"body": "[relu]", "shortcut": "[conv: {features: 4, kernel: 1}]", "activation": "tanh"},
    ),
    "branches": (
        "lists: [[relu], [conv: {features: 4, kernel: 1}]]",
        (6, 6, 8),
        {"join": "add", "lists": "[[relu], [tanh], [elu]]"},
    ),
    "repeat": (
        "times: 2, layers: [conv: {features: 4, kernel: 2, padding: valid}]",
        (4, 4, 4),
        {"times": "3", "layers": "[relu]"},
    ),
}  # fmt: skip


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
    assert len(np.unique(np.asarray(y))) > 2


def computation(made: nnx.Module) -> str:
    """What a training pass computes, parameters as inputs: two networks of one text are the same."""
    graph, state = nnx.split(made)

    def forward(state: Any, x: jax.Array, key: jax.Array) -> tuple[jax.Array, Any]:
        copy = nnx.merge(graph, state)
        return copy(x, Mode(train=True, key=key)), nnx.state(copy, nnx.BatchStat)

    example = jax.ShapeDtypeStruct((2, *SHAPE), jnp.float32)
    return str(jax.make_jaxpr(forward)(state, example, jax.random.key(0)))


@pytest.mark.parametrize(("word", "key"), [(word, key) for word, (_, _, other) in WORDS.items() for key in other])
def test_no_key_is_ignored(word, key):
    keys = shortest(word)
    default = computation(model(entry(word, keys), SHAPE))
    assert default == computation(model(entry(word, keys), SHAPE))
    assert default != computation(model(entry(word, {**keys, key: WORDS[word][2][key]}), SHAPE))


@pytest.mark.parametrize("word", [word for word, cls in VOCABULARY.items() if cls.short])
def test_the_short_form_is_the_long_one(word):
    short = VOCABULARY[word].short
    assert short is not None
    value = WORDS[word][2][short]
    before = "- flatten\n" if word == "dense" else ""
    bare = model(f"{before}- {word}: {value}\n- identity", SHAPE)
    assert computation(bare) == computation(model(entry(word, {short: value}), SHAPE))


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


def test_the_end_must_be_one_logit_a_class():
    hint = "end with 'dense: classes', after flatten or global_avg_pool"
    wrong = refused("- flatten\n- dense: 7", SHAPE, 10)
    assert wrong == f"model.layers: the last layer gives 7, and there are 10 classes; {hint}"
    assert refused("- relu", SHAPE, 10) == f"model.layers: the last layer gives 6x6x4, and there are 10 classes; {hint}"
    assert trace(model("- flatten\n- dense: 10", SHAPE, 10), SHAPE).output_shape == (10,)
