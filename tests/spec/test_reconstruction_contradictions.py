"""Settings of a reconstruction that contradict each other: each a sentence that points at one of them."""

import pytest

from cnnlab.spec.load import parse

DATA = "data: {source: digits}\n"
RAW = "data: {source: digits, normalize: false}\n"
MODEL = "model: {name: conv_autoencoder}\n"
BCE = "binary_cross_entropy"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (DATA + MODEL + "task: {name: reconstruction, ^corruption: {}}",
         "task.corruption: one of gaussian, masking, salt_and_pepper, patches, not none"),
        (DATA + MODEL + "task: {name: reconstruction, ^corruption: {gaussian: 1, masking: 0.5}}",
         "task.corruption: one of gaussian, masking, salt_and_pepper, patches, not gaussian and masking"),
        (DATA + MODEL + "task: {name: reconstruction, corruption: {^masking: 0}}",
         "task.corruption.masking: a share of 0 corrupts nothing: give masking more, or leave corruption out"),
        (DATA + MODEL + "task: {name: reconstruction, corruption: {masking: 0.5, ^size: 2}}",
         "task.corruption.size: size is of patches, and corruption.patches is not there"),
        (DATA + MODEL + "task: {name: reconstruction, ^target: noisy}",
         "task.target: a second noisy copy of what kind? Give task.corruption, or leave target out"),
        (DATA + MODEL + "task: {name: reconstruction, corruption: {patches: 0.5}, ^target: noisy}",
         "task.target: the mean of noisy copies is not the input with patches: use gaussian noise"),
        (DATA + MODEL + "task: {name: reconstruction, corruption: {masking: 0.5}, ^hidden_only: true}",
         "task.hidden_only: nothing is hidden without task.corruption.patches"),
        (DATA + MODEL + "task: {name: reconstruction, sparse: {^rho: 0.1}}",
         "task.sparse.rho: rho is of penalty: kullback_leibler, and the penalty is l1"),
        (DATA + MODEL + f"task: reconstruction\nloss: {{^name: {BCE}}}",
         f"loss.name: {BCE} is of values from 0 to 1: set data.normalize to false"),
        (RAW + MODEL + "task: {name: reconstruction, corruption: {gaussian: 1}, target: noisy}\n"
         f"loss: {{^name: {BCE}}}",
         f"loss.name: {BCE} is of values from 0 to 1, and noisy targets leave them: use mean_squared"),
        (RAW + MODEL + "task: {name: reconstruction, corruption: {patches: 0.5}, hidden_only: true}\n"
         f"loss: {{^name: {BCE}}}",
         f"loss.name: {BCE} is never 0, so that task.hidden_only cannot leave out: use mean_squared"),
        (DATA + "model: {name: conv_autoencoder, ^output: sigmoid}\ntask: reconstruction",
         "model.output: sigmoid says 0 to 1, and the normalised input is positive and negative: leave it out, or set "
         "data.normalize to false"),
        (DATA + "model: {layers: [flatten, dense: 64, ^relu]}\ntask: reconstruction",
         "model.layers[2]: relu says 0 and more, and the normalised input is positive and negative: leave it out, or "
         "set data.normalize to false"),
        (RAW + f"model: {{name: conv_autoencoder, ^output: sigmoid}}\ntask: reconstruction\nloss: {BCE}",
         f"model.output: {BCE} applies the sigmoid itself; leave sigmoid out"),
    ],
)  # fmt: skip
def test_each_contradiction_names_both_settings(refused_at, text, sentence):
    assert refused_at(text) == sentence


@pytest.mark.parametrize(
    "text",
    [
        RAW + "model: {name: conv_autoencoder, output: sigmoid}\ntask: reconstruction",
        RAW + MODEL + f"task: reconstruction\nloss: {BCE}",
        DATA + MODEL + "task: {name: reconstruction, corruption: {salt_and_pepper: 0.2}, target: noisy}",
        DATA + MODEL + "task: {name: reconstruction, corruption: {patches: 0.75, size: 2}, hidden_only: true}",
        DATA + MODEL + "task: {name: reconstruction, normal: [0, three], contractive: 0.1}",
        "model: {layers: [relu], input: [4, 4, 1]}",
    ],
)
def test_what_goes_together_is_taken(text):
    parse(text, "spec.yaml")


def test_classes_may_be_written_as_numbers(refused):
    assert parse(DATA + MODEL + "task: {name: reconstruction, normal: [0]}", "s").task.normal == ("0",)  # type: ignore[union-attr]
    assert "names '0' twice" in refused(DATA + MODEL + "task: {name: reconstruction, normal: [0, 0]}")
