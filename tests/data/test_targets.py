"""What targets have to pass, by the example that does not."""

import numpy as np
import pytest

from cnnlab.data.dataset import Dataset, Target, check
from cnnlab.data.fingerprint import targets_fingerprint
from cnnlab.data.geometry import Frame
from cnnlab.data.targets import resize_targets
from cnnlab.errors import DataError


def dataset(kind, values, names=("a", "b"), classes=()):
    x = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5, 1)
    return Dataset(x, np.zeros(3, np.int32), classes, targets={kind: Target(np.asarray(values), names)})


MASK = np.zeros((3, 4, 5), np.uint8)
BOXES = np.float32([[[0, 0, 4, 5, 1]], [[1, 2, 3, 4, 0]], [[-1] * 5]])
GOOD = {
    "labels": np.uint8([[0, 1], [0, 0], [1, 1]]),
    "values": np.float32([[0, 1], [-5, 0], [1, 1e30]]),
    "mask": np.where(np.arange(5) == 2, 255, MASK + 1).astype(np.uint8),
    "boxes": BOXES,
}


@pytest.mark.parametrize("kind", GOOD)
def test_good_targets_pass_without_classes_and_with_one(kind):
    for classes in ((), ("only",)):
        data = dataset(kind, GOOD[kind], classes=classes)
        assert check(data, "here") is data


def change(kind, place, value):
    changed = GOOD[kind].copy()
    changed[place] = value
    return changed


WRONG = {
    "a label of 2": ("labels", change("labels", (1, 1), 2),
                     "example 1 has 2 for the label 'b'; 1 where it holds, 0 where it does not"),
    "NaN": ("values", change("values", (2, 0), np.nan),
            "example 2 has nan for the value 'a'; what is learnt must be finite"),
    "infinite": ("values", change("values", (slice(1, 3), 1), np.inf),
                 "example 1 has inf for the value 'b'; what is learnt must be finite; 2 examples have"),
    "an id": ("mask", change("mask", (1, 2, 3), 2),
              "example 1 has the id 2 in its mask, and there are 2 classes; ids go from 0 to 1, and 255 says nothing"),
    "mask size": ("mask", np.zeros((3, 5, 4), np.uint8),
                  "example 0 is 4 x 5, and its mask 5 x 4; a mask has an id for every position"),
    "outside": ("boxes", change("boxes", (0, 0, 2), 4.5), "example 0 has the box [0.0, 0.0, 4.5, 5.0, 1.0], and is "
                "4 x 5; lows, highs inside of the example, a class from 0 to 1"),
    "no area": ("boxes", change("boxes", (1, 0, 3), 2), "example 1 has the box [1.0, 2.0, 3.0, 2.0, 0.0], and is "
                "4 x 5; lows, highs inside of the example, a class from 0 to 1"),
    "class": ("boxes", change("boxes", (1, 0, 4), 2), "example 1 has the box [1.0, 2.0, 3.0, 4.0, 2.0], and is "
              "4 x 5; lows, highs inside of the example, a class from 0 to 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_targets_are_named(case):
    kind, values, sentence = WRONG[case]
    with pytest.raises(DataError) as error:
        check(dataset(kind, values), "here")
    assert str(error.value) == f"here: {sentence}"


def test_resizing_leaves_labels_and_absent_boxes():
    targets = {kind: Target(values, ("a", "b")) for kind, values in GOOD.items()}
    new = resize_targets(targets, (4, 5), Frame((8, 5)).placed((4, 5)))
    assert new["labels"] is targets["labels"]
    assert new["values"] is targets["values"]
    np.testing.assert_array_equal(new["mask"].values, GOOD["mask"].repeat(2, 1))
    np.testing.assert_array_equal(new["boxes"].values, [[[0, 0, 8, 5, 1]], [[2, 2, 6, 4, 0]], [[-1] * 5]])


def test_the_fingerprint_knows_kind_names_values_and_order():
    def fingerprint(kind="mask", values=GOOD["mask"], names=("a", "b")):
        return targets_fingerprint(dataset(kind, values, names))

    others = [fingerprint(names=("a", "c")), fingerprint(values=MASK), fingerprint("labels", GOOD["labels"]),
              fingerprint(values=GOOD["mask"][::-1] - np.uint8([[[0]], [[0]], [[1]]]))]  # fmt: skip
    assert fingerprint() == fingerprint()
    assert len({fingerprint(), *others}) == 5
