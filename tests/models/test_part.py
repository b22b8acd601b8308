"""The first part of a network, up to a layer."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.models import MODELS
from cnnlab.models.part import last_of, up_to

SHAPE = (8, 8, 1)
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, *SHAPE)), jnp.float32)


def autoencoder():
    return MODELS["conv_autoencoder"](SHAPE, 10, widths=(4, 8), code=5, init=Initializer(0))


@pytest.mark.parametrize("path", ["encoder", "encoder.code"])
def test_the_encoder_and_what_follows_it_make_the_whole(path):
    whole = autoencoder()
    part = up_to(whole, path, "task.code")
    assert part(X).shape == (2, 5)
    np.testing.assert_array_equal(whole.decoder(part(X)), whole(X))  # type: ignore[attr-defined]
    assert last_of(part) is whole.encoder.code  # type: ignore[attr-defined]


def test_a_part_of_a_part_leaves_the_rest_of_it_out():
    whole = autoencoder()
    assert up_to(whole, "encoder.stage1", "task.code")(X).shape == (2, 4, 4, 4)
    assert up_to(whole, "encoder.stage1.conv", "task.code")(X).shape == (2, 4, 4, 4)
    np.testing.assert_array_equal(up_to(whole, "decoder", "task.code")(X), whole(X))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("encodr", "task.code: the network has no layer 'encodr' here; did you mean 'encoder'?"),
        ("encoder.xyz", "task.code: the network has no layer 'xyz' here; there are stage1, stage2, flatten, code"),
        ("encoder.code.kernel", "task.code: the network has no layer 'kernel'; name a layer that everything goes "
         "through, as in conv_autoencoder"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told(path, message):
    with pytest.raises(SpecError) as caught:
        up_to(autoencoder(), path, "task.code")
    assert str(caught.value) == message


def test_a_network_that_divides_has_no_such_part():
    unet = MODELS["unet"](SHAPE, 1, depth=1, width=2, padding="same", init=Initializer(0))
    with pytest.raises(SpecError, match="'bottom' is not on the one way to the output, which UNet divides"):
        up_to(unet, "bottom", "task.code")
