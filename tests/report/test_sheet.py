"""The sheet of examples and their versions: what it shows, and that it is drawn for every kind of data."""

import io
from dataclasses import replace

import jax
import numpy as np
import pytest
from PIL import Image

from cnnlab.data.augment import Sample, augment, example_keys
from cnnlab.data.dataset import Dataset, Target
from cnnlab.data.prepare import Prepared
from cnnlab.errors import SpecError
from cnnlab.report.preview import of_prepared
from cnnlab.report.sheet import sheet
from cnnlab.spec.load import parse


def prepared_of(x: np.ndarray, targets: dict[str, Target], crop=None) -> Prepared:
    dataset = Dataset(x, np.arange(len(x), dtype=np.int32) % 2, ("cat", "dog"), targets=targets, source="made")
    channels = x.shape[-1]
    splits = {"train": np.arange(2, len(x))}
    return Prepared(dataset, splits, np.zeros(channels, np.float32), np.ones(channels, np.float32), crop=crop)


def with_targets(*spatial: int, channels: int = 1, dtype: type = np.uint8) -> Prepared:
    """Six examples with a bright body in the middle, its mask and its box."""
    axes, random = len(spatial), np.random.default_rng(0)
    body = tuple(slice(n // 3, 2 * n // 3) for n in spatial)
    mask = np.zeros((6, *spatial), np.uint8)
    mask[(slice(None), *body)] = 1
    box = [*(part.start for part in body), *(part.stop for part in body), 0]
    boxes = np.array([[box, [-1] * (2 * axes + 1)]] * 6, np.float32)
    values = random.random((6, *spatial, channels)) * 0.4 + 0.5 * mask[..., None]
    x = (values * 255).astype(np.uint8) if dtype is np.uint8 else values.astype(np.float32)
    targets = {"mask": Target(mask, ("background", "body")), "boxes": Target(boxes, ("body",))}
    return prepared_of(x, targets)


def experiment_of(augment: str):
    return parse(f"data: {{source: digits, augment: {augment}}}\nmodel: {{name: lenet5}}", "s", default_name="pets")


def size_of(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


def test_versions_are_what_training_makes_in_its_epochs():
    prepared = with_targets(12, 12)
    experiment = experiment_of("[shift: 2, noise: 0.1]")
    found = of_prepared(experiment, prepared, 3, 2)
    assert found.columns == ("original", "epoch 1", "epoch 2")
    augmented = jax.jit(lambda sample, keys: augment(sample, keys, experiment.data.augment, prepared.std))
    assert [view.text.split("\n")[0] for row in found.rows for view in row[:1]] != []
    for row in found.rows:
        number = int(row[0].text.split("#")[1])
        assert row[0].text == f"{('cat', 'dog')[number % 2]}\n#{number}"
        assert number in prepared.splits["train"]
        np.testing.assert_allclose(row[0].x, prepared.dataset.x[number] / np.float32(255))
        for epoch in (0, 1):
            keys = example_keys(0, epoch, np.array([number]))
            sample = Sample(row[0].x[None], row[0].mask[None], row[0].boxes[None])
            expected = augmented(sample, keys)
            np.testing.assert_allclose(row[1 + epoch].x, expected.x[0], atol=1e-6)
            np.testing.assert_array_equal(row[1 + epoch].mask, expected.mask[0])
            np.testing.assert_array_equal(row[1 + epoch].boxes, expected.boxes[0])
            assert row[1 + epoch].text == ""


def test_a_mixture_says_of_what():
    found = of_prepared(experiment_of("[mixup: 5]"), with_targets(8, 8), 4, 1)
    for row in found.rows:
        own, share = row[0].text.split("\n")[0], row[1].text.split(", ")
        assert share[0].split(" of ")[1] == own
        assert sum(int(part.split("%")[0]) for part in share) in (99, 100, 101)


def test_the_crop_is_shown():
    prepared = replace(with_targets(12, 12), crop=(8, 6))
    found = of_prepared(experiment_of("[flip: both]"), prepared, 2, 1)
    assert {view.x.shape for row in found.rows for view in row} == {(8, 6, 1)}
    assert found.rows[0][0].boxes[0].tolist() == [2, 1, 6, 5, 0]


def test_without_augmentation_there_are_the_originals():
    found = of_prepared(experiment_of("[]"), with_targets(8, 8), 2, 5)
    assert found.columns == ("original",)
    assert found.notes == ("data.augment is empty: training sees the originals",)


@pytest.mark.parametrize(
    "prepared",
    [
        with_targets(12, 12, channels=3),
        with_targets(9, 14, channels=2, dtype=np.float32),
        with_targets(40, channels=2, dtype=np.float32),
        with_targets(8, 9, 10),
    ],
    ids=["image", "two channels", "signal", "volume"],
)
def test_every_kind_of_data_is_drawn_twice_the_same(prepared):
    found = of_prepared(experiment_of("[shift: 1, scale: 1.1]"), prepared, 2, 2)
    first = sheet(found, "png")
    assert first == sheet(found, "png")
    width, height = size_of(first)
    assert width > height / 2
    colours = np.unique(np.asarray(Image.open(io.BytesIO(first)).convert("RGB")).reshape(-1, 3), axis=0)
    assert (np.ptp(colours.astype(int), axis=1) > 60).any(), "masks and boxes are coloured"
    assert sheet(found, "svg").startswith(b"<?xml")


def test_masks_and_boxes_stand_where_they_are():
    """A grey image: what is coloured is the body, and nothing but the body's mask and box."""
    prepared = with_targets(30, 30)
    black = replace(prepared.dataset, x=np.zeros_like(prepared.dataset.x))
    found = of_prepared(experiment_of("[]"), replace(prepared, dataset=black), 1, 1)
    picture = np.asarray(Image.open(io.BytesIO(sheet(found, "png"))).convert("RGB")).astype(int)
    dark = picture.sum(-1) < 30
    rows, columns = (np.flatnonzero(dark.any(axis)) for axis in (1, 0))
    cell = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    coloured = np.ptp(cell, axis=-1) > 60
    rows, columns = (np.flatnonzero(coloured.any(axis)) / len(coloured) for axis in (1, 0))
    np.testing.assert_allclose([rows[0], rows[-1], columns[0], columns[-1]], [1 / 3, 2 / 3, 1 / 3, 2 / 3], atol=0.03)


def test_vectors_are_nothing_to_look_at():
    with pytest.raises(SpecError, match="data: the examples are vectors of 5; signals, images and volumes can be"):
        of_prepared(experiment_of("[]"), prepared_of(np.zeros((6, 5), np.float32), {}), 2, 2)
