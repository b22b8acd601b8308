"""A reconstruction as one of several heads: the same losses, penalties and figures as alone, and one input for all."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.data.prepare import prepare
from cnnlab.errors import SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION
from cnnlab.report.pictures import pictures
from cnnlab.runs.pretrained import prepare_experiment
from cnnlab.spec.load import parse
from cnnlab.tasks import task_of
from cnnlab.tasks.heads import SeveralHeads
from cnnlab.tasks.reconstruction import Reconstruction
from cnnlab.tasks.task import Listing, joined
from cnnlab.weights.fork import network_for

DIGIT = "    digit: {task: classification, layers: [global_avg_pool, dense: classes]}\n"
SPEC = f"""\
task:
  name: heads
  heads:
{DIGIT}    place: {{task: segmentation, layers: [conv: {{features: 11, kernel: 1}}]}}
    image:
      task: {{name: reconstruction, corruption: {{gaussian: 0.5}}, sparse: {{weight: 0.1}}}}
      weight: 0.25
      layers: [conv: {{features: 1, kernel: 3}}]
data: {{source: digit_scenes, examples: 40, size: 16, scale: 1.5, batch_size: 8}}
model: {{layers: [{{conv: {{features: 4, kernel: 3}}, name: code}}, relu]}}
"""


def read(text: str):
    experiment = parse(text, "s")
    prepared = prepare(experiment.data, Path(), 0)
    task = task_of(experiment, prepared)
    assert isinstance(task, SeveralHeads)
    return task, network_for(experiment.model, prepared.input_shape, task, init=Initializer(0)), prepared


@pytest.fixture(scope="module")
def scenes():
    task, network, prepared = read(SPEC)
    x = (jnp.asarray(prepared.dataset.x[:8], jnp.float32) / 255 - prepared.mean) / prepared.std
    y = {kind: jnp.asarray(values[:8]) for kind, values in task.targets(prepared.dataset).items()}
    return task, network, x, y


def image_of(task: SeveralHeads) -> Reconstruction:
    assert task.reconstructing is not None
    assert isinstance(task.reconstructing.task, Reconstruction)
    return task.reconstructing.task


@pytest.mark.parametrize("seed", [None, 3])
def test_all_heads_see_what_the_corruption_leaves(scenes, seed):
    task, network, x, y = scenes
    key = None if seed is None else jax.random.key(seed)
    given, wanted = task.given(x, y, key)
    alone, expected = image_of(task).given(x, y["input"], key)
    np.testing.assert_array_equal(given, alone)
    assert np.abs(given - x).max() > 0.1
    output = network(given, EVALUATION)
    losses, lowered = task.objective(output, wanted, y)
    for head in task.heads:
        own = expected if head.name == "image" else given
        found = head.task.objective(output[head.name], own, y[head.task.target])[0]
        np.testing.assert_allclose(losses[head.name], found, rtol=1e-6)
        np.testing.assert_allclose(lowered[head.name], head.weight * found, rtol=1e-6)
    np.testing.assert_allclose(losses["image"], jnp.square(output["image"] - x).mean((1, 2, 3)), rtol=1e-5)


def test_the_code_is_the_trunks(scenes):
    task, network, x, _ = scenes
    code = network.code(x, EVALUATION)
    np.testing.assert_allclose(task.penalty(network, x), 0.25 * 0.1 * jnp.abs(code).sum((1, 2, 3)).mean(), rtol=1e-5)
    np.testing.assert_allclose(task.inside(network, x)["image/code"], code, rtol=1e-6)
    slope = nnx.grad(lambda network: task.penalty(network, x))(network)
    assert np.abs(slope["code"]["kernel"][...]).max() > 0


def test_figures_files_and_pictures_are_those_of_the_task_alone(scenes):
    task, network, x, y = scenes
    given, wanted = task.given(x, y, None)
    output = network(given, EVALUATION)
    outcome = task.outcome(output, wanted, y)
    np.testing.assert_array_equal(outcome.shown["place/x"], given)  # what the network saw
    targets = {kind: np.asarray(values) for kind, values in y.items()}

    def kept(outcome, inside):
        values = {name: np.asarray(found) for name, found in {**outcome.values, **inside}.items()}
        return outcome._replace(values=values, shown={name: np.asarray(found) for name, found in outcome.shown.items()})

    found = joined([(kept(outcome, task.inside(network, given)), targets)])
    image = image_of(task)
    own = image.outcome(output["image"], wanted, y["input"])
    alone = joined([(kept(own, image.inside(network, given)), targets["input"])])
    report, expected = task.report(found, "test", 0), image.report(alone, "test", 0)
    assert report["heads"]["image"] == expected
    assert expected["corrupted_psnr"] > 0
    listing = Listing("test", np.arange(8), None)
    files = task.files(found, report, listing)
    assert files["image/predictions.csv"] == image.files(alone, expected, listing)["predictions.csv"]
    assert {"image/codes.npz", "image/per_class.csv"} <= set(files)
    assert "image/reconstructions.png" in pictures(task, report, found)
    parts = [report["heads"][name]["loss"] for name in ("digit", "place", "image")]
    assert report["loss"] == pytest.approx(parts[0] + parts[1] + 0.25 * parts[2], rel=1e-6)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("features: 1, kernel: 3", "features: 2, kernel: 3",
         r"task\.heads\.image\.layers: gives 16x16x2, and reconstruction needs the input's own 16x16x1; the"),
        ("gaussian: 0.5", "patches: 0.5, size: 16",
         r"task\.heads\.image\.task\.corruption\.size: one square of 16 positions covers the input, 16x16x1"),
        ("name: code", "name: first",
         r"task\.heads\.image\.task\.sparse: penalises the code, and the network has no layer encoder or code"),
        ("sparse: {weight: 0.1}", "code: heads.image",
         r"task\.heads\.image\.task\.code: 'image' is not on the one way to the output"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_of_its_head(before, after, said):
    assert before in SPEC
    with pytest.raises(SpecError, match=said):
        _checked(SPEC.replace(before, after))


def _checked(text: str) -> None:
    task, network, prepared = read(text)
    task.check_network(network, prepared.input_shape)


def test_training_keeps_to_what_is_normal_where_no_head_classifies():
    text = (
        SPEC.replace(DIGIT, "")
        .replace("sparse: {weight: 0.1}", "normal: ['1', '7']")
        .replace("batch_size: 8", "batch_size: 4")
    )
    _, prepared = prepare_experiment(parse(text, "s"))
    assert set(prepared.dataset.y[prepared.splits["train"]].tolist()) == {1, 7}
    assert not set(prepared.dataset.y[prepared.splits["test"]].tolist()) <= {1, 7}
    with pytest.raises(SpecError, match=r"task\.heads\.image\.task\.normal: no class 'x'; there are 0, 1,"):
        prepare_experiment(parse(text.replace("'1'", "'x'"), "s"))
