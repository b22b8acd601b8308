"""What an evaluation keeps of a class per position, against scikit-learn."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from cnnlab.spec.losses import CrossEntropy
from cnnlab.tasks.segmentation import Segmentation

TASK = Segmentation(("sky", "road", "car"), CrossEntropy())


@pytest.mark.parametrize(("space", "cut"), [((30,), 0), ((7, 8), 2), ((3, 4, 5), 1)])
def test_each_example_has_its_matrix_without_what_is_ignored(space, cut):
    """Of a network whose maps are smaller by `cut`, the middle of the mask."""
    random = np.random.default_rng(0)
    mask = random.integers(0, 3, (4, *space)).astype(np.uint8)
    mask[random.random(mask.shape) < 0.2] = 255
    mask[3] = 255
    logits = random.normal(size=(4, *(n - cut for n in space), 3)).astype(np.float32)
    outcome = TASK.outcome(jnp.asarray(logits), jnp.asarray(mask), jnp.asarray(mask))
    middle = mask[(slice(None), *(slice(cut // 2, cut // 2 + n - cut) for n in space))]
    np.testing.assert_array_equal(outcome.shown["mask"], middle)
    for matrix, truth, answer in zip(outcome.values["matrix"], middle, logits.argmax(-1), strict=True):
        said = truth != 255
        expected = confusion_matrix(truth[said], answer[said], labels=range(3)) if said.any() else 0
        np.testing.assert_array_equal(matrix, expected)
