"""The optimizers beyond gradient descent, momentum and Adam, against the papers' update rules in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.optim.optimizers import begun_anew, optimizer
from cnnlab.optim.schedules import schedule
from cnnlab.spec.optimizers import (
    LAMB,
    LARS,
    OPTIMIZERS,
    SGD,
    Adafactor,
    AdaGrad,
    Adam,
    AdamW,
    Lion,
    Lookahead,
    Momentum,
    Muon,
    OptimizerSpec,
    RAdam,
    RMSProp,
)
from cnnlab.spec.schedules import Constant
from tests.optim.test_optimizers import PARAMS, RATE, adam, check, decay_of, expected, momentum, run, sgd, trees

GRADIENTS = trees(1, 9)


def averaged_momentum(mu, nesterov):
    """v = mu v + (1 - mu) g: Goodfellow et al. (2016) section 8.3 has the other form; this is Adam's first moment."""

    def rule(w, gradients):
        v = np.zeros_like(w)
        for g in gradients:
            v = mu * v + (1 - mu) * g
            w = w - RATE * (mu * v + (1 - mu) * g if nesterov else v)
            yield w

    return rule


def adagrad(initial, epsilon, coupled=0.0):
    """Duchi et al. (2011)."""

    def rule(w, gradients):
        r = np.full_like(w, initial)
        for g in gradients:
            g = g + decay_of(w, coupled) * w
            r = r + g**2
            w = w - RATE * g / np.sqrt(r + epsilon)
            yield w

    return rule


def rmsprop(decay, epsilon, mu=0.0, centered=False):
    """Hinton's lecture 6e (2012); centred as Graves (2013), equations 38 to 45."""

    def rule(w, gradients):
        square, mean, v = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
        for g in gradients:
            square = decay * square + (1 - decay) * g**2
            mean = decay * mean + (1 - decay) * g if centered else mean
            v = mu * v + RATE * g / (np.sqrt(square - mean**2) + epsilon)
            w = w - v
            yield w

    return rule


def radam(beta1, beta2, epsilon):
    """Liu et al. (2020), algorithm 2, with 5 for the least length of the average, as the authors' code has it."""
    longest = 2 / (1 - beta2) - 1

    def rule(w, gradients):
        m, v = np.zeros_like(w), np.zeros_like(w)
        for t, g in enumerate(gradients, start=1):
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
            m_hat, length = m / (1 - beta1**t), longest - 2 * t * beta2**t / (1 - beta2**t)
            if length >= 5:
                r = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
                m_hat = np.sqrt(r) * m_hat / (np.sqrt(v / (1 - beta2**t)) + epsilon)
            w = w - RATE * m_hat
            yield w

    return rule


def lion(beta1, beta2, decay):
    """Chen et al. (2023), program 1."""

    def rule(w, gradients):
        m = np.zeros_like(w)
        for g in gradients:
            w = w - RATE * (np.sign(beta1 * m + (1 - beta1) * g) + decay_of(w, decay) * w)
            m = beta2 * m + (1 - beta2) * g
            yield w

    return rule


def lamb(beta1, beta2, epsilon, decay):
    """You et al. (2020), algorithm 2, with phi(z) = z."""

    def rule(w, gradients):
        m, v = np.zeros_like(w), np.zeros_like(w)
        for t, g in enumerate(gradients, start=1):
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
            u = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon) + decay_of(w, decay) * w
            w = w - RATE * np.linalg.norm(w) / np.linalg.norm(u) * u
            yield w

    return rule


def lars(mu, trust, decay, nesterov=False):
    """You et al. (2017), algorithm 1; vectors are not scaled."""

    def rule(w, gradients):
        v = np.zeros_like(w)
        for g in gradients:
            g = g + decay_of(w, decay) * w
            step = RATE * g * (trust * np.linalg.norm(w) / np.linalg.norm(g) if w.ndim > 1 else 1)
            v = mu * v + step
            w = w - (step + mu * v if nesterov else v)
            yield w

    return rule


def adafactor(exponent, clip, decay, factored):
    """Shazeer and Stern (2018), algorithms 4 and 5: relative step sizes, no momentum."""

    def rule(w, gradients):
        row, column, v = 0.0, 0.0, np.zeros_like(w)
        for t, g in enumerate(gradients, start=1):
            beta, square = 1 - t**-exponent, g**2 + 1e-30
            if factored and w.ndim == 2:
                row = beta * row + (1 - beta) * square.sum(1)
                column = beta * column + (1 - beta) * square.sum(0)
                v = np.outer(row, column) / row.sum()
            else:
                v = beta * v + (1 - beta) * square
            u = g / np.sqrt(v)
            u = u / max(1, np.sqrt((u**2).mean()) / clip)
            w = w - RATE * (max(1e-3, np.sqrt((w**2).mean())) * u + decay_of(w, decay) * w)
            yield w

    return rule


def orthogonal(x, iterations):
    """Newton and Schulz's iteration with Jordan's (2024) coefficients."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = x / np.linalg.norm(x)
    for _ in range(iterations):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x


def muon(mu, rms, decay, iterations=5, nesterov=True):
    """Jordan (2024), scaled to AdamW's size after Liu et al. (2025), equation 4; vectors by Adam."""

    def rule(w, gradients):
        if w.ndim == 1:
            yield from adam(0.9, 0.999, 1e-8, nesterov=nesterov)(w, gradients)
            return
        m = np.zeros_like(w)
        for t, g in enumerate(gradients, start=1):
            m = mu * m + (1 - mu) * g
            m_hat = m / (1 - mu**t)
            if nesterov:
                m_hat = mu * m / (1 - mu ** (t + 1)) + (1 - mu) * g / (1 - mu**t)
            o = orthogonal(m_hat, iterations) * np.sqrt(max(w.shape)) * rms
            w = w - RATE * (o + decay * w)
            yield w

    return rule


CASES = [
    (Momentum(name="momentum", form="average"), averaged_momentum(0.9, nesterov=False)),
    (Momentum(name="momentum", form="average", momentum=0.6, nesterov=True), averaged_momentum(0.6, nesterov=True)),
    (AdaGrad(name="adagrad"), adagrad(0.0, 1e-10)),
    (AdaGrad(name="adagrad", initial=0.1, epsilon=0.2, weight_decay=0.3), adagrad(0.1, 0.2, coupled=0.3)),
    (RMSProp(name="rmsprop"), rmsprop(0.9, 1e-8)),
    (RMSProp(name="rmsprop", decay=0.6, epsilon=0.1, momentum=0.7), rmsprop(0.6, 0.1, mu=0.7)),
    (RMSProp(name="rmsprop", centered=True, epsilon=0.1, momentum=0.7), rmsprop(0.9, 0.1, mu=0.7, centered=True)),
    (RAdam(name="radam", beta2=0.97), radam(0.9, 0.97, 1e-8)),
    (RAdam(name="radam", beta1=0.6, beta2=0.8, epsilon=0.1), radam(0.6, 0.8, 0.1)),
    (Lion(name="lion"), lion(0.9, 0.99, 0.1)),
    (Lion(name="lion", beta1=0.5, beta2=0.6, weight_decay=0.0), lion(0.5, 0.6, 0.0)),
    (LAMB(name="lamb"), lamb(0.9, 0.999, 1e-6, 0.01)),
    (LAMB(name="lamb", beta1=0.6, beta2=0.7, epsilon=0.2, weight_decay=0.3), lamb(0.6, 0.7, 0.2, 0.3)),
    (LARS(name="lars"), lars(0.9, 0.001, 0.0)),
    (LARS(name="lars", momentum=0.5, trust=0.1, weight_decay=0.3, nesterov=True), lars(0.5, 0.1, 0.3, nesterov=True)),
    (Adafactor(name="adafactor"), adafactor(0.8, 1.0, 0.0, factored=False)),
    (Adafactor(name="adafactor", factor_from=2, decay_exponent=0.5, clip_rms=0.7, weight_decay=0.3),
     adafactor(0.5, 0.7, 0.3, factored=True)),
    (Muon(name="muon"), muon(0.95, 0.2, 0.01)),
    (Muon(name="muon", momentum=0.5, iterations=3, rms=1.0, weight_decay=0.3, nesterov=False),
     muon(0.5, 1.0, 0.3, iterations=3, nesterov=False)),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "rule"), CASES, ids=[f"{case[0].tags[0]}{i}" for i, case in enumerate(CASES)])
def test_nine_steps_are_the_papers(spec, rule):
    check(run(spec, gradients=GRADIENTS), expected(rule, GRADIENTS))


def test_every_optimizer_has_a_rule_here_or_beside():
    seen = {type(spec) for spec, _ in CASES} | {SGD, Adam, AdamW}
    assert seen == set(OPTIMIZERS)


def named(cls: type[OptimizerSpec], **settings) -> OptimizerSpec:
    return cls.model_validate({"name": cls.tags[0], **settings})


@pytest.mark.parametrize("cls", OPTIMIZERS, ids=lambda cls: cls.tags[0])
def test_each_layers_rate_is_a_factor_on_its_last_update(cls):
    """The first update, in which no weight has yet gone another way."""
    one = run(named(cls), gradients=GRADIENTS[:1])[0]
    other = run(named(cls, layer_rates={"kernel": 0.25, "bias": 0.0}), gradients=GRADIENTS[:1])[0]
    for name, factor in (("kernel", 0.25), ("bias", 0.0), ("scale", 1.0)):
        wanted = PARAMS[name] + factor * (one[name] - PARAMS[name])
        np.testing.assert_allclose(other[name], wanted, rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("cls", OPTIMIZERS, ids=lambda cls: cls.tags[0])
def test_begun_anew_each_forgets_gradients_and_keeps_the_schedule(cls):
    def of(warmup_epochs: int):
        rate = Constant(schedule="constant", peak=1.0, warmup_epochs=warmup_epochs)
        return optimizer(named(cls), schedule(rate, steps_per_epoch=1, epochs=5))

    transform, plain = of(5), of(0)
    params = jax.tree.map(jnp.float32, PARAMS)
    gradients = [jax.tree.map(jnp.float32, gradient) for gradient in GRADIENTS[:4]]
    state = transform.init(params)
    for gradient in gradients[:3]:
        _, state = transform.update(gradient, state, params)
    state = begun_anew(transform, state, params, jnp.array(True))
    updates, _ = transform.update(gradients[3], state, params)
    wanted, _ = plain.update(gradients[3], plain.init(params), params)
    for name in PARAMS:
        np.testing.assert_allclose(updates[name], 4 / 5 * wanted[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_entries_are_clipped_before_the_norm():
    clipped = [{name: np.clip(leaf, -0.5, 0.5) for name, leaf in gradient.items()} for gradient in GRADIENTS]
    check(run(SGD(name="sgd", clip_value=0.5), gradients=GRADIENTS), expected(sgd(), clipped))
    norms = [np.sqrt(sum((leaf**2).sum() for leaf in gradient.values())) for gradient in clipped]
    both = [{name: leaf * min(1, 0.7 / n) for name, leaf in g.items()} for g, n in zip(clipped, norms, strict=True)]
    check(run(SGD(name="sgd", clip_value=0.5, clip_norm=0.7), gradients=GRADIENTS), expected(sgd(), both))


@pytest.mark.parametrize("shape", [(3, 3, 4, 8), (5, 2, 16), (2, 2, 2, 3, 4), (6, 20)])
def test_muons_update_of_a_kernel_is_nearly_orthogonal_and_turns_nothing(shape):
    """Of U S V' it makes U V' times singular values near 1 (Jordan 2024), the window flattened with the input."""
    gradient = np.random.default_rng(0).standard_normal(shape)
    transform = optimizer(Muon(name="muon", weight_decay=0.0, rms=1.0), lambda _: jnp.ones(()))
    params = {"kernel": jnp.zeros(shape)}
    updates, _ = transform.update({"kernel": jnp.asarray(gradient, jnp.float32)}, transform.init(params), params)
    matrix = -np.asarray(updates["kernel"], np.float64).reshape(-1, shape[-1])
    u, _, v = np.linalg.svd(gradient.reshape(-1, shape[-1]), full_matrices=False)
    inside = u.T @ matrix @ v.T / np.sqrt(max(matrix.shape))
    np.testing.assert_allclose(inside, np.diag(np.diag(inside)), atol=1e-4)
    assert (np.diag(inside) > 0.6).all()
    assert (np.diag(inside) < 1.25).all()


@pytest.mark.parametrize(
    ("spec", "rule"),
    [(SGD(name="sgd"), sgd), (Momentum(name="momentum"), lambda: momentum(0.9, False)),
     (Adam(name="adam"), lambda: adam(0.9, 0.999, 1e-8))],
    ids=["sgd", "momentum", "adam"],
)  # fmt: skip
@pytest.mark.parametrize(("steps", "rate"), [(3, 0.5), (1, 0.25), (4, 1.0), (20, 0.5)])
def test_lookahead_goes_back_after_every_few_steps(spec, rule, steps, rate):
    """Zhang et al. (2019), algorithm 1: the inner optimizer's moments go on over the return."""

    def look(w, gradients):
        fast = np.array(w)
        updates = UpdatesOf(rule())
        for t, g in enumerate(gradients, start=1):
            fast = fast + updates(fast, g)
            if t % steps == 0:
                w = w + rate * (fast - w)
                fast = w
            yield fast

    found = run(spec.model_copy(update={"lookahead": Lookahead(steps=steps, rate=rate)}), gradients=GRADIENTS)
    check(found, expected(look, GRADIENTS))


class UpdatesOf:
    """A rule asked for one update at a time, at weights that something else has moved in between."""

    def __init__(self, rule):
        self.rule, self.seen = rule, []

    def __call__(self, w, g):
        self.seen.append(g)
        *before, last = self.rule(np.zeros_like(w), iter(self.seen))  # none of these rules looks at the weights
        return last - (before[-1] if before else 0)
