"""Penalties on weights against NumPy, and against the optimizer's decay."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cnnlab.losses.penalties import l1, l2
from cnnlab.optim.optimizers import weights

RANDOM = np.random.default_rng(0)
PARAMS = {
    "conv": {"kernel": RANDOM.normal(size=(3, 3, 2, 4)).astype(np.float32), "bias": np.full(4, 100.0, np.float32)},
    "norm": {"scale": np.full(4, 100.0, np.float32)},
    "dense": {"kernel": RANDOM.normal(size=(4, 2)).astype(np.float32), "bias": np.full(2, 100.0, np.float32)},
}
KERNELS = [PARAMS["conv"]["kernel"], PARAMS["dense"]["kernel"]]


def test_they_add_up_the_weights_and_nothing_else():
    params = jax.tree.map(jnp.asarray, PARAMS)
    np.testing.assert_allclose(l1(params), sum(np.abs(w).sum() for w in KERNELS), rtol=1e-6)
    np.testing.assert_allclose(l2(params), sum((w**2).sum() for w in KERNELS) / 2, rtol=1e-6)
    vectors = {"bias": jnp.ones(3)}
    assert float(l1(vectors)) == float(l2(vectors)) == 0
    assert jax.grad(l2)(vectors)["bias"].tolist() == [0, 0, 0]


def test_the_slope_of_l2_is_what_coupled_weight_decay_adds():
    params = jax.tree.map(jnp.asarray, PARAMS)
    decay = optax.add_decayed_weights(0.3, mask=weights)
    decayed, _ = decay.update(jax.tree.map(jnp.zeros_like, params), decay.init(params), params)
    penalised = jax.grad(lambda p: 0.3 * l2(p))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), penalised, decayed)


def test_the_slope_of_l1_is_the_sign_and_none_at_0():
    slope = jax.grad(l1)({"kernel": jnp.array([[2.0, 0.0], [-3.0, 0.5]])})["kernel"]
    np.testing.assert_array_equal(slope, [[1, 0], [-1, 1]])
