"""Convolutions one by one, and whole training steps: XLA's own, plain formulas, kernels, in turn within one process.

`python convolutions.py` prints tables in milliseconds, medians; `python convolutions.py operations` (or steps) one of
them. With PEER_PYTHON, a Python that has torch, PyTorch (channels-last) does each operation in its turn too.
Malloc keeps its memory on both sides, as it does for the command line.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

ROUNDS, SECONDS = 7, 0.2
PARTS = ("forward", "input gradient", "weight gradient")
SIDES = ("XLA", "formulas", "kernels")


class Case(NamedTuple):
    """One convolution: batch, side of the map, channels, features, window, stride, groups."""

    name: str
    batch: int
    side: int
    channels: int
    features: int
    window: int
    stride: int = 1
    groups: int = 1


CASES = (
    Case("3x3 64 to 64, 128x32x32", 128, 32, 64, 64, 3),
    Case("3x3/2 64 to 128, 128x32x32", 128, 32, 64, 128, 3, 2),
    Case("3x3 512 to 512, 8x7x7", 8, 7, 512, 512, 3),
    Case("3x3 64 to 64, 1x56x56", 1, 56, 64, 64, 3),
    Case("1x1 64 to 256, 8x56x56", 8, 56, 64, 256, 1),
    Case("1x1/2 256 to 512, 8x56x56", 8, 56, 256, 512, 1, 2),
    Case("7x7/2 3 to 64, 8x224x224", 8, 224, 3, 64, 7, 2),
    Case("depthwise 3x3, 32 at 112", 8, 112, 32, 32, 3, 1, 32),
    Case("depthwise 3x3/2, 96 at 112", 8, 112, 96, 96, 3, 2, 96),
    Case("depthwise 5x5, 672 at 14", 8, 14, 672, 672, 5, 1, 672),
    Case("32 groups, 128 at 56", 8, 56, 128, 128, 3, 1, 32),
    Case("5x5 1 to 6, 128x32x32", 128, 32, 1, 6, 5),
    Case("5x5 6 to 16, 128x14x14", 128, 14, 6, 16, 5),
)
# XLA takes seconds to minutes for the weight gradient of a grouped convolution.
STEPS = (
    ("resnet18 small stem, 64x32x32", "resnet18", 64, 32, True),
    ("resnext50, 8x64x64", "resnext50_32x4d", 8, 64, False),
)


def milliseconds(call: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats * 1e3


def in_turn(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median milliseconds of each, measured one after the other over and over."""
    repeats = {}
    for name, call in calls.items():
        call()
        once = milliseconds(call, 1)
        repeats[name] = max(1, min(200, int(SECONDS * 1e3 / once / ROUNDS)))
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            found[name].append(milliseconds(call, repeats[name]))
    return {name: statistics.median(times) for name, times in found.items()}


def sides() -> tuple[str, ...]:
    """Those that this machine has."""
    from cnnlab import kernels

    return SIDES if kernels.enable().in_use else SIDES[:-1]


def compiled_for(who: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[..., Any]:
    """A new function, compiled as one of SIDES does it in cnnlab: the formulas go with an option of the compiler."""
    import jax

    from cnnlab.kernels import lowering, plain

    settings = plain.compiler_options() if who == "formulas" else {}
    with lowering.switched(who != "XLA", native=who == "kernels"):
        return jax.jit(function, compiler_options=settings, **options).lower(*arguments).compile()


def ours(case: Case) -> dict[str, Callable[[], Any]]:
    """`part, who` to a call that waits for its result."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    random = np.random.default_rng(0)
    padding = [(case.window // 2,) * 2] * 2

    def forward(x: jax.Array, w: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            x,
            w,
            (case.stride,) * 2,
            padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=case.groups,
        )

    x = jnp.asarray(random.normal(size=(case.batch, case.side, case.side, case.channels)), jnp.float32)
    w = jnp.asarray(random.normal(size=(*(case.window,) * 2, case.channels // case.groups, case.features)), jnp.float32)
    dy = jnp.ones_like(forward(x, w))
    arguments = {"forward": (x, w), "input gradient": (dy, w), "weight gradient": (x, dy)}
    calls = {}
    for who in sides():
        for part in PARTS:
            functions = {
                "forward": lambda x, w: forward(x, w),
                "input gradient": lambda dy, w: jax.linear_transpose(lambda x: forward(x, w), x)(dy)[0],
                "weight gradient": lambda x, dy: jax.linear_transpose(lambda w: forward(x, w), w)(dy)[0],
            }
            compiled = compiled_for(who, functions[part], *arguments[part])
            calls[f"{part}, {who}"] = lambda c=compiled, a=arguments[part]: c(*a).block_until_ready()
    return calls


def theirs() -> None:
    """PyTorch's side of `operations`: a case on each line of stdin, its milliseconds on a line of stdout."""
    import speed_torch  # noqa: F401  malloc keeps its memory then
    import torch

    torch.manual_seed(0)
    for line in sys.stdin:
        case = Case(*json.loads(line))
        x = torch.randn(case.batch, case.channels, case.side, case.side).to(memory_format=torch.channels_last)
        w = torch.randn(case.features, case.channels // case.groups, case.window, case.window)
        w = w.to(memory_format=torch.channels_last)
        options = ([case.stride] * 2, [case.window // 2] * 2, [1, 1])
        y = torch.convolution(x, w, None, *options, False, [0, 0], case.groups)
        dy = torch.ones_like(y)

        def gradient(mask: list[bool], x=x, w=w, dy=dy, options=options, groups=case.groups) -> Any:
            return torch.ops.aten.convolution_backward(dy, x, w, None, *options, False, [0, 0], groups, mask)

        calls = {
            "forward": lambda x=x, w=w, o=options, g=case.groups: torch.convolution(x, w, None, *o, False, [0, 0], g),
            "input gradient": lambda: gradient([True, False, False]),
            "weight gradient": lambda: gradient([False, True, False]),
        }
        print(json.dumps(in_turn(calls)), flush=True)


def operations() -> None:
    peer = None
    if "PEER_PYTHON" in os.environ:
        command = [os.environ["PEER_PYTHON"], __file__, "--torch"]
        environment = os.environ | {"PEER_MALLOPT": "1"}
        peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    whom = [*sides(), *["PyTorch"] * (peer is not None)]
    print(f"| forward / input gradient / weight gradient, ms | {' | '.join(whom)} |")
    print(f"|---|{'---|' * len(whom)}")
    for case in CASES:
        times = in_turn(ours(case))
        if peer is not None and peer.stdin is not None and peer.stdout is not None:
            print(json.dumps(case), file=peer.stdin, flush=True)
            times |= {f"{part}, PyTorch": taken for part, taken in json.loads(peer.stdout.readline()).items()}
        cells = [" / ".join(f"{times[f'{part}, {who}']:.3g}" for part in PARTS) for who in whom]
        print(f"| {case.name} | {' | '.join(cells)} |", flush=True)
    if peer is not None and peer.stdin is not None:
        peer.stdin.close()
        peer.wait()


def step_of(name: str, batch: int, side: int, who: str) -> Callable[[], Any]:
    """A training step of a network on random images: forward, gradients, batch statistics, plain descent."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax import nnx

    from cnnlab.layers.initialize import Initializer
    from cnnlab.layers.mode import Mode
    from cnnlab.models import MODELS
    from cnnlab.train.state import split

    options = {"stem": "small"} if side <= 32 else {}
    model = MODELS[name]((side, side, 3), 10, init=Initializer(0), **options)
    graph, params, rest = split(model)
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(batch, side, side, 3)), jnp.float32)
    y = jnp.asarray(random.integers(0, 10, batch))

    def step(params: Any, rest: Any) -> Any:
        def loss(params: Any) -> Any:
            model = nnx.merge(graph, params, rest)
            logits = model(x, Mode(train=True))
            chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)
            return -chosen.mean(), nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))

        (value, rest_now), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return jax.tree.map(lambda p, g: p - 1e-3 * g, params, gradient), rest_now, value

    compiled = compiled_for(who, step, params, rest, donate_argnums=(0, 1))
    state = [jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), (params, rest))]

    def call() -> None:
        *now, value = compiled(*state[0])
        state[0] = tuple(now)
        value.block_until_ready()

    return call


def steps() -> None:
    whom = sides()
    print(f"| training step, ms | {' | '.join(whom)} |")
    print(f"|---|{'---|' * len(whom)}")
    for title, name, batch, side, fast_enough in STEPS:
        times = in_turn({who: step_of(name, batch, side, who) for who in whom if fast_enough or who != "XLA"})
        cells = [f"{times[who]:.0f}" if who in times else "minutes" for who in whom]
        print(f"| {title} | {' | '.join(cells)} |", flush=True)


def main(wanted: list[str]) -> None:
    if wanted == ["--torch"]:
        return theirs()
    from cnnlab import kernels
    from cnnlab.cli.process import keep_memory

    keep_memory()
    status = kernels.enable()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; {status.why}\n")
    for part in wanted or ["operations", "steps"]:
        {"operations": operations, "steps": steps}[part]()
        print()
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
