"""Five steps of every optimizer against the papers' update rules in NumPy."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnlab.optim.optimizers import begun_anew, optimizer, weights
from cnnlab.optim.schedules import schedule
from cnnlab.spec.optimizers import SGD, Adam, AdamW, Momentum, OptimizerSpec
from cnnlab.spec.schedules import Constant

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


def with_factors(rule_of: Callable[[float], Callable], factors: dict[str, float]) -> list[Tree]:
    """What rules whose rate differs by array make of the parameters; a rule multiplies each update by its factor."""
    one = {name: expected(rule_of(factors.get(name, 1.0))) for name in SHAPES}
    return [{name: one[name][i][name] for name in SHAPES} for i in range(len(GRADIENTS))]


def sgd(decay: float = 0.0, rate: float = RATE):
    def rule(w, gradients):
        for g in gradients:
            w = w - rate * (g + decay_of(w, decay) * w)
            yield w

    return rule


def momentum(mu: float, nesterov: bool, decay: float = 0.0, rate: float = RATE):
    """Polyak (1964); with Nesterov's look-ahead as Sutskever et al. (2013) have it, in gradient-step form."""

    def rule(w, gradients):
        v = np.zeros_like(w)
        for g in gradients:
            g = g + decay_of(w, decay) * w
            v = mu * v + g
            w = w - rate * (g + mu * v if nesterov else v)
            yield w

    return rule


def adam(
    beta1: float,
    beta2: float,
    epsilon: float,
    coupled: float = 0.0,
    decoupled: float = 0.0,
    rate: float = RATE,
    nesterov: bool = False,
):
    """Kingma and Ba (2015), algorithm 1; decoupled decay after Loshchilov and Hutter (2019), algorithm 2; Nesterov's
    as Dozat (2016) has it."""

    def rule(w, gradients):
        m, v = np.zeros_like(w), np.zeros_like(w)
        for t, g in enumerate(gradients, start=1):
            g = g + decay_of(w, coupled) * w
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g**2
            m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
            if nesterov:
                m_hat = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
            w = w - rate * (m_hat / (np.sqrt(v_hat) + epsilon) + decay_of(w, decoupled) * w)
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


RATES = {"*": 3.0, "k*": 0.5, "scale": 0.0}
LAYERED = [
    (SGD(name="sgd", weight_decay=0.3, layer_rates=RATES), lambda rate: sgd(decay=0.3, rate=rate)),
    (Momentum(name="momentum", nesterov=True, layer_rates=RATES), lambda rate: momentum(0.9, True, rate=rate)),
    (Momentum(name="momentum", weight_decay=0.3, layer_rates=RATES),
     lambda rate: momentum(0.9, False, decay=0.3, rate=rate)),
    (Adam(name="adam", layer_rates=RATES), lambda rate: adam(0.9, 0.999, 1e-8, rate=rate)),
    (AdamW(weight_decay=0.3, layer_rates=RATES), lambda rate: adam(0.9, 0.999, 1e-8, decoupled=0.3, rate=rate)),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "rule"), LAYERED, ids=[f"{case[0].tags[0]}{i}" for i, case in enumerate(LAYERED)])
def test_five_steps_with_rates_of_their_own(spec, rule):
    """`*` holds for the bias alone, since a later pattern names the others; the moments are those of the plain rule."""
    found = run(spec)
    check(found, with_factors(lambda factor: rule(factor * RATE), {"bias": 3.0, "kernel": 0.5, "scale": 0.0}))
    assert found[-1]["scale"].tobytes() == np.float32(PARAMS["scale"]).tobytes(), "0 keeps still, decay or not"


def test_the_last_pattern_counts_not_the_longest():
    first = run(SGD(name="sgd", layer_rates={"kernel": 0.5, "*": 3.0}))
    check(first, with_factors(lambda factor: sgd(rate=factor * RATE), dict.fromkeys(SHAPES, 3.0)))


def test_rates_by_the_path_of_a_layer():
    tree = {
        "stage1": {"conv": {"kernel": np.ones((1, 2))}, "norm": {"scale": np.ones(2)}},
        "stage10": {"conv": {"kernel": np.ones((1, 2))}},
        "head": {"kernel": np.ones((2, 2)), "bias": np.ones(2)},
    }
    rates = {"stage1": 0.1, "*.norm": 0.2, "head.bias": 7.0}
    transform = optimizer(SGD(name="sgd", layer_rates=rates), schedule(1.0, steps_per_epoch=1, epochs=1))
    params = jax.tree.map(jnp.float32, tree)
    updates, _ = transform.update(params, transform.init(params), params)
    factors = jax.tree.map(lambda update: -float(update.ravel()[0]), updates)
    assert factors == {
        "stage1": {"conv": {"kernel": pytest.approx(0.1)}, "norm": {"scale": pytest.approx(0.2)}},
        "stage10": {"conv": {"kernel": 1.0}},
        "head": {"kernel": 1.0, "bias": 7.0},
    }


def test_clipping_sees_the_gradient_before_the_rates():
    largest = 0.5 * min(norm(gradient) for gradient in GRADIENTS)
    clipped = [{name: leaf * largest / norm(g) for name, leaf in g.items()} for g in GRADIENTS]
    found = run(SGD(name="sgd", clip_norm=largest, layer_rates={"*": 0.25}))
    check(found, expected(sgd(rate=0.25 * RATE), clipped))


@pytest.mark.parametrize(
    "spec",
    [SGD(name="sgd"), Momentum(name="momentum"), Adam(name="adam"), AdamW(clip_norm=1e9)],
    ids=["sgd", "momentum", "adam", "adamw"],
)
def test_an_optimizer_that_begins_anew_forgets_gradients_and_keeps_the_schedule(spec):
    """After three steps its next two are the first two of a fresh one, at the rates of steps 3 and 4."""

    def of(warmup_epochs: int) -> optax.GradientTransformation:
        rate = Constant(schedule="constant", peak=1.0, warmup_epochs=warmup_epochs)
        return optimizer(spec, schedule(rate, steps_per_epoch=1, epochs=5))

    transform, plain = of(5), of(0)
    params = jax.tree.map(jnp.float32, PARAMS)
    gradients = [jax.tree.map(jnp.float32, gradient) for gradient in GRADIENTS]
    state = transform.init(params)
    for gradient in gradients[:3]:
        _, state = transform.update(gradient, state, params)
    kept = begun_anew(transform, state, params, jnp.array(False))
    assert all(map(np.array_equal, jax.tree.leaves(kept), jax.tree.leaves(state)))
    state = begun_anew(transform, state, params, jnp.array(True))
    other = plain.init(params)
    for gradient, at in zip(gradients[3:], (4 / 5, 5 / 5), strict=True):
        updates, state = transform.update(gradient, state, params)
        wanted, other = plain.update(gradient, other, params)
        for name in SHAPES:
            np.testing.assert_allclose(updates[name], at * wanted[name], rtol=1e-5, err_msg=name)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(TypeError, match=r"^no such optimizer: OptimizerSpec$"):
        optimizer(OptimizerSpec(), schedule(0.1, steps_per_epoch=1, epochs=1))
