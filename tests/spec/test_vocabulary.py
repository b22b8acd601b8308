"""The entries of `layers:`: every word of the contract with its keys, defaults, short form and errors."""

import pickle
from typing import get_args

import pytest

from cnnlab.layers.initialize import RULES
from cnnlab.layers.pad import PADDING_MODES
from cnnlab.spec.dump import to_yaml
from cnnlab.spec.init import ConstantInit
from cnnlab.spec.load import parse
from cnnlab.spec.vocabulary import VOCABULARY, ActivationName

BARE = [
    *("global_avg_pool", "global_max_pool", "flatten", "batch_norm", "layer_norm", "instance_norm"),
    *("identity", "hard_threshold", "relu", "gelu", "sigmoid", "tanh", "scaled_tanh"),
]
CONV = {"features": 8, "kernel": 3}
CONV_DEFAULTS = {"stride": 1, "padding": "same", "dilation": 1, "bias": True, "init": None}
PADDED = {**CONV_DEFAULTS, "padding_mode": "zeros"}
POOL = {"window": 2, "stride": None, "padding": "valid"}
RELU = [{"relu": {}}]
# Each row of the contract's table: what must be given, and what is there by default.
CONTRACT = [
    ("conv", CONV, {**PADDED, "groups": 1}),
    ("conv_transpose", CONV, {**CONV_DEFAULTS, "groups": 1}),
    ("depthwise_conv", CONV, PADDED),
    ("depthwise_conv", {"kernel": 3}, {**PADDED, "features": None}),
    ("separable_conv", CONV, PADDED),
    ("spatially_separable_conv", CONV, PADDED),
    ("squeeze_excite", {}, {"reduction": 16, "activation": "relu", "init": None}),
    ("max_pool", {"window": 2}, POOL),
    ("avg_pool", {"window": 2}, POOL),
    ("adaptive_max_pool", {"size": 7}, {}),
    ("adaptive_avg_pool", {"size": 7}, {}),
    ("spatial_pyramid_pool", {}, {"levels": (1, 2, 4), "method": "max"}),
    *((word, {}, {}) for word in BARE),
    ("batch_norm", {}, {"momentum": 0.9, "epsilon": 1e-5}),
    ("group_norm", {}, {"groups": 32}),
    ("layer_norm", {}, {"epsilon": 1e-5}),
    ("instance_norm", {}, {"epsilon": 1e-5}),
    ("dense", {"features": 84}, {"bias": True, "init": None}),
    ("dense", {"features": "classes"}, {"bias": True, "init": None}),
    ("dropout", {}, {"rate": 0.5}),
    ("spatial_dropout", {}, {"rate": 0.5}),
    ("stochastic_depth", {}, {"rate": 0.2}),
    ("upsample", {}, {"factor": 2, "method": "nearest"}),
    ("pad", {"padding": 1}, {"mode": "zeros"}),
    ("leaky_relu", {}, {"slope": 0.01}),
    ("prelu", {}, {"shared": False}),
    ("elu", {}, {"alpha": 1.0}),
    ("softplus", {}, {"beta": 1.0}),
    ("swish", {}, {"beta": 1.0, "learned": False}),
    ("sine", {}, {"frequency": 1.0}),
]


def layers(text):
    return parse(f"model:\n  layers:\n{text}", "spec.yaml").model.layers


def one(entry):
    (layer,) = parse(f"model: {{layers: [{entry}]}}", "spec.yaml").model.layers
    return layer


def settings(layer):
    """The keys of a layer as Python has them, not as they are written."""
    return {key: getattr(layer, key) for key in type(layer).model_fields}


def as_yaml(keys):
    return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"


# ---------------------------------------------------------------- the words


@pytest.mark.parametrize(("word", "given", "default"), CONTRACT)
def test_every_word_of_the_contract_with_its_defaults(word, given, default):
    layer = one(f"{word}: {as_yaml(given)}")
    assert layer.kind == word
    assert settings(layer).items() >= {**given, **default, "name": None}.items()


@pytest.mark.parametrize(("word", "given", "default"), CONTRACT)
def test_every_default_can_be_said(word, given, default):
    said = {key: value for key, value in {**default, **given}.items() if value is not None}
    text = as_yaml({key: str(list(v) if isinstance(v, tuple) else v).lower() for key, v in said.items()})
    assert one(f"{word}: {text}") == one(f"{word}: {as_yaml(given)}")


@pytest.mark.parametrize(
    ("short", "long"),
    [
        *((word, f"{word}: {{}}") for word in [*BARE, "group_norm", "dropout", "upsample", "leaky_relu", "prelu"]),
        *((f"{word}: ", word) for word in BARE),
        ("max_pool: 2", "max_pool: {window: 2}"),
        ("max_pool: [2, 1]", "max_pool: {window: [2, 1]}"),
        ("avg_pool: 3", "avg_pool: {window: 3}"),
        ("group_norm: 8", "group_norm: {groups: 8}"),
        ("dense: 84", "dense: {features: 84}"),
        ("dense: classes", "dense: {features: classes}"),
        ("dropout: 0.3", "dropout: {rate: 0.3}"),
        ("spatial_dropout: 0.3", "spatial_dropout: {rate: 0.3}"),
        ("stochastic_depth: 0.3", "stochastic_depth: {rate: 0.3}"),
        ("squeeze_excite: 4", "squeeze_excite: {reduction: 4}"),
        ("adaptive_max_pool: 7", "adaptive_max_pool: {size: 7}"),
        ("adaptive_avg_pool: [7, 6]", "adaptive_avg_pool: {size: [7, 6]}"),
        ("spatial_pyramid_pool: [1, 3]", "spatial_pyramid_pool: {levels: [1, 3]}"),
        ("crop_concat: [relu]", "crop_concat: {body: [relu]}"),
        ("upsample: 3", "upsample: {factor: 3}"),
        ("pad: [[1, 2], [3, 4]]", "pad: {padding: [[1, 2], [3, 4]]}"),
        ("leaky_relu: 0.2", "leaky_relu: {slope: 0.2}"),
        ("residual: [relu]", "residual: {body: [relu]}"),
        ("residual: [relu]", "residual: {body: [relu], shortcut: identity}"),
        ("branches: [[relu], [tanh]]", "branches: {join: concat, lists: [[relu], [tanh]]}"),
        ("{relu: null, name: first}", "relu: {name: first}"),
        ("{max_pool: 2, name: first}", "max_pool: {window: 2, name: first}"),
        ("{conv: {features: 8, kernel: 3}, name: first}", "conv: {features: 8, kernel: 3, name: first}"),
    ],
)
def test_short_forms(short, long):
    assert one(short) == one(long)


@pytest.mark.parametrize(
    ("word", "key", "values"),
    [
        ("upsample", "method", ("nearest", "bilinear")),
        ("pad: {padding: 1, mode: ", "mode", ("zeros", "reflect", "replicate", "circular")),
        ("residual: {body: [relu], activation: ", "activation", get_args(ActivationName)),
        ("branches: {lists: [[relu]], join: ", "join", ("concat", "add")),
        ("residual: {body: [relu], shortcut: ", "shortcut", ("identity", "projection")),
        ("squeeze_excite", "activation", get_args(ActivationName)),
        ("spatial_pyramid_pool", "method", ("max", "avg")),
        ("conv: {features: 1, kernel: 1, padding: ", "padding", ("same", "valid", "ceil")),
        ("max_pool: {window: 1, padding: ", "padding", ("same", "valid", "ceil")),
        *(
            (f"{word}: {{features: 1, kernel: 1, padding_mode: ", "padding_mode", PADDING_MODES)
            for word in ("conv", "depthwise_conv", "separable_conv", "spatially_separable_conv")
        ),
        ("dense: {features: 1, init: ", "init", RULES),
    ],
)
def test_every_word_that_a_key_allows(word, key, values):
    for value in values:
        opened = word if "{" in word else f"{word}: {{{key}: "
        assert getattr(one(f"{opened}{value}}}"), key) == value


@pytest.mark.parametrize("word", [word for word, cls in VOCABULARY.items() if "init" in cls.model_fields])
def test_a_first_weight_can_be_a_number(word):
    keys = next(given for entry, given, _ in CONTRACT if entry == word)
    layer = one(f"{word}: {as_yaml({**keys, 'init': '{constant: -1}'})}")
    assert layer.init == ConstantInit(constant=-1.0)


def test_every_layer_with_weights_takes_a_rule_for_them():
    assert {word for word, cls in VOCABULARY.items() if "init" in cls.model_fields} == {
        "conv", "conv_transpose", "depthwise_conv", "separable_conv", "spatially_separable_conv", "dense",
        "squeeze_excite",
    }  # fmt: skip


@pytest.mark.parametrize("word", get_args(ActivationName))
def test_every_activation_is_a_layer_too(word):
    assert one(word).kind == word


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0", 0),
        ("2", 2),
        ("[[1, 1], [2, 2]]", ((1, 1), (2, 2))),
        ("[1, 2]", ((1, 1), (2, 2))),
        ("[[0, 1]]", ((0, 1),)),
    ],
)
def test_paddings(written, value):
    assert one(f"conv: {{features: 1, kernel: 3, padding: {written}}}").padding == value


def test_one_number_per_axis():
    layer = one("conv: {features: 1, kernel: [3, 1, 5], stride: [2, 1, 1], dilation: [1, 2, 1]}")
    assert (layer.kernel, layer.stride, layer.dilation) == ((3, 1, 5), (2, 1, 1), (1, 2, 1))


@pytest.mark.parametrize(("word", "given", "default"), CONTRACT)
def test_a_layer_survives_being_pickled_and_written(word, given, default):
    layer = layers(f"    - {word}: {as_yaml(given)}\n    - relu\n")[0]
    assert pickle.loads(pickle.dumps(layer)) == layer
    experiment = parse(f"model: {{layers: [relu, {word}: {as_yaml(given)}, relu]}}", "spec.yaml")
    assert parse(to_yaml(experiment), "spec.yaml").model == experiment.model


def test_nested_layers():
    (outer,) = layers("""\
    - repeat:
        times: 2
        layers:
          - residual:
              body: [{branches: [[relu], [tanh, {dense: 3}]]}]
              shortcut: [{conv: {features: 8, kernel: 1}}]
              activation: relu
""")
    assert (outer.kind, outer.times) == ("repeat", 2)
    inner = outer.layers[0]
    assert inner.shortcut[0].features == 8
    assert [[layer.kind for layer in branch] for branch in inner.body[0].lists] == [["relu"], ["tanh", "dense"]]


def test_the_table_has_every_word_under_its_own_name():
    nested = {"residual", "branches", "crop_concat", "repeat"}
    assert {word for word, *_ in CONTRACT} | nested | {"softmax"} == set(VOCABULARY)
    assert all(layer.kind == word for word, layer in VOCABULARY.items())


# ---------------------------------------------------------------- errors

WORDS = ", ".join(VOCABULARY)
ONE_WORD = "write - relu, or - conv: {features: 32, kernel: 3}"
NAME = "must be of letters, digits and _, and not begin with a digit"
RULE = f"must be one of {', '.join(RULES)}, a mapping {{constant: 0.1}}"
PADDING = "must be same, valid, ceil, a whole number, or a list of [before, after] per axis"


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("^convv: 3", "[0]: no layer 'convv'; did you mean 'conv'?"),
        ("^zzz", f"[0]: no layer 'zzz'; there are {WORDS}"),
        ("relu, ^relue", "[1]: no layer 'relue'; did you mean 'relu'?"),
        ("^3", f"[0]: a layer is one word with its settings, not 3; {ONE_WORD}"),
        ("^null", f"[0]: a layer is one word with its settings, not null; {ONE_WORD}"),
        ("^[relu]", f"[0]: a layer is one word with its settings, not ['relu']; {ONE_WORD}"),
        ("^{}", f"[0]: a layer is one word with its settings, not {{}}; {ONE_WORD}"),
        ("^{name: a}", f"[0]: a layer is one word with its settings, not {{'name': 'a'}}; {ONE_WORD}"),
        ("^{relu: 1, elu: 2}", f"[0]: a layer is one word with its settings, not {{'relu': 1, 'elu': 2}}; {ONE_WORD}"),
        ("{relu: ^3}", "[0].relu: takes keys (name), not the bare value 3"),
        ("{repeat: ^3}", "[0].repeat: takes keys (name, times, layers), not the bare value 3"),
        ("{relu: ^{name: a}, name: b}", "[0].relu: has two names, one inside and one beside it"),
        ("{relu: null, name: ^3x}", f"[0].name: {NAME}, not '3x'"),
        ("{max_pool: 2, name: ^'a b'}", f"[0].name: {NAME}, not 'a b'"),
        ("{relu: {name: ^3x}}", f"[0].relu.name: {NAME}, not '3x'"),
        ("{relu: {^nmae: x}}", "[0].relu.nmae: unknown key (value 'x'); did you mean 'name'?"),
        ("{^max_pool: {stride: 2}}", "[0].max_pool.window: required, and not there"),
        ("{max_pool: ^two}", "[0].max_pool: must be a whole number from 1, or a list of one per axis, not 'two'"),
        ("{max_pool: ^[2, 2, 2, 2]}",
         "[0].max_pool: must be a whole number from 1, or a list of one per axis, not [2, 2, 2, 2]"),
        ("{max_pool: ^true}", "[0].max_pool: must be a whole number from 1, or a list of one per axis, not true"),
        ("{dense: ^class}", "[0].dense: must be one of classes, a whole number, not 'class'; did you mean 'classes'?"),
        ("{dense: ^0}", "[0].dense: must be at least 1, not 0"),
        ("{dense: {features: ^2.5}}", "[0].dense.features: must be a whole number, not 2.5"),
        ("{dense: {features: 3, bias: ^no}}", "[0].dense.bias: must be true or false, not 'no'"),
        ("{dense: {features: 3, init: ^xavier}}",
         f"[0].dense.init: {RULE}, not 'xavier'; did you mean 'xavier_normal'?"),
        ("{dense: {features: 3, init: ^he_norma}}",
         f"[0].dense.init: {RULE}, not 'he_norma'; did you mean 'he_normal'?"),
        ("{dense: {features: 3, init: ^0.1}}",
         "[0].dense.init: must be the name of a rule, or {constant: 0.1}, not 0.1"),
        ("{dense: {features: 3, init: {constant: ^x}}}", "[0].dense.init.constant: must be a number, not 'x'"),
        ("{dense: {features: 3, init: {^constan: 1, constant: 1}}}",
         "[0].dense.init.constan: unknown key (value 1); did you mean 'constant'?"),
        ("{conv_transpose: {features: 1, kernel: 1, ^padding_mode: reflect}}",
         "[0].conv_transpose.padding_mode: unknown key (value 'reflect'); did you mean 'padding'?"),
        ("{conv: {features: 1, kernel: 1, padding_mode: ^mirror}}",
         "[0].conv.padding_mode: must be one of zeros, reflect, replicate, circular, not 'mirror'"),
        ("{squeeze_excite: ^0}", "[0].squeeze_excite: must be at least 1, not 0"),
        ("^adaptive_avg_pool", "[0].adaptive_avg_pool.size: required, and not there"),
        ("{spatial_pyramid_pool: ^[]}", "[0].spatial_pyramid_pool: must have at least 1 entries, not []"),
        ("{spatial_pyramid_pool: [2, ^0]}", "[0].spatial_pyramid_pool[1]: must be at least 1, not 0"),
        ("{spatial_pyramid_pool: ^3}", "[0].spatial_pyramid_pool: must be a list, not 3"),
        ("{prelu: ^0.25}", "[0].prelu: takes keys (name, shared), not the bare value 0.25"),
        ("{elu: {alpha: ^0}}", "[0].elu.alpha: must be greater than 0.0, not 0"),
        ("{softplus: {beta: ^0}}", "[0].softplus.beta: must be greater than 0.0, not 0"),
        ("{swish: {beta: ^-1}}", "[0].swish.beta: must be at least 0.0, not -1"),
        ("{sine: {frequency: ^-1}}", "[0].sine.frequency: must be greater than 0.0, not -1"),
        ("{stochastic_depth: ^1}", "[0].stochastic_depth: must be less than 1.0, not 1"),
        ("{dropout: ^1}", "[0].dropout: must be less than 1.0, not 1"),
        ("{dropout: ^'0.5'}", "[0].dropout: must be a number, not '0.5'"),
        ("{group_norm: ^-8}", "[0].group_norm: must be at least 1, not -8"),
        ("{batch_norm: {epsilon: ^0}}", "[0].batch_norm.epsilon: must be greater than 0.0, not 0"),
        ("{upsample: {method: ^linear}}",
         "[0].upsample.method: must be one of nearest, bilinear, not 'linear'; did you mean 'bilinear'?"),
        ("{pad: {padding: 1, mode: ^zero}}",
         "[0].pad.mode: must be one of zeros, reflect, replicate, circular, not 'zero'; did you mean 'zeros'?"),
        ("{pad: ^sam}", f"[0].pad: {PADDING}, not 'sam'"),
        ("{conv: {features: 1, kernel: 3, padding: ^[1, [2, 3]]}}", f"[0].conv.padding: {PADDING}, not [1, [2, 3]]"),
        ("{conv: {features: 1, kernel: 3, padding: ^[[1, 2, 3]]}}", f"[0].conv.padding: {PADDING}, not [[1, 2, 3]]"),
        ("{conv: {features: 1, kernel: 3, padding: ^-1}}", f"[0].conv.padding: {PADDING}, not -1"),
        ("{conv: {features: 1, kernel: 3, groups: ^0}}", "[0].conv.groups: must be at least 1, not 0"),
        ("{conv: {features: 1, kernel: 3, stride: ^[1, 0]}}",
         "[0].conv.stride: must be a whole number from 1, or a list of one per axis, not [1, 0]"),
        ("{residual: ^relu}", "[0].residual: must be a list, not 'relu'"),
        ("{residual: {body: ^[]}}", "[0].residual.body: must hold at least one layer, not []"),
        ("{residual: {body: [relu], shortcut: ^identiti}}",
         "[0].residual.shortcut: must be one of identity, projection, a list of layers, not 'identiti'; "
         "did you mean 'identity'?"),
        ("{residual: {body: [relu], shortcut: ^3}}", "[0].residual.shortcut: must be a list, not 3"),
        ("{residual: {body: [relu], activation: ^rleu}}",
         f"[0].residual.activation: must be one of {', '.join(get_args(ActivationName))}, not 'rleu'; "
         "did you mean 'relu'?"),
        ("{crop_concat: ^[]}", "[0].crop_concat: must hold at least one layer, not []"),
        ("{crop_concat: [^rleu]}", "[0].crop_concat[0]: no layer 'rleu'; did you mean 'relu'?"),
        ("{branches: ^[]}", "[0].branches: must hold at least one layer, not []"),
        ("{branches: [[relu], ^[]]}", "[0].branches[1]: must hold at least one layer, not []"),
        ("{branches: [^relu]}", "[0].branches[0]: must be a list, not 'relu'"),
        ("{branches: {join: ^sum, lists: [[relu]]}}", "[0].branches.join: must be one of concat, add, not 'sum'"),
        ("{^branches: {join: add}}", "[0].branches.lists: required, and not there"),
        ("{repeat: {times: ^0, layers: [relu]}}", "[0].repeat.times: must be at least 1, not 0"),
        ("{repeat: {times: 2, layers: ^[]}}", "[0].repeat.layers: must hold at least one layer, not []"),
    ],
)  # fmt: skip
def test_what_an_entry_does_not_take(refused_at, entry, sentence):
    assert refused_at(f"model:\n  layers: [{entry}]\n") == f"model.layers{sentence}"


@pytest.mark.parametrize(("value", "sentence"), [
    ("[]", "must hold at least one layer, not []"),
    ("relu", "must be a list, not 'relu'"),
    ("null", "must be a list, not null"),
    ("{relu: 3}", "must be a list, not {'relu': 3}"),
])  # fmt: skip
def test_layers_are_a_list_with_something_in_it(refused_at, value, sentence):
    assert refused_at(f"model: {{layers: ^{value}}}") == f"model.layers: {sentence}"


def test_a_bare_word_that_needs_keys_names_them_all(refused):
    assert refused("model:\n  layers:\n    - relu\n    - conv\n") == (
        "spec.yaml:4:7: model.layers[1].conv.features: required, and not there\n"
        "spec.yaml:4:7: model.layers[1].conv.kernel: required, and not there"
    )


NESTED = """\
model:
  layers:
    - repeat:
        times: 2
        layers:
          - residual:
              body:
                - conv: {features: x, kernel: 3}
              shortcut:
                - branches:
                    - - relu
                    - - max_pool: 2
                      - con: {features: 8}
    - branches:
        lists:
          - - dropout: 2
    - residual:
        - tanh
        - dense: {feature: 3}
"""


def test_errors_inside_nested_layers_have_the_whole_path(refused):
    assert refused(NESTED) == (
        "spec.yaml:8:36: model.layers[0].repeat.layers[0].residual.body[0].conv.features: "
        "must be a whole number, not 'x'\n"
        "spec.yaml:13:25: model.layers[0].repeat.layers[0].residual.shortcut[0].branches[1][1]: "
        "no layer 'con'; did you mean 'conv'?\n"
        "spec.yaml:16:24: model.layers[1].branches.lists[0][0].dropout: must be less than 1.0, not 2\n"
        "spec.yaml:19:11: model.layers[2].residual[1].dense.features: required, and not there\n"
        "spec.yaml:19:19: model.layers[2].residual[1].dense.feature: "
        "unknown key (value 3); did you mean 'features'?"
    )
