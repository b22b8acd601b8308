"""ResNet-18 against torchvision's: logits, loss, gradients and batch statistics for the same weights.

tests/models/reference/ holds vectors made with torchvision 0.28.0 on PyTorch 2.13.0 in float64. Weights and inputs are
filled by rule: with rng = numpy.random.default_rng(zlib.crc32(name)) and x = rng.standard_normal(shape) a running
variance is 1 + 0.1 |x|, a running mean 0.1 x, a one-dimensional `weight` 1 + 0.1 x, other vectors 0.1 x, and the rest
x sqrt(2 / prod(shape[1:])). What float32 can be held to (torch itself against these): logits 4e-6, training logits
3e-5, gradient norms 1.2e-2.
"""

import json
import math
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.losses import cross_entropy
from cnnlab.models import MODELS
from cnnlab.train.state import split

FOLDER = Path(__file__).parent / "reference"
REFERENCE = json.loads((FOLDER / "resnet18.json").read_text())
with np.load(FOLDER / "resnet18.npz") as _file:
    LOGITS, TRAIN_LOGITS = _file["logits"], _file["train_logits"]
BATCH, CHANNELS, HEIGHT, WIDTH = REFERENCE["input"]


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


def our_path(name: str) -> tuple[str, ...]:
    """`layer2.0.downsample.1.weight` -> ("stage2", "block0", "shortcut", "norm", "scale")."""
    *parts, leaf = name.split(".")
    norm = leaf.startswith("running") or (
        parts[-1].startswith("bn") or (parts[-2:-1] == ["downsample"] and parts[-1] == "1")
    )
    leaf = {"running_mean": "mean", "running_var": "var", "weight": "scale" if norm else "kernel"}.get(leaf, leaf)
    if parts == ["fc"]:
        return "head", leaf
    if parts[0].startswith("layer"):
        stage, block, *rest = parts
        inside = (
            ("shortcut", ("conv", "norm")[int(rest[1])])
            if rest[0] == "downsample"
            else ("body", rest[0].replace("bn", "norm"))
        )
        return f"stage{stage[-1]}", f"block{block}", *inside, leaf
    return "stem", {"conv1": "conv", "bn1": "norm"}[parts[0]], leaf


def ours(values: np.ndarray) -> np.ndarray:
    """torch's O, I, H, W as H, W, I, O; torch's O, I as I, O."""
    return np.transpose(values, {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[values.ndim])


def at(tree: dict, path: tuple[str, ...]) -> jax.Array:
    for part in path:
        tree = tree[part]
    return tree  # type: ignore[return-value]


@pytest.fixture(scope="module")
def net():
    """Structure, parameters and statistics of ResNet-18, filled by the rule."""
    graph, params, stats = split(MODELS["resnet18"]((HEIGHT, WIDTH, CHANNELS), 1000, init=Initializer()))
    names = {name: shape for name, shape in REFERENCE["state"].items() if not name.endswith("num_batches_tracked")}
    assert len(names) == len(jax.tree.leaves((params, stats)))
    for name, shape in names.items():
        path = our_path(name)
        tree = at(stats if path[-1] in ("mean", "var") else params, path[:-1])
        value = ours(filled(name, shape))
        assert tree[path[-1]].shape == value.shape, name
        tree[path[-1]] = value  # type: ignore[index]
    return graph, params, stats


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    x = np.random.default_rng(0).standard_normal(REFERENCE["input"]).astype(np.float32)
    return np.transpose(x, (0, 2, 3, 1))


def distance(found: object, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(np.asarray(found, np.float64) - wanted) / np.linalg.norm(wanted))


def test_the_parameters_are_as_many(net):
    assert sum(leaf.size for leaf in jax.tree.leaves(net[1])) == REFERENCE["parameters"] == 11_689_512


def test_the_logits_are_torchvision_s(net, images):
    graph, params, stats = net
    logits = jax.jit(lambda params, stats, x: nnx.merge(graph, params, stats)(x))(params, stats, images)
    assert distance(logits, LOGITS) < 1e-5


def test_training_is_torchvision_s(net, images):
    """Logits, loss, the norm of every gradient and the running statistics after one pass in training mode."""
    graph, params, stats = net
    labels = (7 * np.arange(BATCH) + 1) % 1000

    def loss(params, stats, x):
        model = nnx.merge(graph, params, stats)
        logits = model(x, Mode(train=True))
        after = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
        return cross_entropy(logits, jnp.asarray(labels)).mean(), (logits, after)

    (value, (logits, after)), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params, stats, images)
    assert distance(logits, TRAIN_LOGITS) < 1e-4
    assert float(value) == pytest.approx(REFERENCE["train_loss"], rel=1e-4)
    norms = REFERENCE["grad_norms"]
    largest = max(norms.values())
    for name, norm in norms.items():
        found = float(jnp.linalg.norm(at(gradient, our_path(name)).ravel()))
        assert abs(found - norm) < 1.2e-2 * max(norm, 1e-6 * largest), name
    for name, norm in REFERENCE["running_after"].items():
        if not name.endswith("num_batches_tracked"):
            found = float(jnp.linalg.norm(at(after, our_path(name))))
            assert found == pytest.approx(norm, rel=1e-4), name
