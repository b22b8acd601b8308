"""`KEY=VALUE` on the command line: any key of the spec, its value by YAML 1.2, its errors with the override's text."""

import re

import pytest

from cnnlab.spec.load import parse

LAYERS = """\
data: {source: digits, augment: [shift: 2, rotate: 10]}
model:
  layers:
    - conv: {features: 8, kernel: 3}
    - relu
    - max_pool: 2
    - branches: [[relu], [tanh]]
    - flatten
    - dense: classes
"""
SHORTEST = "data: {source: digits}\nmodel: {name: lenet5}\n"


def changed(*overrides, text=LAYERS):
    return parse(text, "spec.yaml", list(overrides))


# ---------------------------------------------------------------- what is set


def test_no_override_changes_nothing():
    assert changed() == parse(LAYERS, "other.yaml")


def test_keys_that_are_there_and_keys_that_are_new():
    found = changed("seed=7", "data.batch_size=16", "optimizer.learning_rate.peak=0.01", "optimizer.clip_norm=1")
    assert (found.seed, found.data.batch_size) == (7, 16)
    assert (found.optimizer.learning_rate.peak, found.optimizer.clip_norm) == (0.01, 1)
    assert found.optimizer.learning_rate.schedule == "cosine"


def test_entries_of_lists():
    found = changed(
        "model.layers[0].conv.features=32", "model.layers[1]=tanh", "model.layers[3].branches[1][0]=elu",
        "data.augment[1].rotate=5",
    )  # fmt: skip
    layers = found.model.layers
    assert (layers[0].features, layers[0].kernel, layers[1].kind) == (32, 3, "tanh")
    assert [branch[0].kind for branch in layers[3].lists] == ["relu", "elu"]
    assert found.data.augment[1].rotate == 5


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("1", 1.0), ("0.5", 0.5), ("{schedule: constant, peak: 2}", 2.0), ("0x10", 16.0), (" 2 ", 2.0)],
)
def test_values_are_numbers_mappings_and_lists_by_yaml(text, value):
    rate = changed(f"optimizer.learning_rate={text}").optimizer.learning_rate
    assert getattr(rate, "peak", rate) == value


def test_a_whole_list_and_a_whole_mapping():
    assert [layer.kind for layer in changed("model.layers=[flatten, dense: 10]").model.layers] == ["flatten", "dense"]
    assert changed("model={name: lenet5, pooling: max}").model.pooling == "max"


def test_an_empty_value_and_null_take_a_setting_back():
    text = "train: {early_stopping: {patience: 3}}\nname: a\n" + SHORTEST
    assert changed(text=text).train.early_stopping.patience == 3
    assert changed("train.early_stopping=", text=text).train.early_stopping is None
    assert changed("name=null", text=text).name == "experiment"


def test_the_first_equals_sign_ends_the_key():
    text = "data: {source: npz, path: a}\nmodel: {name: lenet5}\n"
    assert changed("data.path=b=c.npz", text=text).data.path == "b=c.npz"


def test_the_last_of_several_holds_and_each_builds_on_those_before():
    assert changed("seed=1", "seed=2").seed == 2
    found = changed("optimizer={name: sgd, learning_rate: {peak: 1}}", "optimizer.learning_rate.warmup_epochs=3")
    rate = found.optimizer.learning_rate
    assert (found.optimizer.name, rate.peak, rate.warmup_epochs) == ("sgd", 1, 3)


def test_an_override_mends_what_the_file_has_wrong():
    assert changed("seed=3", text="seed: three\n" + SHORTEST).seed == 3


# ---------------------------------------------------------------- what is refused

FORM = "an override is KEY=VALUE; such as optimizer.learning_rate.peak=0.01"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("seed", FORM),
        ("", FORM),
        ("=3", FORM),
        (".seed=3", FORM),
        ("seed.=3", FORM),
        ("data..seed=3", FORM),
        ("model.layers[x]=relu", FORM),
        ("model.layers[-1]=relu", FORM),
        ("model.layers[6]=relu", "there is no entry [6]: model.layers has 6 entries"),
        ("model.layers[3].branches[2]=[relu]", "there is no entry [2]: model.layers[3].branches has 2 entries"),
        ("optimizer[0]=sgd", "there is no entry [0]: optimizer has no entries"),
        ("[0]=3", "there is no entry [0]: the spec has no entries"),
        ("model.layers[1].relu.name=a", "model.layers[1] is 'relu' in the spec, not a mapping; "
         "override model.layers[1] as a whole, such as model.layers[1]='{relu: ...}'"),
        ("model.layers[2].max_pool.stride=1", "model.layers[2].max_pool is 2 in the spec, not a mapping; "
         "override model.layers[2].max_pool as a whole, such as model.layers[2].max_pool='{stride: ...}'"),
        ("data.source.name=npz", "data.source is 'digits' in the spec, not a mapping; "
         "override data.source as a whole, such as data.source='{name: ...}'"),
        ("modle.name=lenet5", "modle: unknown key (value {'name': 'lenet5'}); did you mean 'model'?"),
        ("optimizer.learning_rat=1", "optimizer.learning_rat: unknown key (value 1); did you mean 'learning_rate'?"),
        ("optimizer.learning_rate.peek=1",
         "optimizer.learning_rate.peek: unknown key (value 1); did you mean 'peak'?"),
        ("train.epochs=no", "train.epochs: must be a whole number, not 'no'"),
        ("train.epochs='3'", "train.epochs: must be a whole number, not '3'"),
        ("model.layers[1]=rleu", "model.layers[1]: no layer 'rleu'; did you mean 'relu'?"),
        ("model.layers[0].conv.kernel=0",
         "model.layers[0].conv.kernel: must be a whole number from 1, or a list of one per axis, not 0"),
        ("train={epochs: 1, patience: 2}",
         "train.patience: unknown key (value 2); "
         "allowed: average, checkpoint_every, early_stopping, energy, epochs, remat"),
        ("data.split={train: 0.5, test: 0.2}",
         "data.split: train, validation and test must add up to 1, and add up to 0.7"),
    ],
)  # fmt: skip
def test_the_sentence_starts_with_the_override(refused, override, sentence):
    text = LAYERS if override != "train={epochs: 1, patience: 2}" else SHORTEST
    assert refused(text, override) == f"command line: {override}: {sentence}"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("seed=[1", r"command line: seed=\[1:1:3: not YAML: .*expected ',' or '\]'"),
        ("seed=a: b: c", "command line: seed=a: b: c:1:5: not YAML: mapping values are not allowed here"),
        ("train={epochs: 1, epochs: 2}", "command line: train={.*}:1:13: the key 'epochs' is given twice, first"),
        ("seed=!!int 3", "command line: seed=!!int 3:1:1: the tag !!int has no meaning in a spec"),
    ],
)  # fmt: skip
def test_values_that_are_no_yaml(refused, override, sentence):
    assert re.match(sentence, refused(LAYERS, override))


def test_errors_of_the_file_and_of_overrides_stand_together(refused):
    assert refused("seed: x\n" + SHORTEST, "train.epochs=y", "loss.name=mse") == (
        "command line: loss.name=mse: loss.name: no loss 'mse'; there are cross_entropy, binary_cross_entropy, "
        "focal, hinge, perceptron, mean_squared, mean_absolute, huber, dice, sum\n"
        "command line: train.epochs=y: train.epochs: must be a whole number, not 'y'\n"
        "spec.yaml:1:7: seed: must be a whole number, not 'x'"
    )


def test_an_error_beside_the_override_still_points_into_the_file(refused):
    text = SHORTEST + "train: {epochs: 3, patince: 2}\n"
    assert refused(text, "train.epochs=5") == (
        "spec.yaml:3:20: train.patince: unknown key (value 2); "
        "allowed: average, checkpoint_every, early_stopping, energy, epochs, remat"
    )
