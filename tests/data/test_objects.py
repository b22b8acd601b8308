"""Sizes of objects: by boxes, else by the connected parts of masks."""

import numpy as np

from cnnlab.data.dataset import Dataset, Target
from cnnlab.data.objects import object_sizes

MASK = np.array(
    [
        [1, 1, 0, 0, 255],
        [1, 0, 0, 2, 255],
        [0, 0, 2, 0, 0],
        [0, 0, 0, 0, 1],
    ],
    np.uint8,
)


def of(**targets: Target) -> np.ndarray:
    x = np.random.default_rng(0).random((2, 4, 5, 1), np.float32)
    return object_sizes(Dataset(x, np.zeros(2, np.int32), ("a", "b"), targets=targets), np.array([1]))


def test_parts_of_a_mask_count_corners_as_connected_and_leave_out_what_is_not_said():
    masks = Target(np.stack([np.zeros_like(MASK), MASK]), ("behind", "one", "two"))
    assert sorted(of(mask=masks).tolist()) == [[1, 1], [2, 2], [2, 2]]


def test_boxes_go_before_masks_and_rows_that_fill_up_are_none():
    boxes = np.full((2, 2, 5), -1, np.float32)
    boxes[1, 0] = [0, 1, 3, 5, 1]
    found = of(boxes=Target(boxes, ("one", "two")), mask=Target(np.zeros((2, 4, 5), np.uint8), ("behind", "one")))
    assert found.tolist() == [[3, 4]]


def test_without_either_there_are_none():
    assert of().shape == (0, 2)
