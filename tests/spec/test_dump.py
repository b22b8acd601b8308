"""The resolved spec as YAML: complete, and read back it is the same experiment."""

import pytest
import yaml as pyyaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cnnlab.spec.contradictions import contradictions
from cnnlab.spec.dump import to_yaml
from cnnlab.spec.load import parse
from cnnlab.spec.schema import Experiment
from tests.spec.test_schema import DEFAULTS

counts = st.integers(1, 2**31)
rates = st.floats(0, 1, exclude_max=True)
positive = st.floats(min_value=1e-300, max_value=1e300)
per_axis = counts | st.lists(counts, min_size=1, max_size=3)
pairs = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(list)
paddings = st.sampled_from(["same", "valid"]) | st.integers(0, 9) | st.lists(pairs, min_size=1, max_size=3)


def keys(required=None, **optional):
    return st.fixed_dictionaries(required or {}, optional=optional)


def entries(word, *settings_):
    return st.one_of(*settings_).map(lambda value: {word: value})


@st.composite
def lists_of(draw, entry):
    """A list of layers, some of them with a name of their own, beside their word."""
    found = draw(st.lists(entry, min_size=1, max_size=3))
    named = draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found)))
    return [
        {**({one: None} if isinstance(one, str) else one), "name": f"own{i}"} if has and one != "no" else one
        for i, (one, has) in enumerate(zip(found, named, strict=True))
    ]


leaves = st.one_of(
    st.sampled_from(["relu", "flatten", "batch_norm", "global_avg_pool", "dropout", "upsample"]),
    entries(
        "conv", keys({"features": counts, "kernel": per_axis}, stride=per_axis, padding=paddings, bias=st.booleans())
    ),
    entries("max_pool", per_axis, keys({"window": per_axis}, stride=per_axis, padding=paddings)),
    entries("dense", counts, st.just("classes"), keys({"features": st.just("classes")}, bias=st.booleans())),
    entries("batch_norm", keys(momentum=rates, epsilon=positive)),
    entries("pad", paddings, keys({"padding": paddings}, mode=st.sampled_from(["zeros", "circular"]))),
)
layers = st.recursive(
    leaves,
    lambda inner: st.one_of(
        entries("residual", lists_of(inner), keys({"body": lists_of(inner)}, shortcut=lists_of(inner))),
        entries("branches", st.lists(lists_of(inner), min_size=1, max_size=2)),
        entries("repeat", keys({"times": counts, "layers": lists_of(inner)})),
    ),
    max_leaves=6,
)
models = st.one_of(
    st.sampled_from([{"name": "lenet5"}, {"name": "resnet34", "stem": "small"}]),
    keys({"name": st.just("mlp")}, hidden=st.lists(counts, max_size=3), dropout=rates, classes=st.integers(2, 9)),
    keys({"layers": lists_of(layers)}, input=st.lists(counts, min_size=1, max_size=4)),
)
shares = st.tuples(st.integers(1, 50), st.integers(0, 25), st.integers(0, 25)).map(
    lambda parts: {key: n / sum(parts) for key, n in zip(("train", "validation", "test"), parts, strict=True)}
)
splits = st.one_of(
    shares,
    st.just({"train": 100, "test": 20, "unused": "rest"}),
    keys({"folds": st.integers(3, 9)}, fold=st.integers(1, 3), test=st.sampled_from([0.2, 50]), seed=counts),
    keys(stratify=st.booleans(), group=st.just("^([a-z]+)_")),
)
augmentations = st.sampled_from(
    [
        {"shift": 2},
        {"rotate": 10},
        {"rotate": 0.5},
        {"flip": "both"},
        {"noise": 1e-3},
        {"scale": 1.5},
        {"cutout": [2, 3]},
        {"mixup": 0.2},
        {"rand_augment": {}},
    ]
)
common = {
    "split": splits,
    "resize": per_axis,
    "normalize": st.booleans(),
    "batch_size": st.one_of(counts, st.just("all")),
    "augment": st.lists(augmentations, max_size=2, unique_by=str).map(
        lambda entries: sorted(entries, key=lambda entry: "mixup" in entry)
    ),
}
class_weights = st.one_of(st.just("balanced"), st.dictionaries(st.text(), positive, min_size=1))
data = st.one_of(
    keys({"source": st.just("digits")}, **common),
    keys({"source": st.just("npz"), "path": st.text(min_size=1)}, spatial_axes=st.integers(0, 3), **common),
    keys({"source": st.just("npy"), "x": st.text(min_size=1), "y": st.text(min_size=1)}),
    keys({"source": st.just("csv"), "path": st.just("a"), "images": st.text(min_size=1), "labels": st.just("b")}),
    keys({"source": st.just("sines")}, frequencies=st.just([1, 2]), seed=counts, split=splits, sampling=class_weights),
    keys({"source": st.just("image_folder"), "path": st.text(min_size=1)}, channels=st.sampled_from([1, 3])),
)
schedules = st.one_of(
    positive,
    keys({"schedule": st.just("constant")}, peak=positive),
    keys({"schedule": st.just("step"), "at_epochs": st.just([1])}, factor=st.just(0.5)),
    keys({"schedule": st.sampled_from(["exponential", "inverse", "polynomial", "one_cycle"])}, peak=positive),
    keys({"schedule": st.just("plateau"), "patience": st.just(1)}, metric=st.just("train/loss")),
    keys(peak=positive, warmup_epochs=st.floats(0, 1)),
)
optimizers = st.one_of(
    keys({"name": st.just("sgd")}, learning_rate=schedules, clip_norm=positive),
    keys({"name": st.just("momentum")}, momentum=st.floats(0.1, 0.9), nesterov=st.booleans()),
    keys(learning_rate=schedules, weight_decay=rates, beta1=rates, epsilon=positive),
    keys(
        {"name": st.sampled_from(["lion", "lamb", "lars", "adafactor", "muon", "radam", "rmsprop", "adagrad"])},
        accumulate=counts,
        lookahead=keys(steps=counts, rate=st.floats(0.1, 1)),
        clip_value=positive,
    ),
)
factors = st.one_of(st.just("balanced"), st.dictionaries(st.text(min_size=1), positive, max_size=2))
losses = st.one_of(
    st.sampled_from(["hinge", "mean_squared", "dice"]),
    keys(label_smoothing=rates, class_weights=factors, l1=rates),
    keys({"name": st.just("focal")}, gamma=positive, alpha=st.floats(0, 1), class_weights=factors),
    keys({"name": st.just("sum"), "of": st.just(["dice", {"name": "focal"}])}, weights=st.just([1, 0.5]), l2=rates),
)
stopping = keys(  # of a split that every spec has
    {"metric": st.sampled_from(["train/loss", "train/accuracy"])}, patience=st.just(2), min_delta=positive
)
experiments = keys(
    {"model": models},
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,5}", fullmatch=True),  # 1e3, no, 0x1f and null among them
    seed=st.integers(0, 2**32 - 1),
    data=data,
    loss=losses,
    optimizer=optimizers,
    precision=st.sampled_from(["float32", "bfloat16"]),
    train=keys(
        epochs=st.integers(2, 1000),
        early_stopping=stopping,
        average=keys(decay=st.floats(0.1, 0.999), from_epoch=st.integers(0, 1)),
        checkpoint_every=counts,
        remat=st.booleans(),
    ),
)


@settings(max_examples=200, deadline=None)
@given(experiments)
def test_reading_what_was_written_gives_the_same_experiment(content):
    experiment = Experiment.model_validate({"name": "a", **content})
    assume(not list(contradictions(experiment)))
    text = to_yaml(experiment)
    assert parse(text, "spec.yaml", default_name="another") == experiment
    assert to_yaml(parse(text, "spec.yaml")) == text


@pytest.mark.parametrize("name", ["1e3", "010", "0x1F", "no", "null", "true", "12", "1.5", "0o7"])
def test_text_that_yaml_would_read_as_something_else_is_quoted(name):
    experiment = parse(f"name: '{name}'\nmodel: {{name: lenet5}}\n", "s")
    assert f"name: '{name}'\n" in to_yaml(experiment)
    assert parse(to_yaml(experiment), "s").name == name


@pytest.mark.parametrize(
    "path", ["a\nb", "\x85", "a\u2028b", " a ", "a: b # c", "é", "\u00a0", "x" * 300 + " " + "y" * 300]
)
def test_every_path_survives(path):
    data = {"source": "npz", "path": path}
    experiment = Experiment.model_validate({"name": "a", "data": data, "model": {"name": "lenet5"}})
    assert parse(to_yaml(experiment), "s") == experiment


def test_every_default_is_written_and_nothing_is_null():
    text = to_yaml(parse("data: {source: digits}\nmodel: {layers: [relu, max_pool: 2, dense: classes]}\n", "s"))
    assert pyyaml.safe_load(text) == {
        "name": "experiment",
        **DEFAULTS,
        "model": {
            "layers": [
                "relu",
                {"max_pool": {"window": 2, "padding": "valid"}},
                {"dense": {"features": "classes", "bias": True}},
            ],
            "new_head": False,
            "freeze": [],
            "ranks": {},
        },
    }


def test_the_key_that_says_what_a_thing_is_comes_first():
    text = to_yaml(parse("data: {source: digits}\nmodel: {name: mlp}\noptimizer: {name: sgd}\n", "s"))
    read = pyyaml.safe_load(text)
    assert [next(iter(read[part])) for part in ("data", "model", "optimizer")] == ["source", "name", "name"]
    assert next(iter(read["optimizer"]["learning_rate"])) == "schedule"
    assert next(iter(read)) == "name"
