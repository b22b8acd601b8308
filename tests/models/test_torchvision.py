"""Members of the families that no stored vectors cover, against the publishers' own code where it is installed.

Their weights are filled by the rule of test_reference.py, their arithmetic is in float64, the input is not square.
The second part needs torch alone: two networks written out by hand, with weights under the names that an export gives.
"""

import math
import re
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.models import MODELS, TORCH_NAMES
from cnnlab.models.heads import Heads
from cnnlab.spec.losses import CrossEntropy
from cnnlab.tasks.classification import Classification
from cnnlab.train.state import from_named, named_leaves, split
from cnnlab.weights import files
from cnnlab.weights.files import Description
from cnnlab.weights.head import without_head
from cnnlab.weights.match import matched
from cnnlab.weights.names import PLAIN, counters, tensors
from cnnlab.weights.preprocessing import published
from tests.models.test_reference import NETWORKS as STORED
from tests.models.test_reference import distance, filled

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch: Any = pytest.importorskip("torch", reason="PyTorch, an extra of the tests, is not installed")
from torch import nn

pytestmark = pytest.mark.slow
SHAPE = (2, 3, 64, 96)
LAST_NORM = r"(layer\d\.\d+\.bn[23]|features\.\d\.\d+\.block\.3\.1|blocks\.\d\.\d+\.bn3)\.weight"  # of a body


def library(name: str) -> Any:
    """torchvision or timm. A build of torchvision without its compiled operators cannot register their shapes, which
    no network needs: those registrations are left out."""
    register = torch.library.register_fake

    def some(operator: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(operator, str) and operator.startswith("torchvision::"):
            return lambda function: function
        return register(operator, *arguments, **named)

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(torch.library, "register_fake", some)
        pytest.importorskip("torchvision", reason="torchvision is not installed")  # timm imports it too
        return pytest.importorskip(name, reason=f"{name} is not installed")


def theirs(publisher: str, name: str) -> Any:
    """The publisher's network in evaluation mode, its tensors filled by rule."""
    code = library(publisher)
    if publisher == "timm":
        if name not in code.list_models(name):
            pytest.skip(f"timm has no {name}")
        model = code.create_model(name, pretrained=False)
    else:
        options = {"init_weights": False} if name.startswith(("vgg", "googlenet")) else {}
        model = code.models.get_model(name, weights=None, **options)
    state = {key: torch.from_numpy(np.asarray(fill(key, value))) for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    return model.double().eval()


def fill(name: str, value: Any) -> np.ndarray:
    """By rule, but a residual body adds a quarter: or each would double the variance, and the gates of a hundred
    layers behind each other make of float32's rounding, torch's own too, differences of 10 %."""
    if name.endswith("num_batches_tracked"):
        return np.zeros((), np.int64)
    return filled(name, list(value.shape)) * np.float32(0.25 if re.fullmatch(LAST_NORM, name) else 1)


def images() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)


def evaluated(name: str, state: dict[str, np.ndarray], *, features: bool = False) -> np.ndarray:
    """Our network's answer in float32, with the weights of a foreign state dict."""
    shape = (*SHAPE[2:], SHAPE[1])
    model = MODELS[name](shape, 1000, init=Initializer())
    weights = matched(model, name, 2, state, None, name)
    graph, params, stats = split(without_head(model, shape) if features else model)
    params, stats = (from_named(weights, tree) for tree in (params, stats))

    @jax.jit
    def forward(params: Any, stats: Any, x: jax.Array) -> jax.Array:
        return nnx.merge(graph, params, stats)(x)

    return np.asarray(forward(params, stats, jnp.asarray(images().transpose(0, 2, 3, 1))))


def parameters(name: str) -> int:
    model = MODELS[name]((*SHAPE[2:], SHAPE[1]), 1000, init=Initializer())
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


OF_TORCHVISION = [name for name, rules in TORCH_NAMES.items() if "torchvision" in rules and name != "efficientnet"]
SENETS = [name for name in TORCH_NAMES if name.startswith("se")]
PUBLISHED = [  # of the eight VGGs, each of over 100 million parameters, four
    *(("torchvision", name) for name in OF_TORCHVISION if name not in STORED and not name.startswith("vgg")),
    *(("torchvision", name) for name in ("vgg13", "vgg19_bn")),
    *(("timm", name) for name in SENETS if name not in STORED),
    *(("timm", name) for name in ("vgg11", "vgg16_bn", "efficientnet_b0", "efficientnet_b3")),
    ("timm", "resnet50"),  # whose names are torchvision's
]


@pytest.mark.parametrize(("publisher", "name"), PUBLISHED)
def test_a_state_dict_loads_and_gives_the_publishers_logits(publisher, name):
    model = theirs(publisher, name)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters(name)
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    with torch.no_grad():
        wanted = model(torch.from_numpy(images()).double()).numpy()
    far = distance(evaluated(name, state), wanted)
    assert np.isfinite(wanted).all()
    assert far < 1e-5


@pytest.mark.parametrize(
    ("publisher", "name", "head"),
    [
        ("torchvision", "resnet34", "fc"),
        ("torchvision", "vgg11", "classifier.6"),
        ("torchvision", "efficientnet_b1", "classifier.1"),
        ("torchvision", "googlenet", "fc"),
        ("timm", "seresnet18", "fc"),
    ],
)
def test_features_are_what_the_publishers_classifier_is_given(publisher, name, head):
    model = theirs(publisher, name)
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    seen = []
    model.get_submodule(head).register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(torch.from_numpy(images()).double())
    far = distance(evaluated(name, state, features=True), seen[0].numpy())
    assert far < 1e-5


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_the_preprocessing_is_torchvisions(name):
    """Of the first weights, as far as they are of this kind; GoogLeNet's own step is told in test_preprocessing.py."""
    (first, *_) = library("torchvision").models.get_model_weights(name)
    known, wanted = published(name), first.transforms()
    size = tuple(wanted.crop_size) * (2 if len(wanted.crop_size) == 1 else 1)
    assert (known.size, known.resize, known.interpolation) == (
        size,
        wanted.resize_size[0],
        wanted.interpolation.value,
    )
    if name != "googlenet":
        assert (known.mean, known.std) == (tuple(wanted.mean), tuple(wanted.std))


# ---------------------------------------------------------------- by hand


class Shortcut(nn.Module):
    """Option A: every second position, and zeros behind the channels."""

    def __init__(self, stride: int, more: int):
        super().__init__()
        self.stride, self.more = stride, more

    def forward(self, x):
        return nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))


class Block(nn.Module):
    def __init__(self, inside: int, out: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(inside, out, 3, stride=stride, padding=1, bias=False),
                norm1=nn.BatchNorm2d(out),
                act1=nn.ReLU(),
                conv2=nn.Conv2d(out, out, 3, padding=1, bias=False),
                norm2=nn.BatchNorm2d(out),
            )
        )
        self.skip = Shortcut(stride, out - inside)

    def forward(self, x):
        return torch.relu(self.body(x) + self.skip(x))


class ResNet20(nn.Module):
    """He et al. 2016, section 4.2, with n = 3."""

    def __init__(self, classes: int):
        super().__init__()
        self.stem = nn.Sequential(
            OrderedDict(conv=nn.Conv2d(3, 16, 3, padding=1, bias=False), norm=nn.BatchNorm2d(16), act=nn.ReLU())
        )
        self.stage1, self.stage2, self.stage3 = (
            nn.Sequential(
                OrderedDict(block0=Block(inside, out, stride), block1=Block(out, out, 1), block2=Block(out, out, 1))
            )
            for inside, out, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        )
        self.head = nn.Linear(64, classes)

    def forward(self, x):
        return self.head(self.stage3(self.stage2(self.stage1(self.stem(x)))).mean((2, 3)))


class LeNet5(nn.Module):
    """LeCun et al. 1998."""

    def __init__(self, classes: int):
        super().__init__()
        self.c1, self.c3 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.c5, self.f6, self.output = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, x):
        for conv in (self.c1, self.c3):
            x = nn.functional.avg_pool2d(torch.tanh(conv(x)), 2)
        x = x.flatten(1)
        return self.output(torch.tanh(self.f6(torch.tanh(self.c5(x)))))


@pytest.mark.parametrize(
    ("name", "network", "channels"), [("resnet20", ResNet20, 3), ("lenet5", LeNet5, 1)], ids=["resnet20", "lenet5"]
)
def test_a_network_by_hand(name, network, channels, tmp_path: Path):
    """Ours, exported, loaded by torch: logits of evaluation and training, loss, gradients, batch statistics."""
    ours = MODELS[name]((32, 32, channels), 10, init=Initializer(3))
    known = tensors(ours, name, PLAIN, 2)
    graph, params, stats = split(ours)
    random = np.random.default_rng(0)
    leaves = {
        key: np.asarray(value) + 0.1 * random.random(np.shape(value), dtype=np.float32)
        for tree in (params, stats)
        for key, value in named_leaves(tree).items()
    }
    exported = {entry.torch: entry.to_torch(leaves[entry.ours]) for entry in known}
    files.write(tmp_path / "w.safetensors", {**exported, **counters(exported)}, Description({}, PLAIN))
    loaded = pytest.importorskip("safetensors.torch").load_file(tmp_path / "w.safetensors")
    model = network(10)
    model.load_state_dict(loaded, strict=True)
    model.double().eval()
    x, y = random.standard_normal((4, channels, 32, 32)), np.array([7, 0, 3, 3])
    differences = {}
    with torch.no_grad():
        logits = model(torch.from_numpy(x)).numpy()
    model.train()
    trained = model(torch.from_numpy(x))
    value = nn.functional.cross_entropy(trained, torch.from_numpy(y))
    value.backward()

    with jax.enable_x64(True):
        params, stats = (from_named(leaves, tree) for tree in (params, stats))
        params, stats = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (params, stats))
        images = jnp.asarray(x.transpose(0, 2, 3, 1))
        differences["logits"] = distance(nnx.merge(graph, params, stats)(images), logits)

        @jax.jit
        def loss(params: Any) -> Any:
            copy = nnx.merge(graph, params, stats)
            found = copy(images, Mode(train=True, key=jax.random.key(0)))
            output = found.logits if isinstance(found, Heads) else found
            task = Classification(tuple(map(str, range(output.shape[-1]))), CrossEntropy())
            losses, _ = task.objective(found, images, jnp.asarray(y))
            return losses.mean(), (output, nnx.to_pure_dict(nnx.state(copy, nnx.BatchStat)))

        (found, (output, after)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    differences["training logits"] = distance(output, trained.detach().numpy())
    differences["loss"] = abs(float(found) - value.item()) / value.item()
    gradients, statistics = named_leaves(gradient), named_leaves(after)
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    assert {entry.torch for entry in known} == {*parameters, *(key for key in buffers if "num_batches" not in key)}
    for entry in known:
        there = gradients.get(entry.ours, statistics.get(entry.ours))
        wanted = parameters[entry.torch].grad if entry.torch in parameters else buffers[entry.torch]
        differences[entry.torch] = distance(entry.to_torch(np.asarray(there)), wanted.numpy())
    assert {key: far for key, far in differences.items() if far > 1e-9} == {}
