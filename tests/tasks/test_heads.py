"""Several heads against their tasks alone: the weighted sum, the trunk's gradient, each head's report."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.data.prepare import prepare
from cnnlab.errors import SpecError
from cnnlab.layers.compose import Fork
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION
from cnnlab.report.pictures import pictures
from cnnlab.spec.load import parse
from cnnlab.tasks import task_of
from cnnlab.tasks.heads import SeveralHeads
from cnnlab.tasks.task import Listing, joined, total
from cnnlab.train.state import named_leaves, split
from cnnlab.weights.fork import network_for
from cnnlab.weights.head import heads_of, without_head

SPEC = """\
task:
  name: heads
  heads:
    digit: {task: classification, layers: [global_avg_pool, dense: classes]}
    place: {task: segmentation, weight: 0.25, loss: dice, layers: [conv: {features: 11, kernel: 1}]}
data: {source: digit_scenes, examples: 40, size: 16, scale: 1.5, batch_size: 8}
model: {layers: [conv: {features: 4, kernel: 3}, relu]}
"""


@pytest.fixture(scope="module")
def scenes():
    experiment = parse(SPEC, "s")
    prepared = prepare(experiment.data, Path(), 0)
    task = task_of(experiment, prepared)
    assert isinstance(task, SeveralHeads)
    network = network_for(experiment.model, prepared.input_shape, task, init=Initializer(0))
    return experiment, prepared, task, network


def batch_of(prepared, task, count: int = 8):
    x = jnp.asarray(prepared.dataset.x[:count], jnp.float32)
    return x, {kind: jnp.asarray(values[:count]) for kind, values in task.targets(prepared.dataset).items()}


def test_the_objective_is_the_weighted_sum_of_the_heads(scenes):
    _, prepared, task, network = scenes
    x, y = batch_of(prepared, task)
    output = network(x, EVALUATION)
    assert set(output) == {"digit", "place"}
    digit, place = task.heads
    expected = digit.task.objective(output["digit"], x, y["class"])[0]
    expected += 0.25 * place.task.objective(output["place"], x, y["mask"])[0]
    losses, lowered = task.objective(output, x, y)
    np.testing.assert_allclose(total(lowered), expected, rtol=1e-6)
    np.testing.assert_allclose(losses["digit"] + 0.25 * losses["place"], expected, rtol=1e-6)


def test_gradients_add_up_in_the_trunk_and_stay_apart_in_the_heads(scenes):
    from flax import nnx

    _, prepared, task, network = scenes
    x, y = batch_of(prepared, task)
    graph, params, stats = split(network)

    def of(objective):
        return named_leaves(jax.grad(lambda p: objective(nnx.merge(graph, p, stats)(x, EVALUATION)).mean())(params))

    digit, place = task.heads
    whole = of(lambda output: total(task.objective(output, x, y)[1]))
    first = of(lambda output: digit.task.objective(output["digit"], x, y["class"])[1])
    second = of(lambda output: place.task.objective(output["place"], x, y["mask"])[1])
    assert any(name.startswith("conv_0") for name in whole)
    for name, found in whole.items():
        np.testing.assert_allclose(found, first[name] + 0.25 * second[name], rtol=1e-5, atol=1e-6)
        if name.startswith("heads.digit"):
            assert not np.asarray(second[name]).any()


def test_figures_and_files_of_a_head_are_those_of_its_task_alone(scenes):
    _, prepared, task, network = scenes
    x, y = batch_of(prepared, task, 20)
    output = network(x, EVALUATION)
    target = {kind: np.asarray(values) for kind, values in y.items()}
    found = joined([(task.outcome(output, x, y), target)])
    assert len(found) == 20
    report = task.report(found, "test", 0)
    listing = Listing("test", np.arange(20), None)
    files, drawn = task.files(found, report, listing), pictures(task, report, found)
    for head in task.heads:
        own = target[head.task.target]
        alone = joined([(head.task.outcome(output[head.name], x, jnp.asarray(own)), own)])
        expected = head.task.report(alone, "test", 0)
        assert report["heads"][head.name] == expected
        for name, content in head.task.files(alone, expected, listing).items():
            assert files[f"{head.name}/{name}"] == content
        assert {f"{head.name}/{name}" for name in pictures(head.task, expected, alone)} <= set(drawn)
        for figure, value in head.task.validation(alone).items():
            assert task.validation(found)[f"{head.name}/{figure}"] == value
    digit, place = (report["heads"][name]["loss"] for name in ("digit", "place"))
    assert report["loss"] == pytest.approx(digit + 0.25 * place, rel=1e-6)
    assert set(task.validation(found)) == set(task.validated)


def test_sums_of_an_epoch_leave_padding_out(scenes):
    _, prepared, task, network = scenes
    x, y = batch_of(prepared, task)
    output = network(x, EVALUATION)
    mask = jnp.array([True] * 5 + [False] * 3)
    losses, _ = task.objective(output, x, y)
    means = task.means(task.added(task.zero(), output, y, losses, mask))
    assert set(means) == set(task.trained)
    expected = losses["digit"] + 0.25 * losses["place"]
    assert means["loss"] == pytest.approx(float(expected[:5].mean()), rel=1e-6)
    right = np.asarray(output["digit"].argmax(-1) == y["class"])[:5]
    assert means["digit/accuracy"] == right.mean()
    assert means["digit/loss"] + 0.25 * means["place/loss"] == pytest.approx(means["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("model", "at", "features"),
    [
        ("{name: unet, depth: 1, width: 4, padding: same}", "head", (16, 16, 4)),
        ("{name: resnet18, variant: v1.5}", "head", (512,)),
        ("{name: mlp, hidden: [7]}", "output", (7,)),
        ("{layers: [conv: {features: 3, kernel: 3}, relu]}", "heads", (16, 16, 3)),
    ],
)
def test_the_heads_stand_where_a_networks_own_head_would(model, at, features):
    layers = "[global_avg_pool, dense: classes]" if len(features) == 3 else "[dense: classes]"
    heads = f"{{a: {{task: classification, layers: {layers}}}, b: {{task: classification, layers: {layers}}}}}"
    text = f"task: {{name: heads, heads: {heads}}}\ndata: {{source: digits}}\nmodel: {model}\n"
    experiment = parse(text, "s")
    from cnnlab.tasks import made

    counts = {"counts": {"train": 6}, "counts_per_class": {"train": [2, 2, 2]}}
    task = made(experiment, {"classes": ["x", "y", "z"], "targets": {}, **counts})
    network = network_for(experiment.model, (16, 16, 1), task, init=Initializer(0))
    assert isinstance(getattr(network, at), Fork)
    output = network(jnp.zeros((2, 16, 16, 1)), EVALUATION)  # type: ignore[operator]
    assert {name: values.shape for name, values in output.items()} == {"a": (2, 3), "b": (2, 3)}
    assert heads_of(network, (16, 16, 1))[0] == at
    assert without_head(network, (16, 16, 1))(jnp.zeros((2, 16, 16, 1))).shape[1:] == features  # type: ignore[operator]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("dense: classes", "dense: 4"), r"task\.heads\.digit\.layers: gives 4, and classification needs one logit"),
        (("features: 11", "features: 3"), r"task\.heads\.place\.layers: gives 16x16x3, and segmentation needs 11"),
        (("[global_avg_pool, dense", "[dense"), r"task\.heads\.digit\.layers\[0\].*takes a vector"),
        (("task: segmentation", "task: regression"), r"task\.heads\.place\.task: regression learns values, and the"),
        (("place:", "order:"), r"task\.heads\.order: the name 'order' is taken"),
    ],
)
def test_a_head_that_does_not_fit_is_named(change, said):
    text = SPEC.replace(*change).replace(", loss: dice", "" if "regression" in change[1] else ", loss: dice")
    experiment = parse(text, "s")
    prepared = prepare(experiment.data, Path(), 0)
    with pytest.raises(SpecError, match=said):
        network_for(experiment.model, prepared.input_shape, task_of(experiment, prepared), init=Initializer())


def test_auxiliary_classifiers_are_of_one_task():
    text = SPEC.replace("{layers: [conv: {features: 4, kernel: 3}, relu]}", "{name: googlenet}")
    experiment = parse(text.replace("[global_avg_pool, dense", "[dense"), "s")
    prepared = prepare(experiment.data, Path(), 0)
    with pytest.raises(SpecError, match=r"auxiliary classifiers learn one task.*model\.auxiliary: false"):
        network_for(experiment.model, (64, 64, 3), task_of(experiment, prepared), init=Initializer())
