"""The centre that evaluation sees, of examples and of what there is to learn of them."""

import numpy as np
import pytest

from cnnlab.data.augment import Sample, centre_crop
from cnnlab.data.crop import centre, centred_target, crop_size
from cnnlab.errors import SpecError
from cnnlab.spec.load import parse

RANDOM = np.random.default_rng(0)


def data_of(crop):
    return parse(f"data: {{source: digits, crop: {crop}}}\nmodel: {{name: lenet5}}", "s").data


def test_the_size_of_every_axis():
    assert crop_size(data_of(4), (8, 9)) == (4, 4)
    assert crop_size(data_of([8, 3]), (8, 9)) == (8, 3)
    assert crop_size(data_of("null"), (8, 9)) is None


@pytest.mark.parametrize(
    ("crop", "spatial", "message"),
    [
        (9, (8, 9), "data.crop is 9 x 9, and the examples are 8 x 9; give a data.resize that is larger, or a smaller"),
        ([4, 4, 4], (8, 9), r"data.crop has 3 numbers, \[4, 4, 4\], and the data 2 spatial axes"),
        (4, (), "data.crop is 4, and the examples are vectors, which have no spatial axis; leave data.crop out"),
    ],
)
def test_what_cannot_be_cut(crop, spatial, message):
    with pytest.raises(SpecError, match=message):
        crop_size(data_of(crop), spatial)


@pytest.mark.parametrize(("spatial", "size"), [((9,), (4,)), ((7, 8), (4, 8)), ((5, 6, 7), (2, 3, 4))])
def test_training_and_evaluation_cut_the_same(spatial, size):
    axes = len(spatial)
    x, mask = RANDOM.random((3, *spatial, 2), np.float32), RANDOM.integers(0, 9, (3, *spatial), np.uint8)
    ends = np.sort(RANDOM.random((3, 5, 2, axes)), -2) * np.array(spatial)
    boxes = np.concatenate([ends.reshape(3, 5, -1), np.ones((3, 5, 1))], -1).astype(np.float32)
    boxes[:, 4] = -1
    trained = centre_crop(Sample(x, mask, boxes), size)
    np.testing.assert_array_equal(centre(x, size), trained.x)
    np.testing.assert_array_equal(centred_target(mask, "mask", spatial, size), trained.mask)
    np.testing.assert_array_equal(centred_target(boxes, "boxes", spatial, size), trained.boxes)
    labels = np.arange(3)
    assert centred_target(labels, "class", spatial, size) is labels
    assert centred_target(mask, "mask", spatial, None) is mask
    assert centre(x, None) is x
