"""PyTorch's side of speed.py and gpu.py: a question a line on stdin, milliseconds a step on a line of stdout.

The same networks, batch and update: torchvision's where it has them, written out here where not. The step takes pixels,
normalises them, updates weights and running statistics, and adds up loss and correct answers, as cnnlab's does.
With PEER_MALLOPT=1 malloc keeps its memory as cnnlab's processes have it.
"""

import contextlib
import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

if os.environ.get("PEER_MALLOPT") == "1":  # before torch allocates; the numbers are glibc's
    for parameter, value in ((-4, 0), (-1, 2**31 - 1), (-8, 1), (-2, 64 * 2**20)):
        ctypes.CDLL(None).mallopt(parameter, value)

import torch
import torch.nn.functional as F  # noqa: N812
from cases import CASES, MOBILE, UNET_WIDTHS
from torch import nn

_register = torch.library.register_fake


def _lenient(operator: Any, *arguments: Any, **options: Any) -> Any:
    """A CPU build of torch lacks torchvision's compiled operators, which no network here uses."""
    if isinstance(operator, str) and operator.startswith("torchvision::"):
        return lambda function: function
    return _register(operator, *arguments, **options)


torch.library.register_fake = _lenient
import torchvision  # noqa: E402


def conv_norm_relu(channels: int, features: int, kernel: int = 3, **more: Any) -> nn.Sequential:
    conv = nn.Conv2d(channels, features, kernel, padding=kernel // 2, bias=False, **more)
    return nn.Sequential(conv, nn.BatchNorm2d(features), nn.ReLU(inplace=True))


def mobilenet() -> nn.Module:
    layers, channels = [conv_norm_relu(3, 32, stride=2)], 32
    for features, stride in MOBILE:
        layers += [conv_norm_relu(channels, channels, stride=stride, groups=channels)]
        layers += [conv_norm_relu(channels, features, 1)]
        channels = features
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


class Level(nn.Module):
    """One level of the U-Net with all that is below it."""

    def __init__(self, channels: int, widths: tuple[int, ...]):
        super().__init__()
        width, *deeper = widths
        self.down = nn.Sequential(conv_norm_relu(channels, width), conv_norm_relu(width, width))
        self.below = None
        if deeper:
            below = Level(width, tuple(deeper))
            self.below = nn.Sequential(nn.MaxPool2d(2), below, nn.ConvTranspose2d(deeper[0], width, 2, 2))
            self.up = nn.Sequential(conv_norm_relu(2 * width, width), conv_norm_relu(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down(x)
        return x if self.below is None else self.up(torch.cat([x, self.below(x)], 1))


def lenet5() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    )


def small_resnet18() -> nn.Module:
    net = torchvision.models.resnet18(num_classes=10)
    net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return net


def mlp() -> nn.Module:
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    )


def unet() -> nn.Module:
    return nn.Sequential(Level(3, UNET_WIDTHS), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(UNET_WIDTHS[0], 10))


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NETS: dict[str, Callable[[], nn.Module]] = {
    "MLP 784-512-512": mlp,
    "LeNet-5": lenet5,
    "ResNet-18 CIFAR": small_resnet18,
    "ResNet-50": lambda: torchvision.models.resnet50(),
    "ResNeXt-50": lambda: torchvision.models.resnext50_32x4d(),
    "EfficientNet-B0": lambda: torchvision.models.efficientnet_b0(),
    "MobileNet 128": mobilenet,
    "U-Net 128": unet,
}


@cache
def steps(name: str, variant: str, precision: str, batch: int | None) -> dict[str, Callable[[], object]]:
    """The training step and the evaluation of a case, by `train` and `eval`."""
    case = next(case for case in CASES if case.name == name)
    case = case._replace(batch=batch or case.batch)
    torch.manual_seed(0)
    layout = torch.contiguous_format if variant == "contiguous" else torch.channels_last
    net = NETS[name]().to(DEVICE, memory_format=layout)
    run = torch.compile(net) if variant == "compiled" else net
    optimizer = torch.optim.SGD(net.parameters(), 1e-3, momentum=0.9)
    pixels = torch.randint(0, 256, (case.batch, *case.shape), dtype=torch.uint8, device=DEVICE)
    labels = torch.randint(0, case.classes, (case.batch,), device=DEVICE)
    sums = [torch.zeros((), device=DEVICE), torch.zeros((), device=DEVICE)]
    cast = contextlib.nullcontext if precision == "float32" else lambda: torch.autocast(DEVICE, torch.bfloat16)

    def inputs() -> torch.Tensor:
        x = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout)
        return x.div_(255).sub_(0.5).div_(0.25)

    def train() -> None:
        net.train()
        with cast():
            logits = run(inputs())
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            sums[0] += loss.detach() * len(labels)
            sums[1] += (logits.argmax(1) == labels).sum()

    def evaluate() -> object:
        net.eval()
        with torch.inference_mode(), cast():
            logits = run(inputs()).float()
            probability, predicted = logits.softmax(1).max(1)
            return F.cross_entropy(logits, labels, reduction="none"), predicted, probability

    return {"train": train, "eval": evaluate}


def milliseconds(name: str, mode: str, precision: str, seconds: float, variant: str, batch: int | None = None) -> float:
    """A step, by the mean over `seconds` without a wait between them, after two that do not count."""
    step = steps(name, variant, precision, batch)[mode]
    wait = torch.cuda.synchronize if DEVICE == "cuda" else lambda: None
    step()
    wait()
    start = time.perf_counter()
    step()
    wait()
    count = max(2, int(seconds / (time.perf_counter() - start)))
    start = time.perf_counter()
    for _ in range(count):
        step()
    wait()
    return (time.perf_counter() - start) / count * 1e3


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(milliseconds(**json.loads(line))), flush=True)
