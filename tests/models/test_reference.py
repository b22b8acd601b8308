"""Nine networks against torchvision's and timm's: names, counts, logits, loss, gradients and batch statistics.

Each is held to them in one precision at least, some in both.

tests/models/reference/ holds vectors made with torchvision 0.28.0 and timm 1.0.31 on PyTorch 2.13.0 in float64, with
dropout and stochastic depth off. Weights and inputs are filled by rule: with rng = numpy.random.default_rng(
zlib.crc32(name)) and x = rng.standard_normal(shape) a running variance is 1 + 0.1 |x|, a running mean 0.1 x, a
one-dimensional `weight` 1 + 0.1 x, other vectors 0.1 x, and the rest x sqrt(2 / prod(shape[1:])), as float32.

What float32 can be held to (torch itself against these): logits 4e-6, training logits 3e-5, gradient norms 1.2e-2 for
the deep networks and 3e-4 for the plain ones. That was one order of sums, and another turns over other ReLUs and maxima
that stand on the edge (a thousandth of a gradient each): SE-ResNet-50's came to 1.3e-2 on one processor, VGG-11's to
3.7e-4 with the kernels and 3.0e-4 without, so twice torch's are given. A bias in front of batch normalisation has
gradient 0: torch's own comes to 6e-7 of the network's largest norm in float32 (VGG-16), so norms count from 1e-4 of
that. In float64 everything agrees to 1e-8, counted from 1e-6.
"""

import json
import math
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab import kernels
from cnnlab.kernels import lowering
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.models import MODELS
from cnnlab.models.heads import Heads
from cnnlab.spec.architectures import NAMES
from cnnlab.spec.losses import CrossEntropy
from cnnlab.tasks.classification import Classification
from cnnlab.train.state import from_named, named_leaves, split
from cnnlab.weights.names import counters, schemes, tensors

FOLDER = Path(__file__).parent / "reference"
NETWORKS = sorted(path.stem for path in FOLDER.glob("*.json"))
IN_FLOAT32 = ("vgg11", "resnet50", "efficientnet_b0")  # every kernel that the others have too
PLAIN = ("alexnet", "vgg11")
OFF = ("dropout", "auxiliary_dropout", "stochastic_depth")


class Network(NamedTuple):
    """A network filled by the rule, and what torch says of it."""

    graph: nnx.GraphDef
    params: Any
    stats: Any
    images: np.ndarray
    labels: np.ndarray
    torch_names: dict[str, str]
    reference: dict[str, Any]
    logits: np.ndarray
    train_logits: np.ndarray


def filled(name: str, shape: list[int]) -> np.ndarray:
    x = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("running_var"):
        x = 1 + 0.1 * abs(x)
    elif name.endswith("running_mean"):
        x = 0.1 * x
    elif len(shape) == 1:
        x = 1 + 0.1 * x if name.endswith("weight") else 0.1 * x
    else:
        x = x * math.sqrt(2 / math.prod(shape[1:]))
    return x.astype(np.float32)


def network(name: str) -> Network:
    """The network, with torch's weights in our layout; its names and shapes must be torch's."""
    reference = json.loads((FOLDER / f"{name}.json").read_text())
    with np.load(FOLDER / f"{name}.npz") as file:
        logits, train_logits = file["logits"], file["train_logits"]
    batch, channels, height, width = reference["input"]
    off = {key: 0.0 for key in OFF if key in NAMES[name].model_fields}
    model = MODELS[name]((height, width, channels), 1000, init=Initializer(), **off)
    known = tensors(model, name, next(iter(schemes(name))), 2)
    state = {tensor.torch: list(tensor.torch_shape) for tensor in known}
    assert {**state, **{key: [] for key in counters(state)}} == reference["state"]
    weights = {
        tensor.ours: tensor.from_torch(filled(tensor.torch, reference["state"][tensor.torch])) for tensor in known
    }
    graph, params, stats = split(model)
    params, stats = (from_named(weights, tree) for tree in (params, stats))
    images = np.random.default_rng(0).standard_normal(reference["input"]).astype(np.float32).transpose(0, 2, 3, 1)
    names = {tensor.ours: tensor.torch for tensor in known}
    labels = (7 * np.arange(batch) + 1) % 1000
    return Network(graph, params, stats, images, labels, names, reference, logits, train_logits)


def distance(found: Any, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(np.asarray(found, np.float64) - wanted) / np.linalg.norm(wanted))


class Bounds(NamedTuple):
    """Relative ones; a gradient's norm counts from `floor` times the largest."""

    logits: float
    train_logits: float
    gradient: float
    floor: float
    statistics: float


def check(name: str, dtype: Any, bounds: Bounds) -> None:
    """Evaluation, then one pass in training mode with its gradient, as the reference was made."""
    kernels.enable()  # whatever ran before
    net = network(name)
    params, stats, images = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (net.params, net.stats, net.images))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == net.reference["parameters"]

    @jax.jit
    def evaluate(params: Any, stats: Any, x: jax.Array) -> jax.Array:
        return nnx.merge(net.graph, params, stats)(x)

    assert distance(evaluate(params, stats, images), net.logits) < bounds.logits

    def loss(params: Any, stats: Any, x: jax.Array) -> tuple[jax.Array, Any]:
        model = nnx.merge(net.graph, params, stats)
        output = model(x, Mode(train=True, key=jax.random.key(0)))
        logits = output.logits if isinstance(output, Heads) else output
        task = Classification(tuple(map(str, range(logits.shape[-1]))), CrossEntropy())
        losses, objectives = task.objective(output, logits, jnp.asarray(net.labels))
        after = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
        return objectives.mean(), (logits, losses.mean(), after)

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, (logits, first, after)), gradient = step(params, stats, images)
    assert distance(logits, net.train_logits) < bounds.train_logits
    assert float(first) == pytest.approx(net.reference["train_loss"], rel=bounds.train_logits)
    assert float(value) == pytest.approx(net.reference["train_loss_with_aux"], rel=bounds.train_logits)
    norms = {
        net.torch_names[ours]: float(jnp.linalg.norm(leaf.ravel())) for ours, leaf in named_leaves(gradient).items()
    }
    wanted = net.reference["grad_norms"]
    assert norms.keys() == wanted.keys()
    largest = max(wanted.values())
    for key, norm in wanted.items():
        assert abs(norms[key] - norm) < bounds.gradient * max(norm, bounds.floor * largest), key
    running = {net.torch_names[ours]: float(jnp.linalg.norm(leaf)) for ours, leaf in named_leaves(after).items()}
    counted = net.reference["running_after"]
    assert running.keys() == {key for key in counted if not key.endswith("num_batches_tracked")}
    for key, norm in running.items():
        assert norm == pytest.approx(counted[key], rel=bounds.statistics), key


def test_the_references_are_the_nine():
    assert len(NETWORKS) == 9


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_FLOAT32)
def test_in_float32(name):
    check(name, jnp.float32, Bounds(1e-5, 1e-4, 6e-4 if name in PLAIN else 2.4e-2, 1e-4, 1e-4))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("vgg11", "resnet50")])
def test_in_float64(name):
    """No kernel is for double precision. Of the formulas that take their place depthwise convolutions alone gain: those
    of ResNeXt-50's groups compile for a minute."""
    with jax.enable_x64(True), lowering.switched(name == "efficientnet_b0"):
        check(name, jnp.float64, Bounds(1e-8, 1e-8, 1e-8, 1e-6, 1e-8))
