"""Wrong labels on purpose: which follows from seed and example alone, and none but training sees them."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.data.label_noise import noisy
from cnnlab.data.prepare import describe, prepare
from cnnlab.errors import SpecError
from cnnlab.spec.label_noise import LabelNoise
from cnnlab.spec.load import load
from cnnlab.tasks import task_of
from cnnlab.train.augmented import augmented
from cnnlab.train.step import Sizes

INDEX = np.arange(4000)
LABELS = (INDEX % 4).astype(np.int32)


def labels(share: float = 0.4, seed: int = 0, epoch: int = 0, index: np.ndarray = INDEX, drawn="once") -> np.ndarray:
    noise = LabelNoise(share=share, drawn=drawn)
    return np.asarray(noisy(noise, jnp.asarray(LABELS[index]), 4, seed, epoch, jnp.asarray(index)))


def test_the_share_is_drawn_and_every_class_alike_the_true_one_too():
    found = labels()
    assert (found != LABELS).mean() == pytest.approx(0.4 * 3 / 4, abs=0.03)
    wrong = (found - LABELS)[found != LABELS] % 4
    assert np.bincount(wrong, minlength=4)[1:] / len(wrong) == pytest.approx([1 / 3] * 3, abs=0.04)
    everything = labels(share=1.0)
    assert np.bincount(everything) / len(everything) == pytest.approx([1 / 4] * 4, abs=0.03)
    assert (everything == LABELS).mean() == pytest.approx(1 / 4, abs=0.03)
    np.testing.assert_array_equal(labels(share=0.0), LABELS)


def test_it_follows_from_the_seed_and_the_example_in_whatever_batch():
    backwards = INDEX[::-3]
    np.testing.assert_array_equal(labels(index=backwards), labels()[backwards])
    assert (labels(seed=1) != labels()).mean() > 0.2


def test_once_is_for_all_epochs_and_every_epoch_has_its_own():
    np.testing.assert_array_equal(labels(epoch=7), labels())
    assert (labels(epoch=7, drawn="every_epoch") != labels(epoch=8, drawn="every_epoch")).mean() > 0.2


@pytest.mark.parametrize("drawn", ["once", "every_epoch"])
def test_training_alone_sees_it_and_the_run_says_how_many(drawn, small):
    experiment = load(small, [f"data.label_noise={{share: 0.5, drawn: {drawn}}}", "data.augment=[]"])
    prepared = prepare(experiment.data, Path(), experiment.seed)
    train, truth = prepared.splits["train"], prepared.dataset.y
    sizes = Sizes.of(experiment, prepared)
    batch = augmented(experiment, sizes, jnp.int32(0), jnp.asarray(prepared.dataset.x[train]), truth[train], train)
    wrong = int((np.asarray(batch.y) != truth[train]).sum())
    assert 0 < wrong < len(train)
    key = "wrong" if drawn == "once" else "wrong_in_first_epoch"
    assert describe(prepared)["label_noise"] == {"share": 0.5, "drawn": drawn, key: wrong}
    assert prepared.notes[-1].startswith(f"label noise: {wrong} of the 54 training labels are wrong")
    clean = prepare(load(small).data, Path(), 0)
    assert describe(clean)["fingerprints"] == describe(prepared)["fingerprints"]  # the data is what it was
    assert "label_noise" not in describe(clean)


def test_a_number_is_the_share(small):
    assert load(small, ["data.label_noise=0.25"]).data.label_noise == LabelNoise(share=0.25)


def test_what_has_no_classes_has_no_such_noise(tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text("data: {source: sines, label_noise: 0.1}\nmodel: {name: mlp}\n".replace("sines", "function"))
    experiment = load(spec)
    with pytest.raises(SpecError, match=r"data.label_noise: .* regression has no classes"):
        task_of(experiment, prepare(experiment.data, Path(), 0))


def test_rosenblatts_rule_learns_labels_that_stay_alone(tmp_path):
    text = "data: {{source: gaussians, label_noise: {{share: 0.1, drawn: {}}}}}\nmodel: {{name: perceptron}}\n"
    spec = tmp_path / "spec.yaml"
    spec.write_text(text.format("every_epoch") + "task: perceptron\n")
    with pytest.raises(SpecError, match="labels that change; draw them once"):
        load(spec)
    spec.write_text(text.format("once") + "task: perceptron\n")
    load(spec)
