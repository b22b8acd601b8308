"""Five steps of every optimizer against the papers' update rules in NumPy."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnlab.optim.optimizers import optimizer, weights
from cnnlab.optim.schedules import schedule
from cnnlab.spec.schema import SGD, Adam, AdamW, Constant, Momentum, OptimizerSpec

RATE = 0.1
Array = np.ndarray
Tree = dict[str, Array]
SHAPES = {"kernel": (2, 3), "bias": (3,), "scale": (1,)}


def trees(seed: int, count: int) -> list[Tree]:
    rng = np.random.default_rng(seed)
    return [{name: rng.standard_normal(shape) for name, shape in SHAPES.items()} for _ in range(count)]


PARAMS, GRADIENTS = trees(0, 1)[0], trees(1, 5)


def run(spec: OptimizerSpec, rate: Callable | None = None, gradients: list[Tree] = GRADIENTS) -> list[Tree]:
    """The parameters after each step."""
    transform = optimizer(spec, rate or schedule(RATE, steps_per_epoch=1, epochs=5))

    def step(params, state, gradient):
        updates, state = transform.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    step = jax.jit(step)
    params = {name: jnp.asarray(value, jnp.float32) for name, value in PARAMS.items()}
    state, seen = transform.init(params), []
    for gradient in gradients:
        params, state = step(params, state, {name: jnp.asarray(g, jnp.float32) for name, g in gradient.items()})
        seen.append({name: np.asarray(value) for name, value in params.items()})
    return seen


def expected(rule: Callable[[Array, Iterator[Array]], Iterator[Array]], gradients: list[Tree] = GRADIENTS):
    """What a rule makes of each array alone: `rule(w, gradients)` yields the array after each step."""
    by_name = {name: list(rule(PARAMS[name], (g[name] for g in gradients))) for name in SHAPES}
    return [dict(zip(by_name, values, strict=True)) for values in zip(*by_name.values(), strict=True)]


def check(found: list[Tree], wanted: list[Tree]) -> None:
    for one, other in zip(found, wanted, strict=True):
        for name in SHAPES:
            np.testing.assert_allclose(one[name], other[name], rtol=2e-5, atol=2e-6, err_msg=name)


def decay_of(w: Array, decay: float) -> float:
    return decay if w.ndim > 1 else 0.0


def sgd(decay: float = 0.0, rate: float = RATE):
    def rule(w, gradients):
        for g in gradients:
            w = w - rate * (g + decay_of(w, decay) * w)
            yield w

    return rule


def momentum(mu: float, nesterov: bool, decay: float = 0.0):
    """Polyak (1964); with Nesterov's look-ahead as Sutskever et al. (2013) have it, in gradient-step form."""

    def rule(w, gradients):
        v = np.zeros_like(w)
        for g in gradients:
            g = g + decay_of(w, decay) * w
            v = mu * v + g
            w = w - RATE * (g + mu * v if nesterov else v)
            yield w

    return rule


def adam(beta1: float, beta2: float, epsilon: float, coupled: float = 0.0, decoupled: float = 0.0):
    """Kingma and Ba (2015), algorithm 1; decoupled decay after Loshchilov and Hutter (2019), algorithm 2."""

    def rule(w, gradients):
        m, v = np.zeros_like(w), np.zeros_like(w)
        for t, g in enumerate(gradients, start=1):
            g = g + decay_of(w, coupled) * w
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g**2
            m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
            w = w - RATE * (m_hat / (np.sqrt(v_hat) + epsilon) + decay_of(w, decoupled) * w)
            yield w

    return rule


CASES = [
    (SGD(name="sgd"), sgd()),
    (SGD(name="sgd", weight_decay=0.3), sgd(decay=0.3)),
    (Momentum(name="momentum"), momentum(0.9, nesterov=False)),
    (Momentum(name="momentum", momentum=0.5, weight_decay=0.3), momentum(0.5, nesterov=False, decay=0.3)),
    (Momentum(name="momentum", nesterov=True), momentum(0.9, nesterov=True)),
    (Momentum(name="momentum", momentum=0.5, nesterov=True, weight_decay=0.3), momentum(0.5, nesterov=True, decay=0.3)),
    (Adam(name="adam"), adam(0.9, 0.999, 1e-8)),
    (Adam(name="adam", beta1=0.6, beta2=0.7, epsilon=0.2, weight_decay=0.3), adam(0.6, 0.7, 0.2, coupled=0.3)),
    (AdamW(), adam(0.9, 0.999, 1e-8, decoupled=0.01)),
    (AdamW(beta1=0.6, beta2=0.7, epsilon=0.2, weight_decay=0.3), adam(0.6, 0.7, 0.2, decoupled=0.3)),
    (AdamW(weight_decay=0.0), adam(0.9, 0.999, 1e-8)),
]


@pytest.mark.parametrize(("spec", "rule"), CASES, ids=[f"{case[0].tags[0]}{i}" for i, case in enumerate(CASES)])
def test_five_steps_are_the_papers(spec, rule):
    check(run(spec), expected(rule))


def test_the_rate_of_each_step_is_the_schedules():
    rate = schedule(Constant(schedule="constant", peak=1.0, warmup_epochs=5), steps_per_epoch=1, epochs=5)

    def rule(w, gradients):
        for i, g in enumerate(gradients, start=1):
            w = w - i / 5 * g
            yield w

    check(run(SGD(name="sgd"), rate), expected(rule))


def norm(tree: Tree) -> float:
    return float(np.sqrt(sum((leaf**2).sum() for leaf in tree.values())))


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_clipping_is_by_the_norm_of_the_whole_gradient_and_before_the_decay(decay):
    norms = [norm(gradient) for gradient in GRADIENTS]
    largest = sorted(norms)[2]  # clips some of them
    clipped = [
        {name: leaf * min(1, largest / n) for name, leaf in gradient.items()}
        for gradient, n in zip(GRADIENTS, norms, strict=True)
    ]
    found = run(SGD(name="sgd", clip_norm=largest, weight_decay=decay))
    check(found, expected(sgd(decay=decay), clipped))
    assert not np.allclose(found[-1]["kernel"], run(SGD(name="sgd", weight_decay=decay))[-1]["kernel"])


@pytest.mark.parametrize(
    "spec", [Momentum(name="momentum", clip_norm=0.5), AdamW(clip_norm=0.5), Adam(name="adam", clip_norm=0.5)]
)
def test_every_optimizer_clips(spec):
    large = [{name: 100 * leaf for name, leaf in gradient.items()} for gradient in GRADIENTS]
    check(run(spec, gradients=large), run(spec))


def test_weights_are_the_kernels_and_nothing_else():
    tree = {"conv": {"kernel": np.zeros((3, 3, 1, 8)), "bias": np.zeros(8)}, "norm": {"scale": np.zeros(8)}}
    assert weights(tree) == {"conv": {"kernel": True, "bias": False}, "norm": {"scale": False}}
    assert weights({"dense": {"kernel": np.zeros((8, 2))}}) == {"dense": {"kernel": True}}


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(TypeError, match=r"^no such optimizer: OptimizerSpec$"):
        optimizer(OptimizerSpec(), schedule(0.1, steps_per_epoch=1, epochs=1))
