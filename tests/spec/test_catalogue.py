"""`cnnlab list`: names and settings as the schema has them."""

from typing import get_args

import pytest

from cnnlab.spec.architectures import NAMES
from cnnlab.spec.catalogue import catalogue
from cnnlab.spec.load import parse
from cnnlab.spec.losses import LOSSES
from cnnlab.spec.train import METRICS, EarlyStopping
from cnnlab.spec.vocabulary import VOCABULARY


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("models", ("lenet5", "activation=tanh, pooling=avg")),
        ("models", ("mlp", "hidden=[256, 128], activation=relu, dropout=0.0")),
        ("models", ("softmax_regression", "")),
        ("layers", ("separable_conv", "features, kernel, stride=1, padding=same, dilation=1, bias=true, init=null, "
                    "padding_mode=zeros")),
        ("layers", ("relu", "")),
        ("layers", ("max_pool", "window, stride=null, padding=valid")),
        ("sources", ("digits", "classes=null, split=null, resize=null, crop=null, normalize=true, batch_size=64, "
                     "augment=[], sampling=null, label_noise=null")),
        ("sources", ("two_moons", "classes=null, split=null, resize=null, crop=null, normalize=true, batch_size=64, "
                     "augment=[], sampling=null, label_noise=null, examples=1000, seed=0, noise=0.1")),
        ("augmentations", ("flip", "with probability 1/2")),
        ("optimizers", ("sgd", "learning_rate=cosine, weight_decay=0.0, clip_value=null, clip_norm=null, accumulate=1, "
                         "lookahead=null, layer_rates={}")),
        ("optimizers", ("lion", "learning_rate=cosine, weight_decay=0.1, clip_value=null, clip_norm=null, "
                          "accumulate=1, lookahead=null, layer_rates={}, beta1=0.9, beta2=0.99")),
        ("schedules", ("plateau", "peak=0.001, warmup_epochs=0.0, metric=validation/loss, factor=0.1, patience=5, "
                        "min_delta=0.0, smallest=0.0")),
        ("schedules", ("one_cycle", "peak=0.001, rise=0.3, start_share=0.04, end_share=4e-06")),
        ("schedules", ("cosine", "peak=0.001, warmup_epochs=1.0, end=0.0")),
        ("losses", ("cross_entropy", "l1=0.0, l2=0.0, label_smoothing=0.0, class_weights=null")),
        ("losses", ("sum", "of, l1=0.0, l2=0.0, weights=null")),
        ("metrics", ("validation/f1", "for early_stopping")),
        ("metrics", ("balanced_accuracy", "of classification: the mean recall over classes")),
    ],
)  # fmt: skip
def test_a_line_of_each_kind(kind, line):
    assert line in catalogue(kind)


def test_every_name_of_the_schema_is_listed():
    names = {kind: [name for name, _ in catalogue(kind)] for kind in ("models", "layers", "metrics", "losses")}
    assert names["models"] == list(NAMES)
    assert names["layers"] == list(VOCABULARY)
    assert names["metrics"][: len(METRICS)] == list(get_args(EarlyStopping.model_fields["metric"].annotation))
    assert names["losses"] == [name for cls in LOSSES for name in get_args(cls.model_fields["name"].annotation)]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("models", "model: {{name: {}}}"),
        ("sources", "data: {{source: {}, path: x}}\nmodel: {{name: lenet5}}"),
        ("optimizers", "model: {{name: lenet5}}\noptimizer: {{name: {}}}"),
        ("schedules", "model: {{name: lenet5}}\noptimizer: {{learning_rate: {{schedule: {}, every_epochs: 1}}}}"),
        ("losses", "model: {{name: lenet5}}\nloss: {{name: {}, of: [dice, focal]}}"),
        ("metrics", "model: {{name: lenet5}}\ntrain: {{early_stopping: {{metric: {}}}}}"),
    ],
)
def test_every_listed_name_can_be_used(kind, text):
    for name, settings in catalogue(kind):
        if settings.startswith("of "):  # a figure of an evaluation
            continue
        given = text.format(name)
        if "images" in settings:
            given = given.replace("path: x", "path: x, images: a, labels: b")
        if "annotations" in settings:
            given = given.replace("path: x", "path: x, annotations: a")
        for unused in ("path", "every_epochs", "of"):
            if f", {unused}: " in given and unused not in settings:
                given = (
                    given.replace(f", {unused}: x", "")
                    .replace(f", {unused}: 1", "")
                    .replace(f", {unused}: [dice, focal]", "")
                )
        assert parse(given, "s").seed == 0
