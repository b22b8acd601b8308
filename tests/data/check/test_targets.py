"""Masks, boxes, labels and values that cannot be."""

import numpy as np

from cnnlab.data.check.targets import wrong_targets
from cnnlab.data.dataset import Dataset, Target

SIZE = (6, 8)


def said(**targets):
    count = len(next(iter(targets.values())).values)
    dataset = Dataset(np.zeros((count, *SIZE, 1), np.uint8), np.zeros(count, np.int32), (), targets=targets)
    return [(f.kind, f.file, f.what) for f in wrong_targets(dataset, SIZE)]


def test_masks():
    values = np.zeros((3, *SIZE), np.uint8)
    values[0, 0, 0], values[1, 2, 2], values[2, 1, 1] = 255, 2, 1  # 255: nothing is said there
    names = ("ground", "cat")
    assert said(mask=Target(values, names)) == [
        ("mask_id", "example 1", "the mask holds 2, and classes go from 0 to 1")
    ]
    assert said(mask=Target(values[:1, :5], names)) == [("mask_size", "", "masks are 5 x 8, and images 6 x 8")]


def test_boxes():
    none = [-1.0] * 5
    boxes = [
        [[0, 0, 6, 8, 0], none],
        [[2, 3, 2, 5, 1], [4, 4, 5, 9, 0]],
        [[-1, 0, 3, 3, 2], [0, 0, 1, 1, 0.5]],
        [[0, 0, np.nan, 1, 0], none],
        [[3, 3, 2, 9, 0], none],
        [none, none],
    ]
    assert said(boxes=Target(np.array(boxes, np.float32), ("cat", "dog"))) == [
        ("box_empty", "example 1", "the box [2, 3, 2, 5] has no area"),
        ("box_outside", "example 1", "the box [4, 4, 5, 9] is not within 6 x 8"),
        ("box_outside", "example 2", "the box [-1, 0, 3, 3] is not within 6 x 8"),
        ("box_class", "example 2", "the box [-1, 0, 3, 3] is of class 2, and classes go from 0 to 1"),
        ("box_class", "example 2", "the box [0, 0, 1, 1] is of class 0.5, and classes go from 0 to 1"),
        ("not_finite", "example 3", "the box [0, 0, nan, 1] of class 0"),
        ("box_empty", "example 4", "the box [3, 3, 2, 9] has no area"),
    ]


def test_labels_values_and_too_few():
    labels = Target(np.array([[0, 1], [3, 0]], np.uint8), ("cat", "dog"))
    assert said(labels=labels) == [("label_range", "example 1", "the label 'cat' is 3, and neither 0 nor 1")]
    values = Target(np.array([[0.5], [np.inf], [np.nan]], np.float32), ("age",))
    assert [row[:2] for row in said(values=values)] == [("not_finite", "example 1"), ("not_finite", "example 2")]
    dataset = Dataset(np.zeros((3, *SIZE, 1), np.uint8), np.zeros(3, np.int32), (), targets={"labels": labels})
    (finding,) = wrong_targets(dataset, SIZE)
    assert (finding.kind, finding.what) == ("target", "3 examples, and 2 of the target labels")
