"""Settings that are right one by one and contradict each other: each a sentence that points at one of them."""

import pytest

from cnnlab.spec.augment import Augmentation
from cnnlab.spec.load import parse

MODEL = "\nmodel: {name: lenet5}\n"
HEAD = "data: {source: digits}\n"
SHORTEST = "data: {source: digits}" + MODEL
RATE = SHORTEST + "optimizer: {learning_rate: {"
NEVER = "validation/loss is never measured: data.split.validation is 0; watch train/loss"
ENDS = "train.early_stopping ends the run after"
STEP = "optimizer.learning_rate: a step schedule takes one of every_epochs and at_epochs"
NO_WEIGHTS = "a new head on what? Give model.weights, or leave it out"
NOTHING_FROZEN = "nothing is frozen: give model.freeze, or leave it out"
AUGMENT = f"one of {', '.join(Augmentation.model_fields)} an entry, not"
NPY = "data.source: npy takes path (a folder) or x and y (two files)"
BOUNDS = "takes scores without bounds, and the sigmoid keeps them from 0 to 1; leave it out"
ADD_UP = "data.split: train, validation and test must add up to 1, and add up to"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("data: {source: digits, ^split: {train: 0.7, validation: 0.2, test: 0.2}}" + MODEL, f"{ADD_UP} 1.1"),
        ("data: {source: digits, ^split: {train: 0.5}}" + MODEL, f"{ADD_UP} 0.5"),
        ("data: {^source: npy}" + MODEL, f"{NPY}, not none"),
        ("data: {^source: npy, x: a}" + MODEL, f"{NPY}, not x"),
        ("data: {^source: npy, path: a, y: b}" + MODEL, f"{NPY}, not path and y"),
        ("data: {source: sines, length: 16, ^frequencies: [2, 8]}" + MODEL,
         "data.frequencies: 8 cycles in 16 values look like fewer: give fewer than half as many"),
        ("data: {source: digits, augment: [^{shift: 2, rotate: 3}]}" + MODEL,
         f"data.augment[0]: {AUGMENT} shift, rotate"),
        ("data: {source: digits, augment: [shift: 2, ^{}]}" + MODEL, f"data.augment[1]: {AUGMENT} nothing"),
        ("data: {source: digits, augment: [^{flip: null}]}" + MODEL, f"data.augment[0]: {AUGMENT} nothing"),
        ("data: {source: digits, augment: [^{mixup: 0.2}, {shift: 1}]}" + MODEL,
         "data.augment[0]: mixup mixes what the other entries have made: put it behind them"),
        (RATE + "^warmup_epochs: 31}}",
         "optimizer.learning_rate.warmup_epochs: 31 epochs of warm-up, and train.epochs is 30"),
        (RATE + "schedule: constant, ^warmup_epochs: 2.5}}\ntrain: {epochs: 2}",
         "optimizer.learning_rate.warmup_epochs: 2.5 epochs of warm-up, and train.epochs is 2"),
        (RATE.replace("learning_rate", "^learning_rate") + "schedule: step}}", STEP),
        (RATE.replace("learning_rate", "^learning_rate") + "schedule: step, every_epochs: 3, at_epochs: [2]}}", STEP),
        (RATE + "peak: 0.1, ^end: 0.2}}", "optimizer.learning_rate.end: end 0.2 is above peak 0.1"),
        (SHORTEST + "optimizer: {name: momentum, momentum: 0, ^nesterov: true}",
         "optimizer.nesterov: nesterov needs a momentum above 0"),
        (RATE + "schedule: polynomial, peak: 0.1, ^end: 0.2}}",
         "optimizer.learning_rate.end: end 0.2 is above peak 0.1"),
        (RATE + "schedule: warm_restarts, ^first_epochs: 31}}",
         "optimizer.learning_rate.first_epochs: the first cycle takes 31 epochs, and train.epochs is 30"),
        (RATE + "schedule: one_cycle, start_share: 0.1, ^end_share: 0.2}}",
         "optimizer.learning_rate.end_share: end_share 0.2 is above start_share 0.1"),
        (RATE + "schedule: one_cycle, ^warmup_epochs: 1}}",
         "optimizer.learning_rate.warmup_epochs: unknown key (value 1); "
         "allowed: end_share, peak, rise, schedule, start_share"),
        (RATE + "schedule: plateau, ^patience: 30}}",
         "optimizer.learning_rate.patience: 30 epochs of patience never run out: train.epochs is 30"),
        (RATE + "schedule: plateau, peak: 0.1, ^smallest: 0.2}}",
         "optimizer.learning_rate.smallest: smallest 0.2 is above peak 0.1"),
        (RATE + "schedule: plateau, ^patience: 10}}\ntrain: {early_stopping: {}}",
         f"optimizer.learning_rate.patience: {ENDS} 10 epochs without a better validation/loss, and this waits for 10"),
        ("data: {source: digits, split: {train: 0.8, test: 0.2}}" + MODEL
         + "optimizer: {learning_rate: {schedule: plateau, ^metric: validation/loss}}",
         f"optimizer.learning_rate.metric: {NEVER}"),
        (SHORTEST + "train: {early_stopping: {^patience: 31}}",
         "train.early_stopping.patience: 31 epochs of patience, and train.epochs is 30; lower it, or leave it out"),
        (SHORTEST + "train: {epochs: 4, average: {decay: 0.9, ^from_epoch: 4}}",
         "train.average.from_epoch: epoch 4 never comes: train.epochs is 4, counted from 0"),
        (SHORTEST + "optimizer: {name: lars, momentum: 0, ^nesterov: true}",
         "optimizer.nesterov: nesterov needs a momentum above 0"),
        ("data: {source: digits, split: {train: 0.8, test: 0.2}}" + MODEL
         + "train: {early_stopping: {^metric: validation/loss}}",
         f"train.early_stopping.metric: {NEVER}"),
        ("data: {source: digits, split: {train: 0.8, test: 0.2}}" + MODEL + "train: {early_stopping: ^{patience: 3}}",
         f"train.early_stopping.metric: {NEVER}"),
        (HEAD + "model: {name: lenet5, ^new_head: true}", f"model.new_head: {NO_WEIGHTS}"),
        ("model:\n  ^new_head: true\n  layers: [dense: 3]", f"model.new_head: {NO_WEIGHTS}"),
        (HEAD + "model: {name: resnet50, ^unfreeze_at_epoch: 3}", f"model.unfreeze_at_epoch: {NOTHING_FROZEN}"),
        (HEAD + "model: {name: resnet50, ^unfreeze_at_epoch: 99, freeze: []}",
         f"model.unfreeze_at_epoch: {NOTHING_FROZEN}"),
        (HEAD + "model: {name: resnet50, freeze: [stem], ^unfreeze_at_epoch: 30}",
         "model.unfreeze_at_epoch: epoch 30 never comes: train.epochs is 30, counted from 0"),
        ("model: {^unfreeze_at_epoch: 3, freeze: [a], layers: [dense: 3]}\ntrain: {epochs: 2}",
         "model.unfreeze_at_epoch: epoch 3 never comes: train.epochs is 2, counted from 0"),
        ("model: {layers: [dense: 3, ^softmax]}",
         "model.layers[1]: cross_entropy applies the softmax itself; leave this one out"),
        (HEAD + "model: {layers: [flatten, dense: classes, ^sigmoid]}", f"model.layers[2]: cross_entropy {BOUNDS}"),
        (HEAD + "model: {layers: [flatten, dense: classes, ^softmax]}\nloss: focal",
         "model.layers[2]: focal applies the softmax itself; leave this one out"),
        (HEAD + "model: {layers: [flatten, dense: classes, ^{sigmoid: {name: p}}]}\nloss: hinge",
         f"model.layers[2]: hinge {BOUNDS}"),
        ("model: {layers: [dense: 1, ^sigmoid]}\nloss: binary_cross_entropy",
         "model.layers[1]: binary_cross_entropy applies the sigmoid itself; leave this one out"),
        ("model: {layers: [dense: 1, ^sigmoid]}\nloss: focal\ntask: multi_label",
         "model.layers[1]: focal applies the sigmoid itself; leave this one out"),
        ("model: {layers: [dense: 3, ^softmax]}\ntask: multi_label",
         "model.layers[1]: binary_cross_entropy takes scores without bounds, and the softmax keeps them from 0 to 1; "
         "leave it out"),
        ("data: {source: csv, path: a, images: i, labels: [a, b]}\nmodel: {layers: [flatten, dense: 2, ^sigmoid]}",
         "model.layers[2]: binary_cross_entropy applies the sigmoid itself; leave this one out"),
        ("model: {layers: [^softmax]}\ntask: segmentation\nloss: {name: sum, of: [dice, cross_entropy]}",
         "model.layers[0]: dice applies the softmax itself; leave this one out"),
        (HEAD + "model: {layers: [flatten]}\n"
         "task: {name: heads, heads: {a: {task: classification, layers: [dense: classes, ^sigmoid]}}}",
         f"task.heads.a.layers[1]: cross_entropy {BOUNDS}"),
        ("model: {layers: [dense: 1, ^tanh]}\ntask: {name: regression, output: tanh}",
         "model.layers[1]: task.output applies the tanh itself; leave this one out"),
        (HEAD + "model: {name: lenet5}\ntask: classification\nloss: ^mean_squared",
         "loss.name: mean_squared is no loss of classification; there are cross_entropy, binary_cross_entropy, focal, "
         "hinge, perceptron"),
        (HEAD + "model: {name: lenet5}\ntask: classification\nloss: {name: focal, ^alpha: 0.5}",
         "loss.alpha: alpha weighs yes against no; of classes give class_weights"),
    ],
)  # fmt: skip
def test_each_contradiction_names_both_settings(refused_at, text, sentence):
    assert refused_at(text) == sentence


@pytest.mark.parametrize(
    "text",
    [
        "model: {layers: [dense: 3, sigmoid]}",
        "model: {layers: [dense: 3, softmax, dense: 3]}",
        "model: {layers: [dense: 3, sigmoid]}\ntask: {name: regression, standardize: false}",
        "data: {source: digits, normalize: false}\nmodel: {layers: [dense: 64, sigmoid]}\ntask: reconstruction",
        "data: {source: npz, path: a}\nmodel: {layers: [dense: 3, softmax]}",
        "data: {source: function}\nmodel: {layers: [dense: 1, sigmoid]}",
        "data: {source: huggingface, path: a}\nmodel: {layers: [dense: 1, sigmoid]}",
        "data: {source: tfrecord, path: a}\nmodel: {layers: [dense: 1, sigmoid]}\nloss: huber",
        "data: {source: csv, path: a, features: [a], values: b}\nmodel: {layers: [dense: 1, sigmoid]}",
        "model: {layers: [dense: 1, sigmoid]}\ntask: {name: regression, output: tanh}",
    ],
)
def test_an_ending_that_may_be_right_is_left_alone(text):
    assert parse(text, "spec.yaml")


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ("[{relu: {name: a}}, elu, ^{tanh: {name: a}}]", "[2]: the name 'a' is taken by entry 0 of the same list"),
        ("[{relu: {name: a}}, ^{conv: {features: 1, kernel: 1}, name: a}]",
         "[1]: the name 'a' is taken by entry 0 of the same list"),
        ("[{relu: {name: relu_1}}, ^relu]", "[1]: the name 'relu_1' is taken by entry 0 of the same list"),
        ("[relu, ^{elu: {name: relu_0}}]", "[1]: the name 'relu_0' is taken by entry 0 of the same list"),
        ("[residual: [{relu: {name: a}}, ^{relu: {name: a}}]]",
         "[0].residual[1]: the name 'a' is taken by entry 0 of the same list"),
        ("[residual: {body: [relu], shortcut: [{relu: {name: a}}, ^{relu: {name: a}}]}]",
         "[0].residual.shortcut[1]: the name 'a' is taken by entry 0 of the same list"),
        ("[branches: [[relu], [{relu: {name: a}}, ^{relu: {name: a}}]]]",
         "[0].branches[1][1]: the name 'a' is taken by entry 0 of the same list"),
        ("[branches: {lists: [[relu], [{relu: {name: a}}, ^{relu: {name: a}}]]}]",
         "[0].branches.lists[1][1]: the name 'a' is taken by entry 0 of the same list"),
        ("[crop_concat: [{relu: {name: a}}, ^{relu: {name: a}}]]",
         "[0].crop_concat[1]: the name 'a' is taken by entry 0 of the same list"),
        ("[crop_concat: {body: [{relu: {name: a}}, ^{relu: {name: a}}]}]",
         "[0].crop_concat.body[1]: the name 'a' is taken by entry 0 of the same list"),
        ("[repeat: {times: 2, layers: [{relu: {name: a}}, ^{relu: {name: a}}]}]",
         "[0].repeat.layers[1]: the name 'a' is taken by entry 0 of the same list"),
    ],
)  # fmt: skip
def test_two_layers_of_one_list_do_not_share_a_name(refused_at, layers, sentence):
    assert refused_at(f"model:\n  layers: {layers}\n") == f"model.layers{sentence}"


def test_a_loss_is_held_against_the_task_that_the_data_is_for_beside_other_mistakes(refused):
    text = HEAD + "model: {layers: [flatten, dense: classes]}\nloss: mean_squared\ntrain: {average: {from_epoch: 99}}\n"
    first, second = refused(text).splitlines()
    assert "loss.name: mean_squared is no loss of classification; there are " in first
    assert "train.average.from_epoch: epoch 99 never comes" in second


def test_all_contradictions_at_once_and_with_doubled_keys(refused):
    text = """\
data: {source: digits, split: {train: 0.5}, augment: [{}]}
model: {layers: [flatten, dense: classes, softmax]}
optimizer: {name: momentum, momentum: 0, nesterov: true}
seed: 1
seed: 2
"""
    assert [sentence.split(": ")[:2] for sentence in refused(text).splitlines()] == [
        ["spec.yaml:1:24", "data.split"],
        ["spec.yaml:1:55", "data.augment[0]"],
        ["spec.yaml:2:43", "model.layers[2]"],
        ["spec.yaml:3:42", "optimizer.nesterov"],
        ["spec.yaml:5:1", "the key 'seed' is given twice, first at spec.yaml:4:1; keep one of them"],
    ]


@pytest.mark.parametrize(
    "text",
    [
        "data: {source: digits, split: {train: 0.7, validation: 0.1, test: 0.2}}" + MODEL,  # 0.99999... as floats
        "data: {source: digits, split: {train: 1}}" + MODEL,
        "data: {source: digits, split: {train: 1}}" + MODEL + "train: {early_stopping: {metric: train/loss}}",
        SHORTEST + "train: {early_stopping: {metric: validation/loss}}",  # the default split has a validation share
        "data: {source: npz, path: x, split: {train: 1}}" + MODEL + "train: {early_stopping: {patience: 3}}",
        SHORTEST + "train: {epochs: 1}",  # the default warm-up is one epoch
        RATE + "schedule: step, at_epochs: [2, 4]}}",
        RATE + "schedule: step, every_epochs: 2}}",
        RATE + "peak: 0.1, end: 0.1}}",
        SHORTEST + "optimizer: {name: momentum, momentum: 0}",
        SHORTEST + "train: {epochs: 3, early_stopping: {}}",  # a patience that is not stated fits the run
        SHORTEST + "train: {epochs: 3, early_stopping: {patience: 3}}",  # to choose the best step's metric
        SHORTEST + "train: {epochs: 3, average: {from_epoch: 2}}",
        RATE + "schedule: plateau, patience: 8}}\ntrain: {early_stopping: {patience: 9}}",
        RATE + "schedule: plateau}}\ntrain: {early_stopping: {metric: validation/f1, patience: 2}}",
        "data: {source: digits, batch_size: all}" + MODEL,
        SHORTEST + "optimizer: {name: momentum, nesterov: true}",
        HEAD + "model: {name: resnet50, weights: a.safetensors, new_head: true}",
        HEAD + "model: {name: resnet50, weights: a.safetensors, new_head: false}",
        HEAD + "model: {name: resnet50, new_head: false}",
        HEAD + "model: {name: resnet50, freeze: [stem]}",  # without weights: a fixed random part
        HEAD + "model: {name: resnet50, freeze: [stem], unfreeze_at_epoch: 29}",
        HEAD + "model: {name: resnet50, freeze: [stem], unfreeze_at_epoch: 1}\ntrain: {epochs: 2}",
        "model: {layers: [softmax, dense: 3]}",
        "model: {layers: [residual: {body: [relu], shortcut: projection}, residual: [relu], crop_concat: [relu]]}",
        "model: {layers: [relu: {name: a}, residual: [relu: {name: a}], branches: [[relu: {name: a}], [relu]]]}",
        "data: {source: digits, augment: [flip: horizontal, shift: 1, shift: 2, mixup: 1, cutmix: 1]}" + MODEL,
    ],
)  # fmt: skip
def test_what_does_not_contradict_is_taken(text):
    assert parse(text, "spec.yaml").seed == 0


def test_a_step_at_an_epoch_that_never_comes(refused):
    rate = "{schedule: step, at_epochs: [2, 30]}"
    text = f"data: {{source: digits}}\nmodel: {{name: lenet5}}\noptimizer: {{learning_rate: {rate}}}\n"
    assert refused(text).endswith(
        "optimizer.learning_rate.at_epochs: epoch 30 never comes: train.epochs is 30, counted from 0"
    )
