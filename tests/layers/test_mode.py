"""What a pass hands down: train or not, and keys that differ."""

import jax
import numpy as np

from cnnlab.layers.mode import EVALUATION, Mode


def test_children_keep_the_mode_and_have_keys_of_their_own():
    mode = Mode(train=True, key=jax.random.key(0))
    children = [mode.child(i) for i in range(20)]
    assert all(child.train for child in children)
    keys = {tuple(np.asarray(jax.random.key_data(m.key)).tolist()) for m in [mode, *children, children[0].child(0)]}
    assert len(keys) == 22
    again = mode.child(3)
    np.testing.assert_array_equal(jax.random.key_data(again.key), jax.random.key_data(children[3].key))


def test_without_a_key_a_child_is_the_same():
    assert EVALUATION.child(3) == EVALUATION == Mode(train=False, key=None)
    assert Mode(train=True).child(1) == Mode(train=True)
