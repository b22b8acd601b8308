"""Every section of a spec: the sentence for unknown keys, wrong types and values out of bounds.

A ^ in a text stands before the place that the message must point at.
"""

from typing import get_args

import pytest

from cnnlab.spec.catalogue import catalogue
from cnnlab.spec.vocabulary import ActivationName

HEAD = "data: {source: digits}\n"
MODEL = "\nmodel: {name: lenet5}\n"
SHORTEST = HEAD + "model: {name: lenet5}\n"
MODELS, OPTIMIZERS, SOURCES, SCHEDULES = (
    ", ".join(name for name, _ in catalogue(kind)) for kind in ("models", "optimizers", "sources", "schedules")
)
ACTIVATIONS = ", ".join(get_args(ActivationName))


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            SHORTEST + "^colour: 3",
            "colour: unknown key (value 3); "
            "allowed: data, distill, loss, model, name, optimizer, precision, seed, task, train",
        ),
        (
            "data: {source: digits, ^batchsize: 8}" + MODEL,
            "data.batchsize: unknown key (value 8); did you mean 'batch_size'?",
        ),
        (
            "data: {source: digits, ^path: x}" + MODEL,
            "data.path: unknown key (value 'x'); "
            "allowed: augment, batch_size, classes, crop, label_noise, normalize, resize, sampling, source, split",
        ),
        (
            "data: {source: digits, split: {train: 1, ^tset: 0}}" + MODEL,
            "data.split.tset: unknown key (value 0); did you mean 'test'?",
        ),
        (
            "data: {source: digits, augment: [{^rotat: 3}]}" + MODEL,
            "data.augment[0].rotat: unknown key (value 3); did you mean 'rotate'?",
        ),
        (
            HEAD + "model: {name: lenet5, ^poling: max}",
            "model.poling: unknown key (value 'max'); did you mean 'pooling'?",
        ),
        (
            HEAD + "model: {name: mlp, ^pooling: max}",
            "model.pooling: unknown key (value 'max'); "
            "allowed: activation, classes, dropout, freeze, hidden, init, input, name, new_head, ranks, "
            "unfreeze_at_epoch, weights",
        ),
        (
            HEAD + "model: {layers: [relu], ^inputs: [8, 8, 1]}",
            "model.inputs: unknown key (value [8, 8, 1]); did you mean 'input'?",
        ),
        (
            HEAD + "model: {^name: mine, layers: [relu]}",
            "model.name: unknown key (value 'mine'); "
            "allowed: classes, freeze, init, input, layers, new_head, ranks, unfreeze_at_epoch, weights",
        ),
        (
            SHORTEST + "loss: {^smoothing: 0.1}",
            "loss.smoothing: unknown key (value 0.1); did you mean 'label_smoothing'?",
        ),
        (
            SHORTEST + "optimizer: {name: sgd, ^momentum: 0.9}",
            "optimizer.momentum: unknown key (value 0.9); "
            "allowed: accumulate, clip_norm, clip_value, layer_rates, learning_rate, lookahead, name, weight_decay",
        ),
        (
            SHORTEST + "optimizer: {^learning_rat: 0.1}",
            "optimizer.learning_rat: unknown key (value 0.1); did you mean 'learning_rate'?",
        ),
        (
            SHORTEST + "optimizer: {learning_rate: {^peek: 0.1}}",
            "optimizer.learning_rate.peek: unknown key (value 0.1); did you mean 'peak'?",
        ),
        (
            SHORTEST + "optimizer: {learning_rate: {schedule: constant, ^end: 0}}",
            "optimizer.learning_rate.end: unknown key (value 0); allowed: peak, schedule, warmup_epochs",
        ),
        (SHORTEST + "train: {^epoch: 3}", "train.epoch: unknown key (value 3); did you mean 'epochs'?"),
        (
            SHORTEST + "train: {early_stopping: {^pateince: 3}}",
            "train.early_stopping.pateince: unknown key (value 3); did you mean 'patience'?",
        ),
    ],
)
def test_an_unknown_key_in_every_section(refused_at, text, sentence):
    assert refused_at(text) == sentence


def test_a_long_value_is_cut(refused_at):
    found = refused_at(SHORTEST + f"^nmae: {'x' * 100}")
    assert found == f"nmae: unknown key (value '{'x' * 56}...); did you mean 'name'?"


# ---------------------------------------------------------------- types


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (SHORTEST + "seed: ^'3'", "seed: must be a whole number, not '3'"),
        (SHORTEST + "seed: ^1.0", "seed: must be a whole number, not 1.0"),
        (SHORTEST + "seed: ^true", "seed: must be a whole number, not true"),
        (SHORTEST + "seed: ^null", "seed: must be a whole number, not null"),
        (SHORTEST + "seed: ^4294967296", "seed: must be at most 4294967295, not 4294967296"),
        (SHORTEST + "name: ^3", "name: must be text, not 3"),
        (
            SHORTEST + "name: ^../x",
            "name: must be of letters, digits, '.', '_' and '-', and begin with a letter or digit, not '../x'",
        ),
        (SHORTEST + "train: ^3", "train: must be a mapping of keys, not 3"),
        (SHORTEST + "train: ^null", "train: must be a mapping of keys, not null"),
        (SHORTEST + "train: {epochs: ^0}", "train.epochs: must be at least 1, not 0"),
        (SHORTEST + "train: {epochs: ^[3]}", "train.epochs: must be a whole number, not [3]"),
        (SHORTEST + "train: {early_stopping: ^true}", "train.early_stopping: must be a mapping of keys, not true"),
        (
            SHORTEST + "train: {early_stopping: {min_delta: ^-1}}",
            "train.early_stopping.min_delta: must be at least 0.0, not -1",
        ),
        (SHORTEST + "loss: ^cros_entropy", "loss: no loss 'cros_entropy'; did you mean 'cross_entropy'?"),
        (
            SHORTEST + "loss: ^3",
            "loss: must be the name of a loss, or a mapping of keys, not 3; write loss: huber, or "
            "loss: {name: huber, delta: 2}",
        ),
        (SHORTEST + "loss: {name: ^hubber}", "loss.name: no loss 'hubber'; did you mean 'huber'?"),
        (SHORTEST + "loss: {^nam: huber}", "loss.nam: unknown key (value 'huber'); did you mean 'name'?"),
        (
            SHORTEST + "loss: {name: huber, ^gamma: 2}",
            "loss.gamma: unknown key (value 2); allowed: delta, l1, l2, name",
        ),
        (SHORTEST + "loss: {name: sum, of: ^[dice]}", "loss.of: must hold at least two losses, not ['dice']"),
        (SHORTEST + "loss: {name: sum, of: [dice, ^dyce]}", "loss.of[1]: no loss 'dyce'; did you mean 'dice'?"),
        (
            SHORTEST + "loss: {name: sum, of: [dice, {name: focal, ^gama: 1}]}",
            "loss.of[1].gama: unknown key (value 1); did you mean 'gamma'?",
        ),
        (SHORTEST + "loss: {class_weights: {cat: ^-1}}", "loss.class_weights.cat: must be at least 0.0, not -1"),
        (
            SHORTEST + "loss: {class_weights: ^balance}",
            "loss.class_weights: must be one of balanced, a mapping of names and factors, not 'balance'; "
            "did you mean 'balanced'?",
        ),
        (SHORTEST + "loss: {label_smoothing: ^a}", "loss.label_smoothing: must be a number, not 'a'"),
        (SHORTEST + "optimizer: ^adam", "optimizer: must be a mapping of keys, not 'adam'"),
        (SHORTEST + "optimizer: {clip_value: ^0}", "optimizer.clip_value: must be greater than 0.0, not 0"),
        (SHORTEST + "optimizer: {accumulate: ^0}", "optimizer.accumulate: must be at least 1, not 0"),
        (SHORTEST + "optimizer: {lookahead: {steps: ^0}}", "optimizer.lookahead.steps: must be at least 1, not 0"),
        (SHORTEST + "optimizer: {lookahead: {rate: ^1.5}}", "optimizer.lookahead.rate: must be at most 1.0, not 1.5"),
        (
            SHORTEST + "optimizer: {name: momentum, form: ^heavy}",
            "optimizer.form: must be one of heavy_ball, average, not 'heavy'; did you mean 'heavy_ball'?",
        ),
        (
            SHORTEST + "optimizer: {learning_rate: {schedule: warm_restarts, growth: ^0.5}}",
            "optimizer.learning_rate.growth: must be at least 1.0, not 0.5",
        ),
        (SHORTEST + "train: {average: {decay: ^1}}", "train.average.decay: must be less than 1.0, not 1"),
        (
            SHORTEST + "train: {average: {^deca: 0.9}}",
            "train.average.deca: unknown key (value 0.9); did you mean 'decay'?",
        ),
        (
            "data: {source: digits, batch_size: ^every}\nmodel: {name: lenet5}\n",
            "data.batch_size: must be one of all, a whole number, not 'every'",
        ),
        (
            "data: {source: digits, batch_size: ^0}\nmodel: {name: lenet5}\n",
            "data.batch_size: must be at least 1, not 0",
        ),
        (SHORTEST + "optimizer: {clip_norm: ^0}", "optimizer.clip_norm: must be greater than 0.0, not 0"),
        (SHORTEST + "optimizer: {layer_rates: ^0.1}", "optimizer.layer_rates: must be a mapping of keys, not 0.1"),
        (SHORTEST + "optimizer: {layer_rates: ^[0.1]}", "optimizer.layer_rates: must be a mapping of keys, not [0.1]"),
        (
            SHORTEST + "optimizer: {layer_rates: {stem: 0.1, stage*: ^-1}}",
            "optimizer.layer_rates.stage*: must be at least 0.0, not -1",
        ),
        (
            SHORTEST + "optimizer: {layer_rates: {stem: ^slow}}",
            "optimizer.layer_rates.stem: must be a number, not 'slow'",
        ),
        (
            SHORTEST + "optimizer: {layer_rates: {stem: ^.inf}}",
            "optimizer.layer_rates.stem: must be a finite number, not inf",
        ),
        (SHORTEST + "optimizer: {learning_rate: ^fast}", "optimizer.learning_rate: must be a number, not 'fast'"),
        (SHORTEST + "optimizer: {learning_rate: ^true}", "optimizer.learning_rate: must be a number, not true"),
        (SHORTEST + "optimizer: {learning_rate: ^0}", "optimizer.learning_rate: must be greater than 0.0, not 0"),
        (SHORTEST + "optimizer: {learning_rate: ^.inf}", "optimizer.learning_rate: must be a finite number, not inf"),
        (
            SHORTEST + "optimizer: {learning_rate: {warmup_epochs: ^.nan}}",
            "optimizer.learning_rate.warmup_epochs: must be a finite number, not nan",
        ),
        (
            SHORTEST + "optimizer: {learning_rate: {schedule: step, at_epochs: ^3}}",
            "optimizer.learning_rate.at_epochs: must be a list, not 3",
        ),
        (SHORTEST + "optimizer: {name: momentum, nesterov: ^1}", "optimizer.nesterov: must be true or false, not 1"),
    ],
)
def test_a_wrong_type_or_value_beside_data_and_model(refused_at, text, sentence):
    assert refused_at(text) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("data: ^digits" + MODEL, "data: must be a mapping of keys, not 'digits'"),
        ("data: {source: digits, normalize: ^yes}" + MODEL, "data.normalize: must be true or false, not 'yes'"),
        ("data: {source: digits, split: ^half}" + MODEL, "data.split: must be a mapping of keys, not 'half'"),
        ("data: {source: digits, augment: ^{shift: 2}}" + MODEL, "data.augment: must be a list, not {'shift': 2}"),
        (
            "data: {source: digits, augment: [^shift]}" + MODEL,
            "data.augment[0]: must be a mapping of keys, not 'shift'",
        ),
        (
            "data: {source: digits, augment: [rotate: ^200]}" + MODEL,
            "data.augment[0].rotate: must be at most 180.0, not 200",
        ),
        ("^data: {source: npz}" + MODEL, "data.path: required, and not there"),
        ("data: {source: npz, path: ^''}" + MODEL, "data.path: must not be empty, not ''"),
        ("data: {source: npz, path: ^3}" + MODEL, "data.path: must be text, not 3"),
        ("data: {source: npz, path: x, spatial_axes: ^4}" + MODEL, "data.spatial_axes: must be at most 3, not 4"),
        ("^data: {source: idx}" + MODEL, "data.path: required, and not there"),
        (
            "data: {source: cifar100, path: x, labels: ^fin}" + MODEL,
            "data.labels: must be one of fine, coarse, not 'fin'; did you mean 'fine'?",
        ),
        ("^data: {source: csv, images: a}" + MODEL, "data.path: required, and not there"),
        (
            "data: {source: csv, path: x, images: a, labels: ^3}" + MODEL,
            "data.labels: must be the name of a column, or a list of names, not 3",
        ),
        (
            "data: {source: csv, path: x, images: a, values: ^[b, b]}" + MODEL,
            "data.values: names 'b' twice",
        ),
        (
            "data: {source: digit_scenes, objects: ^[3, 2]}" + MODEL,
            "data.objects: must be a whole number from 1 to 100, or [low, high] of such, not [3, 2]",
        ),
        (
            "data: {source: digit_scenes, scale: ^0.5}" + MODEL,
            "data.scale: must be a number from 1 to 512, or [low, high] of such, not 0.5",
        ),
        ("data: {source: function, domain: ^[1, 1]}" + MODEL, "data.domain: must be [low, high], not [1, 1]"),
        ("data: {source: two_moons, examples: ^1}" + MODEL, "data.examples: must be at least 2, not 1"),
        ("data: {source: two_moons, noise: ^-1}" + MODEL, "data.noise: must be at least 0.0, not -1"),
        ("data: {source: spirals, arms: ^1}" + MODEL, "data.arms: must be at least 2, not 1"),
        ("data: {source: gaussians, dimensions: ^1}" + MODEL, "data.dimensions: must be at least 2, not 1"),
        ("data: {source: sines, frequencies: ^[2]}" + MODEL, "data.frequencies: must have at least 2 entries, not [2]"),
        ("data: {source: sines, frequencies: ^[2, 2]}" + MODEL, "data.frequencies: names '2' twice"),
        ("data: {source: shapes, size: ^8}" + MODEL, "data.size: must be at least 16, not 8"),
        ("data: {source: spheres, size: ^1024}" + MODEL, "data.size: must be at most 512, not 1024"),
        ("data: {source: image_folder, path: x, channels: ^2}" + MODEL, "data.channels: must be one of 1, 3, not 2"),
        (
            "data: {source: image_folder, path: x, channels: ^true}" + MODEL,
            "data.channels: must be a whole number, not true",
        ),
        (
            "data: {source: image_folder, path: x, channels: ^3.0}" + MODEL,
            "data.channels: must be a whole number, not 3.0",
        ),
    ],
)
def test_a_wrong_type_or_value_in_data(refused_at, text, sentence):
    assert refused_at(text) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD + "model: ^lenet5", "model: must be a mapping of keys, not 'lenet5'"),
        (HEAD + "model: ^null", "model: must be a mapping of keys, not null"),
        (HEAD + "model: {name: lenet5, input: ^3}", "model.input: must be a list, not 3"),
        (HEAD + "model: {name: lenet5, input: [32, 32, ^0]}", "model.input[2]: must be at least 1, not 0"),
        (HEAD + "model: {name: lenet5, input: ^[]}", "model.input: must have at least 1 entries, not []"),
        (HEAD + "model: {layers: [relu], input: [8, ^x, 1]}", "model.input[1]: must be a whole number, not 'x'"),
        (HEAD + "model: {layers: [relu], classes: ^1}", "model.classes: must be at least 2, not 1"),
        (
            HEAD + "model: {name: lenet5, pooling: ^avrg}",
            "model.pooling: must be one of avg, max, not 'avrg'; did you mean 'avg'?",
        ),
        (
            HEAD + "model: {name: mlp, activation: ^rleu}",
            f"model.activation: must be one of {ACTIVATIONS}, not 'rleu'; did you mean 'relu'?",
        ),
        (HEAD + "model: {name: mlp, hidden: [3, ^0]}", "model.hidden[1]: must be at least 1, not 0"),
        (HEAD + "model: {name: resnet18, stem: ^tiny}", "model.stem: must be one of standard, small, not 'tiny'"),
        (HEAD + "model: {name: lenet5, weights: ^3}", "model.weights: must be text, not 3"),
        (HEAD + "model: {name: lenet5, weights: ^''}", "model.weights: must not be empty, not ''"),
        (HEAD + "model: {name: lenet5, freeze: ^stem}", "model.freeze: must be a list, not 'stem'"),
        (HEAD + "model: {name: lenet5, freeze: [stem, ^1]}", "model.freeze[1]: must be text, not 1"),
        (HEAD + "model: {name: lenet5, new_head: ^1}", "model.new_head: must be true or false, not 1"),
        (HEAD + "model: {name: lenet5, unfreeze_at_epoch: ^0}", "model.unfreeze_at_epoch: must be at least 1, not 0"),
        (
            HEAD + "model: {name: lenet5, unfreeze_at_epoch: ^1.5}",
            "model.unfreeze_at_epoch: must be a whole number, not 1.5",
        ),
        ("model: {freeze: ^a, layers: [relu]}", "model.freeze: must be a list, not 'a'"),
    ],
)
def test_a_wrong_type_or_value_in_the_model(refused_at, text, sentence):
    assert refused_at(text) == sentence


# ---------------------------------------------------------------- what chooses one of several kinds


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("data: ^{}" + MODEL, f"data: needs the key source; source is one of none, {SOURCES}"),
        ("data: {^sorce: digits}" + MODEL, "data.sorce: unknown key (value 'digits'); did you mean 'source'?"),
        ("data: {source: ^digit}" + MODEL, "data.source: no data source 'digit'; did you mean 'digits'?"),
        (
            "data: {source: ^[x]}" + MODEL,
            f"data.source: no data source ['x']; there are none, {SOURCES}",
        ),
        (
            "model: ^{}",
            f"model: needs the key name (a published network) or layers (written out); name is one of {MODELS}",
        ),
        ("model: {^nmae: lenet5}", "model.nmae: unknown key (value 'lenet5'); did you mean 'name'?"),
        (
            "model: {name: ^lenet}",
            "model.name: no architecture 'lenet'; did you mean 'lenet5'? 'cnnlab list models' shows all",
        ),
        ("model: {name: ^5}", f"model.name: no architecture 5; there are {MODELS}; 'cnnlab list models' shows all"),
        (
            SHORTEST + "optimizer: {name: ^nosuch}",
            f"optimizer.name: no optimizer 'nosuch'; there are {OPTIMIZERS}",
        ),
        (
            SHORTEST + "optimizer: ^{name: null}",
            f"optimizer: needs the key name; name is one of {OPTIMIZERS}",
        ),
        (
            SHORTEST + "optimizer: {learning_rate: {schedule: ^cosin}}",
            "optimizer.learning_rate.schedule: no schedule 'cosin'; did you mean 'cosine'?",
        ),
        (
            SHORTEST + "optimizer: {learning_rate: {schedule: ^3}}",
            f"optimizer.learning_rate.schedule: no schedule 3; there are {SCHEDULES}",
        ),
        (
            SHORTEST + "optimizer: {learning_rate: ^{schedule: null}}",
            f"optimizer.learning_rate: needs the key schedule; schedule is one of {SCHEDULES}",
        ),
    ],
)
def test_kinds_that_are_missing_or_unknown(refused_at, text, sentence):
    assert refused_at(text) == sentence
